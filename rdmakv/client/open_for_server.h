// Which fabric leads to servers that a user names by host and port: what the C API, the proxy and
// the tools do about machines without an RDMA device.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "rdmakv/fabric_factory.h"

namespace rdmakv {

// Under Transport::kAuto: RDMA when this machine has a device (or one is named); else shared
// memory, when every address is one of this machine's own; else an error that says both. Addresses
// are changed to what the fabric chosen takes; `why` (if not null) receives a sentence on the
// choice.
Result<std::unique_ptr<Fabric>> open_fabric_for(std::span<FabricAddress> addresses,
                                                const FabricOptions& options,
                                                std::string* why = nullptr);
Result<std::unique_ptr<Fabric>> open_fabric_for(FabricAddress& address,
                                                const FabricOptions& options,
                                                std::string* why = nullptr);

}  // namespace rdmakv
