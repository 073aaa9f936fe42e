#include "rdmakv/client/request_table.h"

#include <cassert>

namespace rdmakv {

namespace {
constexpr uint32_t kGenerationMask = (1u << (32 - RequestTable::kIndexBits)) - 1;
}

void RequestTable::reset(uint32_t capacity) {
  assert(capacity <= kMaxSlots);
  while (oldest_ != kNone) give_back(oldest_);
  if (slots_.size() < capacity) slots_.resize(capacity);
  free_.clear();
  free_.reserve(slots_.size());
  for (uint32_t index = capacity; index > 0; --index) free_.push_back(index - 1);
  capacity_ = capacity;
}

uint32_t RequestTable::take() {
  assert(!free_.empty());
  const uint32_t index = free_.back();
  free_.pop_back();
  RequestSlot& slot = slots_[index];
  slot.in_use = true;
  slot.previous = newest_;
  slot.next = kNone;
  (newest_ == kNone ? oldest_ : slots_[newest_].next) = index;
  newest_ = index;
  ++in_use_;
  return index;
}

void RequestTable::give_back(uint32_t index) {
  RequestSlot& slot = slots_[index];
  assert(slot.in_use);
  (slot.previous == kNone ? oldest_ : slots_[slot.previous].next) = slot.next;
  (slot.next == kNone ? newest_ : slots_[slot.next].previous) = slot.previous;
  // What take()'s caller does not set; not everything, since most slots hold no buffers.
  slot.generation = (slot.generation + 1) & kGenerationMask;
  slot.in_use = false;
  slot.operation = nullptr;
  slot.stretch = RingAllocator::kNone;
  slot.landing.reset();
  slot.source.reset();
  slot.value.reset();
  free_.push_back(index);
  --in_use_;
}

std::vector<ValueBuffer> RequestTable::take_landings() {
  std::vector<ValueBuffer> landings;
  for (uint32_t index = oldest_; index != kNone; index = slots_[index].next) {
    if (slots_[index].landing) landings.push_back(std::move(slots_[index].landing));
  }
  return landings;
}

uint32_t RequestTable::find(uint32_t id) const {
  const uint32_t index = id & (kMaxSlots - 1);
  if (index >= capacity_) return kNone;
  const RequestSlot& slot = slots_[index];
  return slot.in_use && slot.generation == id >> kIndexBits ? index : kNone;
}

}  // namespace rdmakv
