// What a Redis client is told when an operation ended without an answer; the texts are listed in
// redis-compat.md. And what many commands say of their arguments.
#pragma once

#include <string>
#include <string_view>

#include "rdmakv/client/client.h"
#include "rdmakv/transport/status.h"

namespace rdmakv::proxy {

inline constexpr std::string_view kSyntaxError = "ERR syntax error";
inline constexpr std::string_view kNotAnInteger = "ERR value is not an integer or out of range";

// `writes`: the command may have changed something, which decides what a timeout means. `server`:
// of the operation.
std::string error_text(Code code, bool writes, const Client& client, uint16_t server);

}  // namespace rdmakv::proxy
