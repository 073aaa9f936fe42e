#include "rdmakv/transport/verbs/socket_connector.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <map>
#include <optional>

#include "rdmakv/transport/verbs/admission.h"
#include "rdmakv/transport/verbs/bring_up.h"
#include "rdmakv/transport/verbs/connect_messages.h"
#include "rdmakv/transport/verbs/socket_connection.h"

namespace rdmakv::verbs {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kSocketBacklog = 512;
constexpr size_t kMaxPending = 256;  // half-made connections; beyond that the oldest goes
constexpr Clock::duration kRequestTime = std::chrono::seconds(10);
constexpr Clock::duration kRefusedTime = std::chrono::seconds(1);
constexpr int kEventsPerDispatch = 64;
constexpr long kDeadlineTickNanoseconds = 250'000'000;

// What an epoll event is of; larger values number the half-made connections.
enum ListenerSource : uint64_t {
  kListenSource = 1,
  kDeadlineSource,
  kBringUpSource,
  kFirstPending
};

class SocketListener final : public Listener {
 public:
  SocketListener(std::shared_ptr<const Device> device, ConnectionHandler& handler)
      : device_(std::move(device)), handler_(handler) {}

  Status open(const FabricAddress& address);
  int fd() const override { return epoll_.get(); }
  void dispatch() override;
  uint16_t port() const override { return port_; }

 private:
  enum class Step : uint8_t {
    kRequesting,  // its request is not complete
    kWaiting,     // its queue pair waits for its turn to be brought up
    kBringingUp,  // ... and is being brought up
    kRefused,     // is given the time to read why
  };
  struct Pending {
    FileDescriptor socket;
    RecordTransfer transfer;
    Clock::time_point deadline;
    Step step = Step::kRequesting;
    std::string host;  // of kWaiting and kBringingUp
  };
  using PendingMap = std::map<uint64_t, Pending>;  // by number: the oldest first

  Status bind(const FabricAddress& address);
  void accept_clients();
  int accept_one();
  // Returns whether the connection stays pending.
  bool advance(uint64_t number, Pending& pending);
  void requested(Pending& pending);
  void refuse(uint64_t number, Pending& pending, const wire::ConnectRefusal& why);
  void start_waiting();
  std::optional<wire::ConnectRefusal> start(uint64_t number, Pending& pending);
  void finish_bring_ups();
  void expire();
  void set_timer();

  std::shared_ptr<const Device> device_;
  ConnectionHandler& handler_;
  FileDescriptor epoll_;
  FileDescriptor timer_;
  FileDescriptor listening_;
  FileDescriptor spare_;  // given up for a moment when there are no descriptors left
  uint16_t port_ = 0;
  uint64_t next_number_ = kFirstPending;
  bool timer_runs_ = false;
  PendingMap pending_;
  BringUps bring_ups_;
};

Status watch(int epoll, int fd, uint64_t source) {
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u64 = source;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0) return Status::ok();
  return Status::from_errno("epoll_ctl", errno);
}

Status SocketListener::open(const FabricAddress& address) {
  if (Status status = bind(address); !status) return status;
  if (::listen(listening_.get(), kSocketBacklog) != 0) return Status::from_errno("listen", errno);
  port_ = local_address(listening_.get()).port();
  epoll_ = FileDescriptor(epoll_create1(EPOLL_CLOEXEC));
  timer_ = FileDescriptor(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  spare_ = FileDescriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!epoll_ || !timer_) return Status::from_errno("cannot make an event loop", errno);
  Status status = watch(epoll_.get(), listening_.get(), kListenSource);
  if (status) status = watch(epoll_.get(), timer_.get(), kDeadlineSource);
  if (status) status = bring_ups_.open();
  if (status) status = watch(epoll_.get(), bring_ups_.fd(), kBringUpSource);
  return status;
}

