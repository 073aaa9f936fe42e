// One connection to one worker of one server, and what waits for it.
//
//           enqueue()                 pump()                      on_completion()
//   submit ----------> queue_ (FIFO) ---------> table_ (credits) ----------------> done
//                        |   small: gathered in an open message, SEND
//                        |   value >= 4 KB or too long for a message: WRITE_WITH_IMM into the ring
//                        |   larger than the ring likes: an upload, at the head of the queue
//                        (below)
//                        |-- kReadPinned and pinned replies: reader_ (READ)
//                        |-- GET of a key whose place is known, or is looked up by READ: direct_
//                        (READ);
//                        |   what ends without an answer there comes back to detours_
//                        '-- CAS of an entry that is known: swaps_ (WRITE, ATOMIC); what loses,
//                        likewise
//
// GETs by request that wait next to each other share one, as far as their values are small.
//
// Order: the queue is served strictly from its head, and a connection delivers in order, so all
// operations of a session, and so all operations on one key, are executed in the order of
// enqueue(). An operation that must wait for room in the ring or for a registered buffer holds back
// those behind it; a GET that gets no landing buffer is sent without one. A large PUT holds back
// those behind it until its commit is on its way. READs are not executed in order with requests:
// where that matters, for operations on one key, order_ (key_order.h) sees to it. Puts and gets of
// runs (put_run.h, get_run.h) pass the queue by: they are taken only while it is empty, and written
// into the open message, which pump() sends.
//
// States:
//   kIdle -> kConnecting -> kHandshaking -> kReady -> kDying -> kBackoff -> kConnecting ...
//                '----------------'-- failed ----------^
// kDying lasts until bury(), at the end of the client's poll(): completions that were fetched in
// the same batch may still name the Endpoint.
//
// Belongs to the client's thread. Allocates on connecting only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "protocol/kv_hash.h"
#include "protocol/kv_message.h"
#include "rdmakv/client/cas_table.h"
#include "rdmakv/client/client.h"
#include "rdmakv/client/clock.h"
#include "rdmakv/client/direct_reader.h"
#include "rdmakv/client/handshake.h"
#include "rdmakv/client/key_order.h"
#include "rdmakv/client/load_reader.h"
#include "rdmakv/client/operation_queue.h"
#include "rdmakv/client/pinned_reader.h"
#include "rdmakv/client/request_table.h"
#include "rdmakv/client/ring_allocator.h"
#include "rdmakv/client/server_clock.h"
#include "rdmakv/client/swap_writer.h"

namespace rdmakv {

class Session;

// What the sessions of a client share, and what they tell the client.
class SessionContext {
 public:
  // `operation.code` is set; `done` is to be called a little later, from poll().
  virtual void finish(Operation& operation) = 0;
  // The same at once: what the operation lends is valid only now. Called from on_completion() only.
  virtual void finish_now(Operation& operation) = 0;
  // Likewise of a run whose puts have all ended.
  virtual void finish(PutRun& run) = 0;
  virtual void finish_now(PutRun& run) = 0;
  // The Operation that takes the place of a get that was sent, or is about to be, under way until
  // `deadline_ns`. Does not touch the sessions.
  virtual Operation& stand_in(GetRun& run, size_t index, uint16_t server, uint64_t deadline_ns) = 0;
  // Of a run whose gets are all answered, or have their Operations.
  virtual void finish(GetRun& run) = 0;
  virtual void finish_now(GetRun& run) = 0;
  // The handshake is over and the session about to send. May take its queue and enqueue again.
  virtual void welcomed(Session& session) = 0;
  // It could not connect; its queue has been ended already.
  virtual void connect_failed(Session& session) = 0;
  // pump() wanted.
  virtual void mark_dirty(Session& session) = 0;
  // on_time() wanted at `ns` of the steady clock at the latest.
  void due(uint64_t ns) { next_due = ns < next_due ? ns : next_due; }

  Fabric* fabric = nullptr;
  CompletionQueue* queue = nullptr;
  BufferArena* arena = nullptr;
  LocationCache* locations = nullptr;
  ClientOptions options;
  bool reads_are_loads = false;  // the fabric's: look up by READ unless told otherwise
  bool emulated = false;         // likewise: GETs that wait together go by request
  uint64_t client_id = 0;
  uint64_t next_sequence = 1;
  uint64_t next_due = kNever;
  PutBatches put_batches;
  GetBatches get_batches;
  ClientCounters counts;  // without the verbs of connections that are up

