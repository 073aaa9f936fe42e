// Decides, operation by operation, whether the history of one key is linearizable.
//
// The method is Wing & Gong's search ("Testing and verifying concurrent objects", J. Parallel and
// Distributed Computing 17, 1993) with Lowe's just-in-time linearization and memoization ("Testing
// for linearizability", Concurrency and Computation 29(4), 2017), done forwards: the checker keeps
// every *configuration* that explains the history so far - a state of the register and which of the
// operations under way have taken effect. An operation takes effect only when its answer, or that
// of another one that must come after it, demands it. When an answer leaves no configuration, the
// history is not linearizable. Keys are independent, so each is decided by itself (Herlihy & Wing's
// locality; Horn & Kroening's P-compositionality).
//
// Versions make this cheap. A version is reached once, so an operation that names one has one place
// in the order: there is mostly a single configuration, and a wrong turn is seen at once, because
// an operation whose version has passed can't take place any more (has_passed). Reads take effect
// as soon as the state fits: that forecloses nothing.
//
// A change of unknown outcome whose value some GET saw is known after all (History::Sighting). Of
// the others only their number matters: a PUT may stand for any version that nothing else explains.
// Three liberties are taken, all towards acceptance: a CAS (or EXPIRE) of unknown outcome that was
// not seen might be used once before a restart of the server and again after it; an entry by an
// unseen PUT may vanish from the earliest deadline on that any such PUT of the key has; and where
// there are so many unseen changes that their combinations get out of hand, it is not counted how
// many of them are used.
//
// Copyable: a copy is a snapshot. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "tests/linearizability/slot_set.h"
#include "tests/linearizability/versioned_register.h"

namespace rdmakv::linearizability {

// Changes of unknown outcome that nobody saw, by what they can do.
enum class Unseen : uint8_t { kPut, kPutEmpty, kCreate, kCreateEmpty, kDelete };
inline constexpr int kUnseenClasses = 5;

struct Configuration {
  RegisterState state;
  SlotSet taken;                                   // operations under way that have taken effect
  std::array<uint32_t, kUnseenClasses> used = {};  // how many of each class have

  bool covers(const Configuration& other) const;
};

struct KeyLimits {
  uint64_t late_ns = kNever;            // how long after its deadline an entry may be seen
  uint32_t most_configurations = 4000;  // more than these: undecided
};

class KeyChecker {
 public:
  enum class Verdict : uint8_t { kFine, kViolation, kUndecided };

  KeyChecker();

  // The operation `id` (the caller's number) begins. Operations come in the order of their
  // invocation; all that have returned before are done first, by advance().
  Verdict begin(const Step& step, uint64_t id, const KeyLimits& limits);
  // A change of unknown outcome that no GET saw begins.
  void begin_unseen(const Record& record);

  // Handles every answer given before `now`. On a violation (or when undecided) `culprit()` is the
  // operation whose answer fits no configuration; the checker is of no use then.
  Verdict advance(uint64_t now, const KeyLimits& limits) {
    return now <= next_return_ ? Verdict::kFine : answers_before(now, limits);
  }
  uint64_t culprit() const { return culprit_; }

  // For reports. A read under way is dropped; what is left is a weaker claim.
  void forget(uint64_t id);
  const std::vector<Configuration>& configurations() const { return configurations_; }
  struct UnderWay {
    Step step;
    uint64_t id = 0;
    bool open = false;
  };
  // By slot, as in Configuration::taken; slots that are not open are free.
  const std::vector<UnderWay>& under_way() const { return under_way_; }

 private:
  struct UnseenCas {
    uint64_t expected;
    uint64_t value;
    uint64_t deadline;
    bool keeps_value;  // an EXPIRE
  };
  friend class KeySearch;

  Verdict answers_before(uint64_t now, const KeyLimits& limits);
  Verdict answer(uint32_t slot, const KeyLimits& limits);
  bool take_alone(uint32_t slot, const KeyLimits& limits);
  uint32_t open_slot(const Step& step, uint64_t id);
  void close_slot(uint32_t slot);

  std::vector<Configuration> configurations_;
  std::vector<UnderWay> under_way_;
  uint32_t open_ = 0;
  uint64_t next_return_ = kNever;  // the earliest of those under way
  uint64_t culprit_ = 0;
  std::array<uint32_t, kUnseenClasses> unseen_ = {};  // begun so far
  std::vector<UnseenCas> unseen_cas_;                 // with an expected version, sorted by it
  uint64_t unseen_deadline_ = 0;                      // the earliest; 0: none
};

}  // namespace rdmakv::linearizability
