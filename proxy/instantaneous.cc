#include "proxy/instantaneous.h"

#include <algorithm>

namespace rdmakv::proxy {

void InstantaneousRates::begin(uint64_t now_us, const Counts& counts) {
  last_us_ = now_us;
  last_ = counts;
}

void InstantaneousRates::reset(uint64_t now_us) {
  begin(now_us, {});
  for (auto& metric : rates_) {
    for (std::atomic<uint64_t>& rate : metric) rate.store(0, std::memory_order_relaxed);
  }
}

bool InstantaneousRates::sample(uint64_t now_us, const Counts& counts) {
  const uint64_t span_us = std::max<uint64_t>(now_us - last_us_, 1);
  uint64_t all = 0;
  for (size_t metric = 0; metric < kMetrics; ++metric) {
    const uint64_t delta = counts[metric] - std::min(last_[metric], counts[metric]);
    rates_[metric][next_].store(delta * 1'000'000 / span_us, std::memory_order_relaxed);
    for (const std::atomic<uint64_t>& rate : rates_[metric]) {
      all += rate.load(std::memory_order_relaxed);
    }
  }
  next_ = (next_ + 1) % kSamples;
  begin(now_us, counts);
  return all != 0;
}

uint64_t InstantaneousRates::per_second(Metric metric) const {
  uint64_t sum = 0;
  for (const std::atomic<uint64_t>& rate : rates_[metric]) {
    sum += rate.load(std::memory_order_relaxed);
  }
  return sum / kSamples;
}

}  // namespace rdmakv::proxy
