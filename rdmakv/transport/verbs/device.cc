#include "rdmakv/transport/verbs/device.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace rdmakv::verbs {
namespace {

constexpr uint32_t kMaxReads = 254;  // the RDMA CM has 8 bits for it, and 255 means something else

struct DeviceList {
  int count = 0;
  std::unique_ptr<ibv_device*, ReleaseBy<ibv_free_device_list>> entries;

  DeviceList() { entries.reset(ibv_get_device_list(&count)); }
  ibv_device* at(int i) const { return entries.get()[i]; }
  int size() const { return entries ? count : 0; }
};

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::vector<Gid> gids_of(ibv_context* context, uint8_t port) {
  ibv_device_attr attributes = {};
  if (ibv_query_device(context, &attributes) != 0) return {};
  size_t entries = 0;
  for (uint8_t i = 1; i <= attributes.phys_port_cnt; ++i) {
    ibv_port_attr about = {};
    if (ibv_query_port(context, i, &about) == 0) entries += static_cast<size_t>(about.gid_tbl_len);
  }
  std::vector<ibv_gid_entry> table(entries);
  const ssize_t valid = ibv_query_gid_table(context, table.data(), table.size(), 0);
  std::vector<Gid> gids;
  for (ssize_t i = 0; i < valid; ++i) {
    const ibv_gid_entry& entry = table[static_cast<size_t>(i)];
    if (entry.port_num != port) continue;
    gids.push_back(
        {static_cast<int>(entry.gid_index), entry.gid, entry.gid_type, entry.ndev_ifindex});
  }
  return gids;
}

bool same_gid(const ibv_gid& a, const ibv_gid& b) {
  return std::memcmp(a.raw, b.raw, sizeof(a.raw)) == 0;
}

// Packets between two GIDs need the same protocol and the same kind of address at both ends.
bool can_talk(const Gid& a, const Gid& b) {
  const SocketAddress from = SocketAddress::from_gid(a.value, 0);
  const SocketAddress to = SocketAddress::from_gid(b.value, 0);
  return a.type == b.type && from.family() == to.family() &&
         from.is_link_local() == to.is_link_local();
}

// Higher is better.
int rank(const Gid& gid) {
  if (gid.type != IBV_GID_TYPE_ROCE_V2) return 0;
  return SocketAddress::from_gid(gid.value, 0).family() == AF_INET ? 2 : 1;
}

}  // namespace

std::string_view gid_type_name(uint32_t type) {
  switch (type) {
    case IBV_GID_TYPE_IB:
      return "InfiniBand";
    case IBV_GID_TYPE_ROCE_V1:
      return "RoCE v1";
    case IBV_GID_TYPE_ROCE_V2:
      return "RoCE v2";
    default:
      return "unknown type";
  }
}

std::string mtu_text(ibv_mtu mtu) {
  return std::to_string(128u << static_cast<uint32_t>(mtu));
}

std::vector<std::string> device_names() {
  const DeviceList list;
  std::vector<std::string> names;
  for (int i = 0; i < list.size(); ++i) names.emplace_back(ibv_get_device_name(list.at(i)));
  return names;
}

std::optional<std::string> device_with_gid(const ibv_gid& gid) {
  const DeviceList list;
  for (int i = 0; i < list.size(); ++i) {
    const ContextHandle context(ibv_open_device(list.at(i)));
    ibv_device_attr attributes = {};
    if (!context || ibv_query_device(context.get(), &attributes) != 0) continue;
    for (uint8_t port = 1; port <= attributes.phys_port_cnt; ++port) {
      for (const Gid& candidate : gids_of(context.get(), port)) {
        if (same_gid(candidate.value, gid)) return ibv_get_device_name(list.at(i));
      }
    }
  }
  return std::nullopt;
}

Result<std::shared_ptr<Device>> Device::open(const std::string& name, int gid_index) {
  const DeviceList list;
  if (list.size() == 0) {
    return {Code::kUnavailable,
            name.empty() ? "no RDMA device on this machine"
                         : "no such RDMA device '" + name + "': this machine has no RDMA device"};
  }
  Status failure;
  for (int i = 0; i < list.size(); ++i) {
    const std::string candidate = ibv_get_device_name(list.at(i));
    if (!name.empty() && candidate != name) continue;
    std::shared_ptr<Device> device(new Device);  // NOLINT: the constructor is private
    device->name_ = candidate;
    device->wanted_gid_ = gid_index;
    device->context_.reset(ibv_open_device(list.at(i)));
    if (!device->context_) {
      failure = Status::from_errno("cannot open RDMA device " + candidate, errno);
      continue;
    }
    failure = device->choose_port(!name.empty());
    if (!failure) continue;
    if (Result<Gid> gid = device->usual_gid(); !gid) return gid.status();
    device->domain_.reset(ibv_alloc_pd(device->context()));
    if (!device->domain_) {
      return Status::from_errno("cannot make a protection domain on " + candidate, errno);
    }
    device->find_max_inline();
    return device;
  }
  if (!name.empty() && failure) {
    return {Code::kUnavailable,
            "no such RDMA device '" + name + "': this machine has " + join(device_names())};
  }
  if (name.empty() && list.size() > 1) {
    return {Code::kUnavailable, "no RDMA device with an active port: this machine has " +
                                    join(device_names()) + "; the last says: " + failure.message()};
  }
  return failure;
}

