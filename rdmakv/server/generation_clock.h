// The generations of entries in the pool, read off the clock: the number of the millisecond in
// which an entry is built, modulo 2^26, and what was skipped.
//
// Why something is skipped. A generation comes again 18.6 h after an entry was built under it, and
// an entry may live as long as it likes: its location may have been learned a moment before its
// end, and may be used for an hour from then on (wire::kMostPointerAgeNs). If the generation comes
// again within that hour, something built under it in the same place could be taken for the old
// entry. So generations of entries that die are remembered when they are about to come, and are
// passed over then. (docs/model.md: the case `wrap`.)
//
//   now                                   horizon: 2^22 ms, 70 minutes
//   |---------X---------XX---------------------|            X: 16 generations under none of which
//   entries are built
//
// One thread. Allocates in the constructor only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "protocol/kv_layout.h"

namespace rdmakv::server {

class GenerationClock {
 public:
  static constexpr uint64_t kHorizonMs = uint64_t{1} << 22;
  static_assert(kHorizonMs * 1'000'000 > wire::kMostPointerAgeNs + wire::kMostPointerAgeNs / 8);

  GenerationClock() : skips_(kCells / 64) {}

  // A new reading of the steady clock, not before the last one.
  void begin(uint64_t now_ns);
  // Rises by one with each millisecond at least.
  uint32_t now() const { return static_cast<uint32_t>(tick_) & wire::kGenerationMask; }
  // An entry of this generation, which readers may have known, is dead.
  void died(uint32_t generation);

  // How many milliseconds it is ahead.
  uint64_t skipped() const { return skipped_; }
  uint64_t private_bytes() const { return skips_.size() * sizeof(uint64_t); }

 private:
  static constexpr uint64_t kCellMs = 16;
  static constexpr uint64_t kCells = kHorizonMs / kCellMs;

  static size_t word_of(uint64_t cell) { return cell % kCells / 64; }
  static uint64_t bit_of(uint64_t cell) { return uint64_t{1} << (cell % 64); }
  bool take(uint64_t cell);

  std::vector<uint64_t> skips_;  // a ring of bits, each for kCellMs generations ahead
  uint64_t marked_ = 0;          // of them
  uint64_t tick_ = 0;
  uint64_t skipped_ = 0;
};

}  // namespace rdmakv::server
