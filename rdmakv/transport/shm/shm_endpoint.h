// One connection over shared memory. Work is executed when it is posted, by this thread: a SEND is
// a message published in the own outbox, a WRITE or READ a copy to or from the peer's region, a CAS
// a CPU compare-and-swap. flush() rings the peer's doorbell if the peer sleeps.
//
// States:
//
//   connect() --> kConnecting --ReplyFrame--> kUp <-- accepted by a listener
//                     |                        |
//        refused,     |       close(), error   |   the peer closed or died
//        close()      |      +-----------------+-----------------+
//                     v      v                                   v
//                    kClosing <--- all delivered that --- kDraining
//                     |            the peer had sent
//                     +--- kDisconnected polled ---> kDone
//
// Closing, and what the peer may still do to our memory. A mapping cannot be taken away from a
// peer, so both sides keep to a gate: before it changes the peer's memory, a side sets its own
// `accessing` and then looks at the peer's `closed`; a closing side sets its own `closed` and then
// looks at the peer's `accessing` (each with a full fence between: Dekker's argument again). A READ
// needs no gate: it looks at `closed` after it copied, and fails if it is set. Nor do marks
// (peer_memory.h), which are a gate of their own: set before `closed` is looked at. Closing does
// not wait for a peer that is found inside: it may have been stopped there, for any time, and goes
// on when it is resumed. peer_may_write() says so until it has left the gate, or its end of the
// socket is gone, which comes after its last access: closing shuts it down outside the gate, and a
// dying process gives up its descriptors after its memory. (A peer that lies about its gate can
// write to what it once mapped for as long as it likes. It is a process of the same user, or
// root's.)
//
// A peer that is killed closes nothing; the kernel marks its life page instead (life_sign.h), which
// READ, WRITE and CAS look at where they look at `closed`, so that none of them succeeds on the
// memory of a server that has a successor.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "rdmakv/transport/endpoint.h"
#include "rdmakv/transport/fabric.h"
#include "rdmakv/transport/peer_memory.h"
#include "rdmakv/transport/shm/endpoint_turns.h"
#include "rdmakv/transport/shm/fabric_context.h"
#include "rdmakv/transport/shm/message_rings.h"
#include "rdmakv/transport/shm/peer_regions.h"
#include "rdmakv/transport/shm/queue_page.h"
#include "rdmakv/transport/shm/shared_memory.h"
#include "rdmakv/transport/shm/shm_wire.h"
#include "rdmakv/transport/shm/unix_socket.h"

namespace rdmakv::shm {

class ShmCompletionQueue;
class ShmEndpoint;

// Connects the listener's thread, which makes an Endpoint, with the queue's, which may destroy it
// before the queue has heard of it. Guarded by the queue's mutex.
struct Handover {
  ShmEndpoint* endpoint = nullptr;  // null: destroyed
};

class ShmEndpoint final : public Endpoint, public PeerMemoryView {
 public:
  // Starts to connect; the Endpoint is registered with `queue`.
  static Result<std::unique_ptr<ShmEndpoint>> connect(uint16_t port,
                                                      const wire::ConnectRequest& request,
                                                      const EndpointOptions& options,
                                                      ShmCompletionQueue& queue,
                                                      std::shared_ptr<const FabricContext> context);
  // The answer to `request`, which was checked and came by `socket` (taken when it succeeds) with
  // the frame's descriptors. Called in the listener's thread; the caller hands it over to the
  // queue.
  static Result<std::unique_ptr<ShmEndpoint>> accept(UniqueFd& socket, const ConnectFrame& request,
                                                     Frame& frame, const EndpointOptions& options,
                                                     ShmCompletionQueue& queue,
                                                     std::shared_ptr<const FabricContext> context,
                                                     std::string peer_name);
  ~ShmEndpoint() override;

  MessageBuffer acquire_message() override;
  void abandon_message(MessageBuffer message) override;
  bool send(MessageBuffer message, uint32_t length, uint64_t context, bool signalled) override;
  bool write_with_imm(MessageBuffer header, uint32_t header_length,
                      std::span<const LocalBuffer> body, RemoteAddress to, uint32_t immediate,
                      uint64_t context, bool signalled) override;
  bool write(std::span<const LocalBuffer> body, RemoteAddress to, uint64_t context,
             bool signalled) override;
  bool read(LocalBuffer into, RemoteAddress from, uint64_t context, bool signalled,
            bool fence) override;
  bool compare_and_swap(LocalBuffer previous, RemoteAddress at, uint64_t expected, uint64_t desired,
                        uint64_t context, bool signalled, bool fence) override;
  const std::byte* peer_memory(RemoteAddress at, uint64_t length) override;
  bool peer_memory_holds() override;
  bool mark(uint64_t place) override;
  void unmark_all() override;
  void peer_marks(std::vector<uint64_t>& into) override;
  void flush() override;
  void release_message(uint32_t slot) override;
  Status expose(const MemoryRegion& region) override;
  void probe() override { on_socket_ready(); }
  void close() override;
  bool peer_may_write() override;
  std::string_view peer_name() const override { return peer_name_; }
  std::string_view error_text() const override { return error_text_; }

