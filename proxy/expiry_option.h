// The expiry that a command is told, by the clock of the server that will judge it.
#pragma once

#include "proxy/request.h"
#include "proxy/set_options.h"

namespace rdmakv::proxy {

// Of the options EX, PX, EXAT and PXAT, in ms since 1970; without them it stays as it is.
ExpiryError read_expiry(Request& request, std::string_view key, const SetOptions& options,
                        int64_t& expiry_ms);
void finish_expiry_error(Request& request, ExpiryError error);

}  // namespace rdmakv::proxy
