// The Connection of Socket mode: one TCP connection and the records that go over it.
#pragma once

#include <memory>
#include <string>

#include "rdmakv/transport/verbs/connect_messages.h"
#include "rdmakv/transport/verbs/connection.h"
#include "rdmakv/transport/verbs/device.h"
#include "rdmakv/transport/verbs/endpoint.h"
#include "rdmakv/transport/verbs/handles.h"

namespace rdmakv::verbs {

// Non-blocking, without delay, and with keepalives that notice a dead host within some 10 s.
Status prepare_tcp_socket(int fd);

// One record on its way through a non-blocking socket, in either direction.
class RecordTransfer {
 public:
  enum class Progress : uint8_t { kMore, kDone, kEnded, kFailed };  // kFailed: errno says why

  void begin(const ExchangeRecord& record) {
    record_ = record;
    done_ = 0;
  }
  Progress send(int fd);
  Progress receive(int fd);
  const ExchangeRecord& record() const { return record_; }
  size_t done() const { return done_; }

 private:
  ExchangeRecord record_;
  size_t done_ = 0;
};

class SocketConnection final : public Connection {
 public:
  // For connect(): a TCP connection under way.
  SocketConnection(std::shared_ptr<const Device> device, FileDescriptor socket,
                   const wire::ConnectRequest& request);
  // For an accepted one: the client's queue pair.
  SocketConnection(std::shared_ptr<const Device> device, const QueuePairAddress& peer);
  // An accepted socket is the listener's, to refuse with, until the Endpoint is complete.
  void take_socket(FileDescriptor socket) { socket_ = std::move(socket); }

  // INIT, by the GID that fits the local address of the TCP connection (and the peer's, if known).
  Status initialize(QueuePair& pair, const SocketAddress& local);
  // An accepted one, receives posted: RTR and RTS. Takes a second when nobody has the peer's GID,
  // so it has a thread of its own (bring_up.h).
  Status bring_up_accepted(VerbsEndpoint& endpoint);
  void adopted(VerbsEndpoint& endpoint) override;
  void on_socket_event(VerbsEndpoint& endpoint, uint32_t epoll_events) override;
  void disconnect() noexcept override;

 private:
  enum class Step : uint8_t {
    kTcp,  // the client's TCP connection comes up
    kSendRequest,
    kReceiveReply,
    kSendReady,  // client
    kSendReply,
    kReceiveReady,  // server
    kUp,            // both: nothing is sent any more
  };

  Status advance(VerbsEndpoint& endpoint);
  Status begin_request(VerbsEndpoint& endpoint);
  Status begin_reply(VerbsEndpoint& endpoint);
  Status take_reply(VerbsEndpoint& endpoint);
  Status transfer(VerbsEndpoint& endpoint, bool* done);
  Status watch_up(VerbsEndpoint& endpoint);
  Status bring_up(VerbsEndpoint& endpoint, ibv_mtu mtu);
  ExchangeRecord record_of(ExchangeKind kind, const VerbsEndpoint& endpoint) const;
  bool sending() const {
    return step_ == Step::kTcp || step_ == Step::kSendRequest || step_ == Step::kSendReady ||
           step_ == Step::kSendReply;
  }

  std::shared_ptr<const Device> device_;
  FileDescriptor socket_;
  wire::ConnectRequest request_;
  QueuePairAddress own_;
  QueuePairAddress peer_;
  Gid gid_;
  Step step_;
  RecordTransfer transfer_;
};

}  // namespace rdmakv::verbs
