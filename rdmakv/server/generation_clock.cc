#include "rdmakv/server/generation_clock.h"

#include "protocol/rules.h"

namespace rdmakv::server {

// Whether the cell was marked; it is not any more.
bool GenerationClock::take(uint64_t cell) {
  uint64_t& word = skips_[word_of(cell)];
  if ((word & bit_of(cell)) == 0) return false;
  word &= ~bit_of(cell);
  --marked_;
  return true;
}

void GenerationClock::begin(uint64_t now_ns) {
  const uint64_t before = tick_ / kCellMs;
  tick_ = now_ns / 1'000'000 + skipped_;
  if (marked_ == 0) return;
  // What was passed is past.
  uint64_t looked = 0;
  for (uint64_t cell = before; cell < tick_ / kCellMs && looked < kCells; ++cell, ++looked) {
    take(cell);
  }
  while (take(tick_ / kCellMs)) {
    const uint64_t next = (tick_ / kCellMs + 1) * kCellMs;
    skipped_ += next - tick_;
    tick_ = next;
  }
}

void GenerationClock::died(uint32_t generation) {
  const uint64_t distance = (generation - now()) & wire::kGenerationMask;
  // A cell less, so that no two within the horizon share a bit.
  if (distance == 0 || distance >= kHorizonMs - kCellMs || !holds(Rule::kRepeats)) return;
  const uint64_t cell = (tick_ + distance) / kCellMs;
  uint64_t& word = skips_[word_of(cell)];
  if ((word & bit_of(cell)) != 0) return;
  word |= bit_of(cell);
  ++marked_;
}

}  // namespace rdmakv::server
