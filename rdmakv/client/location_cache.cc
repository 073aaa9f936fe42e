#include "rdmakv/client/location_cache.h"

#include <bit>
#include <cassert>

#include "protocol/rules.h"

namespace rdmakv {
namespace {

constexpr uint64_t kQuarterNs = wire::kMostPointerAgeNs / 4;

}  // namespace

LocationCache::LocationCache(size_t bytes) {
  const size_t sets = bytes / sizeof(Set);
  if (sets == 0) return;
  sets_.resize(std::bit_floor(sets));
  mask_ = sets_.size() - 1;
}

void LocationCache::begin(uint64_t now_ns) {
  if (now_ns < turn_at_ || !holds(Rule::kPointerAge)) return;
  const uint64_t quarter = now_ns / kQuarterNs;
  if (turn_at_ != 0) drop_aged(quarter - quarter_);
  quarter_ = quarter;
  turn_at_ = (quarter + 1) * kQuarterNs;
}

// `quarters` have passed since the last time.
void LocationCache::drop_aged(uint64_t quarters) {
  for (Set& set : sets_) {
    for (Entry& entry : set.ways) {
      if (entry.place == 0) continue;
      const uint64_t age_before = (quarter_ - age_of(entry)) & (kAges - 1);
      if (age_before + quarters < kOldest) continue;
      entry = {};
      ++counters_.aged;
    }
  }
}

void LocationCache::learn(uint64_t hash, uint32_t session, const CachedLocation& location) {
  assert(session < kMostSessions);
  if (sets_.empty() || location.offset == 0) return;
  Entry* entry = entry_of(hash, session);
  if (entry == nullptr) {
    Set& set = set_of(hash);
    for (Entry& way : set.ways) {
      if (way.place == 0) entry = &way;
    }
    if (entry == nullptr) {
      entry = &set.ways[next_way_++ % kWays];
      ++counters_.evictions;
    }
  }
  entry->place = (uint64_t{location.generation & wire::kGenerationMask} << 38) | location.offset;
  entry->tag =
      (uint64_t{location.length} << 32) | tag_of(hash, session) | ((quarter_ & (kAges - 1)) << 14);
}

void LocationCache::forget(uint64_t hash, uint32_t session) {
  if (Entry* entry = entry_of(hash, session); entry != nullptr) *entry = {};
}

void LocationCache::forget_session(uint32_t session) {
  for (Set& set : sets_) {
    for (Entry& entry : set.ways) {
      if (entry.place != 0 && (entry.tag & (kMostSessions - 1)) == session) entry = {};
    }
  }
}

uint64_t LocationCache::size() const {
  uint64_t used = 0;
  for (const Set& set : sets_) {
    for (const Entry& entry : set.ways) used += entry.place != 0 ? 1 : 0;
  }
  return used;
}

}  // namespace rdmakv
