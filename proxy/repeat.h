// Reads that are carried out again: the server had too many pins of ours, or ours was given back
// for others (pin_waiters.h). Nothing has changed by them, so that does no harm, but for the order
// of the commands: one that is carried out again must not see what its connection pipelined behind
// it. Its answer is right if the version is the one that it was told the first time, or if nothing
// behind it touches its key; else it ends with an error.
//
//   refused, or pin given back -> waits until it is the head -> asked again -> answer
//                                                     ^             | refused
//                                                     '-- pin_waiters <-- later pins given back
#pragma once

#include "proxy/request.h"

namespace rdmakv::proxy {

// request.operation ended with kBusy: true if it is a read that is carried out again later. Its
// continuation is called then.
bool repeat_refused(Request& request);

// request.operation, a read, brought a pinned value: calls `then` when it is the head. Until then
// the pin may be given back and the read be carried out again.
void park_pinned(Request& request, Request::Continuation then);

// Gives the pin of a request back that is parked. False: it has none of the connection to the
// server that `session` (Ticket::session) names.
bool give_parked_pin_back(Request& request, uint32_t session);

}  // namespace rdmakv::proxy
