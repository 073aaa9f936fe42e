// What a Redis client is told when an operation ended without an answer; the texts are listed in
// redis-compat.md.
#pragma once

#include <string>

#include "rdmakv/client/client.h"
#include "rdmakv/transport/status.h"

namespace rdmakv::proxy {

// `writes`: the command may have changed something, which decides what a timeout means. `server`:
// of the operation.
std::string error_text(Code code, bool writes, const Client& client, uint16_t server);

}  // namespace rdmakv::proxy
