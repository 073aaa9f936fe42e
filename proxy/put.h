// Storing a value, whichever way it came: with the command, in a registered buffer, or as an upload
// under way.
#pragma once

#include "proxy/request.h"

namespace rdmakv::proxy {

// Submits request.operation, whose condition, expiry and so on are set, as a put of `key` and of
// the value that is argument `value_index`. `then` runs when it is done.
void submit_put(Request& request, Arguments arguments, size_t value_index,
                Request::Continuation then);

// The same for any change: request.operation.kind is set, too, and argument `input_index` is its
// input. `comparison`: with what it compares, copied.
void submit_with_input(Request& request, Arguments arguments, size_t input_index,
                       Request::Continuation then, std::string_view comparison = {});

}  // namespace rdmakv::proxy
