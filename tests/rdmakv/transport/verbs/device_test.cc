// What only real devices show: run in the Soft-RoCE machine of tests/softroce, which has rxe0 at
// 10.77.0.1 on link v0 and rxe1 at 10.77.0.2 on v1. What every transport must do is in the
// conformance suite; here is what is peculiar to this one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "rdmakv/transport/verbs/device.h"
#include "tests/rdmakv/transport/verbs/rig.h"

namespace rdmakv::verbs {
namespace {

using testing::HasSubstr;

INSTANTIATE_TEST_SUITE_P(Modes, BothModes, testing::Values(false, true),
                         [](const auto& info) { return info.param ? "Socket" : "Cm"; });

// --- the end -------------------------------------------------------------------------------------

TEST_P(BothModes, CloseDeliversWhatWasPostedFirst) {
  Rig rig(options());
  ASSERT_TRUE(rig.connect());
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(rig.send(*rig.client, std::to_string(i)));
  rig.client->close();
  ASSERT_TRUE(rig.wait_for("both ends", [&] {
    return disconnected(rig.client_events) && disconnected(rig.server_events);
  }));
  EXPECT_EQ(Rig::count(rig.server_events, CompletionKind::kMessage), 20u);
  EXPECT_EQ(rig.server_events.back().completion.kind, CompletionKind::kDisconnected);
  EXPECT_EQ(rig.client_events.back().completion.code, Code::kOk);
  EXPECT_EQ(rig.server_events.back().completion.code, Code::kUnavailable);
  EXPECT_THAT(std::string(rig.server->error_text()), HasSubstr("closed the connection"));
}

TEST_P(BothModes, DestroyedPeerIsNoticedByAnIdleEnd) {
  Rig rig(options());
  ASSERT_TRUE(rig.connect());
  rig.server.reset();
  ASSERT_TRUE(rig.wait_for("end", [&] { return disconnected(rig.client_events); }));
  EXPECT_EQ(rig.client->acquire_message().data, nullptr);
}

// What silently succeeded is not reported by a queue pair in ERROR; a mark of our own shows the
// end.
TEST_P(BothModes, SilentWorkDoesNotHoldUpTheEnd) {
  Rig rig(options());
  ASSERT_TRUE(rig.connect());
  ASSERT_TRUE(rig.send(*rig.client, "unsignalled"));
  rig.client->flush();
  ASSERT_TRUE(rig.wait_for("message", [&] {
    return Rig::find(rig.server_events, CompletionKind::kMessage) != nullptr;
  }));
  EXPECT_EQ(rig.client->counters().completions, 0u);
  rig.server.reset();
  ASSERT_TRUE(rig.wait_for("end", [&] { return disconnected(rig.client_events); }));
  EXPECT_EQ(rig.client->counters().completions, 1u);  // the mark, not the deadline
}

TEST_P(BothModes, EndpointDroppedByTheHandlerEndsTheClient) {
  Rig rig(options());
  rig.drop_accepted = true;
  ASSERT_TRUE(rig.open());
  ASSERT_TRUE(rig.start());
  ASSERT_TRUE(rig.wait_for("end", [&] { return disconnected(rig.client_events); }));
  EXPECT_EQ(Rig::count(rig.client_events, CompletionKind::kConnected), 0u);
}

TEST_P(BothModes, EveryPieceOfWorkIsReportedOnceWhenItBreaks) {
  Rig rig(options());
  ASSERT_TRUE(rig.connect());
  const auto mine = region_of(*rig.client_fabric, RemoteAccess::kNone);
  const auto theirs = region_of(*rig.server_fabric, RemoteAccess::kNone);
  for (uint64_t i = 0; i < 10; ++i) {
    ASSERT_TRUE(rig.client->read(local(*mine, 0, 8), remote(*theirs), i, true, false));
  }
  rig.client->flush();
  for (uint64_t i = 10; i < 15; ++i) {  // posted, never handed over
    ASSERT_TRUE(rig.client->read(local(*mine, 0, 8), remote(*theirs), i, true, false));
  }
  ASSERT_TRUE(rig.wait_for("end", [&] { return disconnected(rig.client_events); }));
  ASSERT_EQ(Rig::count(rig.client_events, CompletionKind::kRead), 15u);
  uint64_t next = 0;
  for (const Event& event : rig.client_events) {
    if (event.completion.kind != CompletionKind::kRead) continue;
    EXPECT_EQ(event.completion.context, next);
    EXPECT_EQ(event.completion.code, next < 10 ? Code::kUnknownOutcome : Code::kUnavailable);
    ++next;
  }
  EXPECT_EQ(rig.client_events.back().completion.kind, CompletionKind::kDisconnected);
}

// The same place in the queue's table is used again and again, with completions of the last user
// still about; and the queue has room for one connection at a time only.
TEST_P(BothModes, LateCompletionsOfADestroyedEndpointAreDropped) {
  RigOptions tight = options();
  tight.queue_depth = tight.sizes.receive_slots + send_queue_depth(tight.sizes);
  Rig rig(tight);
  ASSERT_TRUE(rig.open());
  const auto mine = region_of(*rig.client_fabric, RemoteAccess::kNone);
  const auto theirs = region_of(*rig.server_fabric, kAllAccess);
  for (int round = 0; round < 10; ++round) {
    rig.client_events.clear();
    rig.server_events.clear();
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.wait_for("connected", [&] {
      return rig.server && Rig::find(rig.client_events, CompletionKind::kConnected) != nullptr;
    }));
    EXPECT_EQ(rig.client_events.size(), 1u);
    for (uint64_t i = 0; i < 50; ++i) {
      ASSERT_TRUE(rig.client->read(local(*mine, 0, 4096), remote(*theirs), i, true, false));
      ASSERT_TRUE(rig.send(*rig.client, "x"));
    }
    rig.client->flush();
    rig.client.reset();
    rig.server.reset();
    // Room comes back when the queues were seen empty.
    rig.client_events.clear();
    for (int i = 0; i < 100; ++i) rig.pump();
    EXPECT_TRUE(rig.client_events.empty());
  }
}

// --- refusals ------------------------------------------------------------------------------------

TEST_P(BothModes, OtherProtocolVersionIsRefusedWithBothNumbers) {
  Rig rig(options());
  ASSERT_TRUE(rig.open());
  wire::ConnectRequest request;
  request.version = wire::kProtocolVersion + 1;
  ASSERT_TRUE(rig.start(request));
  ASSERT_TRUE(rig.wait_for("refusal", [&] { return disconnected(rig.client_events); }));
  EXPECT_EQ(rig.client_events.back().completion.code, Code::kRefused);
  EXPECT_THAT(std::string(rig.client->error_text()), HasSubstr("the client version"));
  EXPECT_EQ(rig.server, nullptr);
}

TEST_P(BothModes, TheHandlersReasonReachesTheClient) {
  Rig rig(options());
  rig.route_status = Status(Code::kNotFound, "this server has 4 workers, not 9");
  ASSERT_TRUE(rig.open());
  wire::ConnectRequest request;
  request.worker = 9;
  ASSERT_TRUE(rig.start(request));
  ASSERT_TRUE(rig.wait_for("refusal", [&] { return disconnected(rig.client_events); }));
  EXPECT_EQ(rig.client->error_text(), "this server has 4 workers, not 9");
  EXPECT_EQ(rig.client_events.back().completion.code, Code::kRefused);
  EXPECT_EQ(rig.last_request.worker, 9);
  EXPECT_EQ(rig.last_request.receive_slots, rig.options.sizes.receive_slots);
}

TEST_P(BothModes, AFullServerQueueRefuses) {
  Rig rig(options());
  ASSERT_TRUE(rig.open());
  Result<std::unique_ptr<CompletionQueue>> small = rig.server_fabric->create_completion_queue(100);
  ASSERT_TRUE(small);
  rig.server_queue = std::move(*small);
  ASSERT_TRUE(rig.start());
  ASSERT_TRUE(rig.wait_for("refusal", [&] { return disconnected(rig.client_events); }));
  EXPECT_THAT(std::string(rig.client->error_text()), HasSubstr("no room for another connection"));
}

TEST_P(BothModes, AFullClientQueueIsBusy) {
  RigOptions tight = options();
  tight.queue_depth = 700;  // one connection of the default sizes
  Rig rig(tight);
  ASSERT_TRUE(rig.connect());
  const auto second =
      rig.client_fabric->connect({rig.options.server_host, rig.listener->port(), GetParam()}, {},
                                 rig.options.sizes, *rig.client_queue);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.status().code(), Code::kBusy);
}