 protected:
  ~SessionContext() = default;
};

class Session final : private PinnedReader::Events, private DirectReader::Events {
 public:
  // Pauses between attempts to connect double from one to the other.
  static constexpr uint64_t kFirstPauseNs = 10'000'000;
  static constexpr uint64_t kLongestPauseNs = 500'000'000;
  // A connection that held this long starts over with the first pause.
  static constexpr uint64_t kSteadyNs = 1'000'000'000;
  // How soon what waits for a buffer or for room at the Endpoint is tried again, if nothing else
  // happens before.
  static constexpr uint64_t kRetryNs = 1'000'000;
  // Former connections whose server may still write to landing buffers: more are not made while
  // there are so many, and they are looked at so often.
  static constexpr size_t kMostQuarantined = 4;
  static constexpr uint64_t kQuarantineLookNs = 50'000'000;

  enum class State : uint8_t { kIdle, kConnecting, kHandshaking, kReady, kDying, kBackoff };

  Session(SessionContext& context, const FabricAddress& address, uint16_t server, uint16_t worker,
          uint16_t index);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void enqueue(Operation& operation);
  // Takes put `index` of `run`, to be sent by pump(). False: it cannot be done like this, or not
  // now.
  bool add_put(const wire::PutView& put, PutRun& run, uint16_t index, uint64_t now);
  // Likewise the get of run.keys[index].
  bool add_get(GetRun& run, uint16_t index, uint64_t now);
  // Connected, and as many requests are under way as may be, or messages.
  bool full() const { return state_ == State::kReady && (table_.full() || blocked_); }
  // Not connected, or nothing waits and no more than half of what may be under way is.
  bool has_room() const {
    return state_ != State::kReady || (queue_.empty() && table_.in_use() * 2 <= table_.capacity());
  }
  // Connects even though nothing waits, and again whenever the connection breaks.
  void want();
  // The server has no such worker any more: closes, and connects only when something waits.
  void retire();
  // Sends what may be sent, one doorbell.
  void pump(uint64_t now);
  void on_completion(const Completion& completion, uint64_t now);
  // Time-outs of operations and of connecting, pauses, keepalive; calls context.due() anew.
  void on_time(uint64_t now);
  // Gives up the Endpoint and what it could reach, or puts them into quarantine.
  void bury(uint64_t now);
  // Ends everything with `code`; the connection is not touched.
  void end_all(Code code);
  OperationQueue take_queue();

  State state() const { return state_; }
  bool ready() const { return state_ == State::kReady; }
  // The last attempt to connect failed, and none has succeeded since.
  bool failed() const { return failed_; }
  const Status& last_error() const { return last_error_; }
  uint16_t server() const { return server_; }
  uint16_t worker() const { return worker_; }
  uint16_t index() const { return index_; }
  const wire::Welcome& welcome() const { return handshake_->welcome(); }
  // Of a key, under the server's seed; to be asked while ready().
  uint64_t hash_of(std::string_view key) const { return wire::hash_key(key, welcome().seed); }
  const ServerClock& clock() const { return clock_; }
  // Names this connection in a Ticket.
  uint32_t ticket_session() const { return uint32_t{incarnation_} << 16 | index_; }
  // Requests without a reply, and READs.
  bool work_under_way() const {
    return table_.in_use() > 0 || reader_.busy() || direct_.busy() || swaps_.busy();
  }
  bool dirty = false;  // the client's: in its list of sessions to pump

  // Adds what the connection has counted so far.
  void add_counters(EndpointCounters& to) const;
  size_t quarantined() const { return quarantine_.size(); }
  const DirectCounters& direct_counters() const { return direct_.counters(); }
  // GETs that need nothing of the connection but its memory.
  LoadReader& loads() { return loads_; }
  const LoadReader& loads() const { return loads_; }
  // As PinnedMemory has them.
  std::span<const std::byte> pinned(const Ticket& pin, uint64_t offset, uint64_t length) const;
  bool pinned_holds(const Ticket& pin) { return pin.session == ticket_session() && loads_.holds(); }

 private:
  // A request about to be sent.
  struct Outgoing {
    wire::RequestHeader header;
    std::string_view key;
    std::span<const std::byte> operands;  // of a function; these two go before the value
    std::string_view comparison;
    std::span<const std::byte> value;  // the bytes, wherever they lie
    ValueBuffer* take = nullptr;       // registered memory that begins with `value`: taken over
    bool registered = false;           // `value` lies in the arena and stays until the reply
    Operation* operation = nullptr;
    RequestStep step = RequestStep::kOperation;
    uint32_t landing = 0;  // landing buffer wished for, bytes
    uint64_t stored = 0;   // bytes of the value that a change stores, as far as known
    wire::ValueParts parts() const { return {operands, comparison, value}; }
  };

