// Whether a program's threads are SCHED_BATCH (sched(7)). Who is, waits for a processor when it is
// woken, instead of taking it from whoever runs there.
//
// An emulated device (FabricLimits::emulated) receives on the processor that sends, in the middle
// of the sending call, and wakes there who waits for the message. As threads usually go that one
// takes the processor at once: the sender stands still with the rest unsent, and the woken one,
// done with the little that has come, sleeps again. Adapters made of metal do not do that.
#pragma once

#include <string>
#include <string_view>

#include "rdmakv/transport/fabric.h"

namespace rdmakv {

// For the calling thread, and those that it starts from now on. `setting`: "yes", "no" (they stay
// what they are), or "auto": where the device is emulated. Needs no privileges; who runs under
// another policy than the usual one, as who started the program wanted it, stays under that.
// Returns a line for the log: what they are now, and why.
std::string apply_batch_scheduling(std::string_view setting, const FabricLimits& limits);

}  // namespace rdmakv
