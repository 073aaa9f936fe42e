// One client's connection with a worker: its handshake, its requests, what it holds. Lives in the
// worker's thread. Destroying it gives everything back, in the one safe order: the Endpoint first
// (after which neither the peer nor the device touches our memory any more), then pins, uploads,
// grants and ring. While the peer may still write (Endpoint::peer_may_write()) it is not destroyed:
// it goes into quarantine, with the ring and the grants.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rdmakv/server/handshake.h"
#include "rdmakv/server/partition.h"
#include "rdmakv/server/peer_timeouts.h"
#include "rdmakv/server/replies.h"
#include "rdmakv/transport/endpoint.h"
#include "rdmakv/transport/peer_memory.h"

namespace rdmakv::server {

// What all connections of a worker have in common; outlives them.
struct ConnectionContext {
  Partition& partition;
  const MemoryRegion& index;
  const MemoryRegion& pool;
  const MemoryRegion* cas;  // null, as the next: no one-sided CAS
  const MemoryRegion* grants;
  const std::string& secret;
  uint32_t max_message = 0;
  bool far = false;  // peers are on other machines
  PeerTimeouts timeouts;
  wire::Welcome welcome;  // complete but for what is the connection's own
};

class Connection {
 public:
  enum class State : uint8_t {
    kHandshake,
    kReady,
    kClosing,  // a Refusal was sent; waits for the connection to go
    kGone,     // to be destroyed, or put into quarantine
  };

  // Receive slots that the endpoint needs beyond the credits that its client gets: one is given
  // back only when the replies to what it held are on their way.
  static constexpr uint32_t kMoreSlots = 1;

  // `ring` is this connection's alone until it is destroyed.
  Connection(ConnectionContext& context, std::unique_ptr<Endpoint> endpoint, MemoryRegion& ring,
             uint64_t now_ns);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // The usual case, a message of few requests, is one function but for their execution.
  void on_completion(const Completion& completion, uint64_t now_ns);
  // Goes on with input that waited for a free send buffer.
  void resume(uint64_t now_ns);
  // Sends the replies gathered so far.
  void flush();
  // Timeouts and probes. Returns when it wants to be called next (steady ns).
  uint64_t on_time(uint64_t now_ns);
  // Says why and closes.
  [[gnu::noinline]] void refuse(wire::RefusalCode code, std::string why, uint64_t now_ns);
  void close() { endpoint_->close(); }

  // kGone. The peer may still write to the ring, and to what it was granted.
  bool peer_may_write() { return endpoint_->peer_may_write(); }
  // What its client is reading in place, also from quarantine.
  void peer_marks(std::vector<uint64_t>& into) {
    if (memory_ != nullptr) memory_->peer_marks(into);
  }
  // Gives back at once what no peer writes to.
  void quarantine(uint64_t now_ns);
  uint64_t quarantined_ns() const { return quarantined_ns_; }  // since when

  State state() const { return state_; }
  // Input waits for a free send buffer.
  bool blocked() const { return reading_; }
  // Why it is going, for the log; empty for a peer that just left.
  const std::string& why() const { return why_; }
  std::string_view peer_name() const { return endpoint_->peer_name(); }
  MemoryRegion& ring() const { return ring_; }
  const Session& session() const { return *session_; }
  const ReplyCounters& reply_counters() const { return replies_->counters(); }
  const EndpointCounters& verbs() const { return endpoint_->counters(); }

  // The worker's marks.
  bool active = false;
  bool quarantine_told = false;

 private:
  static constexpr uint32_t kNoSlot = ~uint32_t{0};
  struct Input {
    std::span<const std::byte> message;
    uint32_t slot = 0;
  };

  void on_message(const Completion& completion, uint64_t now_ns);
  [[gnu::noinline]] void greet(std::span<const std::byte> message, uint64_t now_ns);
  void admit(uint64_t now_ns);
  void start(const Input& input);
  void run(uint64_t now_ns);
  void done_with(uint32_t slot);
  void flush_replies();
  bool find_value(wire::RequestView& request);

  ConnectionContext& context_;
  std::unique_ptr<Endpoint> endpoint_;
  PeerMemoryView* const memory_;  // null: it has none
  MemoryRegion& ring_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<Replies> replies_;
  Handshake handshake_;
  State state_ = State::kHandshake;
  uint32_t credits_;
  uint64_t heard_ns_;
  uint64_t probed_ns_;
  uint64_t deadline_ns_;  // of the state, unless kReady
  std::string why_;
  uint64_t quarantined_ns_ = 0;

  bool reading_ = false;  // a message is being read
  Input input_;
  wire::MessageReader reader_;
  wire::RequestView request_;     // of it, being executed
  uint32_t executed_ = 0;         // requests of it
  uint32_t done_slot_ = kNoSlot;  // that of the message before, if it has not been given back
  uint32_t unsent_ = 0;           // operations whose replies have not been sent
  std::vector<Input> waiting_;    // behind it: at most one per receive slot, a ring
  uint32_t first_waiting_ = 0;
  uint32_t waiting_count_ = 0;
};

}  // namespace rdmakv::server
