#include <poll.h>

#include "tests/rdmakv/transport/shm/shm_under_test.h"

namespace rdmakv::conformance {
namespace {

RDMAKV_CONFORMANCE(Shm, kShm);

// What shm promises beyond the contract.
class ShmSleepTest : public TransportConformance {
 protected:
  bool client_readable(int timeout_ms) {
    pollfd wanted{client_.queue->fd(), POLLIN, 0};
    return poll(&wanted, 1, timeout_ms) == 1;
  }
};
INSTANTIATE_TEST_SUITE_P(Shm, ShmSleepTest, testing::Values(kShm), transport_name);

// A poll() that returns 0 leaves an armed queue armed, also when it took the events of an earlier
// ring (each peer rings once per sleep).
TEST_P(ShmSleepTest, AnEmptyPollLeavesTheQueueArmed) {
  connect_pair();
  pump_rounds(1000);
  ASSERT_TRUE(client_.queue->arm());
  ASSERT_TRUE(server_.send("first"));
  client_.poll();
  ASSERT_EQ(client_.log.size(), 1u);
  for (int i = 0; i < 10; ++i) client_.poll();
  ASSERT_EQ(client_.log.size(), 1u);
  ASSERT_FALSE(client_readable(0));
  ASSERT_TRUE(server_.send("second"));
  EXPECT_TRUE(client_readable(static_cast<int>(kPatience.count()) * 1000));
}

TEST_P(ShmSleepTest, AnAwakePeerIsNotRung) {
  connect_pair();
  pump_rounds(1000);
  const uint64_t before = server_.endpoint->counters().wakeups;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(server_.send("spinning"));
    ASSERT_TRUE(pump_until([&] { return !client_.log.empty(); }));
    client_.endpoint->release_message(client_.log.front().slot);
    client_.log.clear();
  }
  EXPECT_EQ(server_.endpoint->counters().wakeups, before);
}

TEST_P(ShmSleepTest, ASleeperIsRungOncePerSleep) {
  connect_pair();
  pump_rounds(1000);
  const uint64_t before = server_.endpoint->counters().wakeups;
  ASSERT_TRUE(client_.queue->arm());
  client_.poll();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(server_.send("asleep"));
  EXPECT_EQ(server_.endpoint->counters().wakeups, before + 1);
}

// A post that found no receive slot free: the descriptor tells when there is one again.
TEST_P(ShmSleepTest, WakesWhenAReceiveSlotBecomesFree) {
  connect_pair();
  pump_rounds(1000);
  for (uint32_t i = 0; i < small_options().receive_slots; ++i) ASSERT_TRUE(client_.send("fill"));
  ASSERT_FALSE(client_.send("one too many"));
  ASSERT_TRUE(client_.queue->arm());
  client_.poll();
  ASSERT_FALSE(client_readable(0));
  server_.poll();
  ASSERT_FALSE(server_.log.empty());
  server_.endpoint->release_message(server_.log.front().slot);
  ASSERT_TRUE(server_.queue->arm());  // about to sleep, as a server with nothing left to do is
  EXPECT_TRUE(client_readable(static_cast<int>(kPatience.count()) * 1000));
  EXPECT_TRUE(client_.send("now there is room"));
}

}  // namespace
}  // namespace rdmakv::conformance
