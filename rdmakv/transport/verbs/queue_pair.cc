#include "rdmakv/transport/verbs/queue_pair.h"

#include <algorithm>
#include <cerrno>

namespace rdmakv::verbs {
namespace {

Status modify(ibv_qp* pair, ibv_qp_attr& attributes, int mask, const char* state) {
  const int error = ibv_modify_qp(pair, &attributes, mask | IBV_QP_STATE);
  if (error == 0) return Status::ok();
  return Status::from_errno(std::string("cannot bring the queue pair to state ") + state, error);
}

}  // namespace

Result<QueuePair> QueuePair::create(const Device& device, ibv_cq* queue,
                                    const QueuePairSizes& sizes) {
  const uint32_t gather = std::min(kMaxGather, static_cast<uint32_t>(device.attributes().max_sge));
  uint32_t inline_bytes = device.max_inline();
  for (;;) {
    ibv_qp_init_attr wanted = {};
    wanted.send_cq = wanted.recv_cq = queue;
    wanted.qp_type = IBV_QPT_RC;
    wanted.sq_sig_all = 0;
    wanted.cap = {sizes.sends, sizes.receives, gather, 1, inline_bytes};
    QueuePair pair;
    pair.handle_.reset(ibv_create_qp(device.protection_domain(), &wanted));
    if (pair.handle_) {
      pair.max_inline_ = std::min(wanted.cap.max_inline_data, kMaxInline);
      pair.max_gather_ = gather;
      pair.peers_may_ = IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE |
                        (device.has_atomics() ? IBV_ACCESS_REMOTE_ATOMIC : 0);
      return pair;
    }
    const int error = errno;
    // Long queues leave some devices less room for inline data.
    if (inline_bytes == 0 || (error != EINVAL && error != ENOMEM)) {
      return Status::from_errno("cannot make a queue pair with " + std::to_string(sizes.sends) +
                                    " sends and " + std::to_string(sizes.receives) +
                                    " receives on " + device.name(),
                                error);
    }
    inline_bytes = inline_bytes >= 128 ? inline_bytes / 2 : 0;
  }
}

Status QueuePair::to_initialized(uint8_t port, uint16_t pkey_index) {
  ibv_qp_attr attributes = {};
  attributes.qp_state = IBV_QPS_INIT;
  attributes.port_num = port;
  attributes.pkey_index = pkey_index;
  attributes.qp_access_flags = peers_may_;
  return modify(get(), attributes, IBV_QP_PORT | IBV_QP_PKEY_INDEX | IBV_QP_ACCESS_FLAGS, "INIT");
}

Status QueuePair::to_receiving(const Path& path) {
  ibv_qp_attr attributes = {};
  attributes.qp_state = IBV_QPS_RTR;
  attributes.ah_attr = path.address;
  attributes.path_mtu = path.mtu;
  attributes.dest_qp_num = path.peer_queue_pair;
  attributes.rq_psn = path.receive_psn;
  attributes.max_dest_rd_atomic = path.max_reads;
  attributes.min_rnr_timer = kMinReceiverNotReadyTimer;
  return modify(get(), attributes,
                IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
                    IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER,
                "RTR");
}

Status QueuePair::to_sending(uint32_t send_psn, uint8_t max_reads) {
  ibv_qp_attr attributes = {};
  attributes.qp_state = IBV_QPS_RTS;
  attributes.sq_psn = send_psn;
  attributes.timeout = kAckTimeout;
  attributes.retry_cnt = kRetries;
  attributes.rnr_retry = kReceiverNotReadyRetries;
  attributes.max_rd_atomic = max_reads;
  return modify(get(), attributes,
                IBV_QP_SQ_PSN | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
                    IBV_QP_MAX_QP_RD_ATOMIC,
                "RTS");
}

bool QueuePair::to_error() noexcept {
  ibv_qp_attr attributes = {};
  attributes.qp_state = IBV_QPS_ERR;
  return handle_ && ibv_modify_qp(get(), &attributes, IBV_QP_STATE) == 0;
}

}  // namespace rdmakv::verbs
