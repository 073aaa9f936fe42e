#include "rdmakv/transport/verbs/recovering_atomics.h"

namespace rdmakv::verbs {
namespace {

uint64_t load(const MemoryRegion& region, uint64_t offset) {
  return __atomic_load_n(reinterpret_cast<const uint64_t*>(region.data() + offset),
                         __ATOMIC_ACQUIRE);
}

}  // namespace

Code RecoveringAtomics::compare_and_swap(const MemoryRegion& region, uint64_t offset,
                                         uint64_t expected, uint64_t desired, uint64_t& previous) {
  if (offset % sizeof(uint64_t) != 0 || region.size() < sizeof(uint64_t) ||
      offset > region.size() - sizeof(uint64_t)) {
    return Code::kInvalidArgument;
  }
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    if (channel_ == nullptr) {
      Result<std::unique_ptr<SwapChannel>> made = make_();
      if (!made) return made.status().code();
      channel_ = std::move(*made);
    }
    uint64_t found = 0;
    if (channel_->compare_and_swap(region, offset, expected, desired, found) == Code::kOk) {
      previous = found;
      return Code::kOk;
    }
    channel_.reset();
    if (load(region, offset) == desired) {
      previous = expected;
      return Code::kOk;
    }
  }
  return Code::kSystemError;
}

}  // namespace rdmakv::verbs