Status SocketListener::bind(const FabricAddress& address) {
  SocketAddress local = SocketAddress::any(AF_INET6, address.port);
  if (!address.host.empty()) {
    Result<SocketAddress> resolved = SocketAddress::resolve(address.host, address.port);
    if (!resolved) return resolved.status();
    local = *resolved;
  }
  constexpr int kType = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
  listening_ = FileDescriptor(socket(local.family(), kType, 0));
  if (!listening_ && address.host.empty()) {
    local = SocketAddress::any(AF_INET, address.port);  // a host without IPv6
    listening_ = FileDescriptor(socket(local.family(), kType, 0));
  }
  if (!listening_) return Status::from_errno("cannot make a TCP socket", errno);
  const int on = 1, off = 0;
  setsockopt(listening_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (local.family() == AF_INET6) {
    setsockopt(listening_.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  }
  if (::bind(listening_.get(), local.get(), local.size()) == 0) return Status::ok();
  if (errno == EADDRINUSE) {
    return {Code::kUnavailable, "TCP port " + std::to_string(address.port) + " is in use"};
  }
  return Status::from_errno("cannot listen on " + local.to_string(), errno);
}

void SocketListener::dispatch() {
  epoll_event events[kEventsPerDispatch];
  const int ready = epoll_wait(epoll_.get(), events, kEventsPerDispatch, 0);
  bool ticked = false;
  for (int i = 0; i < ready; ++i) {
    const uint64_t source = events[i].data.u64;
    if (source == kListenSource) {
      accept_clients();
    } else if (source == kDeadlineSource) {
      uint64_t ticks = 0;
      [[maybe_unused]] const ssize_t got = ::read(timer_.get(), &ticks, sizeof(ticks));
      ticked = true;
    } else if (source == kBringUpSource) {
      finish_bring_ups();
    } else if (const auto found = pending_.find(source); found != pending_.end()) {
      if (!advance(source, found->second)) pending_.erase(found);
    }
  }
  if (ticked) expire();
  start_waiting();
  set_timer();
}

int SocketListener::accept_one() {
  const int fd = accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd >= 0 || (errno != EMFILE && errno != ENFILE) || !spare_) return fd;
  // Without a descriptor the client can only be dropped; left alone, it would keep the listener
  // busy.
  spare_.reset();
  const FileDescriptor dropped(
      accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  spare_ = FileDescriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  errno = EAGAIN;
  return -1;
}

void SocketListener::accept_clients() {
  for (int i = 0; i < kEventsPerDispatch; ++i) {
    FileDescriptor socket(accept_one());
    if (!socket) return;
    if (!prepare_tcp_socket(socket.get()) || !watch(epoll_.get(), socket.get(), next_number_)) {
      continue;
    }
    if (pending_.size() == kMaxPending) pending_.erase(pending_.begin());
    Pending& pending = pending_[next_number_++];
    pending.socket = std::move(socket);
    pending.deadline = Clock::now() + kRequestTime;
  }
}

bool SocketListener::advance(uint64_t number, Pending& pending) {
  if (pending.step == Step::kRefused) {
    // Read on until the client has seen why and hung up: unread bytes would make the close a reset,
    // which may overtake the refusal.
    char ignored[1024];
    ssize_t got = 0;
    do {
      got = ::recv(pending.socket.get(), ignored, sizeof(ignored), 0);
    } while (got > 0);
    return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
  }
  if (pending.step != Step::kRequesting) return true;
  switch (pending.transfer.receive(pending.socket.get())) {
    case RecordTransfer::Progress::kEnded:
    case RecordTransfer::Progress::kFailed:
      return false;
    case RecordTransfer::Progress::kDone:
    case RecordTransfer::Progress::kMore:
      break;
  }
  if (!may_be_record(pending.transfer.record(), pending.transfer.done())) {
    refuse(number, pending,
           refusal(wire::RefusalCode::kBadRequest,
                   "this port speaks the rdmakv protocol in Socket mode only"));
  } else if (pending.transfer.done() == sizeof(ExchangeRecord)) {
    requested(pending);
  }
  return true;
}

// Until it is answered, nothing of its socket is of interest.
void SocketListener::requested(Pending& pending) {
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, pending.socket.get(), nullptr);
  pending.step = Step::kWaiting;
  pending.host = peer_address(pending.socket.get()).host_text();
}

void SocketListener::start_waiting() {
  for (auto& [number, pending] : pending_) {
    if (pending.step != Step::kWaiting || !bring_ups_.has_room_for(pending.host)) continue;
    if (const std::optional<wire::ConnectRefusal> refused = start(number, pending)) {
      refuse(number, pending, *refused);
    }
  }
}

std::optional<wire::ConnectRefusal> SocketListener::start(uint64_t number, Pending& pending) {
  const ExchangeRecord& record = pending.transfer.record();
  if (Status status = check_record(record, ExchangeKind::kRequest); !status) {
    return refusal_for(status);
  }
  Accepting accepting;
  accepting.client = number;
  accepting.host = pending.host;
  std::memcpy(&accepting.request, record.body, sizeof(accepting.request));
  Admission admission;
  if (auto refused = admit(*device_, handler_, accepting.request, &admission)) return refused;
  std::string peer =
      peer_address(pending.socket.get()).to_string() + " (socket, " + device_->name() + ")";
  auto connection = std::make_unique<SocketConnection>(device_, record.address);
  accepting.connection = connection.get();
  Result<std::unique_ptr<VerbsEndpoint>> endpoint =
      VerbsEndpoint::create(*admission.queue, VerbsEndpoint::Origin::kAccept, admission.options,
                            std::move(peer), std::move(connection));
  if (!endpoint) return refusal_for(endpoint.status());
  accepting.endpoint = std::move(*endpoint);
  Status status = check_queue_pair_address(record.address, device_->link_layer());
  if (status) {
    status = accepting.connection->initialize(accepting.endpoint->queue_pair(),
                                              local_address(pending.socket.get()));
  }
  if (status) status = accepting.endpoint->prepare(admission.options);
  if (!status) return refusal_for(status);
  pending.step = Step::kBringingUp;
  bring_ups_.start(std::move(accepting));
  return std::nullopt;
}

void SocketListener::finish_bring_ups() {
  for (Accepting& accepting : bring_ups_.take_finished()) {
    const auto found = pending_.find(accepting.client);
    if (found == pending_.end()) continue;  // younger ones took its place
    if (!accepting.status) {
      refuse(found->first, found->second, refusal_for(accepting.status));
      continue;
    }
    accepting.connection->take_socket(std::move(found->second.socket));
    pending_.erase(found);
    hand_over(handler_, accepting.request, std::move(accepting.endpoint));
  }
}

void SocketListener::refuse(uint64_t number, Pending& pending, const wire::ConnectRefusal& why) {
  ExchangeRecord record;
  record.kind = ExchangeKind::kRefusal;
  std::memcpy(record.body, &why, sizeof(why));
  RecordTransfer answer;
  answer.begin(record);
  // The first bytes on a new connection always find room; a client whose socket takes none gets
  // none.
  answer.send(pending.socket.get());
  ::shutdown(pending.socket.get(), SHUT_WR);
  if (pending.step != Step::kRequesting) {
    // It was taken out of the loop. If it cannot come back, the deadline ends it.
    static_cast<void>(watch(epoll_.get(), pending.socket.get(), number));
  }
  pending.step = Step::kRefused;
  pending.deadline = Clock::now() + kRefusedTime;
}

void SocketListener::expire() {
  const Clock::time_point now = Clock::now();
  for (auto it = pending_.begin(); it != pending_.end();) {
    Pending& pending = it->second;
    bool stays = pending.deadline > now || pending.step == Step::kBringingUp;
    if (!stays && pending.step == Step::kWaiting) {
      refuse(it->first, pending,
             refusal(wire::RefusalCode::kTooManyConnections,
                     "too many connections from " + pending.host + " are being set up"));
      stays = true;
    }
    // What arrived in time is not dropped because this thread came late.
    stays = stays || (advance(it->first, pending) && pending.deadline > now);
    it = stays ? std::next(it) : pending_.erase(it);
  }
}

void SocketListener::set_timer() {
  if (timer_runs_ == !pending_.empty()) return;
  timer_runs_ = !pending_.empty();
  itimerspec ticks = {};
  if (timer_runs_) ticks = {{0, kDeadlineTickNanoseconds}, {0, kDeadlineTickNanoseconds}};
  timerfd_settime(timer_.get(), 0, &ticks, nullptr);
}

}  // namespace

