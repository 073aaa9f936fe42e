#include "rdmakv/transport/verbs/cm_connector.h"

#include <fcntl.h>
#include <rdma/rdma_cma.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "rdmakv/transport/verbs/admission.h"
#include "rdmakv/transport/verbs/connect_messages.h"
#include "rdmakv/transport/verbs/connection.h"
#include "rdmakv/transport/verbs/endpoint.h"

namespace rdmakv::verbs {
namespace {

constexpr int kResolveMilliseconds = 2000;
constexpr int kBacklog = 512;
// Reject reasons of the InfiniBand CM (IBTA 12.6.7.2) that have something to say to a user.
constexpr int kRejectInvalidServiceId = 8;
constexpr int kRejectStaleConnection = 10;
constexpr int kRejectConsumerDefined = 28;

std::string peer_text(rdma_cm_id* id, const Device& device) {
  const SocketAddress peer(rdma_get_peer_addr(id), sizeof(sockaddr_storage));
  return peer.to_string() + " (cm, " + device.name() + ")";
}

// The context of an id is a number here, never a pointer to follow.
void* context_of(EndpointKey key) {
  return reinterpret_cast<void*>(key);  // NOLINT(performance-no-int-to-ptr)
}

std::string device_of(rdma_cm_id* id) {
  return id->verbs == nullptr ? "no device" : ibv_get_device_name(id->verbs->device);
}

rdma_conn_param parameters(const EndpointOptions& options, const QueuePair& pair, const void* data,
                           size_t length) {
  rdma_conn_param parameters = {};
  parameters.private_data = data;
  parameters.private_data_len = static_cast<uint8_t>(length);
  parameters.responder_resources = static_cast<uint8_t>(options.max_reads);
  parameters.initiator_depth = static_cast<uint8_t>(options.max_reads);
  parameters.retry_count = kRetries;
  parameters.rnr_retry_count = kReceiverNotReadyRetries;
  parameters.qp_num = pair.number();
  return parameters;
}

class CmConnection final : public Connection {
 public:
  // For connect(): `request` as it goes out. For an accepted one: as it came in.
  CmConnection(std::shared_ptr<const Device> device, CmIdHandle id, const CmRequest& request)
      : device_(std::move(device)), id_(std::move(id)), request_(request) {}

  // An accepted id is the listener's, to refuse with, until the Endpoint is complete.
  void take_id(CmIdHandle id) { id_ = std::move(id); }
  CmIdHandle give_id_back() { return std::move(id_); }
  void adopted(VerbsEndpoint& endpoint) override;
  void on_cm_event(VerbsEndpoint& endpoint, const rdma_cm_event& event) override;
  void disconnect() noexcept override;
  Status initialize(QueuePair& pair);
  // An accepted one, receives posted: RTR and RTS.
  Status bring_up_accepted(VerbsEndpoint& endpoint) {
    return bring_up(endpoint, static_cast<ibv_mtu>(request_.mtu));
  }

 private:
  Status connect(VerbsEndpoint& endpoint);
  Status answered(VerbsEndpoint& endpoint, const rdma_cm_event& event);
  Status accept(VerbsEndpoint& endpoint);
  Result<ibv_qp_attr> attributes(ibv_qp_state state);
  Status bring_up(VerbsEndpoint& endpoint, ibv_mtu peer_mtu);
  void failed(VerbsEndpoint& endpoint, const Status& status);
  void rejected(VerbsEndpoint& endpoint, const rdma_cm_event& event);

