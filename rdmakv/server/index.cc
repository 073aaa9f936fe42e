#include "rdmakv/server/index.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cassert>

namespace rdmakv::server {
Index::Index(std::span<std::byte> memory, const EntryMemory& entries, uint32_t stash_slots)
    : buckets_(reinterpret_cast<wire::Bucket*>(memory.data())),
      bucket_count_(static_cast<uint32_t>(
          std::min<size_t>(memory.size() / sizeof(wire::Bucket), ~uint32_t{0}))),
      entries_(entries),
      nodes_(stash_slots),
      region_shift_(region_shift(steps())),
      region_keys_((steps() >> region_shift_) + 1) {
  assert(bucket_count_ > 0);
  // One or two keys each when the stash is full.
  const uint32_t chains = std::max(std::bit_ceil(stash_slots / 2), 2u);
  chain_shift_ = 32 - static_cast<uint32_t>(std::countr_zero(chains));
  heads_.assign(chains, kNone);
  for (uint32_t i = 0; i < stash_slots; ++i) nodes_[i].next = i + 1 < stash_slots ? i + 1 : kNone;
  if (stash_slots > 0) unused_ = 0;
}

uint64_t Index::load(uint32_t bucket, uint32_t slot) const {
  return std::atomic_ref<uint64_t>(buckets_[bucket].slots[slot]).load(std::memory_order_relaxed);
}

void Index::store(uint32_t bucket, uint32_t slot, uint64_t word) {
  std::atomic_ref<uint64_t>(buckets_[bucket].slots[slot]).store(word, std::memory_order_release);
}

// Both candidate buckets, then the stash if keys of the first went there. matches(offset) is asked
// where the fingerprint is right.
template <typename Matches>
Index::Place Index::search(uint64_t hash, Matches&& matches) const {
  const wire::KeyPlace candidates = wire::key_place(hash, bucket_count_);
  const int distinct = candidates.bucket[0] == candidates.bucket[1] ? 1 : 2;
  for (int c = 0; c < distinct; ++c) {
    const uint32_t bucket = candidates.bucket[c];
    for (uint32_t slots = slots_with(buckets_[bucket], candidates.fingerprint); slots != 0;
         slots &= slots - 1) {
      const auto i = static_cast<uint32_t>(std::countr_zero(slots));
      const uint64_t offset = load(bucket, i) >> 28;
      if (offset != 0 && matches(offset)) return {bucket, i, 0};
    }
  }
  const uint32_t home = candidates.bucket[0];
  if (!overflowed(home)) return nowhere();
  const uint64_t wanted = uint64_t{candidates.fingerprint} << 1;
  for (uint32_t node = heads_[chain_of(home)]; node != kNone; node = nodes_[node].next) {
    const uint64_t word = nodes_[node].slot;
    if ((word & kFingerprintMask) == wanted && matches(word >> 28)) {
      return {home, Place::kStash, node};
    }
  }
  return nowhere();
}

Index::Place Index::find(uint64_t hash, std::string_view key) const {
  return search(hash, [&](uint64_t offset) { return entries_.holds(offset, hash, key); });
}

Index::Place Index::find_offset(uint64_t hash, uint64_t wanted) const {
  return search(hash, [&](uint64_t offset) { return offset == wanted; });
}

Index::Place Index::vacancy(uint64_t hash) const {
  const wire::KeyPlace candidates = wire::key_place(hash, bucket_count_);
  Place best = nowhere();
  uint32_t best_free = 0;
  for (const uint32_t bucket : candidates.bucket) {
    uint32_t free = 0;
    uint32_t first_free = 0;
    for (uint32_t i = wire::kSlotsPerBucket; i-- > 0;) {
      if ((load(bucket, i) >> 28) != 0) continue;
      ++free;
      first_free = i;
    }
    if (free > best_free) {
      best_free = free;
      best = {bucket, first_free, 0};
    }
  }
  if (best) return best;
  if (unused_ == kNone) return nowhere();
  return {candidates.bucket[0], Place::kStash, unused_};
}

wire::Slot Index::at(Place place) const {
  return wire::Slot::decode(place.slot == Place::kStash ? nodes_[place.node].slot
                                                        : load(place.bucket, place.slot));
}

void Index::insert(Place place, uint64_t hash, wire::Slot slot) {
  slot.fingerprint = wire::key_place(hash, bucket_count_).fingerprint;
  ++size_;
  ++region_keys(place);
  if (place.slot != Place::kStash) {
    slot.overflow = overflowed(place.bucket);
    store(place.bucket, place.slot, slot.encode());
    return;
  }
  assert(place.node == unused_);
  Node& node = nodes_[place.node];
  unused_ = node.next;
  slot.overflow = false;
  uint32_t& head = heads_[chain_of(place.bucket)];
  node = {slot.encode(), place.bucket, head};
  head = place.node;
  ++stashed_;
  if (!overflowed(place.bucket)) set_overflow(place.bucket, true);
}

void Index::replace(Place place, wire::Slot slot) {
  constexpr uint64_t kKept = kFingerprintMask | 1;  // and the overflow bit
  const uint64_t fresh = slot.encode() & ~kKept;
  if (place.slot == Place::kStash) {
    uint64_t& word = nodes_[place.node].slot;
    word = fresh | (word & kKept);
  } else {
    store(place.bucket, place.slot, fresh | (load(place.bucket, place.slot) & kKept));
  }
}

void Index::remove(Place place) {
  --size_;
  --region_keys(place);
  if (place.slot == Place::kStash) {
    remove_from_stash(place.node);
    return;
  }
  // An empty slot 0 keeps the bucket's overflow bit, the others are 0.
  store(place.bucket, place.slot, place.slot == 0 && overflowed(place.bucket) ? 1 : 0);
}

void Index::remove_from_stash(uint32_t at) {
  const uint32_t bucket = nodes_[at].bucket;
  uint32_t* from = &heads_[chain_of(bucket)];
  bool bucket_has_others = false;
  uint32_t* link_to_it = nullptr;
  for (; *from != kNone; from = &nodes_[*from].next) {
    if (*from == at) {
      link_to_it = from;
    } else if (nodes_[*from].bucket == bucket) {
      bucket_has_others = true;
    }
  }
  assert(link_to_it != nullptr);
  *link_to_it = nodes_[at].next;
  nodes_[at] = {0, 0, unused_};
  unused_ = at;
  --stashed_;
  if (!bucket_has_others && holds_ == 0) set_overflow(bucket, false);
}

// The overflow bit, without a key in the stash, does it.
void Index::hold(uint64_t hash) {
  const uint32_t bucket = wire::key_place(hash, bucket_count_).bucket[0];
  ++holds_;
  if (!overflowed(bucket)) set_overflow(bucket, true);
}

void Index::release(uint64_t hash) {
  const uint32_t bucket = wire::key_place(hash, bucket_count_).bucket[0];
  assert(holds_ > 0);
  --holds_;
  if (overflowed(bucket) && !has_stashed(bucket)) set_overflow(bucket, false);
}

void Index::hold_all() {
  ++holds_;
  for (uint32_t bucket = 0; bucket < bucket_count_; ++bucket) {
    if (!overflowed(bucket)) set_overflow(bucket, true);
  }
}

void Index::release_all() {
  assert(holds_ > 0);
  --holds_;
  for (uint32_t bucket = 0; bucket < bucket_count_; ++bucket) {
    if (overflowed(bucket) && !has_stashed(bucket)) set_overflow(bucket, false);
  }
}

bool Index::has_stashed(uint32_t bucket) const {
  for (uint32_t node = heads_[chain_of(bucket)]; node != kNone; node = nodes_[node].next) {
    if (nodes_[node].bucket == bucket) return true;
  }
  return false;
}

void Index::set_overflow(uint32_t bucket, bool on) {
  for (uint32_t i = 0; i < wire::kSlotsPerBucket; ++i) {
    const uint64_t word = load(bucket, i);
    if (i != 0 && (word >> 28) == 0) continue;
    store(bucket, i, on ? word | 1 : word & ~uint64_t{1});
  }
}

uint32_t Index::region_shift(uint32_t steps) {
  const uint64_t slots = uint64_t{steps} * wire::kSlotsPerBucket;
  const auto slot_bits = static_cast<uint32_t>(std::bit_width(slots)) / 2;
  constexpr uint32_t kStepBits = std::countr_zero(wire::kSlotsPerBucket);
  return slot_bits > kStepBits ? slot_bits - kStepBits : 0;
}

uint32_t Index::first_occupied(uint32_t step) const {
  while (step < steps() && region_keys_[step >> region_shift_] == 0) {
    step = ((step >> region_shift_) + 1) << region_shift_;
  }
  return std::min(step, steps());
}

Index::Place Index::nth(uint64_t n) const {
  assert(n < size_);
  uint32_t region = 0;
  for (; n >= region_keys_[region]; ++region) n -= region_keys_[region];
  Place found = nowhere();
  for (uint32_t step = region << region_shift_; !found && step < steps(); ++step) {
    visit(step, [&](Place place, wire::Slot) {
      if (n-- == 0) found = place;
    });
  }
  return found;
}

bool Index::consistent() const {
  uint64_t keys = 0;
  std::vector<bool> expected(bucket_count_);
  uint64_t stashed = 0;
  for (const uint32_t head : heads_) {
    for (uint32_t node = head; node != kNone; node = nodes_[node].next) {
      if ((nodes_[node].slot >> 28) == 0 || ++stashed > nodes_.size()) return false;
      expected[nodes_[node].bucket] = true;
    }
  }
  for (uint32_t bucket = 0; bucket < bucket_count_; ++bucket) {
    for (uint32_t i = 0; i < wire::kSlotsPerBucket; ++i) {
      const uint64_t word = load(bucket, i);
      const bool occupied = (word >> 28) != 0;
      if (occupied) ++keys;
      if (!occupied && (word & ~uint64_t{1}) != 0) return false;
      if ((occupied || i == 0) && ((word & 1) != 0) != expected[bucket]) return false;
    }
  }
  std::vector<uint32_t> counted(region_keys_.size());
  for (uint32_t step = 0; step < steps(); ++step) {
    visit(step, [&](Place, wire::Slot) { ++counted[step >> region_shift_]; });
  }
  return stashed == stashed_ && keys + stashed == size_ && counted == region_keys_;
}

}  // namespace rdmakv::server
