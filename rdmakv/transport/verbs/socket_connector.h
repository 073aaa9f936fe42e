// Socket mode: two records over a TCP connection tell the ends how to reach each other's queue
// pairs, which then go INIT -> RTR -> RTS by hand (connect_messages.h draws the exchange). The TCP
// connection stays open as the sign of life of the peer's process. No RDMA CM is needed on either
// side.
#pragma once

#include <memory>

#include "rdmakv/transport/fabric.h"
#include "rdmakv/transport/verbs/completion_queue.h"
#include "rdmakv/transport/verbs/device.h"
#include "rdmakv/transport/verbs/socket_address.h"

namespace rdmakv::verbs {

// In the thread of `queue`. `options` are clipped to the device.
Result<std::unique_ptr<Endpoint>> socket_connect(const std::shared_ptr<const Device>& device,
                                                 const SocketAddress& server,
                                                 const wire::ConnectRequest& request,
                                                 const EndpointOptions& options,
                                                 VerbsCompletionQueue& queue);

Result<std::unique_ptr<Listener>> socket_listen(std::shared_ptr<const Device> device,
                                                const FabricAddress& address,
                                                ConnectionHandler& handler);

}  // namespace rdmakv::verbs
