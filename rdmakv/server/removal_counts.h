// How often keys were removed, in counters that many keys share. A key that did not exist when its
// counter was read, does not exist now, and whose counter is the same has not existed in between:
// it would have been removed. That is how WATCH of a missing key notices one that came and went,
// and nothing is kept for each watcher. When another key of the same counter was removed meanwhile
// (one removal in kCounters hits it) the answer is wrong on the safe side.
//
// One thread.
#pragma once

#include <cstdint>
#include <vector>

namespace rdmakv::server {

class RemovalCounts {
 public:
  static constexpr uint64_t kCounters = uint64_t{1} << 14;
  static constexpr uint64_t kBytes = kCounters * sizeof(uint64_t);

  // `base` differs from start to start of a server, so that no number means anything to the next.
  explicit RemovalCounts(uint64_t base) : base_(base), counts_(kCounters) {}

  // A key with this hash was removed.
  void add(uint64_t hash) { ++counts_[hash % kCounters]; }
  // Some key was.
  void add_to_all() { ++base_; }
  uint64_t of(uint64_t hash) const { return base_ + counts_[hash % kCounters]; }

 private:
  uint64_t base_;
  std::vector<uint64_t> counts_;
};

}  // namespace rdmakv::server
