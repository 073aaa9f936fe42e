#include "rdmakv/transport/verbs/admission.h"

#include <algorithm>

#include "rdmakv/transport/verbs/connect_messages.h"

namespace rdmakv::verbs {

std::optional<wire::ConnectRefusal> admit(const Device& device, ConnectionHandler& handler,
                                          const wire::ConnectRequest& request,
                                          Admission* admission) {
  if (auto refused = check_request(request)) return refused;
  const Result<ConnectionHandler::Acceptance> accepted = handler.route(request);
  if (!accepted) return refusal_for(accepted.status());
  admission->queue = dynamic_cast<VerbsCompletionQueue*>(accepted.value().queue);
  if (admission->queue == nullptr || admission->queue->device().get() != &device) {
    return refusal(wire::RefusalCode::kBadRequest, "the server chose a queue of another fabric");
  }
  EndpointOptions options = accepted.value().options;
  options.receive_slots = std::min(options.receive_slots, request.receive_slots);
  options.message_bytes = std::min(options.message_bytes, request.message_bytes);
  options.max_reads = std::min(options.max_reads, request.max_reads);
  const Result<EndpointOptions> clipped = device.clip(options);
  if (!clipped) return refusal_for(clipped.status());
  admission->options = clipped.value();
  return std::nullopt;
}

void hand_over(ConnectionHandler& handler, const wire::ConnectRequest& request,
               std::unique_ptr<VerbsEndpoint> endpoint) {
  // By key, not by pointer: the owner may have destroyed the Endpoint before adopt() is reached.
  VerbsCompletionQueue& queue = endpoint->queue();
  const EndpointKey key = endpoint->key();
  handler.accepted(request, std::move(endpoint));
  queue.adopt(key);
}

}  // namespace rdmakv::verbs
