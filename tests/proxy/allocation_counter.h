// Replaces operator new in the program it is linked into, and counts.
#pragma once

#include <cstddef>

namespace rdmakv::proxy {

// Since the program started, in all threads.
size_t allocation_count();

}  // namespace rdmakv::proxy