  std::shared_ptr<const Device> device_;
  CmIdHandle id_;
  CmRequest request_;
  ibv_mtu mtu_ = IBV_MTU_256;  // the one agreed upon
  bool connected_ = false;     // the CM has something to disconnect
};

Result<ibv_qp_attr> CmConnection::attributes(ibv_qp_state state) {
  ibv_qp_attr attributes = {};
  attributes.qp_state = state;
  int mask = 0;
  if (rdma_init_qp_attr(id_.get(), &attributes, &mask) != 0) {
    return Status::from_errno("the RDMA CM has no attributes for the queue pair", errno);
  }
  return attributes;
}

Status CmConnection::initialize(QueuePair& pair) {
  const Result<ibv_qp_attr> initial = attributes(IBV_QPS_INIT);
  if (!initial) return initial.status();
  return pair.to_initialized(initial.value().port_num, initial.value().pkey_index);
}

// INIT -> RTR -> RTS, along the path that the CM found.
Status CmConnection::bring_up(VerbsEndpoint& endpoint, ibv_mtu peer_mtu) {
  const Result<ibv_port_attr> port = device_->query_port();
  if (!port) return port.status();
  const Result<ibv_qp_attr> receiving = attributes(IBV_QPS_RTR);
  if (!receiving) return receiving.status();
  const ibv_qp_attr& found = receiving.value();
  mtu_ = std::min({found.path_mtu, port.value().active_mtu, peer_mtu});
  const auto max_reads = static_cast<uint8_t>(endpoint.options().max_reads);
  const Path path = {found.ah_attr, found.dest_qp_num, found.rq_psn, mtu_, max_reads};
  if (Status status = endpoint.queue_pair().to_receiving(path); !status) return status;
  endpoint.set_receiving();
  const Result<ibv_qp_attr> sending = attributes(IBV_QPS_RTS);
  if (!sending) return sending.status();
  return endpoint.queue_pair().to_sending(sending.value().sq_psn, max_reads);
}

void CmConnection::failed(VerbsEndpoint& endpoint, const Status& status) {
  endpoint.fail(status.code(), status.message());
}

// --- the side that accepts -----------------------------------------------------------------------

void CmConnection::adopted(VerbsEndpoint& endpoint) {
  if (Status status = accept(endpoint); !status) failed(endpoint, status);
}

Status CmConnection::accept(VerbsEndpoint& endpoint) {
  const Result<rdma_event_channel*> channel = endpoint.queue().event_channel();
  if (!channel) return channel.status();
  // From here on the id's events come to the owner's thread. There were none before: the CM keeps
  // those of an id that was not accepted yet to itself.
  id_->context = context_of(endpoint.key());
  if (rdma_migrate_id(id_.get(), channel.value()) != 0) {
    return Status::from_errno("rdma_migrate_id", errno);
  }
  const CmReply reply = {reply_with(endpoint.options()), static_cast<uint8_t>(mtu_), {}};
  rdma_conn_param answer =
      parameters(endpoint.options(), endpoint.queue_pair(), &reply, sizeof(reply));
  if (rdma_accept(id_.get(), &answer) != 0) {
    return {Code::kUnavailable,
            Status::from_errno("the peer did not wait for the answer", errno).message()};
  }
  connected_ = true;
  return Status::ok();
}

// --- the side that connects ----------------------------------------------------------------------

Status CmConnection::connect(VerbsEndpoint& endpoint) {
  if (Status status = initialize(endpoint.queue_pair()); !status) return status;
  rdma_conn_param proposal =
      parameters(endpoint.options(), endpoint.queue_pair(), &request_, sizeof(request_));
  if (rdma_connect(id_.get(), &proposal) != 0) return Status::from_errno("rdma_connect", errno);
  return Status::ok();
}

Status CmConnection::answered(VerbsEndpoint& endpoint, const rdma_cm_event& event) {
  CmReply reply;
  if (event.param.conn.private_data_len < sizeof(reply)) {
    return {Code::kProtocolError, "what accepted the connection is not an rdmakv server"};
  }
  std::memcpy(&reply, event.param.conn.private_data, sizeof(reply));
  const Result<EndpointOptions> agreed = check_reply(reply.reply, endpoint.options());
  if (!agreed) return agreed.status();
  if (reply.mtu < IBV_MTU_256 || reply.mtu > request_.mtu) {
    return {Code::kProtocolError, "the server accepted the connection with a wrong MTU"};
  }
  if (Status status = endpoint.prepare(agreed.value()); !status) return status;
  if (Status status = bring_up(endpoint, static_cast<ibv_mtu>(reply.mtu)); !status) return status;
  if (rdma_establish(id_.get()) != 0) return Status::from_errno("rdma_establish", errno);
  return Status::ok();
}

void CmConnection::rejected(VerbsEndpoint& endpoint, const rdma_cm_event& event) {
  const rdma_conn_param& answer = event.param.conn;
  if (event.status == kRejectConsumerDefined && answer.private_data != nullptr) {
    const std::span<const std::byte> data(static_cast<const std::byte*>(answer.private_data),
                                          answer.private_data_len);
    if (const std::optional<std::string> text = refusal_text(data)) {
      endpoint.fail(Code::kRefused, *text);
      return;
    }
  }
  std::string why =
      "the peer's RDMA CM rejected the connection (reason " + std::to_string(event.status) + ")";
  if (event.status == kRejectInvalidServiceId) why = "nothing listens there for the RDMA CM";
  if (event.status == kRejectConsumerDefined) {
    why = "rejected by a program that does not speak the rdmakv protocol, or that ended";
  }
  if (event.status == kRejectStaleConnection)
    why = "the peer holds an older connection for this one";
  endpoint.fail(Code::kUnavailable,
                "cannot connect to " + std::string(endpoint.peer_name()) + ": " + why);
}

void CmConnection::on_cm_event(VerbsEndpoint& endpoint, const rdma_cm_event& event) {
  const std::string peer(endpoint.peer_name());
  switch (event.event) {
    case RDMA_CM_EVENT_ADDR_RESOLVED:
      if (device_of(id_.get()) != device_->name()) {
        endpoint.fail(Code::kInvalidArgument,
                      peer + " is reached through RDMA device " + device_of(id_.get()) +
                          ", but this process uses " + device_->name() +
                          ": choose it with --device " + device_of(id_.get()));
      } else if (rdma_resolve_route(id_.get(), kResolveMilliseconds) != 0) {
        failed(endpoint, Status::from_errno("rdma_resolve_route", errno));
      }
      break;
    case RDMA_CM_EVENT_ROUTE_RESOLVED:
      if (Status status = connect(endpoint); !status) failed(endpoint, status);
      break;
    case RDMA_CM_EVENT_CONNECT_RESPONSE:
      connected_ = true;
      if (Status status = answered(endpoint, event); !status) {
        failed(endpoint, status);
      } else {
        endpoint.established();
      }
      break;
    case RDMA_CM_EVENT_ESTABLISHED:
      endpoint.established();
      break;
    case RDMA_CM_EVENT_REJECTED:
      rejected(endpoint, event);
      break;
    case RDMA_CM_EVENT_ADDR_ERROR:
    case RDMA_CM_EVENT_ROUTE_ERROR:
    case RDMA_CM_EVENT_UNREACHABLE:
    case RDMA_CM_EVENT_CONNECT_ERROR: {
      const char* what = event.event == RDMA_CM_EVENT_ADDR_ERROR    ? "address not resolved"
                         : event.event == RDMA_CM_EVENT_ROUTE_ERROR ? "route not resolved"
                         : event.event == RDMA_CM_EVENT_UNREACHABLE ? "no answer"
                                                                    : "connection failed";
      endpoint.fail(Code::kUnavailable,
                    Status::from_errno("cannot connect to " + peer + ": " + what,
                                       event.status < 0 ? -event.status : event.status)
                        .message());
      break;
    }
    case RDMA_CM_EVENT_DISCONNECTED:
      endpoint.fail(Code::kUnavailable, peer + " closed the connection");
      break;
    case RDMA_CM_EVENT_DEVICE_REMOVAL:
      connected_ = false;
      endpoint.fail(Code::kUnavailable, "RDMA device " + device_->name() + " was removed");
      break;
    default:
      break;  // address changes, the end of time wait: of no consequence
  }
}

void CmConnection::disconnect() noexcept {
  if (connected_) rdma_disconnect(id_.get());
  connected_ = false;
}

// --- listening -----------------------------------------------------------------------------------

class CmListener final : public Listener {
 public:
  CmListener(std::shared_ptr<const Device> device, ConnectionHandler& handler)
      : device_(std::move(device)), handler_(handler) {}

