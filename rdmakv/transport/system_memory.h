// What the kernel tells about this machine's memory.
#pragma once

#include <cstddef>
#include <string>

#include "rdmakv/transport/status.h"

namespace rdmakv {

// The size of a huge page when none is asked for; 0: this machine has none.
size_t huge_page_bytes();

// kNoSpace when the kernel thinks that it could not give out so many bytes without swapping:
// touching them would end in the out-of-memory killer instead of an error. `name` says what they
// are for.
Status check_available_memory(const std::string& name, size_t bytes);

}  // namespace rdmakv