TEST_P(BothModes, NobodyListening) {
  Rig rig(options());
  ASSERT_TRUE(rig.open());
  const uint16_t port = rig.listener->port();
  rig.listener.reset();
  auto endpoint = rig.client_fabric->connect({rig.options.server_host, port, GetParam()}, {},
                                             rig.options.sizes, *rig.client_queue);
  ASSERT_TRUE(endpoint) << endpoint.status().to_string();
  rig.client = std::move(*endpoint);
  ASSERT_TRUE(rig.wait_for("end", [&] { return disconnected(rig.client_events); }));
  EXPECT_EQ(rig.client_events.back().completion.code, Code::kUnavailable);
  EXPECT_THAT(std::string(rig.client->error_text()),
              HasSubstr(GetParam() ? "Connection refused" : "nothing listens there"));
}

TEST_P(BothModes, PortInUseIsNamed) {
  Rig rig(options());
  ASSERT_TRUE(rig.open());
  const auto second =
      rig.server_fabric->listen({rig.options.server_host, rig.listener->port(), GetParam()}, rig);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.status().message(),
              HasSubstr(std::to_string(rig.listener->port()) + " is in use"));
}

TEST_P(BothModes, ListeningOnAllAddresses) {
  RigOptions all = options();
  all.server_host = "";
  Rig rig(all);
  ASSERT_TRUE(rig.open());
  rig.options.server_host = "10.77.0.2";
  ASSERT_TRUE(rig.start());
  ASSERT_TRUE(rig.wait_for("connected", [&] {
    return disconnected(rig.client_events) ||
           Rig::find(rig.client_events, CompletionKind::kConnected) != nullptr;
  }));
  EXPECT_EQ(rig.client->error_text(), "");
}

TEST_P(BothModes, UnresolvableHostIsAnErrorAtOnce) {
  Rig rig(options());
  ASSERT_TRUE(rig.open());
  const auto endpoint = rig.client_fabric->connect({"no-such-host.invalid", 1, GetParam()}, {},
                                                   rig.options.sizes, *rig.client_queue);
  ASSERT_FALSE(endpoint);
  EXPECT_THAT(endpoint.status().message(), HasSubstr("no-such-host.invalid"));
}

}  // namespace
}  // namespace rdmakv::verbs
