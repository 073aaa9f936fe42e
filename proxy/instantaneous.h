// INFO's instantaneous_...: rates of the last 1.6 seconds, sampled as Redis does. One writer, its
// worker; any thread may read.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace rdmakv::proxy {

class InstantaneousRates {
 public:
  static constexpr size_t kSamples = 16;
  static constexpr uint64_t kPeriodUs = 100'000;
  enum Metric : uint8_t { kCommands, kInputBytes, kOutputBytes, kMetrics };
  using Counts = std::array<uint64_t, kMetrics>;

  // The counters now. False: nothing has happened in any sample that is kept, so there is no need
  // for another one before something does.
  bool sample(uint64_t now_us, const Counts& counts);
  // From here on counts begin; what was sampled stays.
  void begin(uint64_t now_us, const Counts& counts);
  // The counters have been set to 0, as CONFIG RESETSTAT does.
  void reset(uint64_t now_us);

  // Per second: the mean of all samples.
  uint64_t per_second(Metric metric) const;

 private:
  Counts last_{};
  uint64_t last_us_ = 0;
  size_t next_ = 0;
  std::array<std::array<std::atomic<uint64_t>, kSamples>, kMetrics> rates_{};
};

}  // namespace rdmakv::proxy
