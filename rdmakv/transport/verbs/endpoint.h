// The datapath: one reliable connected queue pair as an Endpoint.
//
// Every work request posted has a record of whom to tell, in a ring in posting order; the
// ibv_send_wr of those not yet handed over are a chain, preallocated and used over and over:
//
//      head_                 handed_over_            tail_
//        |  with the device       |  in chain_, to go    |
//   -----+------------------------+---------------------+----> positions, counted up for ever
//
// flush() hands [handed_over_, tail_) over by one ibv_post_send (earlier when the chain is full). A
// completion of position p completes everything up to p, as one connection's requests complete in
// order; that moves head_ and frees message buffers. Besides what the owner wants signalled, the
// last request of a chain is when signal_interval_ ones were not, so that both keep moving however
// little the owner asks for; a chain that ends with a signalled one has no other.
//
// Requests handed over with no signalled one behind them complete without anyone hearing of it.
// They are fewer than signal_interval_, have room of their own, and are not counted against
// max_work (quiet_ is where counting starts). When the message buffers they hold are wanted, a
// mark, a signalled WRITE of no bytes, is posted behind them. So is one when the connection closes;
// and when it has broken, since a queue pair in ERROR reports what fails, but still not what
// silently succeeded before.
//
// States:
//   kConnecting -> kUp -> kClosing -> kBroken -> kGone      kConnecting: of connect()
//   kAccepting  ->                                          kAccepting: the peer may not be ready
//   yet
// In kAccepting work may be posted; it is handed over when the peer has said that it is ready, or
// sent something (before, its adapter would drop it, and only a retransmission bring it through).
// In kBroken the queue pair is in ERROR and the device reports all that was posted; when nothing is
// left, kDisconnected is reported: kGone.
//
// Codes of failed work: kUnavailable if it never reached the device; kUnknownOutcome if it did,
// since the peer's adapter may have executed it although no acknowledgement came back. The code of
// kDisconnected: kOk after close(), kRefused if the server said no, kProtocolError if it broke the
// rules, kUnavailable otherwise; error_text() says what happened.
#pragma once

#include <infiniband/verbs.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rdmakv/transport/endpoint.h"
#include "rdmakv/transport/verbs/arrival_guard.h"
#include "rdmakv/transport/verbs/completion_queue.h"
#include "rdmakv/transport/verbs/connection.h"
#include "rdmakv/transport/verbs/memory_region.h"
#include "rdmakv/transport/verbs/queue_pair.h"

namespace rdmakv::verbs {

class VerbsEndpoint final : public Endpoint {
 public:
  using Clock = std::chrono::steady_clock;
  // What a connection being set up, closed, or drained may take.
  static constexpr Clock::duration kSetUpTime = std::chrono::seconds(30);
  static constexpr Clock::duration kCloseTime = std::chrono::seconds(10);
  static constexpr Clock::duration kDrainTime = std::chrono::seconds(10);

  enum class Origin : uint8_t { kConnect, kAccept };

  // With a queue pair in RESET. `options` are clipped to the device already.
  static Result<std::unique_ptr<VerbsEndpoint>> create(VerbsCompletionQueue& queue, Origin origin,
                                                       const EndpointOptions& options,
                                                       std::string peer_name,
                                                       std::unique_ptr<Connection> connection);
  ~VerbsEndpoint() override;

  MessageBuffer acquire_message() override;
  void abandon_message(MessageBuffer message) override;
  bool send(MessageBuffer message, uint32_t length, uint64_t context, bool signalled) override;
  // At most kMaxGather pieces, the header included; more break the connection.
  bool write_with_imm(MessageBuffer header, uint32_t header_length,
                      std::span<const LocalBuffer> body, RemoteAddress to, uint32_t immediate,
                      uint64_t context, bool signalled) override;
  bool write(std::span<const LocalBuffer> body, RemoteAddress to, uint64_t context,
             bool signalled) override;
  bool read(LocalBuffer into, RemoteAddress from, uint64_t context, bool signalled,
            bool fence) override;
  bool compare_and_swap(LocalBuffer previous, RemoteAddress at, uint64_t expected, uint64_t desired,
                        uint64_t context, bool signalled, bool fence) override;
  void flush() override;
  void release_message(uint32_t slot) override;
  Status expose(const MemoryRegion& region) override;
  void probe() override;
  void close() override;
  std::string_view peer_name() const override { return peer_name_; }
  std::string_view error_text() const override { return error_text_; }

  // --- for the Connection ---

  EndpointKey key() const { return key_; }
  VerbsCompletionQueue& queue() { return queue_; }
  QueuePair& queue_pair() { return pair_; }
  Connection& connection() { return *connection_; }
  // Set-up goes on in the owner's thread from here: starts its deadline.
  void begin_set_up();
  // The queue pair is in INIT and the sizes are agreed upon: makes the message buffers and posts
  // all receives.
  Status prepare(const EndpointOptions& agreed);
  // The queue pair left INIT: from here on what was posted comes back through the completion queue.
  void set_receiving() { receiving_ = true; }
  // The peer can take messages.
  void established();
  // It is over, for a reason other than a completion.
  void fail(Code code, std::string reason);
  bool is_over() const { return state_ >= State::kBroken; }
  bool is_up() const { return state_ == State::kUp || state_ == State::kClosing; }

