// Keeps the order of operations on one key when some go by READ or ATOMIC and others by request:
// what is on its way, counted by a few bits of the key's hash. Two keys that share a count wait for
// each other now and then; that is all.
//
// - A READ does not start while a request, or an ATOMIC, on its key is on its way: it might
// overtake
//   it.
// - A change is not sent while a READ of its key is on its way: the READ might see it.
// - Nor is what only looks: the READ may be carried out later, and see something newer; or it may
//   end without an answer, and its GET then goes by request. So that one waits for the READs that
//   began before it, too.
// - READs of one key under way together must not answer backwards: one that began after one that
//   went to the server for its answer, or that found an older version than one before it, goes to
//   the server too. Which key a version was found of is not remembered, so of two keys that share
//   a count, both being READ, the one whose version is lower goes there for nothing: with 16 READs
//   under way one in 140 at most, none where versions are equal. To tell them apart
//   every READ under way would have to be looked at when one ends.
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
  // Be it for a change, or by what only looks.
  bool may_ask(uint32_t at) const { return counts_[at].reads == 0 && counts_[at].atomics == 0; }
  // Nothing that counts is under way, not even a READ.
  bool quiet(uint32_t at) const {
    const Count& count = counts_[at];
    return (count.requests | count.reads | count.atomics) == 0 && clears_ == 0;
  }
  bool may_swap(uint32_t at) const { return may_read(at) && may_ask(at); }

  // The number of the READ, from 1 on: those that begin later have higher ones.
  uint64_t read_begins(uint32_t at) {
    ++counts_[at].reads;
    ++reads_;
    return ++begun_;
  }
  // Whether that READ, which found `version`, would answer backwards. Those of its key that began
  // before it have ended.
  bool read_fell_behind(uint32_t at, uint64_t number, uint64_t version) {
    Count& count = counts_[at];
    if (number > count.first_detour || version < count.newest) return true;
    if (count.reads > 1) count.newest = version;
    return false;
  }
  bool reads_together(uint32_t at) const { return counts_[at].reads > 1; }
  void read_detours(uint32_t at, uint64_t number) {
    counts_[at].first_detour = std::min(counts_[at].first_detour, number);
  }
  void read_ends(uint32_t at) {
    Count& count = counts_[at];
    if (--count.reads == 0) {
      count.newest = 0;
      count.first_detour = kNever;
    }
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
  static constexpr uint64_t kNever = ~uint64_t{0};
  struct Count {
    uint32_t requests = 0;  // puts of runs, many of them on one credit, count each
    uint16_t reads = 0;
    uint16_t atomics = 0;
    uint64_t first_detour = kNever;  // of READs under way together: the number of the earliest,
    uint64_t newest = 0;             // and the version that was found
  };
  std::array<Count, kCounts> counts_;
  uint64_t begun_ = 0;
  uint32_t reads_ = 0;
  uint32_t clears_ = 0;
};

}  // namespace rdmakv
