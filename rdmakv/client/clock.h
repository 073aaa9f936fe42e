// The steady clock that deadlines are counted on, and the wall clock.
#pragma once

#include <time.h>

#include <cstdint>

namespace rdmakv {

inline uint64_t clock_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(now.tv_nsec);
}
// The clock of Operation::deadline_ns (the one of std::chrono::steady_clock).
inline uint64_t steady_ns() {
  return clock_ns(CLOCK_MONOTONIC);
}
inline int64_t wall_ms() {
  return static_cast<int64_t>(clock_ns(CLOCK_REALTIME) / 1'000'000);
}

inline constexpr uint64_t kNever = ~uint64_t{0};

}  // namespace rdmakv
