#include "tests/fakes/chaos_fabric.h"

#include <csignal>

#include "tests/fakes/chaos_endpoint.h"
#include "tests/fakes/chaos_queue.h"

namespace rdmakv::fakes {

const char* chaos_point_name(ChaosPoint point) {
  static constexpr const char* kNames[kChaosPoints] = {
      "connect",    "expose",       "send",    "sent",       "write-imm", "written-imm",
      "write",      "half-written", "written", "atomic",     "swapped",   "read",
      "read-piece", "doorbell",     "message", "completion", "close"};
  return kNames[static_cast<uint32_t>(point)];
}

bool Chaos::reach(ChaosPoint point) {
  ++points;
  const bool counts = options.kill_point < 0 || options.kill_point == static_cast<int>(point);
  if (counts && ++counted_ == options.kill_at) {
    if (options.killed_at != nullptr) options.killed_at->store(1 + static_cast<uint32_t>(point));
    raise(SIGKILL);
  }
  return dice.per_million(options.cut_per_million);
}

Result<std::unique_ptr<CompletionQueue>> ChaosFabric::create_completion_queue(uint32_t depth) {
  Result<std::unique_ptr<CompletionQueue>> inner = inner_.create_completion_queue(depth);
  if (!inner) return inner.status();
  return ChaosQueue::create(std::move(*inner));
}

Result<std::unique_ptr<Endpoint>> ChaosFabric::connect(const FabricAddress& server,
                                                       const wire::ConnectRequest& request,
                                                       const EndpointOptions& options,
                                                       CompletionQueue& queue) {
  auto& around = static_cast<ChaosQueue&>(queue);
  if (chaos_.reach(ChaosPoint::kConnect)) return {Code::kUnavailable, "cut while connecting"};
  Result<std::unique_ptr<Endpoint>> inner =
      inner_.connect(server, request, options, around.inner());
  if (!inner) return inner.status();
  return std::unique_ptr<Endpoint>(
      std::make_unique<ChaosEndpoint>(std::move(*inner), options, chaos_, around));
}

}  // namespace rdmakv::fakes