  // The large PUT at the head of the queue (session_upload.cc).
  struct Upload {
    enum class Stage : uint8_t { kNone, kBegun, kChunks, kOver };
    Stage stage = Stage::kNone;
    Operation* operation = nullptr;  // null: it ended before its upload did
    uint64_t ticket = 0;
    uint64_t total = 0, sent = 0, acknowledged = 0;
    uint32_t outstanding = 0;  // requests of ours on their way
    Code failure = Code::kOk;
    ValueBuffer source;  // the operation's buffer, when it ended before
  };

  // A former connection, and the landing buffers of its requests: Endpoint::peer_may_write().
  struct Quarantined {
    std::vector<ValueBuffer> landings;
    std::unique_ptr<Endpoint> endpoint;
  };

  // session.cc: the connection's life
  void connect(uint64_t now);
  void end_quarantines(uint64_t now);
  void connected(uint64_t now);
  void handshake_message(std::span<const std::byte> message, uint64_t now);
  void become_ready(uint64_t now);
  // Whatever was sent or waits is ended or kept, as client.h says; then kDying.
  void fail(Status why, uint64_t now);
  void fail_sent(bool was_ready);
  void protocol_error(const char* what, uint64_t now);
  void end(Operation& operation, Code code);
  void expire(uint64_t now);
  void end_waiting();

  // session_send.cc
  bool send_operation(Operation& operation);
  bool try_send(Operation& operation);
  static void count_from(Operation& operation, uint64_t ns);
  uint64_t patience(const Operation& waiting) const;
  bool send_direct(Operation& operation, DirectReader::Begun& begun);
  bool send_plain(Operation& operation) { return send_plain(operation, queue_); }
  bool send_plain(Operation& operation, OperationQueue& from);
  bool may_send(const Outgoing& out, uint64_t hash) const;
  bool may_change_all(const Operation& operation) const;
  void begin_order(RequestSlot& slot, const Outgoing& out, uint64_t hash);
  void give_back(uint32_t index);
  bool send_ticket_operation(Operation& operation);
  bool send_releases();
  uint32_t landing_wish(const Operation& operation) const;
  static wire::RequestHeader header_of(const Operation& operation);
  static void add_operands(Operation& operation, Outgoing& out);
  bool fits_reply(const Outgoing& out, uint64_t hash) const;
  // False, and nothing has happened: no credit, or blocked_.
  bool send_request(Outgoing& out);
  bool may_lend(const Outgoing& out) const;
  bool send_lent(Outgoing& out, uint32_t index);
  bool write_to_ring(Outgoing& out, uint32_t index);
  bool post_to_ring(Outgoing& out, RequestSlot& slot, const wire::RequestHeader& header,
                    RemoteAddress to, uint32_t immediate);
  bool fits_message(uint64_t key_length, uint64_t value_length) const;
  bool fits_ring(uint64_t key_length, uint64_t value_length) const;

  // session_message.cc
  bool append(Outgoing& out, uint32_t index);
  bool open_message();
  bool close_message();
  bool send_unsent();
  void take_back_unsent();
  uint32_t begin_shared(wire::Opcode opcode, uint8_t flags, RequestStep step, uint64_t bytes,
                        uint64_t now);
  bool passes_queue() const;

  // session_puts.cc
  bool begin_puts(uint64_t bytes, uint64_t now);
  const char* take_puts(uint32_t index, const wire::ReplyView& reply);
  void fail_put(const PutBatch::Put& put, Code code) const;
  static PutRun* close_runs(PutBatch& batch);
  void end_puts(RequestSlot& slot, Code code);
  void give_back_puts(RequestSlot& slot);

  // session_gets.cc
  static bool is_before_a_get(const Operation& operation);
  bool has_company(const Operation& get) const;
  uint64_t expected_value(uint64_t hash, std::string_view key) const;
  bool may_share(uint64_t hash, std::string_view key, uint64_t expected) const;
  void note_value_length(uint64_t bytes);
  enum class Shared : uint8_t { kTaken, kNo, kWait };  // as DirectReader::Begun
  Shared share_get(Operation& operation, bool company, uint64_t now);
  bool send_waiting_gets(uint64_t now);
  std::byte* extend_gets(std::string_view key, uint64_t expected);
  std::byte* begin_gets(std::string_view key, bool values_only, uint64_t now);
  void write_get(std::byte* at, std::string_view key, const GetBatch::Get& get, uint64_t expected);
  bool answer_get(const GetBatch::Get& get, bool value_only, const wire::ReplyView& reply);
  Operation& hand_over(GetBatch& batch, GetBatch::Get& get);
  void hand_over_all(GetBatch& batch);
  const char* take_gets(uint32_t index, const wire::ReplyView& reply);
  void take_back_gets(uint32_t index);
  void release_gets(RequestSlot& slot);

