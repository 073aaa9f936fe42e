#include "tools/histogram.h"

#include <algorithm>
#include <cmath>

namespace rdmakv {

void Histogram::merge(const Histogram& other) {
  for (size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  sum_ += other.sum_;
  max_ = std::max(max_, other.max_);
  min_ = std::min(min_, other.min_);
}

uint64_t Histogram::highest_in(size_t index) {
  if (index < kExact) return index;
  const size_t above = index - kExact;
  const size_t shift = above / kPerPower + 1;
  const uint64_t mantissa = above % kPerPower + kPerPower;
  return (mantissa << shift) + ((uint64_t{1} << shift) - 1);
}

uint64_t Histogram::percentile(double percent) const {
  if (count_ == 0) return 0;
  const double share = std::clamp(percent, 0.0, 100.0) / 100.0;
  const auto rank = std::max<uint64_t>(
      1, static_cast<uint64_t>(std::ceil(share * static_cast<double>(count_) - 1e-9)));
  uint64_t seen = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= rank) return std::min(highest_in(i), max_);
  }
  return max_;
}

}  // namespace rdmakv
