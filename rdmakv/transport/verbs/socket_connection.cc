#include "rdmakv/transport/verbs/socket_connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "rdmakv/transport/verbs/path.h"

namespace rdmakv::verbs {
namespace {

template <typename Body>
void put_body(ExchangeRecord& record, const Body& body) {
  static_assert(sizeof(Body) <= sizeof(record.body));
  std::memcpy(record.body, &body, sizeof(body));
}

}  // namespace

Status prepare_tcp_socket(int fd) {
  // Records are small and waited for; a peer's host that vanished is noticed after 5 + 3 * 2
  // seconds.
  const int on = 1, idle = 5, interval = 2, count = 3;
  if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
      setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) != 0 ||
      setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle)) != 0 ||
      setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval)) != 0 ||
      setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count)) != 0) {
    return Status::from_errno("cannot set up a TCP socket", errno);
  }
  return Status::ok();
}

RecordTransfer::Progress RecordTransfer::send(int fd) {
  while (done_ < sizeof(record_)) {
    const ssize_t sent = ::send(fd, reinterpret_cast<const char*>(&record_) + done_,
                                sizeof(record_) - done_, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) {
      return errno == EAGAIN || errno == EWOULDBLOCK ? Progress::kMore : Progress::kFailed;
    }
    done_ += static_cast<size_t>(sent);
  }
  return Progress::kDone;
}

RecordTransfer::Progress RecordTransfer::receive(int fd) {
  while (done_ < sizeof(record_)) {
    const ssize_t got =
        ::recv(fd, reinterpret_cast<char*>(&record_) + done_, sizeof(record_) - done_, 0);
    if (got == 0) return Progress::kEnded;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      return errno == EAGAIN || errno == EWOULDBLOCK ? Progress::kMore : Progress::kFailed;
    }
    done_ += static_cast<size_t>(got);
  }
  return Progress::kDone;
}

SocketConnection::SocketConnection(std::shared_ptr<const Device> device, FileDescriptor socket,
                                   const wire::ConnectRequest& request)
    : device_(std::move(device)),
      socket_(std::move(socket)),
      request_(request),
      step_(Step::kTcp) {}

SocketConnection::SocketConnection(std::shared_ptr<const Device> device,
                                   const QueuePairAddress& peer)
    : device_(std::move(device)), peer_(peer), step_(Step::kSendReply) {}

Status SocketConnection::initialize(QueuePair& pair, const SocketAddress& local) {
  Gid peer;
  peer.type = peer_.gid_type;
  std::memcpy(peer.value.raw, peer_.gid, sizeof(peer_.gid));
  const bool peer_known = peer_.number != 0;
  const Result<Gid> gid = device_->gid_for(local, peer_known ? &peer : nullptr);
  if (!gid) return gid.status();
  gid_ = gid.value();
  const Result<QueuePairAddress> own = address_of(pair, *device_, gid_);
  if (!own) return own.status();
  own_ = own.value();
  return pair.to_initialized(device_->port(), 0);
}

ExchangeRecord SocketConnection::record_of(ExchangeKind kind, const VerbsEndpoint& endpoint) const {
  ExchangeRecord record;
  record.kind = kind;
  record.address = own_;
  record.address.max_reads = static_cast<uint8_t>(endpoint.options().max_reads);
  return record;
}

Status SocketConnection::bring_up(VerbsEndpoint& endpoint, ibv_mtu mtu) {
  const auto max_reads = static_cast<uint8_t>(endpoint.options().max_reads);
  QueuePair& pair = endpoint.queue_pair();
  if (Status status = pair.to_receiving(path_to(peer_, *device_, gid_, max_reads, mtu)); !status) {
    return status;
  }
  endpoint.set_receiving();
  return pair.to_sending(own_.psn, max_reads);
}

// --- the side that accepts -----------------------------------------------------------------------

void SocketConnection::adopted(VerbsEndpoint& endpoint) {
  Status status = begin_reply(endpoint);
  if (status) status = advance(endpoint);
  if (!status) endpoint.fail(status.code(), status.message());
}

Status SocketConnection::bring_up_accepted(VerbsEndpoint& endpoint) {
  own_.mtu = std::min(own_.mtu, peer_.mtu);
  return bring_up(endpoint, static_cast<ibv_mtu>(own_.mtu));
}

Status SocketConnection::begin_reply(VerbsEndpoint& endpoint) {
  ExchangeRecord record = record_of(ExchangeKind::kReply, endpoint);
  put_body(record, reply_with(endpoint.options()));
  transfer_.begin(record);
  return endpoint.queue().watch_socket(socket_.get(), endpoint.key(), EPOLLIN | EPOLLOUT, false);
}

// --- the side that connects ----------------------------------------------------------------------

