// Whatever bytes a READ of a peer's memory brings, judge_entry() reads none outside them, accepts
// nothing that the rules do not allow, and finds the same in an entry whether it was READ whole or
// in pieces. The input: one byte for what the pointer knows, then the bytes that were READ, with
// the checksum made right when the first byte asks for it (or no input would ever get so far).
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>

#include "rdmakv/client/entry_judge.h"

namespace {

using namespace rdmakv;  // NOLINT
using Bytes = std::span<const std::byte>;

constexpr uint64_t kSeed = 7;
constexpr int64_t kLatestMs = 1'700'000'000'000;
constexpr std::string_view kKey = "key";

void require(bool holds) {
  if (!holds) std::abort();
}

void make_checksum_right(std::span<std::byte> bytes) {
  if (bytes.size() < wire::kEntryHeaderBytes) return;
  uint64_t first = 0, meta = 0;
  std::memcpy(&first, bytes.data(), sizeof(first));
  std::memcpy(&meta, bytes.data() + offsetof(wire::EntryHeader, meta), sizeof(meta));
  const uint32_t key = wire::meta_key_length(meta);
  const bool expires = (wire::meta_flags(meta) & wire::kEntryHasExpiry) != 0;
  const uint64_t whole = wire::entry_bytes(key, wire::meta_value_length(meta), expires);
  if (whole > bytes.size()) return;
  const uint64_t seed = wire::entry_seed(kSeed, wire::FirstWord::decode(first).generation);
  const uint64_t checksum =
      wire::entry_checksum(bytes.data(), whole, wire::entry_value_offset(key, expires), seed);
  std::memcpy(bytes.data() + offsetof(wire::EntryHeader, checksum), &checksum, sizeof(checksum));
}

void check_accepted(const Judgement& told, const Pointer& pointer, Bytes bytes) {
  require(((told.generation ^ pointer.generation) & pointer.generation_mask) == 0);
  require(told.entry.key == kKey);
  require(told.length <= bytes.size());
  require(told.entry.expiry_ms == 0 || told.entry.expiry_ms > kLatestMs);
  const Bytes value = told.entry.value;
  require(value.empty() || (value.data() >= bytes.data() &&
                            value.data() + value.size() <= bytes.data() + bytes.size()));
}

// Head and value in blocks of their own. An entry as small as these is never READ in pieces.
void judge_in_pieces(Bytes bytes, size_t head, const Pointer& pointer) {
  const auto front = std::make_unique<std::byte[]>(head);
  const auto back = std::make_unique<std::byte[]>(bytes.size() - head);
  std::memcpy(front.get(), bytes.data(), head);
  if (bytes.size() > head) std::memcpy(back.get(), bytes.data() + head, bytes.size() - head);
  const Judgement told = judge_entry_in_pieces(
      {front.get(), head}, {back.get(), bytes.size() - head}, pointer, kKey, kSeed, kLatestMs);
  require(bytes.size() >= wire::kTwoStepChecksumBytes || told.verdict != Verdict::kAccepted);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const uint8_t mode = data[0];
  const size_t length = size - 1;
  const auto exact = std::make_unique<std::byte[]>(length);
  if (length > 0) std::memcpy(exact.get(), data + 1, length);
  if ((mode & 1) != 0) make_checksum_right({exact.get(), length});
  const Bytes bytes(exact.get(), length);

  Pointer pointer{64, 5, (mode & 2) != 0 ? wire::kGenerationMask : 0xfffu};
  const Judgement told = judge_entry(bytes, pointer, kKey, kSeed, kLatestMs);
  switch (told.verdict) {
    case Verdict::kAccepted:
      check_accepted(told, pointer, bytes);
      break;
    case Verdict::kLonger:
      require(told.length > length);
      break;
    case Verdict::kForward:
      require(told.next.offset != 0 && told.next.generation_mask == wire::kGenerationMask);
      break;
    default:
      break;
  }
  // Nothing is taken the short way that would not be the long way. The memory must be aligned
  // there.
  const auto memory = std::make_unique<uint64_t[]>(length / sizeof(uint64_t) + 1);
  if (length > 0) std::memcpy(memory.get(), exact.get(), length);
  const auto copy = std::make_unique<std::byte[]>(length);
  PlainValue found;
  if (copy_plain_entry({reinterpret_cast<const std::byte*>(memory.get()), length}, pointer, kKey,
                       kSeed, {copy.get(), length}, found)) {
    require(told.verdict == Verdict::kAccepted && told.entry.expiry_ms == 0);
    require(told.entry.version == found.version &&
            std::ranges::equal(told.entry.value, found.value));
  }
  if (length >= wire::kEntryHeaderBytes) {
    const size_t more = length - wire::kEntryHeaderBytes;
    judge_in_pieces(bytes, wire::kEntryHeaderBytes + std::min<size_t>(mode >> 2, more), pointer);
  }
  return 0;
}
