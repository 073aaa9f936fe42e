// READs of values that a server keeps in place for us (kPinned replies), on one connection.
//
// A value is read in pieces of up to kPieceBytes, a few at a time, through registered buffers:
//
//   kGet with a destination: READ pieces, copy each to the destination; then the pin is given up
//   kReadPinned:             one READ into the operation's buffer
//
// A READ's buffer stays reserved until its completion came or the Endpoint is destroyed, also when
// the operation timed out long before.
#pragma once

#include <cstdint>
#include <vector>

#include "rdmakv/client/operation_queue.h"
#include "rdmakv/transport/buffer_arena.h"
#include "rdmakv/transport/endpoint.h"

namespace rdmakv {

class PinnedReader {
 public:
  static constexpr uint32_t kPieceBytes = 256 * 1024;

  // What becomes of operations and pins.
  class Events {
   public:
    // operation.code is set. May be called from on_read only.
    virtual void read_done(Operation& operation) = 0;
    virtual void give_up_pin(uint64_t ticket) = 0;

   protected:
    ~Events() = default;
  };

  PinnedReader(BufferArena& arena, Events& events) : arena_(arena), events_(events) {}

  // A new connection: at most `max_reads` READs at a time, within the pool granted. Every earlier
  // buffer comes back, so the Endpoint before must be gone.
  void reset(uint64_t pool_base, uint64_t pool_bytes, uint32_t pool_key, uint32_t max_reads,
             uint32_t max_read_bytes);

  // Takes a kGet with a destination that is large enough, whose reply was kPinned, or a
  // kReadPinned. Both were checked by fits().
  void add(Operation& operation);
  // Whether [offset, offset + bytes) lies within the pool.
  bool fits(uint64_t offset, uint64_t bytes) const {
    return offset <= pool_bytes_ && bytes <= pool_bytes_ - offset;
  }
  // Posts what may be posted. True: something waits for buffers or for room at the Endpoint.
  bool pump(Endpoint& endpoint);
  // A READ with this context is done, successfully.
  void on_read(uint64_t context);

  bool busy() const { return !waiting_.empty() || in_flight_ > 0; }
  // Whether a READ of the value pinned under `ticket` is to come or on its way.
  bool reading(uint64_t ticket) const;

  // Hands over every operation that `wanted` holds for; its READs go on into the void.
  template <typename Wanted, typename Take>
  void extract(Wanted&& wanted, Take&& take);
  template <typename Look>
  void for_each(Look&& look) const;

 private:
  struct Read {
    bool in_flight = false;
    Operation* operation = nullptr;  // null: nobody waits any more
    uint64_t ticket = 0;
    uint64_t offset = 0;  // of a piece in its value
    uint32_t length = 0;
    ValueBuffer buffer;
  };

  // One READ for the operation at the head of waiting_; false: not now.
  bool post_next(Endpoint& endpoint);
  uint64_t piece_bytes(uint64_t left) const;
  Read* free_read();
  void end(Operation& operation);

  BufferArena& arena_;
  Events& events_;
  uint64_t pool_base_ = 0, pool_bytes_ = 0;
  uint32_t pool_key_ = 0;
  uint32_t max_read_bytes_ = 0;
  uint32_t in_flight_ = 0;
  std::vector<Read> reads_;
  OperationQueue waiting_;  // operations with READs still to be posted
  OperationQueue posted_;   // operations all of whose READs are on their way or done
};

template <typename Wanted, typename Take>
void PinnedReader::extract(Wanted&& wanted, Take&& take) {
  const auto leave = [&](Operation& operation) {
    for (Read& read : reads_) {
      if (read.operation == &operation) read.operation = nullptr;
    }
    take(operation);
  };
  waiting_.extract(wanted, leave);
  posted_.extract(wanted, leave);
}

template <typename Look>
void PinnedReader::for_each(Look&& look) const {
  waiting_.for_each(look);
  posted_.for_each(look);
}

}  // namespace rdmakv
