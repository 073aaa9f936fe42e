// That chaos is what chaos_fabric.h says, and no more: everything it does a correct client
// survives.
#include "tests/fakes/chaos_fabric.h"

#include <sys/wait.h>

#include "tests/rdmakv/client/client_server_fixture.h"

namespace rdmakv::fakes {
namespace {

class ChaosTest : public ClientServerTest {
 protected:
  void start_with(const ChaosOptions& options) {
    start(128 << 20, 1);
    chaos = std::make_unique<ChaosFabric>(*fabric, options);
  }

  std::unique_ptr<ChaosFabric> chaos;
};

TEST_F(ChaosTest, DelayedAndInPiecesEverythingComesBack) {
  ChaosOptions options;
  options.delayed_per_mille = 300;
  options.longest_delay_ns = 200'000;
  options.mtu = 256;
  options.repeated_per_mille = 500;
  start_with(options);
  const auto client = open(*chaos);
  uint64_t seed = 0;
  for (const size_t size : {0u, 5u, 255u, 256u, 4095u, 5000u, 70'000u, 300'000u}) {
    const std::string value = pattern(size, ++seed);
    ASSERT_EQ(async_put(*client, "key", value).wait().code, Code::kOk);
    for (int i = 0; i < 3; ++i) {
      const Answer got = async_get(*client, "key").wait();
      ASSERT_EQ(got.code, Code::kOk);
      ASSERT_TRUE(got.value == value) << size;
    }
  }
  EXPECT_GT(client->counters().direct.cached, 0u);
}

// Work behind a change that was cut ends, one way or the other; the next connection works.
TEST_F(ChaosTest, CutConnectionsAreFollowedByOthers) {
  ChaosOptions options;
  options.cut_per_million = 20'000;
  options.delayed_per_mille = 100;
  options.longest_delay_ns = 50'000;
  start_with(options);
  const auto client = open(*chaos);
  uint64_t newest = 0;
  int unknown = 0;
  for (int i = 0; i < 3000 || client->counters().disconnects < 5; ++i) {
    const Answer told = async_put(*client, "key", std::to_string(i)).wait();
    unknown += told.code == Code::kUnknownOutcome;
    if (told.code != Code::kOk) continue;
    ASSERT_GT(told.version, newest);
    newest = told.version;
  }
  EXPECT_GT(unknown, 0);
}

TEST_F(ChaosTest, TheProcessIsKilledAtTheNamedPoint) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  start(64 << 20, 1);
  std::atomic<uint32_t> killed_at{0};
  EXPECT_EXIT(
      {
        const auto fabric_of_mine = open_fabric();
        ChaosOptions options;
        options.kill_point = static_cast<int>(ChaosPoint::kSent);
        options.kill_at = 3;
        options.killed_at = &killed_at;
        ChaosFabric fabric_with_chaos(*fabric_of_mine, options);
        const auto client = open(fabric_with_chaos);
        for (int i = 0; i < 100; ++i) async_put(*client, "key", "value").wait();
        std::exit(0);
      },
      testing::KilledBySignal(SIGKILL), "");
}

TEST(Chaos, TheSameSeedThrowsTheSameDice) {
  ChaosOptions options;
  options.delayed_per_mille = 500;
  options.longest_delay_ns = 1000;
  Chaos one(options);
  Chaos other(options);
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(one.due(7), other.due(7));
}

}  // namespace
}  // namespace rdmakv::fakes
