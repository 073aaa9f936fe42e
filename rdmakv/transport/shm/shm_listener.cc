#include "rdmakv/transport/shm/shm_listener.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

#include "rdmakv/transport/shm/shm_completion_queue.h"
#include "rdmakv/transport/shm/shm_endpoint.h"

namespace rdmakv::shm {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kEventsOfListener = 64;
constexpr int kAcceptsPerDispatch = 64;

void refuse(int socket, wire::RefusalCode code, const std::string& text) {
  RefusalFrame frame;
  frame.refusal.code = code;
  std::snprintf(frame.refusal.text, sizeof(frame.refusal.text), "%s", text.c_str());
  // If the peer does not take it, the closed connection says enough.
  (void)send_frame(socket, frame);
}

wire::RefusalCode refusal_of(Code code) {
  switch (code) {
    case Code::kNotFound:
      return wire::RefusalCode::kNoSuchWorker;
    case Code::kBusy:
    case Code::kNoSpace:
      return wire::RefusalCode::kTooManyConnections;
    case Code::kUnavailable:
    case Code::kCancelled:
      return wire::RefusalCode::kShuttingDown;
    default:
      return wire::RefusalCode::kBadRequest;
  }
}

// The part of a connect request that every version has.
struct RequestPrefix {
  FrameKind kind;
  uint32_t magic;
  uint16_t version;
};

bool read_prefix(const Frame& frame, RequestPrefix& prefix) {
  constexpr size_t kBytes = sizeof(prefix.kind) + sizeof(prefix.magic) + sizeof(prefix.version);
  if (frame.length < kBytes) return false;
  const std::byte* at = frame.bytes.data();
  std::memcpy(&prefix.kind, at, sizeof(prefix.kind));
  std::memcpy(&prefix.magic, at + 4, sizeof(prefix.magic));
  std::memcpy(&prefix.version, at + 8, sizeof(prefix.version));
  return true;
}

}  // namespace

Result<std::unique_ptr<ShmListener>> ShmListener::listen(
    uint16_t port, ConnectionHandler& handler, std::shared_ptr<const FabricContext> context) {
  std::unique_ptr<ShmListener> listener(new ShmListener(handler, std::move(context)));
  listener->epoll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  if (!listener->epoll_) return Status::from_errno("epoll_create1", errno);
  listener->timer_ = UniqueFd(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  if (!listener->timer_) return Status::from_errno("timerfd_create", errno);
  listener->spare_ = UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC));
  listener->port_ = port;
  Result<UniqueFd> socket = listen_on_port(&listener->port_);
  if (!socket) return socket.status();
  listener->socket_ = std::move(socket).value();
  Status status = listener->watch(listener->socket_.get(), &listener->socket_);
  if (status) status = listener->watch(listener->timer_.get(), &listener->timer_);
  if (!status) return status;
  return listener;
}

Status ShmListener::watch(int fd, void* tag) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = tag;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) return Status::ok();
  return Status::from_errno("epoll_ctl", errno);
}

void ShmListener::dispatch() {
  std::array<epoll_event, kEventsOfListener> events;
  const int count = epoll_wait(epoll_.get(), events.data(), kEventsOfListener, 0);
  bool accepting = false;
  for (int i = 0; i < count; ++i) {
    void* tag = events[i].data.ptr;
    if (tag == &socket_) {
      accepting = true;
    } else if (tag != &timer_) {
      on_request(*static_cast<HalfMade*>(tag));
    }
  }
  // Only now, since it may drop a half-made connection that one of the events was about.
  if (accepting) accept_all();
  drop_expired();
}

void ShmListener::accept_all() {
  for (int i = 0; i < kAcceptsPerDispatch; ++i) {
    UniqueFd socket(accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket) {
      admit(std::move(socket));
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno != EMFILE && errno != ENFILE) return;
    spare_.reset();
    socket = UniqueFd(accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket) {
      refuse(socket.get(), wire::RefusalCode::kTooManyConnections,
             "the server has no file descriptors left (raise its limit of open files)");
    }
    socket.reset();
    spare_ = UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC));
  }
}

