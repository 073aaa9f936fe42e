// The client's side of the ring that a server granted to a connection: which stretches of it hold
// requests that are not answered yet.
//
// Stretches are handed out in a circle, in units of wire::kRingUnit, and are contiguous: one that
// does not fit before the end skips to the start. Replies come in any order; room comes back in the
// order in which it was handed out, as soon as the oldest stretch is free:
//
//        oldest_            tail_
//   |  free | a | b (done) | c |  free ... |
//           '------- used_ ----'
//
// Nothing here allocates after the constructor.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace rdmakv {

class RingAllocator {
 public:
  static constexpr uint32_t kNone = ~uint32_t{0};

  struct Stretch {
    uint32_t offset = 0;      // units of wire::kRingUnit: the immediate that goes with the WRITE
    uint32_t number = kNone;  // names the stretch in release()
  };

  RingAllocator() = default;
  // `bytes` of ring, at most `max_stretches` handed out at a time.
  RingAllocator(uint64_t bytes, uint32_t max_stretches);

  uint64_t bytes() const;  // what the largest stretch may have
  // Nothing while there is no room.
  std::optional<Stretch> allocate(uint64_t bytes);
  // `number`: as handed out, each once, in any order.
  void release(uint32_t number);
  uint64_t used_bytes() const;  // skipped bytes included

 private:
  struct Record {
    uint32_t units = 0;  // with the units skipped before it
    bool done = false;
  };

  std::vector<Record> records_;  // a circle; records oldest_ .. oldest_ + count_ - 1 are in use
  uint32_t oldest_ = 0;
  uint32_t count_ = 0;
  uint64_t size_ = 0;  // units
  uint64_t used_ = 0;  // units
  uint64_t tail_ = 0;  // units: where the next stretch begins
};

}  // namespace rdmakv
