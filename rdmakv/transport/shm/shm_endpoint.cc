#include "rdmakv/transport/shm/shm_endpoint.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>

#include "protocol/rules.h"
#include "rdmakv/transport/shm/shm_completion_queue.h"
#include "rdmakv/transport/shm/shm_region.h"

namespace rdmakv::shm {
namespace {

// All that a peer that keeps to the rules ever sends: its answer and its regions. One that sends
// more waits its turn like everybody else.
constexpr uint32_t kPacketsAtATime = 1 + kMaxRegionsPerPeer;

Status check_range(const char* what, uint32_t value, uint32_t low, uint32_t high) {
  if (value >= low && value <= high) return Status::ok();
  return {Code::kInvalidArgument, std::string(what) + " is " + std::to_string(value) +
                                      ", must be " + std::to_string(low) + " to " +
                                      std::to_string(high)};
}

// Anything else could block whoever rings it, or kill him by a signal.
bool is_eventfd(int fd) {
  char target[64];
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t length = readlink(path.c_str(), target, sizeof(target));
  return length > 0 &&
         std::string_view(target, static_cast<size_t>(length)) == "anon_inode:[eventfd]";
}

// The text of a refusal, which is the peer's: bounded and printable.
std::string clean_text(const char* text, size_t size) {
  std::string clean(text, strnlen(text, size));
  for (char& c : clean) {
    if (c < 0x20 || c > 0x7e) c = '?';
  }
  return clean;
}

}  // namespace

Status check_sizes(uint32_t receive_slots, uint32_t message_bytes, uint32_t max_reads) {
  Status status = check_range("receive_slots", receive_slots, 1, kMaxReceiveSlots);
  if (status)
    status = check_range("message_bytes", message_bytes, kMinMessageBytes, kMaxMessageBytes);
  if (status) status = check_range("max_reads", max_reads, 1, kMaxReads);
  return status;
}

// ---- set-up ------------------------------------------------------------------------------------

ShmEndpoint::ShmEndpoint(ShmCompletionQueue& queue, std::shared_ptr<const FabricContext> context,
                         bool accepting)
    : queue_(queue),
      context_(std::move(context)),
      accepting_(accepting),
      handover_(std::make_shared<Handover>(Handover{this})),
      peer_regions_(context_->mappings, accepting ? PeerMemory::kSmallPages : PeerMemory::kAny) {}

Status ShmEndpoint::make_outbox() {
  Status status = check_sizes(options_.receive_slots, options_.message_bytes, options_.max_reads);
  if (status) status = check_range("send_slots", options_.send_slots, 1, kMaxSendSlots);
  if (status) status = check_range("max_work", options_.max_work, 1, kMaxWork);
  if (!status) return status;
  local_.resize(options_.max_work);
  own_buffers_ = options_.send_slots + options_.receive_slots;
  const OutboxLayout layout =
      OutboxLayout::of(options_.receive_slots, options_.message_bytes, own_buffers_);
  Result<SharedMemory> outbox =
      make_shared_memory({"rdmakv:outbox", layout.bytes, Pages::kSmall, false, false});
  if (!outbox) return outbox.status();
  outbox_ = std::move(outbox->mapping);
  outbox_fd_ = std::move(outbox->fd);
  own_doorbell_ = UniqueFd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!own_doorbell_) return Status::from_errno("eventfd", errno);
  return Status::ok();
}

Result<std::unique_ptr<ShmEndpoint>> ShmEndpoint::connect(
    uint16_t port, const wire::ConnectRequest& request, const EndpointOptions& options,
    ShmCompletionQueue& queue, std::shared_ptr<const FabricContext> context) {
  std::unique_ptr<ShmEndpoint> endpoint(new ShmEndpoint(queue, std::move(context), false));
  endpoint->options_ = options;
  endpoint->peer_name_ = "shm:" + std::to_string(port);
  Status status = endpoint->make_outbox();
  if (!status) return status;
  queue.add(*endpoint);
  endpoint->registered_ = true;

  // From here on a failure is one of the connection, told by kDisconnected.
  Result<UniqueFd> socket = connect_to_port(port);
  if (socket) {
    endpoint->socket_ = std::move(socket).value();
    status = endpoint->send_connect_frame(request);
  } else {
    status = socket.status();
  }
  if (!status) endpoint->shut(status.code(), status.message());
  return endpoint;
}