void ShmListener::admit(UniqueFd socket) {
  Result<PeerCredentials> peer = peer_credentials(socket.get());
  if (!peer) return;
  if (!trusted_user(peer->uid)) {
    refuse(socket.get(), wire::RefusalCode::kBadRequest,
           "user " + std::to_string(peer->uid) +
               " may not share memory with this server: only its own user and root may");
    return;
  }
  if (half_made_.size() == kMaxHalfMade) half_made_.pop_front();
  half_made_.push_back(
      {std::move(socket), Clock::now() + kPatience, "shm (pid " + std::to_string(peer->pid) + ")"});
  HalfMade& fresh = half_made_.back();
  if (!watch(fresh.socket.get(), &fresh)) {
    half_made_.pop_back();
  } else if (half_made_.size() == 1) {
    set_timer();
  }
}

void ShmListener::on_request(HalfMade& peer) {
  Frame frame;
  const Received received = receive_frame(peer.socket.get(), frame);
  if (received == Received::kNothing) return;
  if (received == Received::kFrame) {
    wire::RefusalCode refusal = wire::RefusalCode::kBadRequest;
    const int socket = peer.socket.get();
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket, nullptr);
    Status status = answer(peer, frame, &refusal);
    if (!status && peer.socket) refuse(socket, refusal, status.message());
  } else if (received == Received::kBroken) {
    refuse(peer.socket.get(), wire::RefusalCode::kBadRequest, "malformed connect request");
  }
  half_made_.remove_if([&](const HalfMade& other) { return &other == &peer; });
}

Status ShmListener::answer(HalfMade& peer, Frame& frame, wire::RefusalCode* refusal) {
  RequestPrefix prefix{};
  if (!read_prefix(frame, prefix) || prefix.kind != FrameKind::kConnect ||
      prefix.magic != wire::kConnectMagic) {
    return {Code::kProtocolError, "this is not a connect request of this protocol"};
  }
  if (prefix.version != wire::kProtocolVersion) {
    *refusal = wire::RefusalCode::kVersion;
    return {Code::kProtocolError, "the client speaks protocol version " +
                                      std::to_string(prefix.version) + ", this server " +
                                      std::to_string(wire::kProtocolVersion)};
  }
  ConnectFrame request;
  if (!frame.as(request, kSetupDescriptors) || request.request.reserved != 0) {
    return {Code::kProtocolError, "malformed connect request"};
  }
  const wire::ConnectRequest& asked = request.request;
  Status status = check_sizes(asked.receive_slots, asked.message_bytes, asked.max_reads);
  if (!status) return status;

  Result<ConnectionHandler::Acceptance> acceptance = handler_.route(asked);
  if (!acceptance) {
    *refusal = refusal_of(acceptance.status().code());
    return acceptance.status();
  }
  auto* queue = dynamic_cast<ShmCompletionQueue*>(acceptance->queue);
  if (queue == nullptr) return {Code::kInvalidArgument, "the worker has no queue of this fabric"};
  Result<std::unique_ptr<ShmEndpoint>> endpoint = ShmEndpoint::accept(
      peer.socket, request, frame, acceptance->options, *queue, context_, peer.peer_name);
  if (!endpoint) return endpoint.status();
  // The handler has the Endpoint before its queue's thread does, and the peer hears of it only from
  // there: so no message can come before accepted() returned.
  const std::shared_ptr<Handover> handover = (*endpoint)->handover();
  handler_.accepted(asked, std::move(*endpoint));
  queue->hand_over(handover);
  return Status::ok();
}

void ShmListener::drop_expired() {
  const Clock::time_point now = Clock::now();
  const size_t before = half_made_.size();
  while (!half_made_.empty() && half_made_.front().deadline <= now) half_made_.pop_front();
  if (half_made_.size() != before || half_made_.empty()) set_timer();
}

void ShmListener::set_timer() {
  itimerspec timer{};
  if (!half_made_.empty()) {
    const auto left = std::max(half_made_.front().deadline - Clock::now(),
                               Clock::duration(std::chrono::milliseconds(1)));
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    timer.it_value.tv_sec = seconds.count();
    timer.it_value.tv_nsec =
        std::chrono::duration_cast<std::chrono::nanoseconds>(left - seconds).count();
  }
  timerfd_settime(timer_.get(), 0, &timer, nullptr);
}

}  // namespace rdmakv::shm
