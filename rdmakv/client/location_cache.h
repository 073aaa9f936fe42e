// Where keys lie in their servers' memory, as far as this client has learned it: the hint that
// makes a GET one READ. A hint may be wrong at any time and costs a READ then, never a wrong
// answer: what is read is judged by the generation that came with the location (entry_judge.h).
//
// Four-way set associative, one cache line a set, 16 bytes an entry:
//
//   place  [ generation 26 | unused 2 | offset 36 ]        offset 0: unused entry
//   tag    [ length 32 | tag of the hash 15 | age 3 | session 14 ]
//
// A location is dropped once it is older than wire::kMostPointerAgeNs: begin() counts quarters of
// an hour and, when a new one begins, drops what was learned four or more of them ago.
//
// Belongs to the client's thread. Allocates in the constructor only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "protocol/fetch_line.h"
#include "protocol/kv_layout.h"
#include "rdmakv/client/huge_page_allocator.h"

namespace rdmakv {

struct CachedLocation {
  uint64_t offset = 0;  // units
  uint32_t generation = 0;
  uint32_t length = 0;  // bytes of the entry
};

struct LocationCacheCounters {
  uint64_t hits = 0, misses = 0;
  uint64_t evictions = 0;  // of a location in use, for want of room in its set
  uint64_t aged = 0;
};

class LocationCache {
 public:
  static constexpr uint32_t kMostSessions = 1u << 14;

  // `bytes` is rounded down to a power of two of sets; 0: learns nothing.
  explicit LocationCache(size_t bytes);

  // To be called with the steady clock now and then, at least before find(); cheap.
  void begin(uint64_t now_ns);

  // Brings what find() will look at into the processor's cache.
  void prefetch(uint64_t hash) const {
    if (!sets_.empty()) fetch_line(&sets_[hash & mask_]);
  }
  bool find(uint64_t hash, uint32_t session, CachedLocation& out) {
    const Entry* const entry = entry_of(hash, session);
    if (entry == nullptr) {
      ++counters_.misses;
      return false;
    }
    ++counters_.hits;
    out.offset = entry->place & wire::kOffsetMask;
    out.generation = static_cast<uint32_t>(entry->place >> 38);
    out.length = static_cast<uint32_t>(entry->tag >> 32);
    return true;
  }
  // The length of the entry, as far as it is known; else 0. Does not count as a look-up.
  uint32_t length_of(uint64_t hash, uint32_t session) {
    const Entry* const entry = entry_of(hash, session);
    return entry == nullptr ? 0 : static_cast<uint32_t>(entry->tag >> 32);
  }
  void learn(uint64_t hash, uint32_t session, const CachedLocation& location);
  void forget(uint64_t hash, uint32_t session);
  // Everything that belongs to a session: its server has started anew.
  void forget_session(uint32_t session);

  uint64_t capacity() const { return sets_.size() * kWays; }
  uint64_t size() const;  // walks everything
  const LocationCacheCounters& counters() const { return counters_; }

 private:
  static constexpr uint32_t kWays = 4;
  static constexpr uint32_t kAges = 8;
  static constexpr uint32_t kOldest = 4;  // quarters of the most pointer age
  struct Entry {
    uint64_t place = 0;
    uint64_t tag = 0;
  };
  struct alignas(64) Set {
    Entry ways[kWays];
  };

  static uint64_t tag_of(uint64_t hash, uint32_t session) {
    return (((hash >> 49) & 0x7fff) << 17) | session;
  }
  // Without length and age.
  static constexpr uint64_t kTagMask = (uint64_t{0x7fff} << 17) | 0x3fff;
  static uint32_t age_of(const Entry& entry) { return (entry.tag >> 14) & (kAges - 1); }

  Set& set_of(uint64_t hash) { return sets_[hash & mask_]; }
  Entry* entry_of(uint64_t hash, uint32_t session) {
    if (sets_.empty()) return nullptr;
    const uint64_t wanted = tag_of(hash, session);
    for (Entry& entry : set_of(hash).ways) {
      if ((entry.tag & kTagMask) == wanted && entry.place != 0) return &entry;
    }
    return nullptr;
  }
  void drop_aged(uint64_t quarters);

  std::vector<Set, HugePageAllocator<Set>> sets_;
  uint64_t mask_ = 0;
  uint64_t quarter_ = 0;   // present one
  uint64_t turn_at_ = 0;   // when the next begins
  uint32_t next_way_ = 0;  // to be evicted
  LocationCacheCounters counters_;
};

}  // namespace rdmakv
