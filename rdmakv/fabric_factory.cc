#include "rdmakv/fabric_factory.h"

#include <charconv>

#include "rdmakv/transport/shm/shm_fabric.h"
#include "rdmakv/transport/verbs/verbs_fabric.h"

namespace rdmakv {
namespace {

Result<uint16_t> parse_port(std::string_view text, std::string_view whole) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0 || port > 65535) {
    return {Code::kInvalidArgument,
            "'" + std::string(whole) + "': '" + std::string(text) + "' is not a port (1 to 65535)"};
  }
  return static_cast<uint16_t>(port);
}

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

}  // namespace

Result<Transport> parse_transport(std::string_view name) {
  if (name == "auto") return Transport::kAuto;
  if (name == "rdma") return Transport::kRdma;
  if (name == "shm") return Transport::kShm;
  return {Code::kInvalidArgument, "'" + std::string(name) + "' is no transport: auto, rdma or shm"};
}

bool rdma_device_present() {
  return verbs::verbs_device_present();
}

Result<std::unique_ptr<Fabric>> open_fabric(const FabricOptions& options, std::string* why) {
  if (options.transport == Transport::kShm) return shm::open_shm_fabric();
  const verbs::VerbsOptions wanted{options.device, options.gid_index};
  if (options.transport == Transport::kRdma || !options.device.empty()) {
    return verbs::open_verbs_fabric(wanted);
  }
  Result<std::unique_ptr<Fabric>> fabric = verbs::open_verbs_fabric(wanted);
  if (fabric) {
    if (why != nullptr) *why = "an RDMA device is there";
    return fabric;
  }
  if (why != nullptr) *why = "no usable RDMA device (" + fabric.status().message() + ")";
  return shm::open_shm_fabric();
}

Result<FabricAddress> parse_server_address(std::string_view text, Transport* transport) {
  const std::string_view whole = text;
  FabricAddress address;
  Transport asked = Transport::kAuto;
  if (take_prefix(text, "shm:")) {
    asked = Transport::kShm;
  } else if (take_prefix(text, "rdma+socket:")) {
    asked = Transport::kRdma;
    address.by_socket = true;
  } else if (take_prefix(text, "rdma:")) {
    asked = Transport::kRdma;
  }
  std::string_view port = text;
  const size_t colon = text.rfind(':');
  if (colon != std::string_view::npos) {
    std::string_view host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
      host = host.substr(1, host.size() - 2);
    }
    address.host = host;
  }
  if (asked != Transport::kShm && address.host.empty()) {
    return {Code::kInvalidArgument, "'" + std::string(whole) +
                                        "' is not HOST:PORT, shm:PORT, rdma:HOST:PORT or "
                                        "rdma+socket:HOST:PORT"};
  }
  Result<uint16_t> number = parse_port(port, whole);
  if (!number) return number.status();
  address.port = *number;
  if (transport != nullptr) *transport = asked;
  return address;
}

}  // namespace rdmakv
