// THE SEAM: a verbs-shaped connection. Everything above it is the same over RDMA and shared memory.
//
// An Endpoint is one reliable, ordered connection, as an RC queue pair is. Work is posted one
// request at a time, kept as a chain, and handed over by one flush() (one doorbell, one
// ibv_post_send). A CompletionQueue tells what has come: messages, completions of signalled work,
// the connection coming up and going down. Nothing here allocates, registers memory or blocks once
// a connection is up.
//
// Threads: a CompletionQueue and all its Endpoints belong to one thread, the one that polls. The
// only exception is the hand-over of an accepted Endpoint from the listener's thread to its
// owner's, before which the owner never touches it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "rdmakv/transport/memory.h"
#include "rdmakv/transport/status.h"

namespace rdmakv {

class Endpoint;

// Sizes of one connection, fixed before it is made. Both ends use the same values: the one who
// connects proposes them in its wire::ConnectRequest, the one who accepts may lower them, and both
// read the outcome from Endpoint::options().
struct EndpointOptions {
  uint32_t receive_slots = 128;   // messages (SEND or WRITE_WITH_IMM) that may arrive unprocessed
  uint32_t send_slots = 160;      // message buffers that may be on their way at once
  uint32_t message_bytes = 4608;  // size of each message buffer, here and at the peer
  uint32_t max_work = 512;        // posted and not yet completed requests of all kinds
  uint32_t max_reads = 16;        // READs and ATOMICs outstanding at the peer (initiator depth)
};

// A registered buffer in which a message is built; belongs to the Endpoint it was acquired from.
struct MessageBuffer {
  std::byte* data = nullptr;
  uint32_t capacity = 0;
  uint32_t slot = 0;
  explicit operator bool() const { return data != nullptr; }
};

enum class CompletionKind : uint8_t {
  kConnected,     // an Endpoint from connect() is usable
  kDisconnected,  // the last completion of its Endpoint, whatever broke it; it may now be destroyed
  kMessage,       // a SEND arrived: `message`; give it back by release_message(slot)
  kImmediate,     // a WRITE_WITH_IMM arrived: `immediate`, `length`; release_message(slot) as well
  kSend,
  kWrite,
  kRead,
  kCompareAndSwap,  // signalled work of ours is done
};

struct Completion {
  Endpoint* endpoint = nullptr;
  CompletionKind kind = CompletionKind::kDisconnected;
  Code code =
      Code::kOk;  // not kOk: the work did not (verifiably) take place, and the connection is broken
  uint32_t slot = 0;                   // kMessage, kImmediate
  uint32_t immediate = 0;              // kImmediate
  uint32_t length = 0;                 // kMessage, kImmediate: bytes
  uint64_t context = 0;                // as posted
  const std::byte* message = nullptr;  // kMessage: valid until release_message(slot)
};

// Verbs-level counters of one Endpoint; plain integers, read by the owning thread.
struct EndpointCounters {
  uint64_t sends = 0, writes = 0, reads = 0, atomics = 0;  // work requests
  uint64_t doorbells = 0;                                  // flushes that handed over something
  uint64_t completions = 0;  // of own work, as the device reported them
  uint64_t messages = 0;     // received, both kinds
  uint64_t wakeups = 0;      // times a sleeping peer had to be woken (shm)
};

// Rules of posting:
// - The post functions return false, and post nothing, when `max_work` (or for acquire_message,
//   `send_slots`) is used up or the connection is not up; the caller polls and tries again.
// - Posted work starts at flush() at the latest. One connection's requests are executed in order; a
//   READ's or ATOMIC's result may be waited for by `fence` on a later request.
// - `signalled` work completes exactly once on the CompletionQueue, with an error when the
// connection
//   broke. Work that is not signalled is silent; completion of a signalled one implies completion
//   of all posted before it. (The Endpoint itself signals as often as it needs to keep its queue
//   moving.)
// - Local memory named in a request must stay as it is until the request has completed.
class Endpoint {
 public:
  // Closes abruptly if still up. Destroying an Endpoint before its kDisconnected was polled is
  // allowed: its remaining completions are discarded, and no remote access of the peer through it
  // takes place after the destructor returned, unless peer_may_write() said so.
  virtual ~Endpoint() = default;
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  // A free message buffer, or an empty one. It goes back to the Endpoint by send(), by
  // write_with_imm(), or by abandon_message().
  virtual MessageBuffer acquire_message() = 0;
  virtual void abandon_message(MessageBuffer message) = 0;

