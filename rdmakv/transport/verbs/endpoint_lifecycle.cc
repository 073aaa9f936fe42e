// Endpoint: being made, going up, going down. The datapath is in endpoint.cc.
#include <algorithm>
#include <bit>
#include <cerrno>

#include "rdmakv/transport/authentication.h"
#include "rdmakv/transport/verbs/endpoint.h"

namespace rdmakv::verbs {
namespace {

uint32_t completions_of(const EndpointOptions& options) {
  // When the connection breaks, everything posted completes, signalled or not.
  return options.receive_slots + send_queue_depth(options);
}

// What a failed completion means to someone who does not know the verbs by heart.
const char* meaning(ibv_wc_status status) {
  switch (status) {
    case IBV_WC_RETRY_EXC_ERR:
      return "the peer's adapter does not answer: it has gone, or the link is down";
    case IBV_WC_RNR_RETRY_EXC_ERR:
      return "the peer takes no more messages";
    case IBV_WC_WR_FLUSH_ERR:
      return "the queue pair went into its error state";
    case IBV_WC_REM_ACCESS_ERR:
      return "the peer does not allow access to that memory";
    case IBV_WC_REM_INV_REQ_ERR:
      return "the peer's adapter takes the request for invalid: too long, or not allowed";
    case IBV_WC_REM_OP_ERR:
      return "the peer's adapter failed";
    case IBV_WC_LOC_LEN_ERR:
      return "longer than the device, or the buffer for it, allows";
    case IBV_WC_LOC_PROT_ERR:
      return "the local memory named in it is not registered for that";
    case IBV_WC_LOC_QP_OP_ERR:
      return "the local adapter takes the request for invalid";
    default:
      return "unexpected";
  }
}

std::string seconds_text(VerbsEndpoint::Clock::duration time) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time).count();
  return std::to_string(seconds) + " s";
}

const char* opcode_name(const ibv_wc& work) {
  // The opcode of a failed completion is not defined, but for the two queues.
  return (work.wr_id & kReceiveBit) != 0 ? "receive" : "request";
}

}  // namespace

VerbsEndpoint::VerbsEndpoint(VerbsCompletionQueue& queue, Origin origin,
                             const EndpointOptions& options, std::string peer_name,
                             std::unique_ptr<Connection> connection)
    : state_(origin == Origin::kConnect ? State::kConnecting : State::kAccepting),
      adopted_(origin == Origin::kConnect),
      queue_(queue),
      peer_name_(std::move(peer_name)),
      connection_(std::move(connection)) {
  options_ = options;
}

Result<std::unique_ptr<VerbsEndpoint>> VerbsEndpoint::create(
    VerbsCompletionQueue& queue, Origin origin, const EndpointOptions& options,
    std::string peer_name, std::unique_ptr<Connection> connection) {
  std::unique_ptr<VerbsEndpoint> endpoint(new VerbsEndpoint(  // NOLINT: the constructor is private
      queue, origin, options, std::move(peer_name), std::move(connection)));
  const Result<EndpointKey> key = queue.enroll(endpoint.get(), completions_of(options));
  if (!key) return key.status();
  endpoint->key_ = key.value();
  if (origin == Origin::kConnect) queue.publish(key.value());
  endpoint->work_id_base_ = work_id_base(key.value());
  endpoint->reserved_completions_ = completions_of(options);
  Result<QueuePair> pair = QueuePair::create(*queue.device(), queue.get(),
                                             {send_queue_depth(options), options.receive_slots});
  if (!pair) return pair.status();
  endpoint->pair_ = std::move(*pair);

  const uint64_t capacity = std::bit_ceil(uint64_t{send_queue_depth(options)});
  endpoint->mask_ = capacity - 1;
  endpoint->records_ = std::make_unique<Record[]>(capacity);
  endpoint->chain_ = std::make_unique<Work[]>(kMaxChain);
  endpoint->signal_interval_ = signal_interval(options);
  if (queue.device()->may_lose_answers()) endpoint->guard_ = ArrivalGuard(random_u64() | 1);
  return endpoint;
}

Status VerbsEndpoint::prepare(const EndpointOptions& agreed) {
  options_ = agreed;
  RegionOptions region;
  region.bytes = (size_t{agreed.receive_slots} + agreed.send_slots) * agreed.message_bytes;
  region.name = "messages";
  Result<std::unique_ptr<VerbsMemoryRegion>> buffers =
      VerbsMemoryRegion::allocate(queue_.device(), region);
  if (!buffers) return buffers.status();
  buffers_ = std::move(*buffers);
  free_slots_.reserve(agreed.send_slots);
  for (uint32_t slot = agreed.send_slots; slot-- > 0;) free_slots_.push_back(slot);
  for (uint32_t slot = 0; slot < agreed.receive_slots; ++slot) {
    if (!post_receive(slot)) {
      return {Code::kSystemError, "the device refused a receive buffer"};
    }
  }
  return Status::ok();
}

VerbsEndpoint::~VerbsEndpoint() {
  if (key_ == 0) return;
  if (connection_) connection_->disconnect();
  // Once the queue pair is gone the peer can reach nothing through it, and no completion is added.
  pair_.destroy();
  if (known_to_queue_) queue_.forget(this);
  queue_.dismiss(key_, reserved_completions_, receiving_);
}

