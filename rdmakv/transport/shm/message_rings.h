// The messages of one connection, in shared memory. Pure memory code: no system calls, no sockets.
//
// Each side has an outbox, which it alone writes and its peer maps read-only:
//
//      side A                                        side B
//   +------------------------------+             +------------------------------+
//   | control                      |             | control                      |
//   | descriptors: A's messages    |--- read --->|                              |
//   | returns: B's buffers that A  |             | returns: A's buffers that B  |
//   |          has done with       |<-- read ----|          has done with       |
//   | buffers: A's messages' bytes |--- read --->| buffers ...                  |
//   +------------------------------+             +------------------------------+
//
// A message is built in place in a free buffer of the sender's outbox and published by a
// descriptor; the receiver reads it where it lies and names the buffer in its own `returns` when it
// is done with it, in any order. So a message costs no copy, and no unreleased buffer is ever
// written again. Both rings are single-producer single-consumer; an element is valid when its
// sequence number is the one expected (as in Lamport's queue, but with the index inside the
// element, so that one cache line moves per message and not two).
//
// Bounds: at most `receive_slots` of a sender's messages are published and not returned, so neither
// ring can overtake its reader. Everything in the peer's outbox is hostile: it is read once, as
// atomics, and checked against private state; nonsense ends the connection.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "rdmakv/transport/peer_memory.h"

namespace rdmakv::shm {

inline constexpr size_t kCacheLine = 64;

// The first page of an outbox.
struct OutboxControl {
  // 1 from the moment on at which the writer's endpoint is closed: its memory must not be touched
  // any more by the peer. See shm_endpoint.h, "closing".
  alignas(kCacheLine) std::atomic<uint32_t> closed;
  // 1 while the writer found no receive slot free at its peer and waits for one.
  std::atomic<uint32_t> starved;
  // 1 while the writer changes its peer's regions.
  alignas(kCacheLine) std::atomic<uint32_t> accessing;
  // The first `marked` places are those of the peer's memory that the writer is reading
  // (peer_memory.h).
  alignas(kCacheLine) std::atomic<uint32_t> marked;
  std::atomic<uint64_t> marks[PeerMemoryView::kMostMarks];
};

struct Descriptor {
  std::atomic<uint32_t> sequence;         // 1 + number of the message, low 32 bits; written last
  std::atomic<uint32_t> kind_and_buffer;  // MessageKind << 24 | buffer
  std::atomic<uint32_t> length;
  std::atomic<uint32_t> immediate;
};
static_assert(sizeof(Descriptor) == 16);

// 1 + number of the return, low 32 bits << 32 | buffer
using ReturnedBuffer = std::atomic<uint64_t>;

static_assert(std::atomic<uint32_t>::is_always_lock_free);
static_assert(std::atomic<uint64_t>::is_always_lock_free);

enum class RingMessage : uint8_t { kSend = 1, kImmediate = 2 };

// Where things lie in an outbox: control, descriptors, returns, buffers.
struct OutboxLayout {
  uint32_t ring_mask = 0;  // both rings have ring_mask + 1 elements, a power of two
  uint32_t stride = 0;     // bytes from one buffer to the next
  size_t returns = 0;
  size_t buffers = 0;
  size_t bytes = 0;  // of the whole outbox

  static constexpr size_t kDescriptors = 4096;
  static_assert(sizeof(OutboxControl) <= kDescriptors);
  static OutboxLayout of(uint32_t receive_slots, uint32_t message_bytes, uint32_t buffers);
};

struct RingSizes {
  uint32_t receive_slots = 0;  // as negotiated
  uint32_t message_bytes = 0;  // as negotiated
  uint32_t send_slots = 0;     // own: buffers that may be acquired at once
  uint32_t own_buffers = 0;    // in the own outbox: send_slots + receive_slots or more
  uint32_t peer_buffers = 0;   // in the peer's outbox, as the peer says
};

class MessageRings {
 public:
  // Both memories must have the size of their OutboxLayout at least and stay as long as this is
  // used.
  void start(std::byte* own, const std::byte* peer, const RingSizes& sizes);
  bool started() const { return own_ != nullptr; }

  // ---- sending
  // A free buffer's number; kNone when `send_slots` are acquired.
  uint32_t acquire() { return acquired_ < sizes_.send_slots ? acquire_extra() : kNone; }
  // The same without that limit, for a message that is published at once.
  uint32_t acquire_extra();
  void abandon(uint32_t buffer);
  std::byte* buffer(uint32_t number) const {
    return own_ + layout_.buffers + size_t{layout_.stride} * number;
  }
  // Whether the peer has a receive slot free.
  bool may_publish();
  // Hands an acquired buffer to the peer. Only after may_publish() said so.
  void publish(RingMessage kind, uint32_t buffer, uint32_t length, uint32_t immediate);
  // After may_publish() returned false: whether a receive slot has become free since.
  bool starving() const { return starving_; }
  bool fed() { return take_returns() && in_flight_ < sizes_.receive_slots; }

  // ---- receiving
  struct Message {
    RingMessage kind = RingMessage::kSend;
    uint32_t slot = 0;  // below receive_slots
    uint32_t length = 0;
    uint32_t immediate = 0;
    const std::byte* data = nullptr;
  };
  enum class Receive : uint8_t { kNothing, kMessage, kBroken };
  bool ready() const {
    return next_->sequence.load(std::memory_order_acquire) == static_cast<uint32_t>(received_ + 1);
  }
  Receive receive(Message& message);
  // False when the slot is not in use: a caller's mistake, and nothing is done.
  bool release(uint32_t slot);
  // Whether the peer waits for buffers that were released since the last call that said so.
  bool peer_waits() const;
  void peer_was_told() { told_ = returned_; }

  OutboxControl& own_control() { return *reinterpret_cast<OutboxControl*>(own_); }
  const OutboxControl& peer_control() const {
    return *reinterpret_cast<const OutboxControl*>(peer_);
  }
  // What the peer did wrong; null while nothing.
  const char* violation() const { return violation_; }

  static constexpr uint32_t kNone = ~uint32_t{0};

 private:
  // Takes back the buffers that the peer has returned. False when the peer broke the rules.
  bool take_returns();
  bool violate(const char* what) {
    violation_ = what;
    return false;
  }
  Descriptor* own_descriptors() const {
    return reinterpret_cast<Descriptor*>(own_ + OutboxLayout::kDescriptors);
  }

  RingSizes sizes_;
  OutboxLayout layout_;  // of the own outbox
  OutboxLayout peer_layout_;
  std::byte* own_ = nullptr;
  const std::byte* peer_ = nullptr;
  const char* violation_ = nullptr;

  // Sending.
  std::vector<uint32_t> free_;      // a stack: the buffer used last is the one in the cache
  std::vector<uint8_t> published_;  // by own buffer: 1 while the peer has it
  uint64_t sent_ = 0;
  uint64_t returns_taken_ = 0;
  uint32_t in_flight_ = 0;      // published and not returned
  uint32_t acquired_ = 0;       // acquired and neither published nor abandoned
  uint32_t until_returns_ = 0;  // acquire() looks at the returns only now and then
  bool starving_ = false;

  // Receiving.
  const Descriptor* next_ = nullptr;   // where message number received_ will be
  std::vector<uint32_t> slot_buffer_;  // by receive slot: the peer's buffer in it, or kNone
  std::vector<uint32_t> free_slots_;
  std::vector<uint8_t> held_;  // by peer's buffer: 1 while in a slot
  uint64_t received_ = 0;
  uint64_t returned_ = 0;
  uint64_t told_ = 0;
};

}  // namespace rdmakv::shm
