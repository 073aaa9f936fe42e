#include "rdmakv/transport/verbs/path.h"

#include <cstring>

#include "rdmakv/transport/authentication.h"

namespace rdmakv::verbs {
namespace {

constexpr uint8_t kHopLimit = 64;

}  // namespace

Result<QueuePairAddress> address_of(const QueuePair& pair, const Device& device, const Gid& gid) {
  const Result<ibv_port_attr> port = device.query_port();
  if (!port) return port.status();
  QueuePairAddress address;
  address.number = pair.number();
  address.psn = static_cast<uint32_t>(random_u64()) & kPsnMask;
  std::memcpy(address.gid, gid.value.raw, sizeof(address.gid));
  address.lid = port.value().lid;
  address.link_layer = device.link_layer();
  address.gid_type = static_cast<uint8_t>(gid.type);
  address.mtu = static_cast<uint8_t>(port.value().active_mtu);
  return address;
}

Path path_to(const QueuePairAddress& peer, const Device& device, const Gid& own, uint8_t max_reads,
             ibv_mtu mtu) {
  Path path;
  path.address.port_num = device.port();
  path.address.dlid = peer.lid;
  // InfiniBand needs the global route only between subnets, which differ in the GID's first half.
  path.address.is_global =
      device.is_ethernet() || peer.lid == 0 || std::memcmp(peer.gid, own.value.raw, 8) != 0;
  std::memcpy(path.address.grh.dgid.raw, peer.gid, sizeof(peer.gid));
  path.address.grh.sgid_index = static_cast<uint8_t>(own.index);
  path.address.grh.hop_limit = kHopLimit;
  path.peer_queue_pair = peer.number;
  path.receive_psn = peer.psn;
  path.mtu = mtu;
  path.max_reads = max_reads;
  return path;
}

}  // namespace rdmakv::verbs
