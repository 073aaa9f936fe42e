// What travels over the Unix socket of one shm connection: frames, one per SOCK_SEQPACKET packet,
// with file descriptors (SCM_RIGHTS) beside them. Set-up only; messages go through shared memory
// (message_rings.h).
//
//   connecting side                                          listening side
//     | ConnectFrame  + outbox, queue page, doorbell, life page |
//     |-------------------------------------------------------->|  route(), accepted()
//     |               ReplyFrame + the same four                |  (or RefusalFrame)
//     |<--------------------------------------------------------|
//     | RegionFrame   + the region's memory, at any time, both ways
//     |<------------------------------------------------------->|
//     | end of file: the peer closed the connection, or died    |
//     |<------------------------------------------------------->|
//
// The descriptors, each made by the process that sends it, which is also the only one to write to
// it (the doorbell excepted):
//   outbox      memfd: the messages that the sender has for the receiver (message_rings.h)
//   queue page  memfd: whether the sender's completion queue sleeps (queue_page.h)
//   doorbell    eventfd of this connection: written to when the sender sleeps
//   life page   memfd: whether the sender's process lives (life_sign.h)
#pragma once

#include <cstdint>

#include "protocol/kv_handshake.h"

namespace rdmakv::shm {

enum class FrameKind : uint32_t { kConnect = 1, kReply = 2, kRefusal = 3, kRegion = 4 };

#pragma pack(push, 1)

// The first 12 bytes are the same in every version of the protocol, so that versions can be
// compared.
struct ConnectFrame {
  FrameKind kind = FrameKind::kConnect;
  wire::ConnectRequest request;
  uint32_t buffers = 0;  // message buffers in the sender's outbox
};

struct ReplyFrame {
  FrameKind kind = FrameKind::kReply;
  wire::ConnectReply reply;
  uint32_t buffers = 0;
};

struct RefusalFrame {
  FrameKind kind = FrameKind::kRefusal;
  wire::ConnectRefusal refusal;
};

struct RegionFrame {
  FrameKind kind = FrameKind::kRegion;
  uint32_t key = 0;
  uint32_t rights = 0;  // RemoteAccess bits
  uint32_t reserved = 0;
  uint64_t bytes = 0;  // the size of the memfd beside it
};

#pragma pack(pop)

inline constexpr uint32_t kSetupDescriptors = 4;  // beside ConnectFrame and ReplyFrame

// What an honest peer may ask for.
inline constexpr uint32_t kMaxReceiveSlots = 4096;
inline constexpr uint32_t kMinMessageBytes = 1024;
inline constexpr uint32_t kMaxMessageBytes = 65536;
inline constexpr uint32_t kMaxReads = 1024;
inline constexpr uint32_t kMaxSendSlots = 8192;
inline constexpr uint32_t kMaxWork = 65536;
inline constexpr uint32_t kMaxRegionsPerPeer = 64;

}  // namespace rdmakv::shm
