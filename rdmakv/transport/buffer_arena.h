// A pool of registered buffers of 4 KiB to 1 MiB, cut from one region: the binary buddy system
// (Knowlton 1965; Knuth, TAOCP 2.5). Allocation and release are O(log sizes), without a system call
// and without allocating. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "rdmakv/transport/memory.h"
#include "rdmakv/transport/value_buffer.h"

namespace rdmakv {

class BufferArena {
 public:
  static constexpr uint32_t kSmallest = 4096;
  static constexpr uint32_t kLargest = 1 << 20;

  // Takes the region; its size is a multiple of kLargest.
  explicit BufferArena(std::unique_ptr<MemoryRegion> region);
  ~BufferArena();  // every buffer must have come back

  // A buffer of at least `bytes` (at most kLargest), or an empty one when there is no room.
  ValueBuffer allocate(uint32_t bytes);

  const MemoryRegion& region() const { return *region_; }
  LocalBuffer local(const ValueBuffer& buffer, uint32_t offset, uint32_t length) const {
    return {buffer.data() + offset, length, region_->local_key()};
  }
  uint64_t free_bytes() const { return free_bytes_; }

 private:
  friend class ValueBuffer;
  ValueBuffer part(const ValueBuffer& of, uint32_t block, uint32_t offset, uint32_t bytes);
  bool is_shared(uint32_t page) const { return pages_[page].references > 1; }
  void release(uint32_t page);

  static constexpr uint32_t kOrders = 9;  // 4 KiB << 0 .. 4 KiB << 8
  static constexpr uint32_t kNone = ~uint32_t{0};
  // Free blocks of one order form a list. The links lie here and not in the blocks: a peer can
  // write to those.
  struct Page {
    uint32_t previous = kNone;
    uint32_t next = kNone;
    uint32_t references = 0;  // to the block in use that begins here
    uint8_t order = 0;        // of that block
    uint8_t free_order = 0;   // 1 + order of the free block that begins here, else 0
  };
  void push(uint32_t order, uint32_t page);
  void remove(uint32_t order, uint32_t page);

  std::unique_ptr<MemoryRegion> region_;
  uint32_t heads_[kOrders];
  std::vector<Page> pages_;
  uint64_t free_bytes_ = 0;
};

}  // namespace rdmakv