Status ShmEndpoint::send_connect_frame(const wire::ConnectRequest& request) {
  Result<PeerCredentials> peer = peer_credentials(socket_.get());
  if (!peer) return peer.status();
  if (!trusted_user(peer->uid)) {
    return {Code::kRefused, "the server at " + peer_name_ + " belongs to user " +
                                std::to_string(peer->uid) +
                                ", and only one of the same user or of root is trusted"};
  }
  peer_name_ += " (pid " + std::to_string(peer->pid) + ")";
  Status status = queue_.watch(socket_.get(), own_doorbell_.get(), this);
  if (!status) return status;
  ConnectFrame frame;
  frame.request = request;
  frame.request.receive_slots = options_.receive_slots;
  frame.request.message_bytes = options_.message_bytes;
  frame.request.max_reads = options_.max_reads;
  frame.buffers = own_buffers_;
  return send_frame(
      socket_.get(), frame,
      {outbox_fd_.get(), queue_.page_fd(), own_doorbell_.get(), context_->life->fd()});
}

Result<std::unique_ptr<ShmEndpoint>> ShmEndpoint::accept(
    UniqueFd& socket, const ConnectFrame& request, Frame& frame, const EndpointOptions& options,
    ShmCompletionQueue& queue, std::shared_ptr<const FabricContext> context,
    std::string peer_name) {
  std::unique_ptr<ShmEndpoint> endpoint(new ShmEndpoint(queue, std::move(context), true));
  EndpointOptions& agreed = endpoint->options_;
  agreed = options;
  agreed.receive_slots = std::min(options.receive_slots, request.request.receive_slots);
  agreed.message_bytes = std::min(options.message_bytes, request.request.message_bytes);
  agreed.max_reads = std::min(options.max_reads, request.request.max_reads);
  endpoint->peer_name_ = std::move(peer_name);
  Status status = endpoint->make_outbox();
  if (status) status = endpoint->take_peer_setup(request.buffers, frame);
  if (!status) return status;
  endpoint->socket_ = std::move(socket);
  endpoint->state_ = State::kUp;
  return endpoint;
}

Status ShmEndpoint::take_peer_setup(uint32_t peer_buffers, Frame& frame) {
  Status status = check_range("the number of message buffers", peer_buffers, options_.receive_slots,
                              kMaxSendSlots + kMaxReceiveSlots);
  if (!status) return status;
  const OutboxLayout layout =
      OutboxLayout::of(options_.receive_slots, options_.message_bytes, peer_buffers);
  const int outbox = frame.descriptors[0].get();
  const int page = frame.descriptors[1].get();
  Result<size_t> outbox_bytes = check_peer_memory(outbox, PeerMemory::kSmallPages);
  if (!outbox_bytes) return outbox_bytes.status();
  Result<size_t> page_bytes = check_peer_memory(page, PeerMemory::kSmallPages);
  if (!page_bytes) return page_bytes.status();
  if (*outbox_bytes < layout.bytes || *page_bytes < kQueuePageBytes) {
    return {Code::kProtocolError, "the peer passed too little memory for its messages"};
  }
  if (!is_eventfd(frame.descriptors[2].get())) {
    return {Code::kProtocolError, "the peer passed a doorbell that is not an eventfd"};
  }
  peer_doorbell_ = std::move(frame.descriptors[2]);
  if (fcntl(peer_doorbell_.get(), F_SETFL, O_NONBLOCK) != 0) {
    return Status::from_errno("fcntl", errno);
  }
  Result<Mapping> mapped = map_peer_memory(outbox, layout.bytes, false);
  if (!mapped) return mapped.status();
  peer_outbox_ = std::move(mapped).value();
  mapped = map_peer_memory(page, kQueuePageBytes, false);
  if (!mapped) return mapped.status();
  peer_page_ = std::move(mapped).value();
  status = take_peer_life(frame.descriptors[3].get());
  if (!status) return status;
  rings_.start(outbox_.data(), peer_outbox_.data(),
               {options_.receive_slots, options_.message_bytes, options_.send_slots, own_buffers_,
                peer_buffers});
  return Status::ok();
}

