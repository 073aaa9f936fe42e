#include "rdmakv/transport/shm/shm_fabric.h"

#include "rdmakv/transport/shm/shm_completion_queue.h"
#include "rdmakv/transport/shm/shm_endpoint.h"
#include "rdmakv/transport/shm/shm_listener.h"
#include "rdmakv/transport/shm/shm_region.h"

namespace rdmakv::shm {
namespace {

// A copy longer than this would keep its thread from everything else for too long.
constexpr uint32_t kMaxMessage = 1u << 30;
constexpr uint32_t kMaxCompletions = 1u << 20;

template <typename To, typename From>
Result<std::unique_ptr<To>> upcast(Result<std::unique_ptr<From>> from) {
  if (!from) return from.status();
  return std::unique_ptr<To>(std::move(from).value());
}

class ShmFabric final : public Fabric {
 public:
  explicit ShmFabric(FabricContext context)
      : context_(std::make_shared<const FabricContext>(std::move(context))) {}

  Result<std::unique_ptr<MemoryRegion>> allocate(const RegionOptions& options) override {
    return upcast<MemoryRegion>(ShmRegion::allocate(options));
  }

  // Every connection keeps its own completions, so the depth bounds nothing here.
  Result<std::unique_ptr<CompletionQueue>> create_completion_queue(uint32_t depth) override {
    if (depth == 0 || depth > kMaxCompletions) {
      return {Code::kInvalidArgument, "a completion queue of depth " + std::to_string(depth)};
    }
    return upcast<CompletionQueue>(ShmCompletionQueue::create());
  }

  Result<std::unique_ptr<Endpoint>> connect(const FabricAddress& server,
                                            const wire::ConnectRequest& request,
                                            const EndpointOptions& options,
                                            CompletionQueue& queue) override {
    auto* shm_queue = dynamic_cast<ShmCompletionQueue*>(&queue);
    if (shm_queue == nullptr) {
      return {Code::kInvalidArgument, "the completion queue belongs to another fabric"};
    }
    if (server.port == 0) return {Code::kInvalidArgument, "port 0 cannot be connected to"};
    return upcast<Endpoint>(
        ShmEndpoint::connect(server.port, request, options, *shm_queue, context_));
  }

  Result<std::unique_ptr<Listener>> listen(const FabricAddress& address,
                                           ConnectionHandler& handler) override {
    return upcast<Listener>(ShmListener::listen(address.port, handler, context_));
  }

  Result<std::unique_ptr<LocalAtomics>> create_local_atomics() override {
    return make_cpu_atomics();
  }

  FabricLimits limits() const override {
    FabricLimits limits;
    limits.max_message = kMaxMessage;
    limits.max_completions = kMaxCompletions;
    limits.max_reads = kMaxReads;
    limits.max_work = kMaxWork;
    limits.atomics_with_cpu = true;
    limits.reads_are_loads = true;
    limits.sleeps_cheaply = true;
    return limits;
  }
  std::string_view name() const override { return "shm"; }
  std::string describe() const override {
    return "shared memory of this host (memfd, Unix sockets, eventfd)";
  }

 private:
  std::shared_ptr<const FabricContext> context_;
};

}  // namespace

Result<std::unique_ptr<Fabric>> open_shm_fabric() {
  FabricContext context;
  Result<std::shared_ptr<LifeSign>> life = LifeSign::of_this_process();
  if (!life) return life.status();
  context.life = std::move(life).value();
  return std::unique_ptr<Fabric>(std::make_unique<ShmFabric>(std::move(context)));
}

}  // namespace rdmakv::shm
