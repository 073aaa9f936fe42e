// Storing a value, whichever way it came: with the command, in a registered buffer, or as an upload
// under way.
#pragma once

#include "proxy/request.h"

namespace rdmakv::proxy {

// Submits request.operation, whose condition, expiry and so on are set, as a put of `key` and of
// the value that is argument `value_index`. `then` runs when it is done.
void submit_put(Request& request, Arguments arguments, size_t value_index,
                Request::Continuation then);

}  // namespace rdmakv::proxy