Status Device::choose_port(bool named) {
  if (const int error = ibv_query_device(context(), &attributes_); error != 0) {
    return Status::from_errno("cannot query RDMA device " + name_, error);
  }
  for (uint8_t port = 1; port <= attributes_.phys_port_cnt; ++port) {
    if (ibv_query_port(context(), port, &port_attributes_) != 0) continue;
    if (port_attributes_.state == IBV_PORT_ACTIVE) {
      port_ = port;
      return Status::ok();
    }
  }
  const std::string which = attributes_.phys_port_cnt == 1
                                ? "port 1 of RDMA device " + name_ + " is not active"
                                : "none of the " + std::to_string(attributes_.phys_port_cnt) +
                                      " ports of RDMA device " + name_ + " is active";
  return {Code::kUnavailable, which + (named ? " (is its link up?)" : "")};
}

Result<ibv_port_attr> Device::query_port() const {
  ibv_port_attr attributes = {};
  if (const int error = ibv_query_port(context(), port_, &attributes); error != 0) {
    return Status::from_errno("cannot query port " + std::to_string(port_) + " of " + name_, error);
  }
  if (attributes.state != IBV_PORT_ACTIVE) {
    return {Code::kUnavailable,
            "port " + std::to_string(port_) + " of RDMA device " + name_ + " is not active"};
  }
  return attributes;
}

std::vector<Gid> Device::gids() const {
  return gids_of(context(), port_);
}

Result<Gid> Device::usual_gid() const {
  const std::vector<Gid> table = gids();
  if (wanted_gid_ >= 0) {
    for (const Gid& gid : table) {
      if (gid.index == wanted_gid_) return gid;
    }
    std::string known;
    for (const Gid& gid : table) known += (known.empty() ? "" : ", ") + std::to_string(gid.index);
    return {Code::kInvalidArgument,
            "RDMA device " + name_ + " has no GID with index " + std::to_string(wanted_gid_) +
                (known.empty() ? " (it has none)" : " (it has " + known + ")")};
  }
  const auto best = std::max_element(table.begin(), table.end(),
                                     [](const Gid& a, const Gid& b) { return rank(a) < rank(b); });
  if (best != table.end()) return *best;
  if (!is_ethernet()) return Gid{};
  return {Code::kUnavailable,
          "RDMA device " + name_ + " has no GID: give its network interface an " + "IP address"};
}

std::optional<Gid> Device::gid_of(const SocketAddress& address) const {
  const ibv_gid wanted = address.to_gid();
  std::optional<Gid> found;
  for (const Gid& gid : gids()) {
    if (same_gid(gid.value, wanted) && (!found || rank(gid) > rank(*found))) found = gid;
  }
  return found;
}

Result<Gid> Device::gid_for(const SocketAddress& local, const Gid* peer) const {
  const auto fits = [&](const Gid& gid) {
    return peer == nullptr || !is_ethernet() || can_talk(gid, *peer);
  };
  if (wanted_gid_ < 0 && is_ethernet()) {
    const std::optional<Gid> gid = gid_of(local);
    if (gid && fits(*gid)) return *gid;
  }
  Result<Gid> usual = usual_gid();
  if (!usual || fits(*usual)) return usual;
  if (wanted_gid_ < 0) {
    for (const Gid& gid : gids()) {
      if (fits(gid)) return gid;
    }
  }
  return {Code::kInvalidArgument, "no GID of " + name_ + " can talk to the peer's GID " +
                                      SocketAddress::from_gid(peer->value, 0).host_text() + " (" +
                                      std::string(gid_type_name(peer->type)) +
                                      "): choose the GID indexes by hand"};
}

std::string Device::host() const {
  const Result<Gid> gid = is_ethernet() ? usual_gid() : Result<Gid>(Code::kNotFound, "");
  return gid ? SocketAddress::from_gid(gid.value().value, 0).host_text() : std::string();
}