Status ShmEndpoint::take_peer_life(int fd) {
  Result<size_t> bytes = check_peer_memory(fd, PeerMemory::kSmallPages);
  if (!bytes) return bytes.status();
  if (*bytes < kLifePageBytes) {
    return {Code::kProtocolError, "the peer passed too little memory for its life page"};
  }
  Result<std::shared_ptr<const Mapping>> mapped =
      context_->mappings->map(fd, kLifePageBytes, false);
  if (!mapped) return mapped.status();
  peer_life_mapping_ = std::move(mapped).value();
  peer_life_ = reinterpret_cast<const LifePage*>(peer_life_mapping_->data());
  if (peer_life_->marked_dead()) return {Code::kUnavailable, "the peer's process has gone"};
  if (!peer_life_->kept()) return {Code::kProtocolError, "the peer shows no sign of life"};
  return Status::ok();
}

void ShmEndpoint::on_adopted() {
  registered_ = true;
  if (state_ != State::kUp) return;  // closed before it began
  Status status = queue_.watch(socket_.get(), own_doorbell_.get(), this);
  if (status) {
    ReplyFrame frame;
    frame.reply.receive_slots = options_.receive_slots;
    frame.reply.message_bytes = options_.message_bytes;
    frame.reply.max_reads = options_.max_reads;
    frame.buffers = own_buffers_;
    status =
        send_frame(socket_.get(), frame,
                   {outbox_fd_.get(), queue_.page_fd(), own_doorbell_.get(), context_->life->fd()});
    outbox_fd_.reset();
  }
  if (!status) shut(status.code(), status.message());
}

ShmEndpoint::~ShmEndpoint() {
  if (state_ < State::kClosing) shut(Code::kCancelled, "closed here");
  queue_.cancel(*handover_);
  if (registered_) {
    queue_.unwatch(socket_.get());
    queue_.unwatch(own_doorbell_.get());
    queue_.remove(*this);
  }
}

// ---- the Unix socket ---------------------------------------------------------------------------

void ShmEndpoint::on_socket_ready() {
  Frame frame;
  for (uint32_t packet = 0; packet < kPacketsAtATime && socket_ && !ended_; ++packet) {
    switch (receive_frame(socket_.get(), frame)) {
      case Received::kNothing:
        return;
      case Received::kFrame:
        on_frame(frame);
        break;
      case Received::kEnd:
        on_end();
        return;
      case Received::kBroken:
        shut(Code::kProtocolError,
             "a malformed packet came over the Unix socket, or more descriptors than the limit of "
             "open files lets in");
        return;
    }
  }
}

void ShmEndpoint::on_frame(Frame& frame) {
  if (state_ != State::kConnecting && state_ != State::kUp) return;
  FrameKind kind{};
  if (frame.length >= sizeof(kind)) std::memcpy(&kind, frame.bytes.data(), sizeof(kind));
  if (kind == FrameKind::kRegion) return on_region(frame);
  if (state_ == State::kConnecting && kind == FrameKind::kRefusal) return on_refusal(frame);
  if (state_ == State::kConnecting && kind == FrameKind::kReply) {
    Status status = on_reply(frame);
    if (!status) shut(status.code(), status.message());
    return;
  }
  shut(Code::kProtocolError, "the peer sent a packet out of turn over the Unix socket");
}

