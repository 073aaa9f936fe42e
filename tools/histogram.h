// A log-linear histogram of latencies: the counts of all values of up to 64 bits in 58 KB, with a
// relative error of at most 1/128.
//
// Values below 256 have a bucket each. Above, every power of two is cut into 128 buckets of equal
// width, so a bucket that begins at v is at most v/128 wide. The idea is that of HdrHistogram (Gil
// Tene), which Debian has no C++ package of.
//
// Recording is a few instructions and allocates nothing. Not thread-safe: one histogram per thread,
// and merge() in the end.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace rdmakv {

class Histogram {
 public:
  void record(uint64_t value) {
    ++buckets_[index_of(value)];
    ++count_;
    sum_ += static_cast<double>(value);
    if (value > max_) max_ = value;
    if (value < min_) min_ = value;
  }
  void merge(const Histogram& other);
  void reset() { *this = Histogram(); }

  uint64_t count() const { return count_; }
  uint64_t min() const { return count_ == 0 ? 0 : min_; }                               // exact
  uint64_t max() const { return max_; }                                                 // exact
  double mean() const { return count_ == 0 ? 0 : sum_ / static_cast<double>(count_); }  // exact
  // The smallest value that at least `percent` (0 to 100) of all values are at or below: never less
  // than the true one, and more by at most 1/128 of it. 0 when nothing was recorded.
  uint64_t percentile(double percent) const;

 private:
  static constexpr uint32_t kExact = 256;  // values with a bucket of their own
  static constexpr uint32_t kPerPower = 128;
  static constexpr uint32_t kBuckets = kExact + 56 * kPerPower;

  static constexpr size_t index_of(uint64_t value) {
    if (value < kExact) return static_cast<size_t>(value);
    const auto shift = static_cast<uint32_t>(std::bit_width(value)) - 8;  // 1 .. 56
    return kExact + size_t{shift - 1} * kPerPower + static_cast<size_t>(value >> shift) - kPerPower;
  }
  static uint64_t highest_in(size_t index);

  std::array<uint64_t, kBuckets> buckets_{};
  uint64_t count_ = 0;
  uint64_t min_ = ~uint64_t{0};
  uint64_t max_ = 0;
  double sum_ = 0;
};

}  // namespace rdmakv