  // --- for the CompletionQueue ---

  // The owner's thread has got to know of an accepted Endpoint.
  void adopted();
  // Returns whether `completion` was filled.
  bool complete(const ibv_wc& work, Completion& completion);
  // Completions of its own making; returns how many, and whether there are more.
  size_t emit(std::span<Completion> completions, bool* more);
  void check_deadline(Clock::time_point now);

 private:
  enum class State : uint8_t { kConnecting, kAccepting, kUp, kClosing, kBroken, kGone };
  enum class WorkKind : uint8_t { kSend, kWrite, kRead, kCompareAndSwap, kProbe, kMark };
  // The position in the id of the mark of a broken connection, which has no record.
  static constexpr uint64_t kDrainMark = kPositionMask;
  static constexpr uint32_t kNoSlot = ~uint32_t{0};

  struct Record {
    uint64_t context = 0;
    uint32_t slot = kNoSlot;
    WorkKind kind = WorkKind::kSend;
    bool reported = false;               // the owner asked for its completion
    const std::byte* watched = nullptr;  // of a READ or ATOMIC, by the guard
  };
  struct Work {
    ibv_send_wr request;
    ibv_sge gather[kMaxGather];
  };
  static constexpr uint32_t kMaxChain = 128;

  VerbsEndpoint(VerbsCompletionQueue& queue, Origin origin, const EndpointOptions& options,
                std::string peer_name, std::unique_ptr<Connection> connection);
  bool can_post() const {
    return (state_ == State::kUp || state_ == State::kAccepting) &&
           tail_ - std::max(head_, quiet_) < options_.max_work;
  }
  // The next request, in the chain and recorded; null when the chain is full and cannot be handed
  // over.
  Work* append(WorkKind kind, ibv_wr_opcode opcode, uint64_t context, uint32_t slot,
               bool signalled);
  bool append_write(ibv_wr_opcode opcode, MessageBuffer header, uint32_t header_length,
                    std::span<const LocalBuffer> body, RemoteAddress to, uint32_t immediate,
                    uint64_t context, bool signalled);
  void append_internal(WorkKind kind);
  void hand_over();
  void post_drain_mark();
  bool post_receive(uint32_t slot);
  bool complete_receive(const ibv_wc& work, Completion& completion);
  bool complete_work(const ibv_wc& work, Completion& completion);
  bool pop_front(Code code, Completion& completion);
  bool answers_missing(uint64_t last) const;
  void report_failure(const ibv_wc& work);
  void break_connection(Code code, std::string reason);
  bool drained() const;
  void give_up_draining();
  void set_deadline(Clock::duration time);
  void clear_deadline();
  void finish_if_drained();
  void finish_close_if_done();
  std::byte* receive_buffer(uint32_t slot) const {
    return buffers_->data() + static_cast<size_t>(slot) * options_.message_bytes;
  }
  std::byte* send_buffer(uint32_t slot) const {
    return receive_buffer(options_.receive_slots + slot);
  }

  // The hot path's members first.
  uint64_t head_ = 0;
  uint64_t handed_over_ = 0;
  uint64_t tail_ = 0;
  uint64_t quiet_ = 0;
  uint64_t mask_ = 0;  // capacity of the ring - 1
  uint64_t work_id_base_ = 0;
  std::unique_ptr<Record[]> records_;
  std::unique_ptr<Work[]> chain_;
  ArrivalGuard guard_;
  uint32_t unsignalled_ = 0;            // since the last signalled one
  uint32_t signalled_outstanding_ = 0;  // posted, not completed
  uint32_t signal_interval_ = 1;
  uint32_t receives_posted_ = 0;
  State state_;
  bool receiving_ = false;
  bool adopted_;  // by the owner's thread, which completions are delivered in
  bool probing_ = false;
  bool flush_when_up_ = false;
  bool drain_marked_ = false;  // the mark of a broken connection is under way
  bool announce_ = false;      // kConnected is to be reported
  bool drain_given_up_ = false;
  std::vector<uint32_t> free_slots_;
  std::unique_ptr<VerbsMemoryRegion> buffers_;
  QueuePair pair_;

  VerbsCompletionQueue& queue_;
  EndpointKey key_ = 0;
  uint32_t reserved_completions_ = 0;
  bool known_to_queue_ = false;  // watched or scheduled, so that it has to be forgotten
  Clock::time_point deadline_;
  Code disconnect_code_ = Code::kOk;
  std::string peer_name_;
  std::string error_text_;
  std::unique_ptr<Connection> connection_;
};

}  // namespace rdmakv::verbs
