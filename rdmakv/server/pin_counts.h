// Which extents of a partition are pinned, and how often: an open-addressing table with linear
// probing and backward-shift deletion (Knuth, TAOCP 6.4, Algorithm R), sized once. One thread.
#pragma once

#include <cstdint>
#include <vector>

namespace rdmakv::server {

class PinCounts {
 public:
  // `most` extents may be pinned at a time.
  explicit PinCounts(uint32_t most);

  // False, and nothing is pinned, when `most` extents are pinned already. Offsets are in extent
  // units.
  bool pin(uint64_t offset);

  enum class Unpinned : uint8_t { kStillPinned, kFree, kFreeAndDoomed };
  // Takes one pin back. kFreeAndDoomed: it was the last, and doom() was called meanwhile.
  Unpinned unpin(uint64_t offset);

  // The owner wants to free the extent. True: it is pinned, and the last unpin will say so.
  bool doom(uint64_t offset);

  uint32_t pinned() const { return used_; }
  uint64_t private_bytes() const { return words_.size() * sizeof(uint64_t); }

 private:
  // [ offset 36 | doomed 1 | count 27 ], 0: empty. Offset 0 is never an extent.
  static constexpr uint32_t kCountBits = 27;
  static constexpr uint64_t kDoomed = uint64_t{1} << kCountBits;
  static constexpr uint64_t kCountMask = kDoomed - 1;
  static uint64_t offset_of(uint64_t word) { return word >> (kCountBits + 1); }

  uint32_t home(uint64_t offset) const {
    return static_cast<uint32_t>((offset * 0x9e3779b97f4a7c15ull) >> shift_);
  }
  uint32_t find(uint64_t offset) const;  // where it is, or the empty place where it would be
  void erase(uint32_t at);

  uint32_t most_;
  uint32_t used_ = 0;
  uint32_t shift_;
  std::vector<uint64_t> words_;
};

}  // namespace rdmakv::server