  // session_upload.cc
  bool needs_upload(const Operation& operation) const;
  uint32_t chunk_limit(uint64_t key_length) const;
  bool pump_upload(Operation& operation);
  bool begin_upload(Operation& operation);
  bool send_chunks(Operation& operation);
  bool commit_upload(Operation& operation);
  void upload_reply(const RequestSlot& slot, const wire::ReplyHeader& reply);
  void note_progress();
  void abandon_upload(bool operation_goes_on);
  void wind_up_upload();

  // session_swap.cc
  bool send_swap(Operation& operation);
  void swapped(uint64_t context, uint64_t now);
  void learn_cas(uint64_t hash, std::string_view key, const Pointer& pointer, uint64_t version,
                 int64_t expiry_ms, bool cas_class);
  void send_grant_request();
  void take_grants(const wire::ReplyView& reply, uint64_t now);

  // session_receive.cc
  void go_on();
  void message(std::span<const std::byte> bytes, uint64_t now);
  void landed(uint32_t id, uint32_t length, uint64_t now);
  const char* take_reply(uint32_t index, const wire::ReplyView& reply, uint64_t now);
  const char* end_operation(uint32_t index, const wire::ReplyView& reply);
  // What an operation was sent as: its key's hash, if it has one, and the bytes that it stores.
  struct Asked {
    bool keyed = false;
    uint64_t hash = 0;
    uint64_t bytes = 0;
  };
  const char* take_result(Operation& operation, const Asked& asked, const wire::ReplyView& reply,
                          ValueBuffer& landing);
  void deliver(Operation& operation, const wire::ReplyHeader& reply);
  static void take_value(Operation& operation, std::span<const std::byte> value,
                         ValueBuffer& landing);
  bool pin_makes_sense(const Operation& operation, const wire::ReplyHeader& reply) const;
  void take_pin(Operation& operation, const wire::ReplyHeader& reply);
  void hear(uint64_t clock_ms, uint64_t now, uint64_t asked_at);
  void learn(const Operation& operation, const Asked& asked, const wire::ReplyHeader& reply);
  void learn_value(uint64_t hash, std::string_view key, const wire::ReplyHeader& reply);

  // PinnedReader::Events
  void read_done(Operation& operation) override;
  void give_up_pin(uint64_t ticket) override;

  // DirectReader::Events
  void direct_done(Operation& operation) override;
  void direct_detour(Operation& operation) override;
  void cas_entry_seen(Operation& operation, uint64_t hash, const Judgement& found,
                      uint64_t offset) override;

  SessionContext& context_;
  const FabricAddress address_;
  const uint16_t server_, worker_, index_;
  uint16_t incarnation_ = 0;

  State state_ = State::kIdle;
  bool wanted_ = false;
  bool failed_ = false;
  bool blocked_ = false;  // pump() stopped for want of a buffer or of room at the Endpoint
  Status last_error_;
  uint64_t ready_since_ = 0;
  uint64_t attempt_deadline_ = 0;  // kConnecting, kHandshaking
  uint64_t handshaking_since_ = 0;
  uint64_t retry_at_ = 0;  // kBackoff
  uint64_t pause_ns_ = 0;
  uint64_t heard_at_ = 0;     // when the peer was last heard of, or probed
  uint64_t answered_at_ = 0;  // when it last answered anything

  HandshakeOptions handshake_options_;
  std::optional<Handshake> handshake_;
  ServerClock clock_;

  OperationQueue queue_;
  OperationQueue detours_;  // what goes by request after all; ahead of queue_
  RequestTable table_;
  KeyOrder order_;
  RingAllocator ring_;
  PinnedReader reader_;
  DirectReader direct_;
  LoadReader loads_;
  SwapWriter swaps_;
  CasTable cas_table_;
  bool cas_wanted_ = false;     // an entry of the cas class has been seen: grants are of use
  bool asking_grants_ = false;  // a request for some is under way
  uint64_t grants_again_ns_ = 0;
  uint64_t epoch_ = 0;        // of the server that the locations are of
  uint64_t now_ns_ = 0;       // of the present pump()
  uint64_t usual_value_ = 0;  // bytes of the values that GETs by request brought of late
  Upload upload_;
  struct Release {
    wire::Opcode opcode;  // kRelease or kUploadAbort
    uint64_t ticket;
  };
  std::vector<Release> releases_;  // to be sent when there is a credit

  MessageBuffer open_;  // being filled
  wire::MessageBuilder builder_;
  PutBatch* puts_ = nullptr;          // of its last request, if that takes more puts,
  GetBatch* gets_ = nullptr;          // or more gets
  std::vector<uint32_t> open_slots_;  // whose requests are in it, or in unsent_
  std::vector<std::byte> unsent_;     // a message for which the Endpoint had no room yet

  std::vector<Quarantined> quarantine_;
  std::unique_ptr<Endpoint> endpoint_;  // destroyed before what it may reach
};

}  // namespace rdmakv