  // SEND of the first `length` bytes. The buffer is the Endpoint's again, also when it returns
  // false; then its bytes stay as they are until the next acquire_message().
  virtual bool send(MessageBuffer message, uint32_t length, uint64_t context, bool signalled) = 0;

  // RDMA WRITE WITH IMMEDIATE of the first `header_length` bytes of `header` and then `body`, to
  // consecutive bytes at `to`; consumes one of the peer's receive slots. `header` may be empty.
  virtual bool write_with_imm(MessageBuffer header, uint32_t header_length,
                              std::span<const LocalBuffer> body, RemoteAddress to,
                              uint32_t immediate, uint64_t context, bool signalled) = 0;

  virtual bool write(std::span<const LocalBuffer> body, RemoteAddress to, uint64_t context,
                     bool signalled) = 0;
  virtual bool read(LocalBuffer into, RemoteAddress from, uint64_t context, bool signalled,
                    bool fence = false) = 0;
  // Compares the aligned 8 bytes at `at` with `expected` and, if equal, stores `desired`; what was
  // there before lands in `previous` (8 bytes, host byte order).
  virtual bool compare_and_swap(LocalBuffer previous, RemoteAddress at, uint64_t expected,
                                uint64_t desired, uint64_t context, bool signalled,
                                bool fence = false) = 0;

  // Hands the posted chain to the device. No-op when nothing was posted.
  virtual void flush() = 0;

  // Gives a receive slot back for the next message.
  virtual void release_message(uint32_t slot) = 0;

  // Lets the peer reach `region` (its rights are the region's). Must come before the message that
  // tells the peer the region's key. The region outlives the Endpoint.
  virtual Status expose(const MemoryRegion& region) = 0;

  // Asks the fabric whether the peer is still there, without the peer's program taking part; a dead
  // one ends in kDisconnected. Costs nothing where the fabric notices by itself.
  virtual void probe() = 0;

  // Starts an orderly close: what was flushed is still delivered where possible, and kDisconnected
  // follows.
  virtual void close() = 0;

  // After close() or kDisconnected: whether the peer may still change memory that was exposed to
  // it, be it minutes from now. Then neither the Endpoint nor anything that the peer may write to
  // can be given up; its owner keeps both, and asks again now and then. Once false it stays false.
  // Never true where the end of an Endpoint is the end of its peer's access (verbs). Over shared
  // memory it is while the peer, stopped perhaps, is in the middle of a WRITE or an ATOMIC, or
  // reads places that it has marked (peer_memory.h), which must stay as they are as well.
  virtual bool peer_may_write() { return false; }

  const EndpointOptions& options() const { return options_; }
  const EndpointCounters& counters() const { return counters_; }
  // Who is at the other end, for logs: "10.77.0.2:18515 (cm, rxe0)".
  virtual std::string_view peer_name() const = 0;
  // Why the connection broke or could not be made; empty while it is up.
  virtual std::string_view error_text() const = 0;

  // The owner's own pointer or number; the Endpoint never looks at it.
  void set_owner(void* owner) { owner_ = owner; }
  void* owner() const { return owner_; }

 protected:
  Endpoint() = default;
  EndpointOptions options_;
  EndpointCounters counters_;
  void* owner_ = nullptr;
};

class CompletionQueue {
 public:
  virtual ~CompletionQueue() = default;
  CompletionQueue(const CompletionQueue&) = delete;
  CompletionQueue& operator=(const CompletionQueue&) = delete;

  // Takes up to completions.size() completions, without blocking, and moves connection set-up and
  // tear-down of this queue's Endpoints forward. Returns how many.
  virtual size_t poll(std::span<Completion> completions) = 0;

  // Sleeping: arm(), poll() until it returns 0, then wait for fd() to become readable, then poll()
  // again (which drains the fd). While armed, anything that poll() would return makes fd()
  // readable.
  virtual int fd() const = 0;
  virtual Status arm() = 0;

 protected:
  CompletionQueue() = default;
};

}  // namespace rdmakv
