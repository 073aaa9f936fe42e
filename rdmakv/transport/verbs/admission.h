// What both kinds of listener do with a connect request: check it, ask the handler, make the
// Endpoint, hand it over. In the listener's thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "protocol/kv_handshake.h"
#include "rdmakv/transport/fabric.h"
#include "rdmakv/transport/verbs/completion_queue.h"
#include "rdmakv/transport/verbs/endpoint.h"

namespace rdmakv::verbs {

struct Admission {
  VerbsCompletionQueue* queue = nullptr;
  EndpointOptions options;
};

// Where the connection goes and with which sizes, or why it is refused.
std::optional<wire::ConnectRefusal> admit(const Device& device, ConnectionHandler& handler,
                                          const wire::ConnectRequest& request,
                                          Admission* admission);

// Gives the Endpoint to the handler, and then lets its owner's thread answer the peer, so that
// nothing happens to it before the handler has it.
void hand_over(ConnectionHandler& handler, const wire::ConnectRequest& request,
               std::unique_ptr<VerbsEndpoint> endpoint);

}  // namespace rdmakv::verbs
