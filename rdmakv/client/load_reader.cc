#include "rdmakv/client/load_reader.h"

#include <algorithm>
#include <cstring>

#include "protocol/fetch_line.h"
#include "protocol/rules.h"
#include "rdmakv/client/clock.h"
#include "rdmakv/transport/shared_copy.h"

namespace rdmakv {
namespace {

constexpr uint64_t kLine = 64;
constexpr uint64_t kLinesFetched =
    4;  // of an entry; longer ones are fetched by the processor itself

uint64_t load(const void* word) {
  return __atomic_load_n(static_cast<const uint64_t*>(word), __ATOMIC_ACQUIRE);
}

void fetch(std::span<const std::byte> memory, uint64_t bytes) {
  const uint64_t most = std::min({memory.size(), bytes, kLinesFetched * kLine});
  for (uint64_t at = 0; at < most; at += kLine) fetch_line(memory.data() + at);
}

}  // namespace

void LoadReader::reset(const RemoteLayout& layout, Endpoint& endpoint) {
  reset();
  layout_ = layout;
  PeerMemoryView* const peer = peer_memory_of(endpoint);
  if (peer == nullptr) return;
  const wire::Welcome& welcome = layout.welcome();
  const auto map = [&](const wire::RegionGrant& region) -> std::span<const std::byte> {
    if (region.bytes == 0) return {};
    const std::byte* data = peer->peer_memory({region.base, region.key}, region.bytes);
    return data == nullptr ? std::span<const std::byte>{} : std::span(data, region.bytes);
  };
  regions_ = {map(welcome.pool), map(welcome.cas), map(welcome.grants)};
  const std::span<const std::byte> index = map(welcome.index);
  const bool whole = regions_[0].size() == welcome.pool.bytes &&
                     regions_[1].size() == welcome.cas.bytes &&
                     regions_[2].size() == welcome.grants.bytes;
  const uint64_t buckets = uint64_t{welcome.bucket_count} * sizeof(wire::Bucket);
  if (!whole || index.empty() || buckets == 0 || buckets > index.size()) return;
  buckets_ = reinterpret_cast<const wire::Bucket*>(index.data());
  peer_ = peer;
}

// From `offset` (units) to the end of its region; empty: no such place.
std::span<const std::byte> LoadReader::memory_at(uint64_t offset) const {
  if (offset == 0) return {};
  uint64_t bytes = offset * wire::kExtentUnit;
  for (const std::span<const std::byte> region : regions_) {
    if (bytes < region.size()) return region.subspan(bytes);
    bytes -= region.size();
  }
  return {};
}

void LoadReader::begin(Get& get, std::string_view key, uint64_t hash) {
  get.key = key;
  get.hash = hash;
  locations_.prefetch(hash);
}

void LoadReader::find(Get& get) {
  CachedLocation location;
  get.located = !locations_.find(get.hash, session_, location);
  if (!get.located) {
    get.path = ReadPath::kCached;
    get.pointer = {location.offset, location.generation, wire::kGenerationMask};
    get.memory = memory_at(location.offset);
    fetch(get.memory, location.length);
    if (location.length < wire::kLargeValue) return;  // else leads_to() may be asked
  } else {
    get.path = ReadPath::kIndexed;
  }
  const wire::KeyPlace place = wire::key_place(get.hash, layout_.bucket_count());
  for (const uint32_t bucket : place.bucket) fetch_line(&buckets_[bucket]);
}

// As DirectReader::buckets_arrived().
void LoadReader::locate(Get& get) {
  if (!get.located) return;
  get.candidates = get.next_candidate = 0;
  get.uncertain = false;
  const wire::KeyPlace place = wire::key_place(get.hash, layout_.bucket_count());
  const int distinct = place.bucket[0] == place.bucket[1] ? 1 : 2;
  get.overflow = (load(&buckets_[place.bucket[0]].slots[0]) & 1) != 0;
  for (int b = 0; b < distinct; ++b) {
    for (const uint64_t& slot_word : buckets_[place.bucket[b]].slots) {
      const uint64_t word = load(&slot_word);
      const wire::Slot slot = wire::Slot::decode(word);
      if (slot.offset == 0 || slot.fingerprint != place.fingerprint) continue;
      get.uncertain = get.candidates == kMostCandidates;
      if (get.uncertain) return;
      get.slots[get.candidates++] = word;
    }
  }
  if (next_candidate(get)) fetch(memory_at(get.pointer.offset), 2 * kLine);
}

// False: there is none left.
bool LoadReader::next_candidate(Get& get) {
  get.pointer = {};
  if (get.next_candidate == get.candidates) return false;
  const wire::Slot slot = wire::Slot::decode(get.slots[get.next_candidate++]);
  get.pointer = {slot.offset, slot.generation_low, 0xfff};
  return true;
}

// The copy of the entry that `memory` begins with, its first word read first; empty: not one that
// we take. Its length may be nonsense: then the copy does not pass for an entry.
std::span<const std::byte> LoadReader::copy(std::span<const std::byte> memory, AtOnce& taker) {
  if (memory.size() < wire::kEntryHeaderBytes) return {};
  const uint64_t first = load(memory.data());
  const uint64_t meta = load(memory.data() + offsetof(wire::EntryHeader, meta));
  const uint32_t value_length = wire::meta_value_length(meta);
  uint64_t bytes = wire::entry_bytes(wire::meta_key_length(meta), value_length,
                                     (wire::meta_flags(meta) & wire::kEntryHasExpiry) != 0);
  bool large = value_length >= wire::kLargeValue;
  if (!wire::FirstWord::decode(first).live) {  // no more is looked at then
    bytes = wire::kEntryHeaderBytes;
    large = false;
  } else if (value_length > kLargestValue || bytes > memory.size() ||
             (!large && bytes > kMostBytes)) {
    return {};
  }
  std::byte* const to = large ? taker.room(bytes) : copy_.data();
  if (to == nullptr) return {};
  std::memcpy(to, &first, sizeof(first));
  copy_from_shared(to + sizeof(first), memory.data() + sizeof(first), bytes - sizeof(first));
  // What was bounded is what is judged: only a large value lies in the taker's room.
  std::memcpy(to + offsetof(wire::EntryHeader, meta), &meta, sizeof(meta));
  return {to, bytes};
}

// What nearly every GET is: the entry is where it was known to be, and cannot expire. False: judge
// it from the beginning, by all the rules.
bool LoadReader::read_plainly(const Get& get, ValueAtOnce& answer) {
  PlainValue found;
  if (!copy_plain_entry(get.memory, get.pointer, get.key, layout_.seed(), copy_, found) ||
      !peer_->peer_memory_holds()) {
    return false;
  }
  ++counters_.cached;
  answer = {true, found.version, 0, found.value};
  return true;
}

bool LoadReader::read(Get& get, uint64_t begun_ns, int64_t latest_ms, AtOnce& taker,
                      ValueAtOnce& answer) {
  if (!order_.quiet(KeyOrder::of(get.hash))) return false;
  if (get.located && get.uncertain) return false;
  if (!get.located && read_plainly(get, answer)) return true;
  for (uint32_t hops = 0; hops < kMostHops; ++hops) {
    if (get.pointer.offset == 0) return not_found(get, answer);
    if (read_in_place(get, latest_ms, taker, answer)) return true;
    const std::span<const std::byte> entry = copy(memory_at(get.pointer.offset), taker);
    if (entry.empty()) return false;
    const Judgement found = judge_entry(entry, get.pointer, get.key, layout_.seed(), latest_ms);
    // Half of the quarantine: what a slot says is used within it.
    if (get.located && steady_ns() - begun_ns > wire::kQuarantineNs / 2) return false;
    switch (found.verdict) {
      case Verdict::kAccepted:
        return accept(get, found, answer);
      case Verdict::kForward:
        if (get.path == ReadPath::kCached) get.path = ReadPath::kForwarded;
        get.located = false;
        get.pointer = found.next;
        break;
      case Verdict::kOtherKey:
        if (!get.located) return false;
        next_candidate(get);
        break;
      default:
        return false;
    }
  }
  return false;
}

// Whether a slot of the key leads to what get.pointer names, now.
bool LoadReader::leads_to(const Get& get) const {
  const wire::KeyPlace place = wire::key_place(get.hash, layout_.bucket_count());
  for (const uint32_t bucket : place.bucket) {
    for (const uint64_t& word : buckets_[bucket].slots) {
      const wire::Slot slot = wire::Slot::decode(load(&word));
      if (slot.offset == get.pointer.offset && slot.fingerprint == place.fingerprint &&
          ((slot.generation_low ^ get.pointer.generation) & 0xfff) == 0) {
        return true;
      }
    }
  }
  return false;
}

// False says nothing. Only in the pool: elsewhere the extents and their marks have other rules.
bool LoadReader::read_in_place(const Get& get, int64_t latest_ms, AtOnce& taker,
                               ValueAtOnce& answer) {
  const uint64_t at = get.pointer.offset * wire::kExtentUnit;
  if (at + wire::kEntryHeaderBytes + wire::kEntryExpiryBytes > regions_[0].size()) return false;
  const std::span<const std::byte> memory = regions_[0].subspan(at);
  const auto word = [&](size_t offset) { return load(memory.data() + offset); };
  const uint64_t meta = word(offsetof(wire::EntryHeader, meta));
  const uint32_t length = wire::meta_value_length(meta);
  const bool expires = (wire::meta_flags(meta) & wire::kEntryHasExpiry) != 0;
  const uint64_t bytes = wire::entry_bytes(get.key.size(), length, expires);
  if (length < wire::kLargeValue || length > kLargestInPlace || bytes > memory.size() ||
      wire::meta_key_length(meta) != get.key.size() || !taker.wants_in_place(length)) {
    return false;
  }
  if (!wire::FirstWord::decode(word(0)).live || !peer_->mark(get.pointer.offset)) return false;
  marked_ = true;
  if (!leads_to(get)) return false;
  const wire::FirstWord first = wire::FirstWord::decode(word(0));
  const uint64_t differs = first.generation ^ get.pointer.generation;
  if (!first.live || (differs & get.pointer.generation_mask) != 0 ||
      word(offsetof(wire::EntryHeader, meta)) != meta) {
    return false;
  }
  const wire::EntryView entry = wire::view_entry(memory.data(), meta);
  if (entry.key != get.key || (expires && latest_ms >= entry.expiry_ms) ||
      !peer_->peer_memory_holds()) {
    return false;
  }
  count(get, static_cast<uint32_t>(first.generation), bytes);
  answer = {true, entry.version, entry.expiry_ms, entry.value, true};
  return true;
}

// It is answered.
void LoadReader::count(const Get& get, uint32_t generation, uint64_t length) {
  ++(get.path == ReadPath::kCached    ? counters_.cached
     : get.path == ReadPath::kIndexed ? counters_.indexed
                                      : counters_.forwarded);
  if (get.path == ReadPath::kCached) return;
  locations_.learn(get.hash, session_,
                   {get.pointer.offset, generation, static_cast<uint32_t>(length)});
}

bool LoadReader::accept(const Get& get, const Judgement& found, ValueAtOnce& answer) {
  if (!peer_->peer_memory_holds()) return false;
  count(get, found.generation, found.length);
  answer = {true, found.entry.version, found.entry.expiry_ms, found.entry.value};
  return true;
}

// As DirectReader::next_candidate() has it: a key that was there all the time would have been in
// one of its buckets.
bool LoadReader::not_found(const Get& get, ValueAtOnce& answer) {
  if (!get.located || get.overflow || !peer_->peer_memory_holds()) return false;
  ++counters_.not_found;
  answer = {};
  return true;
}

}  // namespace rdmakv
