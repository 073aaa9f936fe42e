// Faults of the wire between two devices; in the Soft-RoCE machine (see device_test.cc).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "tests/rdmakv/transport/verbs/rig.h"

namespace rdmakv::verbs {
namespace {

using testing::HasSubstr;

// Ends what a shell command began, however the test ends.
class Undo {
 public:
  Undo(const char* command, const char* undo) : undo_(undo) {
    EXPECT_EQ(std::system(command), 0) << command;  // NOLINT: a test tool
  }
  ~Undo() { EXPECT_EQ(std::system(undo_), 0) << undo_; }  // NOLINT
  Undo(const Undo&) = delete;
  Undo& operator=(const Undo&) = delete;

 private:
  const char* undo_;
};

TEST_P(BothModes, LossAndReorderingAreMadeGood) {
  const Undo netem("tc qdisc replace dev v0 root netem loss 5% delay 1ms reorder 25% 50%",
                   "tc qdisc del dev v0 root");
  Rig rig(options());
  ASSERT_TRUE(rig.connect());
  int sent = 0;
  ASSERT_TRUE(rig.wait_for("200 messages", [&] {
    while (sent < 200 && rig.send(*rig.client, std::to_string(sent))) ++sent;
    rig.client->flush();
    return Rig::count(rig.server_events, CompletionKind::kMessage) == 200;
  }));
  for (size_t i = 0; i < 200; ++i) EXPECT_EQ(rig.server_events[i].message, std::to_string(i));
}

TEST_P(BothModes, DeadWireEndsInRetriesExceeded) {
  Rig rig(options());
  ASSERT_TRUE(rig.connect());
  const Undo netem("tc qdisc replace dev v0 root netem loss 100%", "tc qdisc del dev v0 root");
  ASSERT_TRUE(rig.send(*rig.client, "into the void", true));
  rig.client->flush();
  ASSERT_TRUE(rig.wait_for("end", [&] { return disconnected(rig.client_events); }));
  EXPECT_EQ(Rig::find(rig.client_events, CompletionKind::kSend)->completion.code,
            Code::kUnknownOutcome);
  EXPECT_THAT(std::string(rig.client->error_text()), HasSubstr("does not answer"));
}

TEST_P(BothModes, ProbeOfADeadWireEndsAnIdleConnection) {
  Rig rig(options());
  ASSERT_TRUE(rig.connect());
  const Undo netem("tc qdisc replace dev v0 root netem loss 100%", "tc qdisc del dev v0 root");
  rig.client->probe();
  rig.client->probe();  // while one is under way: nothing
  EXPECT_EQ(rig.client->counters().doorbells, 1u);
  ASSERT_TRUE(rig.wait_for("end", [&] { return disconnected(rig.client_events); }));
  EXPECT_EQ(rig.client_events.size(),
            2u);  // connected, disconnected: the probe is nobody's business
}

TEST_P(BothModes, ProbeOfALivingPeerChangesNothing) {
  Rig rig(options());
  ASSERT_TRUE(rig.connect());
  for (uint64_t i = 0; i < 5; ++i) {
    rig.client->probe();
    ASSERT_TRUE(rig.wait_for("probe", [&] { return rig.client->counters().completions == i + 1; }));
  }
  EXPECT_EQ(rig.client->error_text(), "");
  EXPECT_EQ(rig.client_events.size(), 1u);
  EXPECT_TRUE(rig.server_events.empty());
}

TEST_P(BothModes, TheSmallerMtuOfTheTwoIsUsed) {
  // Soft-RoCE follows the link's MTU; a packet beyond the smaller one would never arrive.
  const Undo larger("ip link set v0 mtu 4200 && ip link set v1 mtu 1500",
                    "ip link set v0 mtu ${SOFTROCE_LINK_MTU:-1500} && "
                    "ip link set v1 mtu ${SOFTROCE_LINK_MTU:-1500}");
  for (const char* client_device : {"rxe0", "rxe1"}) {
    RigOptions mixed = options();
    mixed.client_device = client_device;
    mixed.server_device = mixed.client_device == "rxe0" ? "rxe1" : "rxe0";
    mixed.server_host = mixed.client_device == "rxe0" ? "10.77.0.2" : "10.77.0.1";
    Rig rig(mixed);
    ASSERT_TRUE(rig.connect());
    ASSERT_TRUE(rig.send(*rig.client, std::string(4096, 'm')));
    rig.client->flush();
    ASSERT_TRUE(rig.send(*rig.server, std::string(4096, 'n')) ||
                !rig.server->acquire_message().data);
    ASSERT_TRUE(rig.wait_for("long message", [&] {
      return Rig::find(rig.server_events, CompletionKind::kMessage) != nullptr;
    }));
    EXPECT_EQ(Rig::find(rig.server_events, CompletionKind::kMessage)->message,
              std::string(4096, 'm'));
  }
}

}  // namespace
}  // namespace rdmakv::verbs