  Status open(const FabricAddress& address);
  int fd() const override { return channel_->fd; }
  void dispatch() override;
  uint16_t port() const override { return port_; }

 private:
  static constexpr int kEventsPerDispatch = 64;

  Status bind(const FabricAddress& address);
  void requested(CmIdHandle id, const CmRequest& request, size_t length);
  std::optional<wire::ConnectRefusal> take(CmIdHandle& id, const CmRequest& request);

  std::shared_ptr<const Device> device_;
  ConnectionHandler& handler_;
  EventChannelHandle channel_;
  CmIdHandle id_;
  uint16_t port_ = 0;
};

Status CmListener::open(const FabricAddress& address) {
  channel_.reset(rdma_create_event_channel());
  if (!channel_) return Status::from_errno("cannot use the RDMA CM (module rdma_ucm)", errno);
  const int flags = fcntl(channel_->fd, F_GETFL);
  if (flags < 0 || fcntl(channel_->fd, F_SETFL, flags | O_NONBLOCK) < 0) {
    return Status::from_errno("cannot make the RDMA CM channel non-blocking", errno);
  }
  if (Status status = bind(address); !status) return status;
  if (rdma_listen(id_.get(), kBacklog) != 0) {
    if (errno == EADDRINUSE) {
      return {Code::kUnavailable,
              "port " + std::to_string(address.port) + " is in use by another RDMA CM listener"};
    }
    return Status::from_errno("rdma_listen", errno);
  }
  port_ = ntohs(rdma_get_src_port(id_.get()));
  return Status::ok();
}

Status CmListener::bind(const FabricAddress& address) {
  SocketAddress local = SocketAddress::any(AF_INET6, address.port);
  if (!address.host.empty()) {
    Result<SocketAddress> resolved = SocketAddress::resolve(address.host, address.port);
    if (!resolved) return resolved.status();
    local = *resolved;
  }
  for (;;) {
    rdma_cm_id* id = nullptr;
    if (rdma_create_id(channel_.get(), &id, nullptr, RDMA_PS_TCP) != 0) {
      return Status::from_errno("rdma_create_id", errno);
    }
    id_.reset(id);
    if (rdma_bind_addr(id, local.get()) == 0) break;
    const int error = errno;
    if (address.host.empty() && local.family() == AF_INET6 && error != EADDRINUSE) {
      local = SocketAddress::any(AF_INET, address.port);  // a host without IPv6
      continue;
    }
    if (error == EADDRINUSE) {
      return {Code::kUnavailable,
              "port " + std::to_string(address.port) + " is in use by another RDMA CM listener"};
    }
    if (error == ENODEV || error == EADDRNOTAVAIL) {
      return {Code::kInvalidArgument, local.host_text() + " is the address of no RDMA device here"};
    }
    return Status::from_errno("cannot listen on " + local.to_string(), error);
  }
  if (id_->verbs != nullptr && device_of(id_.get()) != device_->name()) {
    return {Code::kInvalidArgument, local.host_text() + " is the address of RDMA device " +
                                        device_of(id_.get()) + ", but this process uses " +
                                        device_->name() + ": choose it with --device " +
                                        device_of(id_.get())};
  }
  return Status::ok();
}

void CmListener::dispatch() {
  rdma_cm_event* event = nullptr;
  for (int i = 0; i < kEventsPerDispatch && rdma_get_cm_event(channel_.get(), &event) == 0; ++i) {
    if (event->event != RDMA_CM_EVENT_CONNECT_REQUEST) {
      rdma_ack_cm_event(event);
      continue;
    }
    CmIdHandle id(event->id);
    CmRequest request;
    const size_t length = std::min<size_t>(event->param.conn.private_data_len, sizeof(request));
    if (length != 0) std::memcpy(&request, event->param.conn.private_data, length);
    rdma_ack_cm_event(event);
    requested(std::move(id), request, length);
  }
}

void CmListener::requested(CmIdHandle id, const CmRequest& request, size_t length) {
  std::optional<wire::ConnectRefusal> refused;
  if (length < sizeof(request)) {
    refused = refusal(wire::RefusalCode::kBadRequest, "this port speaks the rdmakv protocol only");
  } else {
    refused = take(id, request);
  }
  if (refused) rdma_reject(id.get(), &*refused, sizeof(*refused));
}

std::optional<wire::ConnectRefusal> CmListener::take(CmIdHandle& id, const CmRequest& request) {
  if (device_of(id.get()) != device_->name()) {
    return refusal(wire::RefusalCode::kBadRequest, "this address is on RDMA device " +
                                                       device_of(id.get()) +
                                                       ", the server works on " + device_->name());
  }
  Admission admission;
  if (auto refused = admit(*device_, handler_, request.request, &admission)) return refused;
  if (request.mtu < IBV_MTU_256 || request.mtu > IBV_MTU_4096) {
    return refusal(wire::RefusalCode::kBadRequest, "the connect request has a wrong MTU");
  }
  std::string peer = peer_text(id.get(), *device_);
  auto connection = std::make_unique<CmConnection>(device_, CmIdHandle(), request);
  CmConnection& made = *connection;
  Result<std::unique_ptr<VerbsEndpoint>> endpoint =
      VerbsEndpoint::create(*admission.queue, VerbsEndpoint::Origin::kAccept, admission.options,
                            std::move(peer), std::move(connection));
  if (!endpoint) return refusal_for(endpoint.status());
  made.take_id(std::move(id));
  Status status = made.initialize((*endpoint)->queue_pair());
  if (status) status = (*endpoint)->prepare(admission.options);
  if (status) status = made.bring_up_accepted(**endpoint);
  if (!status) {
    id = made.give_id_back();
    return refusal_for(status);
  }
  hand_over(handler_, request.request, std::move(*endpoint));
  return std::nullopt;
}

}  // namespace

Result<std::unique_ptr<Endpoint>> cm_connect(const std::shared_ptr<const Device>& device,
                                             const SocketAddress& server,
                                             const wire::ConnectRequest& request,
                                             const EndpointOptions& options,
                                             VerbsCompletionQueue& queue) {
  const Result<rdma_event_channel*> channel = queue.event_channel();
  if (!channel) return channel.status();
  Result<std::optional<SocketAddress>> source = device->source_for(server);
  if (!source) return source.status();
  const Result<ibv_port_attr> port = device->query_port();
  if (!port) return port.status();

  rdma_cm_id* id = nullptr;
  if (rdma_create_id(channel.value(), &id, nullptr, RDMA_PS_TCP) != 0) {
    return Status::from_errno("rdma_create_id", errno);
  }
  const CmRequest proposal = {
      request_with(request, options), static_cast<uint8_t>(port.value().active_mtu), {}};
  auto connection = std::make_unique<CmConnection>(device, CmIdHandle(id), proposal);
  Result<std::unique_ptr<VerbsEndpoint>> endpoint = VerbsEndpoint::create(
      queue, VerbsEndpoint::Origin::kConnect, options,
      server.to_string() + " (cm, " + device->name() + ")", std::move(connection));
  if (!endpoint) return endpoint.status();
  id->context = context_of((*endpoint)->key());
  SocketAddress target = server;
  sockaddr* from = source.value() ? source.value()->get() : nullptr;
  if (rdma_resolve_addr(id, from, target.get(), kResolveMilliseconds) != 0) {
    return {Code::kUnavailable,
            Status::from_errno(
                "cannot reach " + server.to_string() + " from RDMA device " + device->name(), errno)
                .message()};
  }
  (*endpoint)->begin_set_up();
  return std::unique_ptr<Endpoint>(std::move(*endpoint));
}

Result<std::unique_ptr<Listener>> cm_listen(std::shared_ptr<const Device> device,
                                            const FabricAddress& address,
                                            ConnectionHandler& handler) {
  auto listener = std::make_unique<CmListener>(std::move(device), handler);
  if (Status status = listener->open(address); !status) return status;
  return std::unique_ptr<Listener>(std::move(listener));
}

}  // namespace rdmakv::verbs
