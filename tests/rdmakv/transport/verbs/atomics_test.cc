// ATOMICs of a process on its own memory, by the adapter: that they behave, that they are atomic
// against those of peers, and that they survive a broken queue pair. In the Soft-RoCE machine (see
// device_test.cc).
#include <gtest/gtest.h>

#include "rdmakv/transport/verbs/device.h"
#include "rdmakv/transport/verbs/loopback_channel.h"
#include "tests/rdmakv/transport/verbs/rig.h"

namespace rdmakv::verbs {
namespace {

uint64_t word_at(const MemoryRegion& region, uint64_t offset) {
  return __atomic_load_n(reinterpret_cast<const uint64_t*>(region.data() + offset),
                         __ATOMIC_ACQUIRE);
}

TEST_P(BothModes, LocalAtomicsPassTheSelfTest) {
  Rig rig(options());
  ASSERT_TRUE(rig.open());
  for (Fabric* fabric : {rig.client_fabric.get(), rig.server_fabric.get()}) {
    Result<std::unique_ptr<LocalAtomics>> atomics = fabric->create_local_atomics();
    ASSERT_TRUE(atomics) << atomics.status().to_string();
    const auto scratch = region_of(*fabric, RemoteAccess::kRead | RemoteAccess::kAtomic);
    const Status status = test_local_atomics(**atomics, *scratch);
    EXPECT_TRUE(status) << status.to_string();
  }
  EXPECT_EQ((*rig.server_fabric->create_local_atomics())->describe(), "by RDMA device rxe1");
}

// A peer on the other adapter and the owner count in the same word, each by swaps that may fail.
TEST_P(BothModes, LocalAtomicsAreAtomicAgainstThoseOfPeers) {
  constexpr uint64_t kEach = 300;
  constexpr uint64_t kAt = 512;
  Rig rig(options());
  ASSERT_TRUE(rig.connect());
  const auto word = region_of(*rig.server_fabric, RemoteAccess::kAtomic);
  const auto found = region_of(*rig.client_fabric, RemoteAccess::kNone);
  const auto atomics = std::move(*rig.server_fabric->create_local_atomics());
  uint64_t remote_wins = 0, local_wins = 0;
  uint64_t remote_guess = 0, local_guess = 0;
  bool posted = false;
  ASSERT_TRUE(rig.wait_for("both have counted", [&] {
    if (!posted && remote_wins < kEach) {
      posted = rig.client->compare_and_swap(local(*found, 0, 8), remote(*word, kAt), remote_guess,
                                            remote_guess + 1, 0, true);
      rig.client->flush();
    }
    if (local_wins < kEach) {
      uint64_t previous = 0;
      EXPECT_EQ(atomics->compare_and_swap(*word, kAt, local_guess, local_guess + 1, previous),
                Code::kOk);
      local_wins += previous == local_guess ? 1 : 0;
      local_guess = previous == local_guess ? local_guess + 1 : previous;
    }
    if (const Event* done = Rig::find(rig.client_events, CompletionKind::kCompareAndSwap)) {
      EXPECT_EQ(done->completion.code, Code::kOk);
      const uint64_t previous = word_at(*found, 0);
      remote_wins += previous == remote_guess ? 1 : 0;
      remote_guess = previous == remote_guess ? remote_guess + 1 : previous;
      rig.client_events.clear();
      posted = false;
    }
    return remote_wins == kEach && local_wins == kEach;
  }));
  EXPECT_EQ(word_at(*word, kAt), 2 * kEach);
}

TEST_P(BothModes, LocalAtomicsGoOnAfterTheirQueuePairBroke) {
  Rig rig(options());
  ASSERT_TRUE(rig.open());
  const auto atomics = std::move(*rig.server_fabric->create_local_atomics());
  const auto forbidden = region_of(*rig.server_fabric, RemoteAccess::kRead);
  const auto allowed = region_of(*rig.server_fabric, RemoteAccess::kAtomic);
  for (int round = 0; round < 3; ++round) {
    uint64_t previous = 77;
    EXPECT_EQ(atomics->compare_and_swap(*forbidden, 0, 0, 1, previous), Code::kSystemError);
    EXPECT_EQ(previous, 77u);
    EXPECT_EQ(word_at(*forbidden, 0), 0u);
    EXPECT_EQ(atomics->compare_and_swap(*allowed, 0, round, round + 1, previous), Code::kOk);
    EXPECT_EQ(previous, static_cast<uint64_t>(round));
  }
  EXPECT_EQ(word_at(*allowed, 0), 3u);
}

// Does what it is told by a real one, and then loses the completion.
class LosingChannel final : public SwapChannel {
 public:
  explicit LosingChannel(std::unique_ptr<SwapChannel> real) : real_(std::move(real)) {}
  Code compare_and_swap(const MemoryRegion& region, uint64_t offset, uint64_t expected,
                        uint64_t desired, uint64_t& previous) override {
    uint64_t kept_back = 0;
    const Code code = real_->compare_and_swap(region, offset, expected, desired, kept_back);
    if (++swaps_ % 2 != 0) return Code::kUnknownOutcome;
    previous = kept_back;
    return code;
  }

 private:
  std::unique_ptr<SwapChannel> real_;
  static inline uint64_t swaps_ = 0;
};

TEST(LoopbackAtomics, CountExactlyAlthoughCompletionsAreLost) {
  Result<std::shared_ptr<Device>> device = Device::open("rxe0", -1);
  ASSERT_TRUE(device) << device.status().to_string();
  const auto make = [&]() -> Result<std::unique_ptr<SwapChannel>> {
    Result<std::unique_ptr<SwapChannel>> real = LoopbackChannel::create(*device);
    if (!real) return real.status();
    return std::unique_ptr<SwapChannel>(std::make_unique<LosingChannel>(std::move(*real)));
  };
  Result<std::unique_ptr<SwapChannel>> first = make();
  ASSERT_TRUE(first) << first.status().to_string();
  RecoveringAtomics atomics(std::move(*first), make, "");
  RegionOptions options;
  options.bytes = 4096;
  options.remote_access = RemoteAccess::kAtomic;
  const auto region = std::move(*VerbsMemoryRegion::allocate(*device, options));
  for (uint64_t i = 0; i < 20; ++i) {
    uint64_t previous = 0;
    ASSERT_EQ(atomics.compare_and_swap(*region, 8, i, i + 1, previous), Code::kOk);
    ASSERT_EQ(previous, i);
    ASSERT_EQ(word_at(*region, 8), i + 1);
  }
}

}  // namespace
}  // namespace rdmakv::verbs
