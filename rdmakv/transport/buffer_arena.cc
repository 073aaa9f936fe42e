#include "rdmakv/transport/buffer_arena.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace rdmakv {

void ValueBuffer::give_back() {
  arena_->release(block_);
  data_ = nullptr;
  capacity_ = length_ = 0;
}

ValueBuffer ValueBuffer::part(uint32_t offset, uint32_t bytes) const {
  return arena_->part(*this, block_, offset, bytes);
}

bool ValueBuffer::is_shared() const {
  return data_ != nullptr && arena_->is_shared(block_);
}

BufferArena::BufferArena(std::unique_ptr<MemoryRegion> region) : region_(std::move(region)) {
  assert(region_->size() % kLargest == 0);
  std::fill(std::begin(heads_), std::end(heads_), kNone);
  pages_.resize(region_->size() / kSmallest);
  constexpr uint32_t step = kLargest / kSmallest;
  for (auto page = static_cast<uint32_t>(pages_.size()); page > 0; page -= step) {
    push(kOrders - 1, page - step);
  }
  free_bytes_ = region_->size();
}

BufferArena::~BufferArena() {
  assert(free_bytes_ == region_->size());
}

void BufferArena::push(uint32_t order, uint32_t page) {
  Page& block = pages_[page];
  block.previous = kNone;
  block.next = heads_[order];
  block.free_order = static_cast<uint8_t>(order + 1);
  if (block.next != kNone) pages_[block.next].previous = page;
  heads_[order] = page;
}

void BufferArena::remove(uint32_t order, uint32_t page) {
  Page& block = pages_[page];
  assert(block.free_order == order + 1);
  if (block.previous != kNone) {
    pages_[block.previous].next = block.next;
  } else {
    heads_[order] = block.next;
  }
  if (block.next != kNone) pages_[block.next].previous = block.previous;
  block = {};
}

ValueBuffer BufferArena::allocate(uint32_t bytes) {
  if (bytes > kLargest) return {};
  const uint32_t pages = bytes <= kSmallest ? 1 : (bytes + kSmallest - 1) / kSmallest;
  const auto wanted = static_cast<uint32_t>(std::bit_width(pages - 1));
  uint32_t order = wanted;
  while (order < kOrders && heads_[order] == kNone) ++order;
  if (order == kOrders) return {};
  const uint32_t page = heads_[order];
  remove(order, page);
  while (order > wanted) {
    --order;
    push(order, page + (1u << order));
  }
  pages_[page].references = 1;
  pages_[page].order = static_cast<uint8_t>(wanted);
  const uint32_t capacity = kSmallest << wanted;
  free_bytes_ -= capacity;
  return ValueBuffer(this, page, region_->data() + size_t{page} * kSmallest, capacity);
}

ValueBuffer BufferArena::part(const ValueBuffer& of, uint32_t block, uint32_t offset,
                              uint32_t bytes) {
  assert(offset <= of.capacity() && bytes <= of.capacity() - offset);
  ++pages_[block].references;
  return ValueBuffer(this, block, of.data() + offset, bytes);
}

void BufferArena::release(uint32_t page) {
  assert(pages_[page].references > 0);
  if (--pages_[page].references > 0) return;
  uint32_t order = pages_[page].order;
  free_bytes_ += uint64_t{kSmallest} << order;
  while (order < kOrders - 1) {
    const uint32_t buddy = page ^ (1u << order);
    if (pages_[buddy].free_order != order + 1) break;
    remove(order, buddy);
    page &= ~(1u << order);
    ++order;
  }
  push(order, page);
}

}  // namespace rdmakv
