#include "rdmakv/client/entry_judge.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "protocol/kv_message.h"
#include "protocol/rules.h"
#include "rdmakv/transport/shared_copy.h"

namespace rdmakv {
namespace {

template <typename T>
T load(std::span<const std::byte> bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

uint64_t load_acquire(const std::byte* word) {
  return __atomic_load_n(reinterpret_cast<const uint64_t*>(word), __ATOMIC_ACQUIRE);
}

// What the first word alone says. kAccepted: go on.
Judgement judge_first_word(std::span<const std::byte> bytes, const Pointer& pointer) {
  Judgement told;
  const wire::FirstWord word = wire::FirstWord::decode(load<uint64_t>(bytes, 0));
  if (!word.live) {
    told.verdict = word.next == 0 ? Verdict::kNoEntry : Verdict::kForward;
    told.next = {word.next, word.generation, wire::kGenerationMask};
  } else if (holds(Rule::kGeneration) &&
             ((word.generation ^ pointer.generation) & pointer.generation_mask) != 0) {
    told.verdict = Verdict::kReused;
  } else {
    told.verdict = Verdict::kAccepted;
    told.generation = word.generation;
    told.cas_class = word.cas_class;
  }
  return told;
}

void judge_expiry(Judgement& told, int64_t latest_ms) {
  const int64_t expiry = told.entry.expiry_ms;
  if (expiry != 0 && latest_ms >= expiry && holds(Rule::kExpiry))
    told.verdict = Verdict::kMayBeExpired;
}

struct Lengths {
  uint32_t key = 0, value = 0;
  bool expiry_field = false;
  uint64_t whole() const { return wire::entry_bytes(key, value, expiry_field); }
};

Lengths lengths_of(uint64_t meta) {
  return {wire::meta_key_length(meta), wire::meta_value_length(meta),
          (wire::meta_flags(meta) & wire::kEntryHasExpiry) != 0};
}

uint64_t meta_of(std::span<const std::byte> bytes) {
  return load<uint64_t>(bytes, offsetof(wire::EntryHeader, meta));
}

// Whether these are an entry's bytes, of whatever key.
bool is_sound(std::span<const std::byte> bytes, const Lengths& lengths, uint64_t seed) {
  return load<uint64_t>(bytes, offsetof(wire::EntryHeader, checksum)) ==
         wire::entry_checksum(bytes.data(), lengths.whole(),
                              wire::entry_value_offset(lengths.key, lengths.expiry_field), seed);
}

}  // namespace

Judgement judge_entry(std::span<const std::byte> bytes, const Pointer& pointer,
                      std::string_view key, uint64_t seed, int64_t latest_ms) {
  if (bytes.size() < wire::kEntryHeaderBytes) return {};
  Judgement told = judge_first_word(bytes, pointer);
  if (told.verdict != Verdict::kAccepted) return told;
  const uint64_t meta = meta_of(bytes);
  const Lengths lengths = lengths_of(meta);
  told.length = lengths.whole();
  if (told.length > bytes.size()) {
    told.verdict = lengths.key == key.size() ? Verdict::kLonger : Verdict::kTorn;
    return told;
  }
  const bool proves = holds(Rule::kChecksum);
  if (proves && !is_sound(bytes, lengths, wire::entry_seed(seed, told.generation))) {
    told.verdict = Verdict::kTorn;
    return told;
  }
  told.entry = wire::view_entry(bytes.data(), meta);
  if (proves && told.entry.key != key) {
    told.verdict = Verdict::kOtherKey;
  } else {
    judge_expiry(told, latest_ms);
  }
  return told;
}

bool copy_plain_entry(std::span<const std::byte> memory, const Pointer& pointer,
                      std::string_view key, uint64_t seed, std::span<std::byte> copy,
                      PlainValue& found) {
  constexpr uint64_t kCasClass = wire::FirstWord{.cas_class = true}.encode();
  constexpr size_t kChecksumAt = offsetof(wire::EntryHeader, checksum);
  constexpr size_t kMetaAt = offsetof(wire::EntryHeader, meta);
  if (memory.size() < wire::kEntryHeaderBytes) return false;
  const uint64_t live = wire::FirstWord::make_live(pointer.generation, true).encode();
  if ((load_acquire(memory.data()) | kCasClass) != live ||
      pointer.generation_mask != wire::kGenerationMask) {
    return false;
  }
  // Read once: what is copied must be as long as what is judged.
  const uint64_t meta = load_acquire(memory.data() + kMetaAt);
  const uint32_t value_length = wire::meta_value_length(meta);
  if (wire::meta_key_length(meta) != key.size() || value_length >= wire::kLargeValue ||
      (wire::meta_flags(meta) & wire::kEntryHasExpiry) != 0) {
    return false;
  }
  const uint64_t value_offset = wire::entry_value_offset(key.size(), false);
  const uint64_t size = value_offset + value_length;
  if (size > std::min(memory.size(), copy.size())) return false;
  copy_from_shared(copy.data() + kChecksumAt, memory.data() + kChecksumAt, size - kChecksumAt);
  std::memcpy(copy.data() + kMetaAt, &meta, sizeof(meta));
  const std::string_view own_key(
      reinterpret_cast<const char*>(copy.data()) + wire::kEntryHeaderBytes, key.size());
  if (own_key != key || load<uint64_t>(copy, kChecksumAt) !=
                            wire::entry_checksum(copy.data(), size, value_offset,
                                                 wire::entry_seed(seed, pointer.generation))) {
    return false;
  }
  found = {load<uint64_t>(copy, offsetof(wire::EntryHeader, version)),
           copy.subspan(value_offset, value_length)};
  return true;
}

Judgement judge_entry_in_pieces(std::span<const std::byte> head, std::span<const std::byte> value,
                                const Pointer& pointer, std::string_view key, uint64_t seed,
                                int64_t latest_ms) {
  Judgement told = judge_first_word(head, pointer);
  if (told.verdict != Verdict::kAccepted) return told;
  told.verdict = Verdict::kTorn;
  const Lengths lengths = lengths_of(meta_of(head));
  told.length = lengths.whole();
  if (lengths.key != key.size() || lengths.value != value.size()) return told;
  if (!wire::verify_entry_parts(head, value, wire::entry_seed(seed, told.generation), key,
                                told.entry)) {
    return told;
  }
  told.verdict = Verdict::kAccepted;
  judge_expiry(told, latest_ms);
  return told;
}

}  // namespace rdmakv
