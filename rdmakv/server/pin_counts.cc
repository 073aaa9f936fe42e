#include "rdmakv/server/pin_counts.h"

#include <bit>
#include <cassert>

namespace rdmakv::server {

PinCounts::PinCounts(uint32_t most) : most_(most) {
  const uint64_t places = std::bit_ceil(uint64_t{most} * 2 + 2);
  shift_ = 64 - static_cast<uint32_t>(std::countr_zero(places));
  words_.resize(places);
}

uint32_t PinCounts::find(uint64_t offset) const {
  const auto mask = static_cast<uint32_t>(words_.size() - 1);
  uint32_t at = home(offset);
  while (words_[at] != 0 && offset_of(words_[at]) != offset) at = (at + 1) & mask;
  return at;
}

bool PinCounts::pin(uint64_t offset) {
  const uint32_t at = find(offset);
  if (words_[at] == 0) {
    if (used_ == most_) return false;
    words_[at] = offset << (kCountBits + 1);
    ++used_;
  }
  assert((words_[at] & kCountMask) != kCountMask);
  ++words_[at];
  return true;
}

PinCounts::Unpinned PinCounts::unpin(uint64_t offset) {
  const uint32_t at = find(offset);
  assert(words_[at] != 0);
  --words_[at];
  if ((words_[at] & kCountMask) != 0) return Unpinned::kStillPinned;
  const bool doomed = (words_[at] & kDoomed) != 0;
  erase(at);
  return doomed ? Unpinned::kFreeAndDoomed : Unpinned::kFree;
}

bool PinCounts::doom(uint64_t offset) {
  if (used_ == 0) return false;
  const uint32_t at = find(offset);
  if (words_[at] == 0) return false;
  words_[at] |= kDoomed;
  return true;
}

void PinCounts::erase(uint32_t at) {
  const auto mask = static_cast<uint32_t>(words_.size() - 1);
  --used_;
  uint32_t hole = at;
  for (uint32_t next = (hole + 1) & mask; words_[next] != 0; next = (next + 1) & mask) {
    // What lies at `next` may move into the hole unless its home lies behind the hole.
    const uint32_t wanted = home(offset_of(words_[next]));
    if (((next - wanted) & mask) >= ((next - hole) & mask)) {
      words_[hole] = words_[next];
      hole = next;
    }
  }
  words_[hole] = 0;
}

}  // namespace rdmakv::server
