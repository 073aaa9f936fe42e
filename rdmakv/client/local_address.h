// Whether an address is one of this machine's own, so that shared memory leads to the same place.
#pragma once

#include <string>

namespace rdmakv {

// `host`: a name or an address, numeric ones with or without [brackets]. Resolves names, which may
// block. True for loopback addresses and for those of this machine's interfaces; false for what
// can't be resolved. Thread-safe.
bool is_local_address(const std::string& host);

}  // namespace rdmakv
