#include "rdmakv/transport/verbs/verbs_fabric.h"

#include "rdmakv/transport/verbs/cm_connector.h"
#include "rdmakv/transport/verbs/completion_queue.h"
#include "rdmakv/transport/verbs/connect_messages.h"
#include "rdmakv/transport/verbs/device.h"
#include "rdmakv/transport/verbs/loopback_channel.h"
#include "rdmakv/transport/verbs/memory_region.h"
#include "rdmakv/transport/verbs/socket_connector.h"

namespace rdmakv::verbs {
namespace {

class VerbsFabric final : public Fabric {
 public:
  explicit VerbsFabric(std::shared_ptr<const Device> device) : device_(std::move(device)) {}

  Result<std::unique_ptr<MemoryRegion>> allocate(const RegionOptions& options) override {
    Result<std::unique_ptr<VerbsMemoryRegion>> region =
        VerbsMemoryRegion::allocate(device_, options);
    if (!region) return region.status();
    return std::unique_ptr<MemoryRegion>(std::move(*region));
  }

  Result<std::unique_ptr<CompletionQueue>> create_completion_queue(uint32_t depth) override {
    Result<std::unique_ptr<VerbsCompletionQueue>> queue =
        VerbsCompletionQueue::create(device_, depth);
    if (!queue) return queue.status();
    return std::unique_ptr<CompletionQueue>(std::move(*queue));
  }

  Result<std::unique_ptr<Endpoint>> connect(const FabricAddress& server,
                                            const wire::ConnectRequest& request,
                                            const EndpointOptions& options,
                                            CompletionQueue& queue) override {
    auto* own = dynamic_cast<VerbsCompletionQueue*>(&queue);
    if (own == nullptr || own->device() != device_) {
      return {Code::kInvalidArgument, "the completion queue is of another fabric"};
    }
    if (server.host.empty() || server.port == 0) {
      return {Code::kInvalidArgument, "a server's address needs a host and a port"};
    }
    const Result<EndpointOptions> clipped = device_->clip(options);
    if (!clipped) return clipped.status();
    const Result<SocketAddress> address = SocketAddress::resolve(server.host, server.port);
    if (!address) return address.status();
    const auto connect = server.by_socket ? socket_connect : cm_connect;
    return connect(device_, address.value(), request, clipped.value(), *own);
  }

  Result<std::unique_ptr<Listener>> listen(const FabricAddress& address,
                                           ConnectionHandler& handler) override {
    return (address.by_socket ? socket_listen : cm_listen)(device_, address, handler);
  }

  // Of the adapter, or of the CPU where the two are atomic against each other.
  Result<std::unique_ptr<LocalAtomics>> create_local_atomics() override {
    if (!device_->has_atomics()) {
      return {Code::kUnavailable, "RDMA device " + device_->name() + " has no atomics"};
    }
    if (device_->limits().atomics_with_cpu) return make_cpu_atomics();
    const auto make = [device = device_] { return LoopbackChannel::create(device); };
    Result<std::unique_ptr<SwapChannel>> first = make();
    if (!first) return first.status();
    return std::unique_ptr<LocalAtomics>(std::make_unique<RecoveringAtomics>(
        std::move(*first), make, "by RDMA device " + device_->name()));
  }

  FabricLimits limits() const override { return device_->limits(); }
  std::string_view name() const override { return "rdma"; }
  std::string describe() const override { return device_->describe(); }
  std::string local_host() const override { return device_->host(); }

 private:
  std::shared_ptr<const Device> device_;
};

}  // namespace

Result<std::unique_ptr<Fabric>> open_verbs_fabric(const VerbsOptions& options) {
  Result<std::shared_ptr<Device>> device = Device::open(options.device, options.gid_index);
  if (!device) return device.status();
  return std::unique_ptr<Fabric>(std::make_unique<VerbsFabric>(std::move(*device)));
}

bool verbs_device_present() {
  return !device_names().empty() && Device::open({}, -1).is_ok();
}

}  // namespace rdmakv::verbs
