// The safety rules of remote memory (docs/memory-layout.md), as switches for one purpose: to show
// that the tests would notice if a rule were broken. In every ordinary build a rule holds, as a
// constant, and nothing of this is left. In a build with RDMAKV_BREAKABLE_RULES the environment
// variable RDMAKV_BREAK_RULE names one rule that does not hold in this process.
#pragma once

#include <cstdint>

namespace rdmakv {

enum class Rule : uint8_t {
  kQuarantine,       // 1: no reuse of an extent before its quarantine
  kDeadBeforeReply,  // 2: a superseded entry is dead before the reply
  kGeneration,       // 3: an entry is accepted only under the pointer's generation
  kChecksum,         // 3: and only as a whole
  kWriteBeforeSwap,  // 4: the new entry is complete before the ATOMIC that links it
  kAtomicOnly,       // 5: first words of the cas class change by ATOMICs only
  kReconcile,        // 6: what a gone client linked stays
  kQuietGate,        // 6: what a peer may still write to is nobody else's
  kEpoch,            // 7: nothing from before a restart
  kExpiry,           // 8: expiry is judged by the server's clock
  kNoRepeat,         // 9: a change whose outcome is unknown is not sent again
  kPointerAge,       // 10: an old pointer is dropped
  kPromptSlot,       // 10: what a slot names in part is used at once
  kRepeats,          // 10: a generation does not come again while such pointers may be in use
  kKeyOrder,         // operations on one key keep their order, by whatever way they go
  kOneStep,          // what a transaction changes is hidden until all of it is done
  kExpireReplaces,   // an EXPIRE makes another entry, and the one before it is dead
  kFlipToTail,       // the slot goes to the live tail before what a walk passed is retired
  kMarks,            // 1: what a client reads in place is not reused before it is done
  kDistrust,         // 11: everything from the wire is checked
};

#ifdef RDMAKV_BREAKABLE_RULES
bool holds(Rule rule);
#else
constexpr bool holds(Rule) {
  return true;
}
#endif

}  // namespace rdmakv
