#include "rdmakv/transport/verbs/socket_address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "rdmakv/transport/verbs/handles.h"

namespace rdmakv::verbs {
namespace {

bool is_v4_mapped(const ibv_gid& gid) {
  static constexpr uint8_t kPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::memcmp(gid.raw, kPrefix, sizeof(kPrefix)) == 0;
}

}  // namespace

SocketAddress::SocketAddress(const sockaddr* address, socklen_t length) {
  std::memcpy(&storage_, address, std::min<size_t>(length, sizeof(storage_)));
}

Result<SocketAddress> SocketAddress::resolve(const std::string& host, uint16_t port) {
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (error != 0) {
    const std::string why = error == EAI_SYSTEM ? std::strerror(errno) : gai_strerror(error);
    return {Code::kUnavailable, "cannot resolve host '" + host + "': " + why};
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> list(found, freeaddrinfo);
  const addrinfo* chosen = nullptr;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    if (entry->ai_family == AF_INET) {
      chosen = entry;
      break;
    }
    if (entry->ai_family == AF_INET6 && chosen == nullptr) chosen = entry;
  }
  if (chosen == nullptr) {
    return {Code::kUnavailable, "host '" + host + "' has neither an IPv4 nor an IPv6 address"};
  }
  SocketAddress address(chosen->ai_addr, chosen->ai_addrlen);
  address.set_port(port);
  return address;
}

SocketAddress SocketAddress::any(int family, uint16_t port) {
  SocketAddress address;
  address.storage_.ss_family = static_cast<sa_family_t>(family);  // the address itself is all zero
  address.set_port(port);
  return address;
}

SocketAddress SocketAddress::from_gid(const ibv_gid& gid, uint32_t scope) {
  SocketAddress address;
  if (is_v4_mapped(gid)) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage_);
    v4->sin_family = AF_INET;
    std::memcpy(&v4->sin_addr, gid.raw + 12, 4);
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage_);
    v6->sin6_family = AF_INET6;
    std::memcpy(&v6->sin6_addr, gid.raw, 16);
    if (IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr)) v6->sin6_scope_id = scope;
  }
  return address;
}

ibv_gid SocketAddress::to_gid() const {
  ibv_gid gid = {};
  if (family() == AF_INET) {
    gid.raw[10] = gid.raw[11] = 0xff;
    std::memcpy(gid.raw + 12, &reinterpret_cast<const sockaddr_in*>(&storage_)->sin_addr, 4);
  } else if (family() == AF_INET6) {
    std::memcpy(gid.raw, &reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_addr, 16);
  }
  return gid;
}

std::optional<SocketAddress> SocketAddress::route_source() const {
  // Connecting a datagram socket sends nothing; it only asks the routing table.
  const FileDescriptor probe(socket(family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  SocketAddress target = *this;
  if (target.port() == 0) target.set_port(9);
  if (!probe || ::connect(probe.get(), target.get(), target.size()) != 0) return std::nullopt;
  SocketAddress source = local_address(probe.get());
  source.set_port(0);
  return source;
}

bool SocketAddress::is_link_local() const {
  return family() == AF_INET6 &&
         IN6_IS_ADDR_LINKLOCAL(&reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_addr);
}

bool SocketAddress::is_local() const {
  const FileDescriptor probe(socket(family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  SocketAddress own = *this;
  own.set_port(0);
  return probe && ::bind(probe.get(), own.get(), own.size()) == 0;
}

uint16_t SocketAddress::port() const {
  if (family() == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(&storage_)->sin_port);
  if (family() == AF_INET6) {
    return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_port);
  }
  return 0;
}

void SocketAddress::set_port(uint16_t port) {
  if (family() == AF_INET) reinterpret_cast<sockaddr_in*>(&storage_)->sin_port = htons(port);
  if (family() == AF_INET6) reinterpret_cast<sockaddr_in6*>(&storage_)->sin6_port = htons(port);
}

socklen_t SocketAddress::size() const {
  return family() == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
}

std::string SocketAddress::host_text() const {
  char text[INET6_ADDRSTRLEN] = {};
  if (family() == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(&storage_)->sin_addr, text,
              sizeof(text));
  } else if (family() == AF_INET6) {
    const in6_addr& v6 = reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&v6)) {
      inet_ntop(AF_INET, v6.s6_addr + 12, text, sizeof(text));
    } else {
      inet_ntop(AF_INET6, &v6, text, sizeof(text));
    }
  } else {
    return "unknown address";
  }
  return text;
}

std::string SocketAddress::to_string() const {
  const std::string host = host_text();
  const std::string port_text = ":" + std::to_string(port());
  return host.find(':') == std::string::npos ? host + port_text : "[" + host + "]" + port_text;
}

SocketAddress local_address(int fd) {
  sockaddr_storage storage = {};
  socklen_t length = sizeof(storage);
  getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length);
  return {reinterpret_cast<sockaddr*>(&storage), sizeof(storage)};
}

SocketAddress peer_address(int fd) {
  sockaddr_storage storage = {};
  socklen_t length = sizeof(storage);
  getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &length);
  return {reinterpret_cast<sockaddr*>(&storage), sizeof(storage)};
}

}  // namespace rdmakv::verbs