void VerbsEndpoint::set_deadline(Clock::duration time) {
  deadline_ = Clock::now() + time;
  known_to_queue_ = true;
  queue_.watch(this);
}

void VerbsEndpoint::clear_deadline() {
  queue_.unwatch(this);
}

void VerbsEndpoint::begin_set_up() {
  set_deadline(kSetUpTime);
}

void VerbsEndpoint::adopted() {
  if (is_over()) return;  // closed before it was taken up
  adopted_ = true;
  begin_set_up();
  connection_->adopted(*this);
}

void VerbsEndpoint::established() {
  if (state_ != State::kConnecting && state_ != State::kAccepting) return;
  announce_ = state_ == State::kConnecting;
  state_ = State::kUp;
  clear_deadline();
  if (flush_when_up_) flush();
  if (announce_) queue_.schedule(this);
}

Status VerbsEndpoint::expose(const MemoryRegion&) {
  return Status::ok();
}

void VerbsEndpoint::close() {
  switch (state_) {
    case State::kConnecting:
    case State::kAccepting:
      break_connection(Code::kOk, "closed before it was up");
      return;
    case State::kUp:
      break;
    default:
      return;
  }
  flush();
  if (state_ != State::kUp) return;  // flush broke it
  state_ = State::kClosing;
  set_deadline(kCloseTime);
  // The peer is told only when all has been acknowledged, which a completion behind it all shows.
  if (head_ != tail_ && unsignalled_ != 0) append_internal(WorkKind::kMark);
  finish_close_if_done();
}

void VerbsEndpoint::finish_close_if_done() {
  if (state_ == State::kClosing && head_ == tail_) break_connection(Code::kOk, "closed");
}

void VerbsEndpoint::fail(Code code, std::string reason) {
  break_connection(code, std::move(reason));
}

void VerbsEndpoint::report_failure(const ibv_wc& work) {
  if (is_over()) return;
  break_connection(Code::kUnavailable, std::string("the connection broke: ") + opcode_name(work) +
                                           " failed with '" + ibv_wc_status_str(work.status) +
                                           "' (" + meaning(work.status) + ")");
}

void VerbsEndpoint::break_connection(Code code, std::string reason) {
  if (is_over()) return;
  const bool closed = state_ == State::kClosing && code == Code::kUnavailable && head_ == tail_;
  disconnect_code_ = closed ? Code::kOk : code;
  error_text_ = std::move(reason);
  state_ = State::kBroken;
  connection_->disconnect();
  if (!receiving_ || !adopted_) {
    // It never left INIT, or the owner has not been told what arrived: nothing will be.
    pair_.destroy();
    receives_posted_ = 0;
  } else if (!pair_.to_error()) {
    give_up_draining();
  } else if (head_ != handed_over_) {
    post_drain_mark();
  }
  set_deadline(kDrainTime);
  finish_if_drained();
}

bool VerbsEndpoint::drained() const {
  return drain_given_up_ || (head_ == handed_over_ && receives_posted_ == 0 && !drain_marked_);
}

void VerbsEndpoint::finish_if_drained() {
  if (state_ == State::kBroken && drained()) queue_.schedule(this);
}

// The device does not report what was posted (it was removed, perhaps): the queue pair is
// destroyed, after which nothing of it can happen any more, and the rest is reported from the
// records. What of it still lies in the completion queue belongs to a key that is no longer valid.
void VerbsEndpoint::give_up_draining() {
  drain_given_up_ = true;
  pair_.destroy();
  key_ = queue_.renew(key_);
}

size_t VerbsEndpoint::emit(std::span<Completion> completions, bool* more) {
  size_t count = 0;
  *more = true;
  if (announce_) {
    if (completions.empty()) return 0;
    completions[count] = {};
    completions[count].endpoint = this;
    completions[count++].kind = CompletionKind::kConnected;
    announce_ = false;
  }
  if (state_ == State::kBroken && drained()) {
    while (head_ != tail_ && count < completions.size()) {
      const Code code = head_ < handed_over_ ? Code::kUnknownOutcome : Code::kUnavailable;
      if (pop_front(code, completions[count])) ++count;
    }
    if (count == completions.size()) return count;
    completions[count] = {};
    completions[count].endpoint = this;
    completions[count].kind = CompletionKind::kDisconnected;
    completions[count++].code = disconnect_code_;
    state_ = State::kGone;
    pair_.destroy();
    clear_deadline();
  }
  *more = false;
  return count;
}

void VerbsEndpoint::check_deadline(Clock::time_point now) {
  if (now < deadline_) return;
  switch (state_) {
    case State::kConnecting:
      break_connection(Code::kUnavailable,
                       "no connection to " + peer_name_ + " within " + seconds_text(kSetUpTime));
      return;
    case State::kAccepting:
      break_connection(Code::kUnavailable, peer_name_ + " did not complete the connection within " +
                                               seconds_text(kSetUpTime));
      return;
    case State::kClosing:
      break_connection(Code::kUnavailable, "closed, but " + peer_name_ +
                                               " did not acknowledge everything within " +
                                               seconds_text(kCloseTime));
      return;
    case State::kBroken:
      if (!drained()) {
        give_up_draining();
        finish_if_drained();
      }
      return;
    case State::kUp:
    case State::kGone:
      return;
  }
}

}  // namespace rdmakv::verbs
