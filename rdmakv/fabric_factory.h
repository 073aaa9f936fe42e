// Where the choice of transport is made: the one place, besides the transports themselves, that
// names them. Used by the mains and by the C API.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "rdmakv/transport/fabric.h"

namespace rdmakv {

enum class Transport : uint8_t {
  kAuto,  // an RDMA device if there is one (and it opens), else shared memory
  kRdma,
  kShm,
};
Result<Transport> parse_transport(std::string_view name);  // "auto", "rdma", "shm"

struct FabricOptions {
  Transport transport = Transport::kAuto;
  std::string
      device;  // RDMA device to use, as ibv_devices names it; empty: the first with an active port
  int gid_index = -1;  // -1: the best one (RoCE v2, IPv4-mapped)
};

// `why` (if not null) receives, under kAuto, the sentence that says what was chosen and why.
Result<std::unique_ptr<Fabric>> open_fabric(const FabricOptions& options,
                                            std::string* why = nullptr);

// Whether this machine has an RDMA device with an active port.
bool rdma_device_present();

// "HOST:PORT" (the fabric's default way), "rdma:HOST:PORT", "rdma+socket:HOST:PORT", "shm:PORT",
// "[v6]:PORT". `transport` receives what the text asks for (kAuto for a bare HOST:PORT).
Result<FabricAddress> parse_server_address(std::string_view text, Transport* transport);

}  // namespace rdmakv
