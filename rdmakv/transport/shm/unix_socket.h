// Unix sockets of the abstract name space: packets with file descriptors beside them, and who is at
// the other end. Nothing here blocks.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <string>

#include "rdmakv/transport/shm/unique_fd.h"
#include "rdmakv/transport/status.h"

namespace rdmakv::shm {

inline constexpr size_t kMaxFrameBytes = 256;
inline constexpr size_t kMaxFrameDescriptors = 4;

// Binds and listens at "rdmakv/PORT"; port 0 picks a free one, which `port` then holds.
Result<UniqueFd> listen_on_port(uint16_t* port);
// A connection to whoever listens at "rdmakv/PORT". kUnavailable when nobody does.
Result<UniqueFd> connect_to_port(uint16_t port);

struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = 0;
};
Result<PeerCredentials> peer_credentials(int socket);
// Whether a process of user `uid` may share memory with this one: the same user, or root.
bool trusted_user(uid_t uid);

struct Frame {
  std::array<std::byte, kMaxFrameBytes> bytes;
  size_t length = 0;
  std::array<UniqueFd, kMaxFrameDescriptors> descriptors;
  size_t descriptor_count = 0;

  // The frame as a T; false when it is not exactly that long or has not `wanted` descriptors.
  template <typename T>
  bool as(T& out, size_t wanted) const {
    if (length != sizeof(T) || descriptor_count != wanted) return false;
    std::memcpy(&out, bytes.data(), sizeof(T));
    return true;
  }
};

enum class Received : uint8_t {
  kFrame,
  kNothing,  // nothing there for now
  kEnd,      // the peer has gone
  kBroken,  // a packet too long, or descriptors that did not fit this process's limit of open files
};
Received receive_frame(int socket, Frame& frame);

// kBusy when the peer does not take what was sent before.
Status send_packet(int socket, std::span<const std::byte> frame, std::span<const int> descriptors);
template <typename T>
Status send_frame(int socket, const T& frame, std::initializer_list<int> descriptors = {}) {
  return send_packet(socket, std::as_bytes(std::span(&frame, 1)),
                     std::span<const int>(descriptors.begin(), descriptors.size()));
}

}  // namespace rdmakv::shm
