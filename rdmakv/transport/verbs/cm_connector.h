// CM mode: connections made through the RDMA CM. The queue pair is ours all the same and goes
// through its states by hand, with the attributes that the CM computes (rdma_init_qp_attr); so it
// may live on the fabric's own device context, and both modes end in the same Endpoint.
//
//   client                                               server
//   resolve_addr, resolve_route, QP to INIT
//   connect (CmRequest)            ------------------->  CONNECT_REQUEST: admit, QP to INIT,
//   receives,
//                                                        RTR, RTS; owner's thread: migrate, accept
//   CONNECT_RESPONSE               <-------------------  (CmReply)
//   receives, RTR, RTS, establish  ------------------->  ESTABLISHED
#pragma once

#include <memory>

#include "rdmakv/transport/fabric.h"
#include "rdmakv/transport/verbs/completion_queue.h"
#include "rdmakv/transport/verbs/device.h"
#include "rdmakv/transport/verbs/socket_address.h"

namespace rdmakv::verbs {

// In the thread of `queue`. `options` are clipped to the device.
Result<std::unique_ptr<Endpoint>> cm_connect(const std::shared_ptr<const Device>& device,
                                             const SocketAddress& server,
                                             const wire::ConnectRequest& request,
                                             const EndpointOptions& options,
                                             VerbsCompletionQueue& queue);

// `address.host` empty: all addresses. The device that answers is the fabric's alone: a request
// that reaches the address through another adapter is refused.
Result<std::unique_ptr<Listener>> cm_listen(std::shared_ptr<const Device> device,
                                            const FabricAddress& address,
                                            ConnectionHandler& handler);

}  // namespace rdmakv::verbs