Status SocketConnection::begin_request(VerbsEndpoint& endpoint) {
  int error = 0;
  socklen_t length = sizeof(error);
  getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  if (error != 0) {
    return {Code::kUnavailable,
            Status::from_errno("cannot connect to " + std::string(endpoint.peer_name()), error)
                .message()};
  }
  if (Status status = initialize(endpoint.queue_pair(), local_address(socket_.get())); !status) {
    return status;
  }
  ExchangeRecord record = record_of(ExchangeKind::kRequest, endpoint);
  put_body(record, request_);
  transfer_.begin(record);
  return Status::ok();
}

Status SocketConnection::take_reply(VerbsEndpoint& endpoint) {
  const ExchangeRecord& record = transfer_.record();
  if (Status status = check_record(record, ExchangeKind::kReply); !status) return status;
  if (Status status = check_queue_pair_address(record.address, own_.link_layer); !status)
    return status;
  if (record.address.mtu > own_.mtu) {
    return {Code::kProtocolError, "the server accepted the connection with a wrong MTU"};
  }
  wire::ConnectReply reply;
  std::memcpy(&reply, record.body, sizeof(reply));
  const Result<EndpointOptions> agreed = check_reply(reply, endpoint.options());
  if (!agreed) return agreed.status();
  peer_ = record.address;
  if (Status status = endpoint.prepare(agreed.value()); !status) return status;
  if (Status status = bring_up(endpoint, static_cast<ibv_mtu>(peer_.mtu)); !status) return status;
  transfer_.begin(ExchangeRecord{});  // ready
  return Status::ok();
}

// --- both ----------------------------------------------------------------------------------------

void SocketConnection::on_socket_event(VerbsEndpoint& endpoint, uint32_t) {
  if (endpoint.is_over()) return;
  if (Status status = advance(endpoint); !status) endpoint.fail(status.code(), status.message());
}

Status SocketConnection::advance(VerbsEndpoint& endpoint) {
  while (step_ != Step::kUp) {
    if (step_ == Step::kTcp) {
      if (Status status = begin_request(endpoint); !status) return status;
      step_ = Step::kSendRequest;
      continue;
    }
    bool done = false;
    if (Status status = transfer(endpoint, &done); !status) return status;
    if (!done) break;
    switch (step_) {
      case Step::kSendRequest:
        transfer_.begin(ExchangeRecord{});
        step_ = Step::kReceiveReply;
        break;
      case Step::kReceiveReply:
        if (Status status = take_reply(endpoint); !status) return status;
        step_ = Step::kSendReady;
        break;
      case Step::kSendReply:
        transfer_.begin(ExchangeRecord{});
        step_ = Step::kReceiveReady;
        break;
      case Step::kReceiveReady:
        if (Status status = check_record(transfer_.record(), ExchangeKind::kReady); !status) {
          return status;
        }
        [[fallthrough]];
      default:
        step_ = Step::kUp;
        endpoint.established();
    }
  }
  if (step_ == Step::kUp) {
    if (Status status = watch_up(endpoint); !status) return status;
  }
  return endpoint.queue().watch_socket(socket_.get(), endpoint.key(),
                                       sending() ? EPOLLIN | EPOLLOUT : EPOLLIN, true);
}

Status SocketConnection::transfer(VerbsEndpoint& endpoint, bool* done) {
  const std::string peer(endpoint.peer_name());
  switch (sending() ? transfer_.send(socket_.get()) : transfer_.receive(socket_.get())) {
    case RecordTransfer::Progress::kMore:
      break;
    case RecordTransfer::Progress::kDone:
      *done = true;
      break;
    case RecordTransfer::Progress::kEnded:
      return {Code::kUnavailable, peer + " closed the connection before it was up"};
    case RecordTransfer::Progress::kFailed:
      return {Code::kUnavailable,
              Status::from_errno(peer + " broke the connection before it was up", errno).message()};
  }
  if (!*done && !sending() && !may_be_record(transfer_.record(), transfer_.done())) {
    return {Code::kProtocolError, "what answers is not an rdmakv peer in Socket mode"};
  }
  return Status::ok();
}

// The connection is up: the only thing that may come over TCP is its end.
Status SocketConnection::watch_up(VerbsEndpoint& endpoint) {
  const std::string peer(endpoint.peer_name());
  char byte = 0;
  const ssize_t got = ::recv(socket_.get(), &byte, 1, 0);
  if (got == 0) return {Code::kUnavailable, peer + " closed the connection"};
  if (got > 0)
    return {Code::kProtocolError, peer + " sent something over TCP where nothing may come"};
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return Status::ok();
  return {Code::kUnavailable, Status::from_errno(peer + " is gone", errno).message()};
}

void SocketConnection::disconnect() noexcept {
  // Closing also takes it out of the queue's epoll set.
  socket_.reset();
}

}  // namespace rdmakv::verbs
