#include "rdmakv/transport/verbs/loopback_channel.h"

#include <sched.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "rdmakv/transport/verbs/path.h"

namespace rdmakv::verbs {
namespace {

// A device whose completion has not come by then has lost it; retries take a fraction of that.
constexpr std::chrono::seconds kPatience{10};
constexpr uint32_t kPollsBetweenYields = 64;

}  // namespace

Result<std::unique_ptr<SwapChannel>> LoopbackChannel::create(std::shared_ptr<const Device> device) {
  std::unique_ptr<LoopbackChannel> channel(new LoopbackChannel(std::move(device)));  // NOLINT
  if (Status status = channel->open(); !status) return status;
  return std::unique_ptr<SwapChannel>(std::move(channel));
}

LoopbackChannel::~LoopbackChannel() {
  pair_.destroy();  // before what it works on
}

Status LoopbackChannel::open() {
  RegionOptions options;
  options.bytes = sizeof(uint64_t);
  options.name = "atomics";
  Result<std::unique_ptr<VerbsMemoryRegion>> result = VerbsMemoryRegion::allocate(device_, options);
  if (!result) return result.status();
  result_ = std::move(*result);
  queue_.reset(ibv_create_cq(device_->context(), 2, nullptr, nullptr, 0));
  if (!queue_) return Status::from_errno("cannot make a completion queue for atomics", errno);
  Result<QueuePair> pair = QueuePair::create(*device_, queue_.get(), {1, 1});
  if (!pair) return pair.status();
  pair_ = std::move(*pair);
  return connect_to_itself();
}

Status LoopbackChannel::connect_to_itself() {
  const Result<Gid> gid = device_->usual_gid();
  if (!gid) return gid.status();
  const Result<QueuePairAddress> own = address_of(pair_, *device_, gid.value());
  if (!own) return own.status();
  const auto mtu = static_cast<ibv_mtu>(own.value().mtu);
  Status status = pair_.to_initialized(device_->port(), 0);
  if (status) status = pair_.to_receiving(path_to(own.value(), *device_, gid.value(), 1, mtu));
  if (status) status = pair_.to_sending(own.value().psn, 1);
  return status;
}

Code LoopbackChannel::compare_and_swap(const MemoryRegion& region, uint64_t offset,
                                       uint64_t expected, uint64_t desired, uint64_t& previous) {
  ibv_sge into = {reinterpret_cast<uint64_t>(result_->data()), sizeof(uint64_t),
                  result_->local_key()};
  ibv_send_wr request = {};
  request.sg_list = &into;
  request.num_sge = 1;
  request.opcode = IBV_WR_ATOMIC_CMP_AND_SWP;
  request.send_flags = IBV_SEND_SIGNALED;
  request.wr.atomic.remote_addr = region.remote_base() + offset;
  request.wr.atomic.rkey = region.remote_key();
  request.wr.atomic.compare_add = expected;
  request.wr.atomic.swap = desired;
  ibv_send_wr* refused = nullptr;
  if (ibv_post_send(pair_.get(), &request, &refused) != 0 || !wait()) return Code::kUnknownOutcome;
  std::memcpy(&previous, result_->data(), sizeof(previous));
  return Code::kOk;
}

// Until the one request under way is done; whether it succeeded.
bool LoopbackChannel::wait() {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    for (uint32_t i = 0; i < kPollsBetweenYields; ++i) {
      ibv_wc done = {};
      const int got = ibv_poll_cq(queue_.get(), 1, &done);
      if (got != 0) return got == 1 && done.status == IBV_WC_SUCCESS;
    }
    sched_yield();
    if (std::chrono::steady_clock::now() > deadline) return false;
  }
}

}  // namespace rdmakv::verbs
