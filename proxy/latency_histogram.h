// How long the calls of one command took. Written by one thread, its worker; read by any.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>

namespace rdmakv::proxy {

// Buckets are powers of two, each cut in kParts: within 1/kParts exact, from 1 us to an hour.
class LatencyHistogram {
 public:
  static constexpr unsigned kPartBits = 4, kParts = 1u << kPartBits;
  static constexpr size_t kBuckets = size_t{33 - kPartBits} * kParts;
  using Counts = std::array<uint64_t, kBuckets>;

  static size_t bucket_of(uint64_t microseconds) {
    const uint64_t value = microseconds < UINT32_MAX ? microseconds : UINT32_MAX;
    if (value < kParts) return static_cast<size_t>(value);
    const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - kPartBits - 1;
    return size_t{shift + 1} * kParts + static_cast<size_t>((value >> shift) - kParts);
  }
  // The largest value of a bucket.
  static uint64_t upper_bound(size_t bucket) {
    if (bucket < kParts) return bucket;
    const unsigned shift = static_cast<unsigned>(bucket / kParts) - 1;
    return ((bucket % kParts + kParts + 1) << shift) - 1;
  }

  void record(uint64_t microseconds) {
    std::atomic<uint64_t>& count = counts_[bucket_of(microseconds)];
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  void add_to(Counts& counts) const {
    for (size_t i = 0; i < kBuckets; ++i) counts[i] += counts_[i].load(std::memory_order_relaxed);
  }
  // Only by the thread that records.
  void reset() {
    for (std::atomic<uint64_t>& count : counts_) count.store(0, std::memory_order_relaxed);
  }

  // The value below which `percent` of the counts lie.
  static uint64_t percentile(const Counts& counts, double percent) {
    uint64_t total = 0;
    for (const uint64_t count : counts) total += count;
    const double wanted = percent / 100 * static_cast<double>(total);
    uint64_t seen = 0;
    for (size_t i = 0; i < kBuckets; ++i) {
      seen += counts[i];
      if (seen > 0 && static_cast<double>(seen) >= wanted) return upper_bound(i);
    }
    return 0;
  }

 private:
  std::array<std::atomic<uint64_t>, kBuckets> counts_{};
};

}  // namespace rdmakv::proxy
