// The limit of open files.
#pragma once

#include <cstdint>

namespace rdmakv::proxy {

// Raises it so that `clients` clients fit, as far as the system lets us. How many do.
uint64_t raise_file_limit(uint64_t clients);

}  // namespace rdmakv::proxy
