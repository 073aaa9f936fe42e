// A reliable connected queue pair and its way through the states, in both modes by hand:
//
//   RESET --to_initialized--> INIT --to_receiving--> RTR --to_sending--> RTS --to_error--> ERR
//             receives may be posted     messages may arrive    work may be posted    all is
//             flushed
//
// One thread at a time.
#pragma once

#include <infiniband/verbs.h>

#include <cstdint>
#include <memory>

#include "rdmakv/transport/status.h"
#include "rdmakv/transport/verbs/device.h"
#include "rdmakv/transport/verbs/handles.h"

namespace rdmakv::verbs {

// Attempts after a lost packet before the connection breaks. Not 7: Soft-RoCE takes that as "for
// ever".
inline constexpr uint8_t kRetries = 6;
// The time before each attempt is 4.096 us * 2^kAckTimeout: 67 ms, so that a dead peer costs about
// half a second. Devices may take up to four times as long.
inline constexpr uint8_t kAckTimeout = 14;
// A peer without a posted receive is asked again for ever: credits make that a matter of moments.
inline constexpr uint8_t kReceiverNotReadyRetries = 7;
inline constexpr uint8_t kMinReceiverNotReadyTimer = 5;  // 60 us
inline constexpr uint32_t kPsnMask = 0xffffff;           // packet sequence and queue pair numbers

struct QueuePairSizes {
  uint32_t sends = 0;
  uint32_t receives = 0;
};

// How packets reach the peer.
struct Path {
  ibv_ah_attr address = {};
  uint32_t peer_queue_pair = 0;
  uint32_t receive_psn = 0;  // the first that the peer sends
  ibv_mtu mtu = IBV_MTU_1024;
  uint8_t max_reads = 1;
};

class QueuePair {
 public:
  QueuePair() = default;
  // In state RESET; completions of both kinds go to `queue`.
  static Result<QueuePair> create(const Device& device, ibv_cq* queue, const QueuePairSizes& sizes);

  Status to_initialized(uint8_t port, uint16_t pkey_index);
  Status to_receiving(const Path& path);
  Status to_sending(uint32_t send_psn, uint8_t max_reads);
  // Ends all work: what is posted completes with an error, the peer's requests are no longer
  // served.
  bool to_error() noexcept;
  // Afterwards nothing touches local memory for this queue pair any more.
  void destroy() { handle_.reset(); }

  explicit operator bool() const { return handle_ != nullptr; }
  ibv_qp* get() const { return handle_.get(); }
  uint32_t number() const { return handle_->qp_num; }
  uint32_t max_inline() const { return max_inline_; }
  uint32_t max_gather() const { return max_gather_; }

 private:
  QueuePairHandle handle_;
  uint32_t max_inline_ = 0;
  uint32_t max_gather_ = 0;
  unsigned int peers_may_ = 0;  // ibv_access_flags; a device without ATOMICs refuses that flag
};

}  // namespace rdmakv::verbs
