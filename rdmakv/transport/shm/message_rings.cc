#include "rdmakv/transport/shm/message_rings.h"

#include <bit>
#include <cassert>

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

namespace rdmakv::shm {
namespace {

// For ThreadSanitizer, where both ends of a connection are in one process: it knows memory by its
// address, and the two see their rings at different ones, so it does not see that a message comes
// before what its receiver does. All messages together stand for one lock, which is coarser than
// the truth.
#ifdef __SANITIZE_THREAD__
char all_messages;
void before_sending() {
  __tsan_release(&all_messages);
}
void after_receiving() {
  __tsan_acquire(&all_messages);
}
#else
void before_sending() {}
void after_receiving() {}
#endif

// Returned buffers are taken back once in so many acquisitions: often enough that few buffers
// circulate and stay in the cache, seldom enough that the line in which the peer writes them is not
// fetched for each message.
constexpr uint32_t kReturnsInterval = 8;
constexpr uint32_t kBufferBits = 24;
constexpr uint32_t kBufferMask = (1u << kBufferBits) - 1;

constexpr size_t round_up(size_t bytes, size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

}  // namespace

OutboxLayout OutboxLayout::of(uint32_t receive_slots, uint32_t message_bytes, uint32_t buffers) {
  OutboxLayout layout;
  const size_t ring = std::bit_ceil(size_t{receive_slots});
  layout.ring_mask = static_cast<uint32_t>(ring - 1);
  layout.stride = static_cast<uint32_t>(round_up(message_bytes, kCacheLine));
  layout.returns = round_up(kDescriptors + ring * sizeof(Descriptor), kCacheLine);
  layout.buffers = round_up(layout.returns + ring * sizeof(ReturnedBuffer), kCacheLine);
  layout.bytes = layout.buffers + size_t{layout.stride} * buffers;
  return layout;
}

void MessageRings::start(std::byte* own, const std::byte* peer, const RingSizes& sizes) {
  sizes_ = sizes;
  layout_ = OutboxLayout::of(sizes.receive_slots, sizes.message_bytes, sizes.own_buffers);
  peer_layout_ = OutboxLayout::of(sizes.receive_slots, sizes.message_bytes, sizes.peer_buffers);
  own_ = own;
  peer_ = peer;
  next_ = reinterpret_cast<const Descriptor*>(peer_ + OutboxLayout::kDescriptors);

  published_.assign(sizes.own_buffers, 0);
  free_.reserve(sizes.own_buffers);
  for (uint32_t i = sizes.own_buffers; i > 0; --i) free_.push_back(i - 1);
  held_.assign(sizes.peer_buffers, 0);
  slot_buffer_.assign(sizes.receive_slots, kNone);
  free_slots_.reserve(sizes.receive_slots);
  for (uint32_t i = sizes.receive_slots; i > 0; --i) free_slots_.push_back(i - 1);
}

uint32_t MessageRings::acquire_extra() {
  if (free_.empty() || until_returns_ == 0) {
    until_returns_ = kReturnsInterval;
    take_returns();
    if (free_.empty()) return kNone;
  }
  --until_returns_;
  ++acquired_;
  const uint32_t buffer = free_.back();
  free_.pop_back();
  return buffer;
}

void MessageRings::abandon(uint32_t buffer) {
  assert(buffer < sizes_.own_buffers && acquired_ > 0 && published_[buffer] == 0);
  --acquired_;
  free_.push_back(buffer);
}

bool MessageRings::may_publish() {
  if (in_flight_ < sizes_.receive_slots && !starving_) return true;
  take_returns();
  const bool free = in_flight_ < sizes_.receive_slots;
  if (free == starving_) {
    starving_ = !free;
    own_control().starved.store(starving_ ? 1 : 0, std::memory_order_release);
  }
  return free;
}

void MessageRings::publish(RingMessage kind, uint32_t buffer, uint32_t length, uint32_t immediate) {
  assert(buffer < sizes_.own_buffers && acquired_ > 0 && published_[buffer] == 0);
  assert(in_flight_ < sizes_.receive_slots);
  Descriptor& descriptor = own_descriptors()[sent_ & layout_.ring_mask];
  ++sent_;
  descriptor.kind_and_buffer.store(static_cast<uint32_t>(kind) << kBufferBits | buffer,
                                   std::memory_order_relaxed);
  descriptor.length.store(length, std::memory_order_relaxed);
  descriptor.immediate.store(immediate, std::memory_order_relaxed);
  before_sending();
  descriptor.sequence.store(static_cast<uint32_t>(sent_), std::memory_order_release);
  published_[buffer] = 1;
  ++in_flight_;
  --acquired_;
}

bool MessageRings::take_returns() {
  const auto* returns = reinterpret_cast<const ReturnedBuffer*>(peer_ + peer_layout_.returns);
  // At most so many are outstanding, so a hostile peer cannot keep this loop going.
  while (in_flight_ > 0) {
    const uint64_t word =
        returns[returns_taken_ & peer_layout_.ring_mask].load(std::memory_order_acquire);
    if (static_cast<uint32_t>(word >> 32) != static_cast<uint32_t>(returns_taken_ + 1)) break;
    const auto buffer = static_cast<uint32_t>(word);
    if (buffer >= sizes_.own_buffers || published_[buffer] == 0) {
      return violate("the peer returned a message buffer that it does not have");
    }
    ++returns_taken_;
    published_[buffer] = 0;
    --in_flight_;
    free_.push_back(buffer);
  }
  return violation_ == nullptr;
}

MessageRings::Receive MessageRings::receive(Message& message) {
  if (!ready()) return Receive::kNothing;
  after_receiving();
  const uint32_t kind_and_buffer = next_->kind_and_buffer.load(std::memory_order_relaxed);
  const uint32_t buffer = kind_and_buffer & kBufferMask;
  const uint32_t kind = kind_and_buffer >> kBufferBits;
  message.length = next_->length.load(std::memory_order_relaxed);
  message.immediate = next_->immediate.load(std::memory_order_relaxed);
  if (kind != static_cast<uint32_t>(RingMessage::kSend) &&
      kind != static_cast<uint32_t>(RingMessage::kImmediate)) {
    violate("the peer sent a message of no known kind");
    return Receive::kBroken;
  }
  message.kind = static_cast<RingMessage>(kind);
  if (buffer >= sizes_.peer_buffers || held_[buffer] != 0) {
    violate("the peer sent a message in a buffer that is not its to send");
    return Receive::kBroken;
  }
  if (message.kind == RingMessage::kSend && message.length > sizes_.message_bytes) {
    violate("the peer sent a message longer than a message buffer");
    return Receive::kBroken;
  }
  if (free_slots_.empty()) {
    violate("the peer sent more messages than there are receive slots");
    return Receive::kBroken;
  }
  message.slot = free_slots_.back();
  free_slots_.pop_back();
  slot_buffer_[message.slot] = buffer;
  held_[buffer] = 1;
  message.data = message.kind == RingMessage::kSend
                     ? peer_ + peer_layout_.buffers + size_t{peer_layout_.stride} * buffer
                     : nullptr;
  ++received_;
  next_ = reinterpret_cast<const Descriptor*>(peer_ + OutboxLayout::kDescriptors) +
          (received_ & peer_layout_.ring_mask);
  return Receive::kMessage;
}

bool MessageRings::release(uint32_t slot) {
  if (slot >= sizes_.receive_slots || slot_buffer_[slot] == kNone) return false;
  const uint32_t buffer = slot_buffer_[slot];
  slot_buffer_[slot] = kNone;
  held_[buffer] = 0;
  free_slots_.push_back(slot);
  auto* returns = reinterpret_cast<ReturnedBuffer*>(own_ + layout_.returns);
  const uint64_t place = returned_ & layout_.ring_mask;
  ++returned_;
  returns[place].store(uint64_t{static_cast<uint32_t>(returned_)} << 32 | buffer,
                       std::memory_order_release);
  return true;
}

bool MessageRings::peer_waits() const {
  return returned_ != told_ && peer_control().starved.load(std::memory_order_relaxed) != 0;
}

}  // namespace rdmakv::shm
