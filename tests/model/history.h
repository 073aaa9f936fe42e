// Whether what was answered so far can be explained: for one key, a register with versions. Exact
// and online: kept are all states in which the register may be, each with the operations under way
// that have taken effect in it already, and their results. An answer that none of them explains is
// a violation of linearizability.
//
// Versions: a change of a key raises its version by one; a key created anew starts above every
// version it had, by how much is the server's business.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/model/world.h"

namespace rdmakv::model {

struct Pending {
  bool open = false;
  Kind kind = Kind::kGet;
  u8 value = 0;
  u8 expected = 0;
};
struct Result {
  u8 version = 0;
  u8 value = 0;  // kGet: the value; otherwise what was done
  bool operator==(const Result&) const = default;
};
// Result::value of changes.
constexpr u8 kDone = 14;
constexpr u8 kFailed = 13;

class History {
 public:
  using Operations = Pending[kMostThreads];

  History() { reset(0, 0); }
  void reset(u8 version, u8 value);
  // Thread's operation, one of `pending`, was answered. False: nothing explains the answer.
  bool answered(const Operations& pending, int thread, Result result);
  // At this moment the key vanished if it had `value`.
  void vanishes(const Operations& pending, u8 value);
  // At this moment everything was lost; versions start again.
  void lost(const Operations& pending);

  // Equal histories have equal numbers.
  uint32_t number() const { return number_; }

 private:
  // Sets of states are few and shared: kept once each, for ever. One thread.
  static uint32_t intern(std::vector<uint64_t>& states);
  uint32_t number_ = 0;
};

}  // namespace rdmakv::model
