// The index of a partition: key -> extent. Buckets of 8 slots in registered memory, as
// protocol/kv_layout.h draws them, for clients to READ; two candidate buckets a key, the emptier
// one is taken (Azar, Broder, Karlin, Upfal, "Balanced allocations", 1999). When both are full the
// key goes to a private, bounded stash, and the overflow bit in its first bucket sends one-sided
// readers to the server. Sized once: it never grows, and a slot never moves to another bucket while
// its key lives (so a reader of the two buckets, which are not read at one instant, misses no key).
//
// Every store to a slot is one 8-byte release store. One thread writes; remote readers read any
// time.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "protocol/fetch_line.h"
#include "protocol/kv_layout.h"
#include "rdmakv/server/entry_memory.h"
#include "rdmakv/server/slot_scan.h"

namespace rdmakv::server {

class Index {
 public:
  // `memory` is zero-filled, outlives the Index, and holds the buckets; `entries` is what offsets
  // in slots lead to, and outlives it too. `stash_slots` keys may be in the stash.
  Index(std::span<std::byte> memory, const EntryMemory& entries, uint32_t stash_slots);

  // A place in the index; valid until the next insert or remove.
  struct Place {
    uint32_t bucket = 0;
    uint32_t slot = 0;  // kStash: `node` counts
    uint32_t node = 0;
    static constexpr uint32_t kNowhere = ~uint32_t{0};
    static constexpr uint32_t kStash = kNowhere - 1;
    explicit operator bool() const { return slot != kNowhere; }
  };
  static constexpr Place nowhere() { return {0, Place::kNowhere, 0}; }

  // Has the buckets of a key fetched into the processor's cache.
  void prefetch(uint64_t hash) const {
    for (const uint32_t bucket : wire::key_place(hash, bucket_count_).bucket) {
      fetch_line(&buckets_[bucket]);
    }
  }
  // Calls visit(place, offset) for what may be the key's entry, as far as its buckets tell: the
  // second is looked at only when there is nothing in the first, as one that is not the key's is
  // found there for one key in sixty.
  template <typename Visit>
  void visit_candidates(uint64_t hash, Visit&& visit) const;

  // Where the key is, or nowhere.
  Place find(uint64_t hash, std::string_view key) const;
  // The same; `likely`, one of the places that visit_candidates() has named, is looked at first,
  // whatever has happened since.
  Place find(uint64_t hash, std::string_view key, Place likely) const {
    const uint64_t offset = likely ? offset_at(likely) : 0;
    return offset != 0 && entries_.holds(offset, hash, key) ? likely : find(hash, key);
  }
  // Where the slot of a key with this hash is that leads to `offset`, or nowhere.
  Place find_offset(uint64_t hash, uint64_t offset) const;
  // Where a key that is not in the index can be inserted, or nowhere: the index is full for it.
  Place vacancy(uint64_t hash) const;

  wire::Slot at(Place place) const;
  uint64_t offset_at(Place place) const {
    return (place.slot == Place::kStash ? nodes_[place.node].slot
                                        : buckets_[place.bucket].slots[place.slot]) >>
           28;
  }
  // `place` is a vacancy of this hash.
  void insert(Place place, uint64_t hash, wire::Slot slot);
  // Points the key's slot to its next entry.
  void replace(Place place, wire::Slot slot);
  void remove(Place place);

  // From hold() to release() of the same hashes no remote reader is told that a key with such a
  // hash is not there: it asks the server. Several may be held together, and one several times;
  // only when all are released the bits are right again.
  void hold(uint64_t hash);
  void release(uint64_t hash);
  // The same of all hashes there are.
  void hold_all();
  void release_all();

  uint64_t size() const { return size_; }
  uint64_t stashed() const { return stashed_; }
  uint32_t bucket_count() const { return bucket_count_; }
  uint64_t private_bytes() const {
    return nodes_.size() * sizeof(Node) + (heads_.size() + region_keys_.size()) * sizeof(uint32_t);
  }

