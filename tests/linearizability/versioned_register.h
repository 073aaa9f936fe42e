// The specification: what one key is, and what each operation does to it.
//
// A key is absent, or has a version and a value. Versions begin at 1 and rise by one with each
// change while the key lives on; a key that is created anew starts above every version it ever had,
// not necessarily right above. An entry with a deadline may vanish at any moment from then on; it
// must be gone for operations that begin `late` after it.
#pragma once

#include <cstdint>
#include <string>

#include "tests/linearizability/history_record.h"

namespace rdmakv::linearizability {

// The value of an entry that no GET ever saw: which of several changes of unknown outcome wrote it
// does not matter.
inline constexpr uint64_t kUnseenValue = ~uint64_t{0};

struct RegisterState {
  bool live = false;
  // False: live with a version that nothing has told yet, `version` or higher.
  bool exact = true;
  // False: the deadline is the earliest of several possible ones, so nothing has to be gone by it.
  bool deadline_known = true;
  uint64_t version = 0;   // live: of the entry. Absent: the highest that the key had (at least)
  uint64_t value = 0;     // live
  uint64_t deadline = 0;  // live; 0: none

  bool operator==(const RegisterState&) const = default;
  // Whatever can follow `other` can follow this, too.
  bool covers(const RegisterState& other) const;
};

// What an operation with a known outcome does.
enum class Action : uint8_t {
  kReadValue,    // GET: `version` with `value`
  kReadVersion,  // CAS, EXPIRE lost: live as `version`, which is not the expected one; or EXPIRE
                 // that had nothing to change
  kReadAbsent,   // GET, DEL, CAS, EXPIRE: no such key
  kWrite,        // PUT: stored as `version`
  kWriteAt,      // CAS won: from `expected` (0: absent) to `version`
  kRedateAt,     // EXPIRE: from `expected` to `version`, the same value with another deadline
  kRemove,       // DEL: there was one
  kDiscard,      // PUT whose deadline had passed: the key is absent
  kDiscardAt,    // CAS won, or EXPIRE, and its deadline had passed
  kRestart,
  kImpossible,  // no state allows it
};

struct Step {
  Action action = Action::kImpossible;
  // Whether versions may start anew while it is under way, so that a version which has passed may
  // come again.
  bool meets_restart = false;
  uint64_t invoke_ns = 0;
  uint64_t return_ns = kNever;
  uint64_t value = 0;
  uint64_t version = 0;
  uint64_t expected = 0;
  uint64_t deadline = 0;
};

// `record` has a known outcome and is not void.
Step step_of(const Record& record);

constexpr bool is_read(Action action) {
  return action <= Action::kReadAbsent;
}

// Takes place when its deadline has passed, not before.
constexpr bool is_discard(Action action) {
  return action == Action::kDiscard || action == Action::kDiscardAt;
}

// Whether the step may take place in this state; then `state` becomes the one after it. `late_ns`:
// see above, kNever for never.
bool take(RegisterState& state, const Step& step, uint64_t late_ns);

// Whether the step can't take place in this state nor in any that can follow.
bool has_passed(const Step& step, const RegisterState& state);

// The version that the key must reach before the step can take place in a living key; 0: none.
uint64_t version_needed(const Step& step);

// The entry goes: deleted or expired.
void vanish(RegisterState& state);

}  // namespace rdmakv::linearizability