Status ShmEndpoint::on_reply(Frame& frame) {
  ReplyFrame answer;
  if (!frame.as(answer, kSetupDescriptors) || answer.reply.magic != wire::kConnectMagic) {
    return {Code::kProtocolError, "the server's answer to the connect request is malformed"};
  }
  const wire::ConnectReply& reply = answer.reply;
  if (reply.version != wire::kProtocolVersion) {
    return {Code::kProtocolError, "the server speaks protocol version " +
                                      std::to_string(reply.version) + ", this client " +
                                      std::to_string(wire::kProtocolVersion)};
  }
  Status status = check_sizes(reply.receive_slots, reply.message_bytes, reply.max_reads);
  if (!status || reply.receive_slots > options_.receive_slots ||
      reply.message_bytes > options_.message_bytes || reply.max_reads > options_.max_reads) {
    return {Code::kProtocolError, "the server answered with sizes that were not proposed"};
  }
  options_.receive_slots = reply.receive_slots;
  options_.message_bytes = reply.message_bytes;
  options_.max_reads = reply.max_reads;
  status = take_peer_setup(answer.buffers, frame);
  if (!status) {
    return {status.code() == Code::kUnavailable ? Code::kUnavailable : Code::kProtocolError,
            status.message()};
  }
  outbox_fd_.reset();
  state_ = State::kUp;
  connected_due_ = true;
  return Status::ok();
}

void ShmEndpoint::on_refusal(const Frame& frame) {
  RefusalFrame answer;
  if (!frame.as(answer, 0) || answer.refusal.magic != wire::kConnectMagic) {
    return shut(Code::kProtocolError, "the server's refusal is malformed");
  }
  shut(Code::kRefused,
       "refused by the server: " + clean_text(answer.refusal.text, sizeof(answer.refusal.text)));
}

void ShmEndpoint::on_region(Frame& frame) {
  RegionFrame region;
  if (!frame.as(region, 1)) {
    return shut(Code::kProtocolError, "the peer exposed a region by a malformed packet");
  }
  Status status = peer_regions_.add(region, std::move(frame.descriptors[0]));
  if (!status) shut(status.code(), status.message());
}

void ShmEndpoint::on_end() {
  ended_ = true;
  if (state_ == State::kConnecting) {
    shut(Code::kUnavailable, "the server closed the connection before it answered");
  } else if (state_ == State::kUp) {
    drain();
  }
}

Status ShmEndpoint::expose(const MemoryRegion& region) {
  const auto* shm_region = dynamic_cast<const ShmRegion*>(&region);
  if (shm_region == nullptr) {
    return {Code::kInvalidArgument, "the region belongs to another fabric"};
  }
  const RemoteAccess rights = shm_region->remote_access();
  if (rights == RemoteAccess::kNone) {
    return {Code::kInvalidArgument, "the region allows a peer nothing"};
  }
  if (!accepting_ && region.pages() == Pages::kReserved && rights != RemoteAccess::kRead) {
    return {Code::kInvalidArgument,
            "over shared memory a client's writable regions must not lie in reserved huge pages"};
  }
  if (state_ != State::kUp && state_ != State::kConnecting) {
    return {Code::kUnavailable, "the connection is down"};
  }
  if (std::find(exposed_.begin(), exposed_.end(), region.remote_key()) != exposed_.end()) {
    return Status::ok();
  }
  if (exposed_.size() == kMaxRegionsPerPeer) {
    return {Code::kBusy, "too many regions exposed to one peer"};
  }
  RegionFrame frame;
  frame.key = region.remote_key();
  frame.rights = static_cast<uint32_t>(rights);
  frame.bytes = region.size();
  Status status = send_frame(socket_.get(), frame, {shm_region->fd()});
  if (!status) return status;
  exposed_.push_back(region.remote_key());
  may_be_written_ = may_be_written_ || rights != RemoteAccess::kRead;
  return status;
}

// ---- closing -----------------------------------------------------------------------------------

bool ShmEndpoint::peer_closed() const {
  return rings_.started() && rings_.peer_control().closed.load(std::memory_order_acquire) != 0;
}

