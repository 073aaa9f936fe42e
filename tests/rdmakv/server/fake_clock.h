// Time that passes only when a test says so (or when the server waits).
#pragma once

#include <cstdint>

#include "rdmakv/server/clock.h"

namespace rdmakv::server {

class FakeClock final : public Clock {
 public:
  uint64_t steady_ns() override { return steady_ns_; }
  int64_t wall_ms() override { return wall_ms_; }
  void wait_ns(uint64_t ns) override {
    waited_ns_ += ns;
    pass_ns(ns);
  }

  void pass_ns(uint64_t ns) {
    steady_ns_ += ns;
    rest_ns_ += ns;
    wall_ms_ += static_cast<int64_t>(rest_ns_ / 1'000'000);
    rest_ns_ %= 1'000'000;
  }
  void pass_ms(uint64_t ms) { pass_ns(ms * 1'000'000); }
  uint64_t waited_ns() const { return waited_ns_; }

 private:
  uint64_t steady_ns_ = 1'000'000'000;
  int64_t wall_ms_ = 1'700'000'000'000;
  uint64_t rest_ns_ = 0;
  uint64_t waited_ns_ = 0;
};

}  // namespace rdmakv::server
