#include "rdmakv/client/open_for_server.h"

#include "rdmakv/client/local_address.h"

namespace rdmakv {
namespace {

// Null: all are this machine's own.
const FabricAddress* find_remote(std::span<const FabricAddress> addresses) {
  for (const FabricAddress& address : addresses) {
    if (!address.host.empty() && !is_local_address(address.host)) return &address;
  }
  return nullptr;
}

}  // namespace

Result<std::unique_ptr<Fabric>> open_fabric_for(std::span<FabricAddress> addresses,
                                                const FabricOptions& options, std::string* why) {
  FabricOptions chosen = options;
  if (chosen.transport == Transport::kAuto) {
    if (!options.device.empty() || rdma_device_present()) {
      chosen.transport = Transport::kRdma;
      if (why != nullptr) *why = "an RDMA device is there";
    } else if (const FabricAddress* remote = find_remote(addresses); remote == nullptr) {
      chosen.transport = Transport::kShm;
      if (why != nullptr) {
        *why = "no RDMA device, and the address is this machine's own: shared memory";
      }
    } else {
      return {Code::kUnavailable,
              "this machine has no RDMA device with an active port, and " + remote->host +
                  " is not an address of its own, which could be reached through shared memory"};
    }
  }
  if (chosen.transport == Transport::kShm) {
    if (const FabricAddress* remote = find_remote(addresses); remote != nullptr) {
      return {Code::kInvalidArgument, "shared memory leads to servers on this machine only, and " +
                                          remote->host + " is not an address of its own"};
    }
    for (FabricAddress& address : addresses) {
      address.host.clear();
      address.by_socket = false;
    }
  }
  return open_fabric(chosen);
}

Result<std::unique_ptr<Fabric>> open_fabric_for(FabricAddress& address,
                                                const FabricOptions& options, std::string* why) {
  return open_fabric_for({&address, 1}, options, why);
}

}  // namespace rdmakv