Result<std::optional<SocketAddress>> Device::source_for(const SocketAddress& target) const {
  if (!is_ethernet()) return std::optional<SocketAddress>();
  const std::optional<SocketAddress> route = target.route_source();
  if (!route) return {Code::kUnavailable, "no route to " + target.host_text()};
  if (wanted_gid_ < 0 && gid_of(*route)) return route;
  // This host's own addresses are reached from any of its devices. For the others the routing table
  // decides, and the RDMA CM would refuse or send into the void.
  if (!target.is_local() && !gid_of(*route)) {
    if (const std::optional<std::string> other = device_with_gid(route->to_gid())) {
      return {Code::kInvalidArgument, target.host_text() + " is reached through RDMA device " +
                                          *other + ", but this process uses " + name_ +
                                          ": choose it with --device " + *other};
    }
  }
  Result<Gid> own = usual_gid();
  if (!own) return own.status();
  SocketAddress source = SocketAddress::from_gid(own->value, own->interface);
  if (wanted_gid_ < 0 && source.family() != target.family()) {
    for (const Gid& gid : gids()) {
      const SocketAddress candidate = SocketAddress::from_gid(gid.value, gid.interface);
      if (candidate.family() == target.family()) source = candidate;
    }
  }
  if (source.family() != target.family()) {
    return {Code::kUnavailable,
            "RDMA device " + name_ + " has no address of the same family as " + target.host_text()};
  }
  return std::optional<SocketAddress>(source);
}

FabricLimits Device::limits() const {
  FabricLimits limits;
  limits.max_message = port_attributes_.max_msg_sz;
  limits.max_completions = static_cast<uint32_t>(attributes_.max_cqe);
  limits.max_reads = std::min({static_cast<uint32_t>(attributes_.max_qp_rd_atom),
                               static_cast<uint32_t>(attributes_.max_qp_init_rd_atom), kMaxReads});
  // Such that send_queue_depth() stays within the device's limit.
  limits.max_work = (static_cast<uint32_t>(attributes_.max_qp_wr) - kReservedWork) / 5 * 4;
  limits.atomics = has_atomics();
  limits.atomics_with_cpu = attributes_.atomic_cap == IBV_ATOMIC_GLOB;
  limits.emulated = is_emulated();
  return limits;
}

Result<EndpointOptions> Device::clip(EndpointOptions options) const {
  const FabricLimits limit = limits();
  // A work request and a receive slot are named by 23 bits of a completion's id.
  constexpr uint32_t kMaxSlots = 1u << 22;
  options.max_work = std::min({options.max_work, limit.max_work, kMaxSlots});
  options.receive_slots =
      std::min({options.receive_slots, static_cast<uint32_t>(attributes_.max_qp_wr), kMaxSlots});
  options.send_slots = std::min(options.send_slots, options.max_work);
  options.max_reads = std::min(options.max_reads, limit.max_reads);
  options.message_bytes = std::min(options.message_bytes, limit.max_message);
  if (options.max_work == 0 || options.receive_slots == 0 || options.send_slots == 0 ||
      options.max_reads == 0 || options.message_bytes == 0) {
    return {Code::kInvalidArgument, "every size of a connection must be at least 1"};
  }
  return options;
}

// What a device takes inline depends on the shape of the queue pair and is told nowhere, so it is
// tried, once: with the usual number of gather pieces, and few requests.
void Device::find_max_inline() {
  const CompletionQueueHandle queue(ibv_create_cq(context(), 1, nullptr, nullptr, 0));
  if (!queue) return;
  for (uint32_t bytes = kMaxInline; bytes >= 64; bytes /= 2) {
    ibv_qp_init_attr wanted = {};
    wanted.send_cq = wanted.recv_cq = queue.get();
    wanted.qp_type = IBV_QPT_RC;
    wanted.cap = {1, 1, std::min(kMaxGather, static_cast<uint32_t>(attributes_.max_sge)), 1, bytes};
    const QueuePairHandle pair(ibv_create_qp(protection_domain(), &wanted));
    if (pair) {
      max_inline_ = bytes;
      return;
    }
  }
}

std::string Device::describe() const {
  std::string text = "RDMA device " + name_ + " port " + std::to_string(port_) + " (" +
                     (is_ethernet() ? "Ethernet" : "InfiniBand") + ")";
  if (Result<Gid> gid = usual_gid()) {
    const SocketAddress address = SocketAddress::from_gid(gid->value, 0);
    text += ", GID " + std::to_string(gid->index) + " " + address.host_text() + " (" +
            std::string(gid_type_name(gid->type)) + ")";
  }
  if (!is_ethernet()) text += ", LID " + std::to_string(port_attributes_.lid);
  const FabricLimits limit = limits();
  const Result<ibv_port_attr> now = query_port();
  if (is_emulated()) text += ", emulated by software";
  text += ", MTU " + mtu_text(now ? now.value().active_mtu : port_attributes_.active_mtu);
  text += ", at most " + std::to_string(limit.max_message) + " B per message, " +
          std::to_string(limit.max_completions) + " completions per queue, " +
          std::to_string(limit.max_reads) + " outstanding reads, " + std::to_string(max_inline_) +
          " B inline, atomics " +
          (!has_atomics()           ? "none"
           : limit.atomics_with_cpu ? "global"
                                    : "per adapter");
  return text;
}

}  // namespace rdmakv::verbs