Result<std::unique_ptr<Endpoint>> socket_connect(const std::shared_ptr<const Device>& device,
                                                 const SocketAddress& server,
                                                 const wire::ConnectRequest& request,
                                                 const EndpointOptions& options,
                                                 VerbsCompletionQueue& queue) {
  FileDescriptor socket(::socket(server.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return Status::from_errno("cannot make a TCP socket", errno);
  if (Status status = prepare_tcp_socket(socket.get()); !status) return status;
  const int fd = socket.get();
  auto connection =
      std::make_unique<SocketConnection>(device, std::move(socket), request_with(request, options));
  Result<std::unique_ptr<VerbsEndpoint>> endpoint = VerbsEndpoint::create(
      queue, VerbsEndpoint::Origin::kConnect, options,
      server.to_string() + " (socket, " + device->name() + ")", std::move(connection));
  if (!endpoint) return endpoint.status();
  if (::connect(fd, server.get(), server.size()) != 0 && errno != EINPROGRESS) {
    return {Code::kUnavailable,
            Status::from_errno("cannot connect to " + server.to_string(), errno).message()};
  }
  if (Status status = queue.watch_socket(fd, (*endpoint)->key(), EPOLLOUT, false); !status) {
    return status;
  }
  (*endpoint)->begin_set_up();
  return std::unique_ptr<Endpoint>(std::move(*endpoint));
}

Result<std::unique_ptr<Listener>> socket_listen(std::shared_ptr<const Device> device,
                                                const FabricAddress& address,
                                                ConnectionHandler& handler) {
  auto listener = std::make_unique<SocketListener>(std::move(device), handler);
  if (Status status = listener->open(address); !status) return status;
  return std::unique_ptr<Listener>(std::move(listener));
}

}  // namespace rdmakv::verbs
