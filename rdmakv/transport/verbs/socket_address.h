// Internet addresses as values: resolving names, writing them for humans, and their likeness to
// GIDs. Set-up only; thread-safe.
#pragma once

#include <infiniband/verbs.h>
#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>

#include "rdmakv/transport/status.h"

namespace rdmakv::verbs {

// An IPv4 or IPv6 address with its port.
class SocketAddress {
 public:
  SocketAddress() = default;
  SocketAddress(const sockaddr* address, socklen_t length);

  // The address of `host` (a name or a number), an IPv4 one before an IPv6 one. Blocks while a name
  // is looked up.
  static Result<SocketAddress> resolve(const std::string& host, uint16_t port);
  // All addresses of this host.
  static SocketAddress any(int family, uint16_t port);
  // The address that a RoCE GID stands for: IPv4 if it is mapped, else IPv6 on interface `scope`.
  static SocketAddress from_gid(const ibv_gid& gid, uint32_t scope);

  // The GID that a RoCE device has for this address.
  ibv_gid to_gid() const;
  // The source address that the routing table would choose to reach this one; none when there is no
  // route.
  std::optional<SocketAddress> route_source() const;
  bool is_link_local() const;  // of IPv6
  // Whether it is one of this host's own.
  bool is_local() const;

  int family() const { return storage_.ss_family; }
  uint16_t port() const;
  void set_port(uint16_t port);
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage_); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t size() const;
  std::string host_text() const;  // "10.77.0.1"
  std::string to_string() const;  // "10.77.0.1:7471", "[fe80::1]:7471"

 private:
  sockaddr_storage storage_ = {};
};

// The addresses of both ends of a TCP socket.
SocketAddress local_address(int fd);
SocketAddress peer_address(int fd);

}  // namespace rdmakv::verbs