  // ---- for the queue, in its thread
  EndpointTurns::Turn turn;
  // Nothing to deliver and nothing to wait for but the socket.
  bool idle() const {
    if (state_ == State::kUp) return local_count_ == 0 && !connected_due_ && !rings_.ready();
    return state_ == State::kConnecting || state_ == State::kDone;
  }
  // Delivers what there is.
  size_t take(std::span<Completion> out);
  bool done() const { return state_ == State::kDone; }
  // Receives what came over the Unix socket, as much at a time as makes sense; the queue, which
  // watches it, calls again for the rest.
  void on_socket_ready();
  // The queue knows this accepted Endpoint now: watches it and answers the peer.
  void on_adopted();
  // A post failed for want of a receive slot, and now there is one.
  bool fed() { return state_ == State::kUp && rings_.starving() && rings_.fed(); }
  // Wakes a peer that waits for buffers we have released since.
  void wake_if_starved();

  const std::shared_ptr<Handover>& handover() const { return handover_; }

 private:
  enum class State : uint8_t { kConnecting, kUp, kDraining, kClosing, kDone };

  ShmEndpoint(ShmCompletionQueue& queue, std::shared_ptr<const FabricContext> context,
              bool accepting);

  Status make_outbox();
  Status send_connect_frame(const wire::ConnectRequest& request);
  Status take_peer_setup(uint32_t peer_buffers, Frame& frame);
  Status take_peer_life(int fd);
  void on_frame(Frame& frame);
  Status on_reply(Frame& frame);
  void on_refusal(const Frame& frame);
  void on_region(Frame& frame);
  void on_end();

  bool may_post() const { return state_ == State::kUp && local_count_ < local_.size(); }
  bool may_publish();
  // Ends the connection when the peer broke the rules of the rings.
  void check_rings();
  void complete(CompletionKind kind, Code code, uint64_t context, bool signalled);
  bool receive(Completion& out);
  // What work ends with once the connection has broken; never kOk, as an orderly end is.
  Code failure() const { return code_ == Code::kOk ? Code::kUnavailable : code_; }
  // Null after a remote access error, which has then broken the connection, or when the peer has
  // gone.
  std::byte* reach(RemoteAddress at, uint64_t length, RemoteAccess access);
  // False when the peer has gone, which then has ended the connection; after enter_gate() nothing
  // may be changed then, after leave_gate() what was changed may be void.
  bool enter_gate();
  bool leave_gate();
  bool peer_inside() const;
  bool peer_closed() const;
  // Closed, or dead: what was just read from its memory, or done there, may be void.
  bool peer_gone() const { return peer_closed() || peer_life_->marked_dead(); }
  // Copies into the peer's memory, through the gate.
  Code copy_out(const std::byte* header, uint32_t header_length, std::span<const LocalBuffer> body,
                uint64_t total, RemoteAddress to);
  // Wakes the peer if it sleeps and we did not wake it before. Whether it did.
  bool ring();

  // The peer is no more: what it left is still delivered.
  void drain();
  // Stops everything but completions of own work; `text` says why.
  void shut(Code code, std::string text);
  void finish(Completion& out);

  ShmCompletionQueue& queue_;
  const std::shared_ptr<const FabricContext> context_;
  State state_ = State::kConnecting;
  const bool accepting_;
  bool registered_ = false;  // with the queue, by its thread
  bool connected_due_ = false;
  bool ended_ = false;           // the socket is at its end
  bool may_be_written_ = false;  // memory has been exposed for more than READs
  bool peer_left_ = false;       // peer_may_write() has said so
  bool posted_ = false;          // since the last flush
  bool published_ = false;       // a message, since the last flush
  uint32_t marked_ = 0;          // places of the peer's memory
  uint32_t drain_left_ = 0;      // kDraining: messages that may still be delivered
  Code code_ = Code::kOk;        // of kDisconnected
  std::string error_text_;
  std::string peer_name_;
  std::shared_ptr<Handover> handover_;

  UniqueFd socket_;
  UniqueFd outbox_fd_;  // until it was sent
  Mapping outbox_;
  uint32_t own_buffers_ = 0;
  Mapping peer_outbox_;
  MessageRings rings_;

  UniqueFd own_doorbell_;
  UniqueFd peer_doorbell_;
  Mapping peer_page_;
  std::shared_ptr<const Mapping> peer_life_mapping_;
  const LifePage* peer_life_ = nullptr;  // set when the rings are started
  uint64_t rung_epoch_ = 0;

  PeerRegions peer_regions_;
  std::vector<uint32_t> exposed_;

  // Completions of own work that were not polled yet: a ring of max_work.
  std::vector<Completion> local_;
  uint32_t local_first_ = 0;
  uint32_t local_count_ = 0;
};

// Checks a request's or reply's sizes; the text names the field.
Status check_sizes(uint32_t receive_slots, uint32_t message_bytes, uint32_t max_reads);

}  // namespace rdmakv::shm
