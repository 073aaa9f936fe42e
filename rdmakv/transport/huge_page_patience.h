// How long transparent huge pages are asked for, one after the other. Where the kernel's memory is
// cut up it first moves what lies in the way, which may take ten times as long as clearing the
// page does. A start is rare and huge pages serve for months, so it may be delayed by that, but not
// without bound: a second, and another for each GB, beyond three times what the pages would have
// taken at the pace of the quickest of them. Time itself is no measure: on some machines everything
// takes longer.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace rdmakv {

class HugePagePatience {
 public:
  static constexpr int kRefusals = 8;  // in a row: no memory in one piece is left
  static constexpr uint64_t kLeastNs = 1'000'000'000, kNsPerGb = kLeastNs;

  // For `bytes` in all.
  explicit HugePagePatience(size_t bytes) : left_ns_(kLeastNs + (bytes >> 20) * kNsPerGb / 1024) {}

  // One was asked for, which took so long: whether to ask for another.
  bool goes_on(bool made, uint64_t ns) {
    if (made) quickest_ns_ = std::min(quickest_ns_, ns);
    const uint64_t expected_ns = made ? 3 * quickest_ns_ : 0;
    left_ns_ -= std::min(left_ns_, ns - std::min(ns, expected_ns));
    refused_ = made ? 0 : refused_ + 1;
    return left_ns_ > 0 && refused_ < kRefusals;
  }

 private:
  uint64_t left_ns_;
  uint64_t quickest_ns_ = UINT64_MAX / 3;
  int refused_ = 0;
};

}  // namespace rdmakv
