#include "rdmakv/transport/shm/unix_socket.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <random>

namespace rdmakv::shm {
namespace {

constexpr int kBacklog = 1024;
constexpr uint16_t kFirstFreePort = 32768;
constexpr uint16_t kLastFreePort = 60999;
constexpr int kFreePortAttempts = 1000;

struct SocketName {
  sockaddr_un address{};
  socklen_t length = 0;
};

SocketName name_of(uint16_t port) {
  const std::string text = "rdmakv/" + std::to_string(port);
  SocketName name;
  name.address.sun_family = AF_UNIX;
  // sun_path[0] stays 0: the abstract name space, which needs no file and no cleaning up.
  std::memcpy(name.address.sun_path + 1, text.data(), text.size());
  name.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + text.size());
  return name;
}

int bind_to(int socket, uint16_t port) {
  const SocketName name = name_of(port);
  return bind(socket, reinterpret_cast<const sockaddr*>(&name.address), name.length) == 0 ? 0
                                                                                          : errno;
}

Result<UniqueFd> make_socket() {
  UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return Status::from_errno("Unix socket", errno);
  return fd;
}

Status bind_free_port(int socket, uint16_t* port) {
  std::minstd_rand random(std::random_device{}());
  std::uniform_int_distribution<int> ports(kFirstFreePort, kLastFreePort);
  for (int attempt = 0; attempt < kFreePortAttempts; ++attempt) {
    *port = static_cast<uint16_t>(ports(random));
    const int error = bind_to(socket, *port);
    if (error == 0) return Status::ok();
    if (error != EADDRINUSE) return Status::from_errno("binding a Unix socket", error);
  }
  return {Code::kBusy, "no free shm port found"};
}

}  // namespace

Result<UniqueFd> listen_on_port(uint16_t* port) {
  Result<UniqueFd> fd = make_socket();
  if (!fd) return fd.status();
  if (*port == 0) {
    Status bound = bind_free_port(fd->get(), port);
    if (!bound) return bound;
  } else if (const int error = bind_to(fd->get(), *port); error == EADDRINUSE) {
    return {Code::kBusy,
            "port " + std::to_string(*port) +
                " is in use: another process on this host listens on shm:" + std::to_string(*port)};
  } else if (error != 0) {
    return Status::from_errno("binding shm:" + std::to_string(*port), error);
  }
  if (listen(fd->get(), kBacklog) != 0) {
    return Status::from_errno("listening on shm:" + std::to_string(*port), errno);
  }
  return fd;
}

Result<UniqueFd> connect_to_port(uint16_t port) {
  Result<UniqueFd> fd = make_socket();
  if (!fd) return fd.status();
  const SocketName name = name_of(port);
  if (connect(fd->get(), reinterpret_cast<const sockaddr*>(&name.address), name.length) == 0) {
    return fd;
  }
  const std::string where = "shm:" + std::to_string(port);
  switch (errno) {
    case ECONNREFUSED:
    case ENOENT:
      return {Code::kUnavailable, "no server listens on " + where + " of this host"};
    case EAGAIN:
      return {Code::kBusy, "too many connections wait for the server at " + where};
    default:
      return Status::from_errno("connecting to " + where, errno);
  }
}

Result<PeerCredentials> peer_credentials(int socket) {
  ucred credentials{};
  socklen_t length = sizeof(credentials);
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) {
    return Status::from_errno("SO_PEERCRED", errno);
  }
  return PeerCredentials{credentials.pid, credentials.uid};
}

bool trusted_user(uid_t uid) {
  return uid == geteuid() || uid == 0;
}

Received receive_frame(int socket, Frame& frame) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxFrameDescriptors)];
  iovec part{frame.bytes.data(), frame.bytes.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  ssize_t length = 0;
  do {
    length = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (length < 0 && errno == EINTR);
  if (length < 0)
    return errno == EAGAIN || errno == EWOULDBLOCK ? Received::kNothing : Received::kEnd;

  // Whatever came is owned first, so that nothing leaks when the frame turns out to be bad.
  frame.descriptor_count = 0;
  for (UniqueFd& fd : frame.descriptors) fd.reset();
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
      UniqueFd owned(fd);
      if (frame.descriptor_count < kMaxFrameDescriptors) {
        frame.descriptors[frame.descriptor_count++] = std::move(owned);
      }
    }
  }
  if (length == 0) return Received::kEnd;
  if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return Received::kBroken;
  frame.length = static_cast<size_t>(length);
  return Received::kFrame;
}

Status send_packet(int socket, std::span<const std::byte> frame, std::span<const int> descriptors) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxFrameDescriptors)] = {};
  iovec part{const_cast<std::byte*>(frame.data()), frame.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  const size_t count = std::min(descriptors.size(), kMaxFrameDescriptors);
  if (count > 0) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * count);
    std::memcpy(CMSG_DATA(c), descriptors.data(), sizeof(int) * count);
  }
  ssize_t sent = 0;
  do {
    sent = sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0) return Status::ok();
  if (errno == EAGAIN || errno == EWOULDBLOCK) {
    return {Code::kBusy, "the peer does not take what was sent to it over the Unix socket"};
  }
  if (errno == EPIPE || errno == ECONNRESET) {
    return {Code::kUnavailable, "the peer has gone"};
  }
  return Status::from_errno("sending over the Unix socket", errno);
}

}  // namespace rdmakv::shm
