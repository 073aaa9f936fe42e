// Replies that are the value which an operation brought: copied when it came in a message, by
// reference when it lies in a registered buffer, streamed when the server keeps it pinned.
#pragma once

#include "proxy/request.h"

namespace rdmakv::proxy {

// Writes request.operation's value as a bulk and finishes the request. With `version`: an array of
// the value and the operation's version.
void finish_with_value(Request& request, bool with_version = false);

// The operation ended without an answer to the command (timeout and the like): replies so, gives a
// pin back, finishes. False: it did not, go on.
bool finish_if_failed(Request& request);

}  // namespace rdmakv::proxy
