// Replies that are the value which an operation brought: copied when it came in a message, by
// reference when it lies in a registered buffer, streamed when the server keeps it pinned.
#pragma once

#include "proxy/request.h"

namespace rdmakv::proxy {

// Writes request.operation's value as a bulk, in its frame, and finishes the request.
void finish_with_value(Request& request, ValueFrame frame = ValueFrame::kNone);
// The number that an operation brought.
void finish_with_number(Request& request);
// The value before the change, or null.
void finish_with_previous(Request& request);

// Counts a look-up of a key in the statistics.
void count_lookup(Request& request, bool found);

// Replies with `error` if the key exists, else with `if_none`: where Redis looks the key up before
// it looks at what is wrong.
void finish_error_if_exists(Request& request, std::string_view key, std::string_view error,
                            int64_t if_none);

// The operation ended without an answer to the command (timeout and the like), or could not be
// applied to the value: replies so, gives a pin back, finishes. Or it is a read that is carried out
// again (repeat.h). False: neither, go on.
bool finish_if_failed(Request& request);

}  // namespace rdmakv::proxy
