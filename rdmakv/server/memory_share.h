// A part of a server's memory, as users name it: "5%" or "0.8%" of the whole, or "64", in MB.
#pragma once

#include <cstdint>
#include <string_view>

#include "rdmakv/transport/status.h"

namespace rdmakv::server {

// In bytes, of `whole` bytes. kInvalidArgument, saying what is wrong with the text, unless it is a
// number above 0 that leaves something of the whole.
Result<uint64_t> parse_memory_share(std::string_view text, uint64_t whole);

}  // namespace rdmakv::server
