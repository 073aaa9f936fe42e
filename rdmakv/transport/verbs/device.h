// The RDMA device that a fabric works on: which device, port and GID, and what they can do.
//
// Choice of the GID, unless the user names an index: the one that stands for the address at which
// the peer is met, else the best of the port: RoCE v2 with an IPv4 address, any RoCE v2, the first
// one. InfiniBand ports are addressed by LID, and by GID 0 between subnets.
#pragma once

#include <infiniband/verbs.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rdmakv/transport/endpoint.h"
#include "rdmakv/transport/fabric.h"
#include "rdmakv/transport/status.h"
#include "rdmakv/transport/verbs/handles.h"
#include "rdmakv/transport/verbs/socket_address.h"

namespace rdmakv::verbs {

// Work requests of a queue pair that the Endpoint keeps for itself: a probe and three kinds of
// marks.
inline constexpr uint32_t kReservedWork = 4;
// At least every so many requests one is signalled, asked for or not.
inline uint32_t signal_interval(const EndpointOptions& options) {
  return std::max(1u, std::min(options.max_work, options.send_slots) / 4);
}
// Requests that a connection's send queue has room for: max_work, those that were left unsignalled
// behind the last signalled one, and those of the Endpoint.
inline uint32_t send_queue_depth(const EndpointOptions& options) {
  return options.max_work + signal_interval(options) + kReservedWork;
}
// Pieces of one gather list, the message buffer in front of them included.
inline constexpr uint32_t kMaxGather = 8;
// Longest message that is copied into its work request, where the device takes that many bytes.
inline constexpr uint32_t kMaxInline = 512;

// One valid entry of a port's GID table.
struct Gid {
  int index = 0;
  ibv_gid value = {};
  uint32_t type = IBV_GID_TYPE_IB;  // ibv_gid_type
  uint32_t interface = 0;           // of the network, for link-local addresses
};

std::string_view gid_type_name(uint32_t type);
std::string mtu_text(ibv_mtu mtu);  // "1024"

// The names of all RDMA devices here, in the order in which libibverbs lists them.
std::vector<std::string> device_names();
// The device that has `gid` on one of its ports.
std::optional<std::string> device_with_gid(const ibv_gid& gid);

// An open device with a protection domain. Immutable and thread-safe; shared by all that was made
// on it, which thereby keeps it open.
class Device {
 public:
  // `name` empty: the first device with an active port. `gid_index` -1: the best GID.
  static Result<std::shared_ptr<Device>> open(const std::string& name, int gid_index);

  ibv_context* context() const { return context_.get(); }
  ibv_pd* protection_domain() const { return domain_.get(); }
  const std::string& name() const { return name_; }
  uint8_t port() const { return port_; }
  bool is_ethernet() const { return port_attributes_.link_layer == IBV_LINK_LAYER_ETHERNET; }
  uint8_t link_layer() const { return port_attributes_.link_layer; }
  const ibv_device_attr& attributes() const { return attributes_; }
  // Inline bytes that a queue pair of the usual shape may ask for.
  uint32_t max_inline() const { return max_inline_; }

  // The port as it is now: its MTU, LID and state may change.
  Result<ibv_port_attr> query_port() const;
  // The port's GIDs as they are now.
  std::vector<Gid> gids() const;
  // The GID to use where no peer asks for another (see above).
  Result<Gid> usual_gid() const;
  // The GID to use with a peer met at the local address `local` (see above). With the peer's own
  // GID known, one that can talk to it: of the same type and kind of address.
  Result<Gid> gid_for(const SocketAddress& local, const Gid* peer = nullptr) const;
  // The Internet address that the usual GID stands for, as text; empty where it stands for none.
  std::string host() const;
  // The GID that stands for `address`, if the port has it.
  std::optional<Gid> gid_of(const SocketAddress& address) const;
  // The address to bind to so that the RDMA CM uses this device to reach `target`; none when the CM
  // is to choose by itself (InfiniBand). An error names the device that `target` is reached
  // through.
  Result<std::optional<SocketAddress>> source_for(const SocketAddress& target) const;

  // Whether it may report a READ or ATOMIC as done without its data (arrival_guard.h). Soft-RoCE.
  bool may_lose_answers() const { return attributes_.vendor_id == kSoftRoceVendor; }
  // A driver that does it all by software: Soft-RoCE (rxe), Soft-iWARP (siw).
  bool is_emulated() const {
    return attributes_.vendor_id == kSoftRoceVendor || attributes_.vendor_id == kSoftIwarpVendor;
  }
  bool has_atomics() const { return attributes_.atomic_cap != IBV_ATOMIC_NONE; }
  FabricLimits limits() const;
  // `options` lowered to what the device can do; an error when one of them is 0.
  Result<EndpointOptions> clip(EndpointOptions options) const;
  std::string describe() const;

 private:
  // As the kernel's drivers report them.
  static constexpr uint32_t kSoftRoceVendor = 0xffffff;
  static constexpr uint32_t kSoftIwarpVendor = 0x626d74;

  Device() = default;
  Status choose_port(bool named);
  void find_max_inline();

  ContextHandle context_;
  ProtectionDomainHandle domain_;
  std::string name_;
  uint8_t port_ = 0;
  int wanted_gid_ = -1;
  uint32_t max_inline_ = 0;
  ibv_device_attr attributes_ = {};
  ibv_port_attr port_attributes_ = {};
};

}  // namespace rdmakv::verbs