bool ShmEndpoint::peer_inside() const {
  if (peer_left_ || ended_ || !rings_.started()) return false;
  const OutboxControl& peer = rings_.peer_control();
  return peer.marked.load(std::memory_order_acquire) != 0 ||
         (may_be_written_ && peer.accessing.load(std::memory_order_acquire) != 0);
}

bool ShmEndpoint::peer_may_write() {
  assert(state_ >= State::kClosing && "asked of a connection that is up");
  if (peer_inside()) on_socket_ready();  // or it has died there
  if (peer_inside() && holds(Rule::kQuietGate)) return true;
  peer_left_ = true;
  return false;
}

void ShmEndpoint::drain() {
  state_ = State::kDraining;
  drain_left_ = options_.receive_slots;
  if (peer_closed()) {
    error_text_ = "the peer closed the connection";
  } else {
    code_ = Code::kUnavailable;
    error_text_ = "the peer's process has gone";
  }
  queue_.stir(*this);
}

void ShmEndpoint::shut(Code code, std::string text) {
  if (state_ >= State::kClosing) return;
  if (state_ != State::kDraining) {
    code_ = code;
    error_text_ = std::move(text);
  }
  state_ = State::kClosing;
  if (rings_.started()) {
    rings_.own_control().closed.store(1, std::memory_order_release);
    full_fence();  // before the peer's gate is looked at
  }
  // Only the sending side: the end that then comes is the peer's own.
  if (socket_) shutdown(socket_.get(), SHUT_WR);
  if (registered_) queue_.stir(*this);
}

void ShmEndpoint::close() {
  if (state_ == State::kUp) flush();
  shut(Code::kOk, "closed here");
}

void ShmEndpoint::finish(Completion& out) {
  state_ = State::kDone;
  queue_.unwatch(socket_.get());
  queue_.unwatch(own_doorbell_.get());
  if (!peer_inside()) socket_.reset();
  own_doorbell_.reset();
  peer_doorbell_.reset();
  out = Completion{};
  out.endpoint = this;
  out.kind = CompletionKind::kDisconnected;
  out.code = code_;
}

// ---- delivery ----------------------------------------------------------------------------------

size_t ShmEndpoint::take(std::span<Completion> out) {
  size_t count = 0;
  if (connected_due_) {
    connected_due_ = false;
    out[count] = Completion{};
    out[count].endpoint = this;
    out[count++].kind = CompletionKind::kConnected;
  }
  while (count < out.size() && local_count_ > 0) {
    out[count++] = local_[local_first_];
    local_first_ = local_first_ + 1 == local_.size() ? 0 : local_first_ + 1;
    --local_count_;
  }
  while (count < out.size() && (state_ == State::kUp || state_ == State::kDraining) &&
         receive(out[count])) {
    ++count;
  }
  if (count == out.size()) return count;
  if (state_ == State::kDraining) shut(code_, {});
  if (state_ == State::kClosing) finish(out[count++]);
  return count;
}

bool ShmEndpoint::receive(Completion& out) {
  if (state_ == State::kDraining && drain_left_-- == 0) {
    drain_left_ = 0;
    return false;
  }
  MessageRings::Message message;
  switch (rings_.receive(message)) {
    case MessageRings::Receive::kNothing:
      return false;
    case MessageRings::Receive::kBroken:
      shut(Code::kProtocolError, rings_.violation());
      return false;
    case MessageRings::Receive::kMessage:
      break;
  }
  ++counters_.messages;
  out = Completion{};
  out.endpoint = this;
  out.kind =
      message.kind == RingMessage::kSend ? CompletionKind::kMessage : CompletionKind::kImmediate;
  out.slot = message.slot;
  out.length = message.length;
  out.immediate = message.immediate;
  out.message = message.data;
  return true;
}

void ShmEndpoint::release_message(uint32_t slot) {
  if (rings_.started()) rings_.release(slot);
}

void ShmEndpoint::wake_if_starved() {
  if (state_ != State::kUp || !rings_.peer_waits()) return;
  full_fence();
  if (ring()) rings_.peer_was_told();
}

}  // namespace rdmakv::shm
