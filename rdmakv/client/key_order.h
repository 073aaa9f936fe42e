// Keeps the order of operations on one key when some go by READ or ATOMIC and others by request:
// what is on its way, counted by a few bits of the key's hash. Two keys that share a count wait for
// each other now and then; that is all.
//
// - A READ does not start while a request, or an ATOMIC, on its key is on its way: it might
// overtake
//   it.
// - A change is not sent while a READ of its key is on its way: the READ might see it.
// - Nor is what only looks, but for a GET: the READ may end without an answer, and its GET then
// goes
//   by request, behind what was submitted after it.
// - READs of one key under way together must not answer backwards: one whose predecessor went to
// the
//   server for its answer, or found a newer version, goes to the server too.
//
// One connection's, on the client's thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace rdmakv {

class KeyOrder {
 public:
  static constexpr uint32_t kCounts = 1024;
  static constexpr uint32_t kNone = ~uint32_t{0};
  static constexpr uint32_t kAll = kNone - 1;
  static constexpr uint32_t kSeveral = kNone - 2;

  static uint32_t of(uint64_t hash) { return static_cast<uint32_t>(hash >> 20) % kCounts; }

  bool may_read(uint32_t at) const {
    return counts_[at].requests == 0 && counts_[at].atomics == 0 && clears_ == 0;
  }
  bool may_change(uint32_t at) const { return counts_[at].reads == 0 && counts_[at].atomics == 0; }
  // Nothing that counts is under way, not even a READ.
  bool quiet(uint32_t at) const {
    const Count& count = counts_[at];
    return (count.requests | count.reads | count.atomics) == 0 && clears_ == 0;
  }
  // For a GET by request.
  bool may_ask(uint32_t at) const { return counts_[at].atomics == 0; }
  // For what else only looks.
  bool may_look(uint32_t at) const { return may_ask(at) && counts_[at].reads == 0; }
  bool may_swap(uint32_t at) const { return may_read(at) && may_change(at); }

  // The number to be given back to read_fell_behind().
  uint32_t read_begins(uint32_t at) {
    ++counts_[at].reads;
    ++reads_;
    return counts_[at].detours;
  }
  // Whether a READ that began under `detours` and found `version` would answer backwards.
  bool read_fell_behind(uint32_t at, uint32_t detours, uint64_t version) {
    Count& count = counts_[at];
    if (count.detours != detours || version < count.newest) return true;
    if (count.reads > 1) count.newest = version;
    return false;
  }
  void read_detours(uint32_t at) { ++counts_[at].detours; }
  void read_ends(uint32_t at) {
    if (--counts_[at].reads == 0) counts_[at].newest = 0;
    --reads_;
  }

  void request_begins(uint32_t at) { ++counts_[at].requests; }
  void request_ends(uint32_t at) { --counts_[at].requests; }
  void atomic_begins(uint32_t at) { ++counts_[at].atomics; }
  void atomic_ends(uint32_t at) { --counts_[at].atomics; }

  // Of changes of every key at once.
  bool may_clear() const { return reads_ == 0; }
  void clear_begins() { ++clears_; }
  void clear_ends() { --clears_; }

  void reset() { *this = KeyOrder(); }

 private:
  struct Count {
    uint32_t requests = 0;  // puts of runs, many of them on one credit, count each
    uint16_t reads = 0;
    uint16_t atomics = 0;
    uint32_t detours = 0;
    uint64_t newest = 0;  // version found by READs under way together
  };
  std::array<Count, kCounts> counts_;
  uint32_t reads_ = 0;
  uint32_t clears_ = 0;
};

}  // namespace rdmakv
