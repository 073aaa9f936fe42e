#include "proxy/listener.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "proxy/proxy.h"
#include "proxy/worker.h"

namespace rdmakv::proxy {
namespace {

constexpr int kBacklog = 1024;
constexpr int kAcceptsPerEvent = 64;
constexpr timeval kRetry = {0, 100'000};
constexpr std::string_view kTooMany = "-ERR max number of clients reached\r\n";

struct AddressInfoDeleter {
  void operator()(addrinfo* info) const { freeaddrinfo(info); }
};
using AddressInfo = std::unique_ptr<addrinfo, AddressInfoDeleter>;

// Of a name that means both, such as localhost, the one of IPv4, as in Redis.
const addrinfo& preferred(const addrinfo& first) {
  for (const addrinfo* info = &first; info != nullptr; info = info->ai_next) {
    if (info->ai_family == AF_INET) return *info;
  }
  return first;
}

// Binds a new socket to `info`; -1 with errno set. Without `share` the port must be nobody else's.
int bind_socket(const addrinfo& info, bool share) {
  const int fd = ::socket(info.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (share) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
  if (info.ai_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  if (::bind(fd, info.ai_addr, info.ai_addrlen) == 0) return fd;
  const int error = errno;
  ::close(fd);
  errno = error;
  return -1;
}

}  // namespace

Result<int> listen_tcp(const std::string& address, uint16_t port, bool first) {
  const bool all = address.empty() || address == "*";
  const std::string what = "cannot listen on " + (all ? "*" : address) + ":" + std::to_string(port);
  addrinfo hints{};
  hints.ai_family = all ? AF_INET : AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int failure =
      getaddrinfo(all ? nullptr : address.c_str(), std::to_string(port).c_str(), &hints, &found);
  const AddressInfo owner(found);
  if (failure != 0) return {Code::kInvalidArgument, what + ": " + gai_strerror(failure)};
  const addrinfo& info = preferred(*found);
  // A port that another process shares by SO_REUSEPORT too would be shared silently: look first.
  if (first && port != 0) {
    const int probe = bind_socket(info, false);
    if (probe < 0) return Status::from_errno(what, errno);
    ::close(probe);
  }
  const int fd = bind_socket(info, true);
  if (fd < 0) return Status::from_errno(what, errno);
  if (::listen(fd, kBacklog) != 0) {
    const int error = errno;
    ::close(fd);
    return Status::from_errno(what, error);
  }
  return fd;
}

uint16_t bound_port(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof(storage);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return 0;
  sockaddr_in6 v6;
  sockaddr_in v4;
  std::memcpy(&v6, &storage, sizeof(v6));
  std::memcpy(&v4, &storage, sizeof(v4));
  return ntohs(storage.ss_family == AF_INET6 ? v6.sin6_port : v4.sin_port);
}

Result<int> listen_unix(const std::string& path, unsigned mode) {
  const std::string what = "cannot listen on " + path;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return {Code::kInvalidArgument, what + ": the path is longer than 107 bytes, or empty"};
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  const auto* raw = reinterpret_cast<const sockaddr*>(&address);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return Status::from_errno(what, errno);
  const auto failed = [&](int error) -> Result<int> {
    ::close(fd);
    return Status::from_errno(what, error);
  };
  struct stat there {};
  if (::lstat(path.c_str(), &there) == 0) {
    if (!S_ISSOCK(there.st_mode)) return failed(EEXIST);
    const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const bool served = probe >= 0 && ::connect(probe, raw, sizeof(address)) == 0;
    if (probe >= 0) ::close(probe);
    if (served) return failed(EADDRINUSE);
    ::unlink(path.c_str());
  }
  // The umask decides between bind and chmod, so nobody gets in who should not.
  const mode_t before = ::umask(0777 & ~mode);
  const int bound = ::bind(fd, raw, sizeof(address));
  const int error = errno;
  ::umask(before);
  if (bound != 0) return failed(error);
  if (::chmod(path.c_str(), mode) != 0 || ::listen(fd, kBacklog) != 0) return failed(errno);
  return fd;
}

ClientListener::ClientListener(Worker& worker, int fd, std::function<void(int)> accepted)
    : worker_(worker), fd_(fd), accepted_(std::move(accepted)) {
  event_ = event_new(worker.base(), fd, EV_READ | EV_PERSIST, &ClientListener::on_readable, this);
  retry_ = event_new(worker.base(), -1, 0, &ClientListener::on_retry, this);
  event_add(event_, nullptr);
}

ClientListener::~ClientListener() {
  event_free(event_);
  event_free(retry_);
  ::close(fd_);
}

void ClientListener::on_readable(evutil_socket_t, short, void* self) {
  static_cast<ClientListener*>(self)->accept_some();
}

void ClientListener::on_retry(evutil_socket_t, short, void* self) {
  event_add(static_cast<ClientListener*>(self)->event_, nullptr);
}

void ClientListener::accept_some() {
  for (int i = 0; i < kAcceptsPerEvent; ++i) {
    const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      if (errno == EINTR || errno == ECONNABORTED) continue;
      // Out of descriptors or memory: the socket stays readable, so look away for a while.
      spdlog::warn("cannot accept a client: {}", std::strerror(errno));
      event_del(event_);
      event_add(retry_, &kRetry);
      return;
    }
    if (!worker_.proxy().client_arrives()) {
      worker_.stats().rejected.add();
      (void)!::write(fd, kTooMany.data(), kTooMany.size());
      ::close(fd);
      continue;
    }
    configure(fd);
    accepted_(fd);
  }
}

void ClientListener::configure(int fd) const {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  const auto seconds = static_cast<int>(std::min<uint64_t>(worker_.settings().keepalive_s, 32'767));
  if (seconds == 0) return;
  // As Redis: the first probe after the interval, then three at a third of it.
  const int interval = std::max(1, seconds / 3), probes = 3;
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof(seconds));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

}  // namespace rdmakv::proxy
