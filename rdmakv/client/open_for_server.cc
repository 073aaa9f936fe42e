#include "rdmakv/client/open_for_server.h"

#include "rdmakv/client/local_address.h"

namespace rdmakv {

Result<std::unique_ptr<Fabric>> open_fabric_for(FabricAddress& address,
                                                const FabricOptions& options, std::string* why) {
  FabricOptions chosen = options;
  if (chosen.transport == Transport::kAuto) {
    if (!options.device.empty() || rdma_device_present()) {
      chosen.transport = Transport::kRdma;
      if (why != nullptr) *why = "an RDMA device is there";
    } else if (address.host.empty() || is_local_address(address.host)) {
      chosen.transport = Transport::kShm;
      if (why != nullptr) {
        *why = "no RDMA device, and the address is this machine's own: shared memory";
      }
    } else {
      return {Code::kUnavailable,
              "this machine has no RDMA device with an active port, and " + address.host +
                  " is not an address of its own, which could be reached through shared memory"};
    }
  }
  if (chosen.transport == Transport::kShm) {
    if (!address.host.empty() && !is_local_address(address.host)) {
      return {Code::kInvalidArgument, "shared memory leads to servers on this machine only, and " +
                                          address.host + " is not an address of its own"};
    }
    address.host.clear();
    address.by_socket = false;
  }
  return open_fabric(chosen);
}

}  // namespace rdmakv
