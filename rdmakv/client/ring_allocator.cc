#include "rdmakv/client/ring_allocator.h"

#include <algorithm>
#include <cassert>

#include "protocol/kv_message.h"

namespace rdmakv {

RingAllocator::RingAllocator(uint64_t bytes, uint32_t max_stretches)
    : records_(max_stretches), size_(bytes / wire::kRingUnit) {
  // Offsets travel in a 32-bit immediate.
  size_ = std::min<uint64_t>(size_, uint64_t{1} << 32);
}

uint64_t RingAllocator::bytes() const {
  return size_ * wire::kRingUnit;
}
uint64_t RingAllocator::used_bytes() const {
  return used_ * wire::kRingUnit;
}

std::optional<RingAllocator::Stretch> RingAllocator::allocate(uint64_t bytes) {
  const uint64_t units = std::max<uint64_t>(1, (bytes + wire::kRingUnit - 1) / wire::kRingUnit);
  if (units > size_ || count_ == records_.size()) return std::nullopt;
  if (used_ == 0) tail_ = 0;
  const uint64_t free = size_ - used_;
  const uint64_t before_end = size_ - tail_;
  uint64_t skipped = 0;
  if (units > before_end) skipped = before_end;
  if (free < skipped + units) return std::nullopt;

  const uint64_t offset = skipped == 0 ? tail_ : 0;
  const auto number = static_cast<uint32_t>((oldest_ + count_) % records_.size());
  records_[number] = {static_cast<uint32_t>(skipped + units), false};
  ++count_;
  used_ += skipped + units;
  tail_ = offset + units == size_ ? 0 : offset + units;
  return Stretch{static_cast<uint32_t>(offset), number};
}

void RingAllocator::release(uint32_t number) {
  assert(number < records_.size() && !records_[number].done);
  records_[number].done = true;
  while (count_ > 0 && records_[oldest_].done) {
    used_ -= records_[oldest_].units;
    records_[oldest_] = {};
    oldest_ = static_cast<uint32_t>((oldest_ + 1) % records_.size());
    --count_;
  }
}

}  // namespace rdmakv
