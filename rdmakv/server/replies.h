// The replies of one connection: small ones gathered into as few messages as fit, large values
// written from the slab straight into the client's landing buffer, and what fits nowhere left
// pinned for the client to READ.
//
// Nothing is executed whose reply could not be sent: the owner asks ready() before each request.
// While it is not, the connection's input waits, in the receive slots that it holds.
//
// One thread. The Endpoint must be destroyed before the Replies: until then it may be sending from
// pinned extents, which the destructor gives back.
#pragma once

#include <cstdint>

#include "protocol/kv_handshake.h"
#include "protocol/kv_message.h"
#include "rdmakv/server/partition.h"
#include "rdmakv/transport/endpoint.h"
#include "rdmakv/transport/memory.h"

namespace rdmakv::server {

struct ReplyCounters {
  uint64_t messages = 0;  // of gathered replies
  uint64_t replies = 0;   // of all kinds
  uint64_t writes = 0;    // large values by WRITE_WITH_IMM
  uint64_t pinned = 0;    // values left for the client to READ
};

class Replies {
 public:
  static constexpr uint32_t kMostWrites = 64;  // large values on their way at a time

  // All outlive the Replies but the endpoint. `max_message`: of the fabric.
  Replies(Endpoint& endpoint, Partition& partition, Session& session, const MemoryRegion& pool,
          uint32_t max_message);
  ~Replies() { give_up(); }
  Replies(const Replies&) = delete;
  Replies& operator=(const Replies&) = delete;

  void set_landing(const wire::RegionGrant& landing) { landing_ = landing; }

  // The largest value that goes inside a gathered message.
  static uint32_t inline_limit(uint32_t message_bytes);

  // Whether the next reply, whatever it is, can be taken.
  bool ready() { return open_ && spare_ && writing_ < kMostWrites && !broken_ ? true : prepare(); }
  // ready() was true. Takes the Outcome's pin, and completes its reply.
  void add(const wire::RequestHeader& request, Outcome& outcome);
  // Sends what was gathered and rings the doorbell.
  void flush();
  // Nothing is being sent any more, nor will be: unpins what was.
  void give_up();
  // A signalled work request of this connection is done.
  void on_sent(uint64_t context);
  // The endpoint refused work though there had been room: the connection is of no use any more.
  bool broken() const { return broken_; }

  const ReplyCounters& counters() const { return counters_; }

 private:
  bool prepare();
  void add_small(const wire::ReplyHeader& header, std::span<const std::byte> value);
  [[gnu::noinline]] void add_large(const wire::RequestHeader& request, const Outcome& outcome);
  bool lands(const wire::RequestHeader& request, uint64_t bytes) const;
  void write(const wire::RequestHeader& request, const Outcome& outcome, wire::ReplyHeader header);
  void send_open();
  uint64_t clock_ms() const { return static_cast<uint64_t>(partition_.now_ms()); }

  Endpoint& endpoint_;
  Partition& partition_;
  Session& session_;
  const MemoryRegion& pool_;
  uint32_t max_message_;
  wire::RegionGrant landing_;

  MessageBuffer open_;  // being filled by builder_
  wire::MessageBuilder builder_;
  MessageBuffer spare_;                // so that the next reply always has a buffer
  uint64_t writes_[kMostWrites] = {};  // pinned extents (units), by context - 1; 0: unused
  uint32_t writing_ = 0;
  bool broken_ = false;
  ReplyCounters counters_;
};

}  // namespace rdmakv::server
