#include "proxy/peer_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>

namespace rdmakv::proxy {
namespace {

template <typename Address>
Address as(const sockaddr_storage& storage) {
  Address address;
  std::memcpy(&address, &storage, sizeof(address));
  return address;
}

std::string to_text(const sockaddr_storage& storage, socklen_t length) {
  char text[INET6_ADDRSTRLEN] = {};
  switch (storage.ss_family) {
    case AF_INET: {
      const auto address = as<sockaddr_in>(storage);
      inet_ntop(AF_INET, &address.sin_addr, text, sizeof(text));
      return std::string(text) + ":" + std::to_string(ntohs(address.sin_port));
    }
    case AF_INET6: {
      const auto address = as<sockaddr_in6>(storage);
      inet_ntop(AF_INET6, &address.sin6_addr, text, sizeof(text));
      return "[" + std::string(text) + "]:" + std::to_string(ntohs(address.sin6_port));
    }
    case AF_UNIX: {
      const auto address = as<sockaddr_un>(storage);
      if (length <= offsetof(sockaddr_un, sun_path)) return {};
      return std::string(address.sun_path,
                         strnlen(address.sun_path, length - offsetof(sockaddr_un, sun_path))) +
             ":0";
    }
    default:
      return "?:0";
  }
}

}  // namespace

std::string peer_address(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof(storage);
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return "?:0";
  // The client's end of a Unix socket has no name; Redis shows the server's.
  if (storage.ss_family == AF_UNIX) return local_address(fd);
  return to_text(storage, length);
}

std::string local_address(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof(storage);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return "?:0";
  return to_text(storage, length);
}

}  // namespace rdmakv::proxy
