// How many cores this process may use: what it was pinned to counts, not what the machine has.
#pragma once

#include <sched.h>

#include <algorithm>
#include <cstdint>
#include <thread>

namespace rdmakv {

inline uint32_t available_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  // Fails on machines of more than 1024 cores; then nobody is short of them.
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    return static_cast<uint32_t>(std::max(CPU_COUNT(&set), 1));
  }
  return std::max(std::thread::hardware_concurrency(), 1u);
}

}  // namespace rdmakv
