// Where a worker's time comes from; tests put in their own. Implementations are thread-safe.
#pragma once

#include <cstdint>

namespace rdmakv::server {

class Clock {
 public:
  virtual ~Clock() = default;
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;

  // Never goes back. Quarantine, generations and timeouts go by it.
  virtual uint64_t steady_ns() = 0;
  // Milliseconds since 1970. Expiry goes by it.
  virtual int64_t wall_ms() = 0;
  // Returns when at least `ns` have passed on the steady clock.
  virtual void wait_ns(uint64_t ns) = 0;

  // The system's clocks.
  static Clock& system();

 protected:
  Clock() = default;
};

}  // namespace rdmakv::server