  // Iteration: `step` 0 .. steps()-1 each name up to 8 slots, and all together every slot there is.
  // Calls visit(place, slot) for the occupied ones; visit may remove or replace what it is given.
  uint32_t steps() const {
    return bucket_count_ +
           static_cast<uint32_t>((nodes_.size() + kNodesPerStep - 1) / kNodesPerStep);
  }
  template <typename Visit>
  void visit(uint32_t step, Visit&& visit) const;
  // From `step` on, the first step at which there may be a key; steps() when there is none. Passes
  // by whole regions that are empty.
  uint32_t first_occupied(uint32_t step) const;
  // The place of key number `n` < size() in the order of iteration. Looks at the counts of the
  // regions and at the slots of one: O(sqrt(steps())).
  Place nth(uint64_t n) const;

  // Walks everything; false when the books do not agree. For tests.
  bool consistent() const;

 private:
  static constexpr uint32_t kNone = ~uint32_t{0};
  static constexpr uint32_t kNodesPerStep = 8;

  // A region is a run of 2^region_shift_ steps, and there are about as many regions as a region has
  // slots. How many keys each holds is counted.
  static uint32_t region_shift(uint32_t steps);
  uint32_t step_of(Place place) const {
    return place.slot == Place::kStash ? bucket_count_ + place.node / kNodesPerStep : place.bucket;
  }
  uint32_t& region_keys(Place place) { return region_keys_[step_of(place) >> region_shift_]; }

  struct Node {             // of the stash
    uint64_t slot = 0;      // offset 0: unused
    uint32_t bucket = 0;    // the first candidate bucket, which has the overflow bit
    uint32_t next = kNone;  // of the chain, or of the unused ones
  };

  uint64_t load(uint32_t bucket, uint32_t slot) const;
  void store(uint32_t bucket, uint32_t slot, uint64_t word);
  bool overflowed(uint32_t bucket) const { return (load(bucket, 0) & 1) != 0; }
  void set_overflow(uint32_t bucket, bool on);
  template <typename Matches>
  Place search(uint64_t hash, Matches&& matches) const;
  uint32_t chain_of(uint32_t bucket) const {
    return static_cast<uint32_t>((bucket * 0x9e3779b1u) >> chain_shift_);
  }
  void remove_from_stash(uint32_t node);
  bool has_stashed(uint32_t bucket) const;

  wire::Bucket* buckets_;
  uint32_t bucket_count_;
  const EntryMemory& entries_;
  uint64_t size_ = 0;
  uint64_t stashed_ = 0;
  uint64_t holds_ = 0;
  uint32_t chain_shift_;
  uint32_t unused_ = kNone;
  std::vector<Node> nodes_;
  std::vector<uint32_t> heads_;
  uint32_t region_shift_;
  std::vector<uint32_t> region_keys_;
};

template <typename Visit>
void Index::visit_candidates(uint64_t hash, Visit&& visit) const {
  const wire::KeyPlace place = wire::key_place(hash, bucket_count_);
  bool any = false;
  for (const uint32_t bucket : place.bucket) {
    for (uint32_t slots = slots_with(buckets_[bucket], place.fingerprint); slots != 0;
         slots &= slots - 1) {
      const auto slot = static_cast<uint32_t>(std::countr_zero(slots));
      const uint64_t offset = buckets_[bucket].slots[slot] >> 28;
      if (offset == 0) continue;
      any = true;
      visit(Place{bucket, slot, 0}, offset);
    }
    if (any) return;
  }
}

template <typename Visit>
void Index::visit(uint32_t step, Visit&& visit) const {
  if (step < bucket_count_) {
    for (uint32_t i = 0; i < wire::kSlotsPerBucket; ++i) {
      const auto slot = wire::Slot::decode(load(step, i));
      if (slot.offset != 0) visit(Place{step, i, 0}, slot);
    }
    return;
  }
  const uint64_t first = uint64_t{step - bucket_count_} * kNodesPerStep;
  for (uint64_t i = first; i < first + kNodesPerStep && i < nodes_.size(); ++i) {
    const auto slot = wire::Slot::decode(nodes_[i].slot);
    if (slot.offset != 0) {
      visit(Place{nodes_[i].bucket, Place::kStash, static_cast<uint32_t>(i)}, slot);
    }
  }
}

}  // namespace rdmakv::server
