// What only real devices show: run in the Soft-RoCE machine of tests/softroce, which has rxe0 at
// 10.77.0.1 on link v0 and rxe1 at 10.77.0.2 on v1. What every transport must do is in the
// conformance suite; here is what is peculiar to this one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <cstring>

#include "rdmakv/transport/verbs/device.h"
#include "rdmakv/transport/verbs/verbs_fabric.h"
#include "tests/rdmakv/transport/verbs/rig.h"

namespace rdmakv::verbs {
namespace {

using testing::HasSubstr;

INSTANTIATE_TEST_SUITE_P(Modes, BothModes, testing::Values(false, true),
                         [](const auto& info) { return info.param ? "Socket" : "Cm"; });

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

std::unique_ptr<MemoryRegion> region_of(Fabric& fabric, RemoteAccess access) {
  RegionOptions options;
  options.bytes = 1 << 16;
  options.remote_access = access;
  options.name = "test";
  Result<std::unique_ptr<MemoryRegion>> region = fabric.allocate(options);
  EXPECT_TRUE(region) << region.status().to_string();
  return std::move(*region);
}

constexpr RemoteAccess kAll = RemoteAccess::kRead | RemoteAccess::kWrite | RemoteAccess::kAtomic;

LocalBuffer local(const MemoryRegion& region, size_t offset, uint32_t length) {
  return {region.data() + offset, length, region.local_key()};
}
RemoteAddress remote(const MemoryRegion& region, uint64_t offset = 0) {
  return {region.remote_base() + offset, region.remote_key()};
}

// --- the datapath --------------------------------------------------------------------------------

TEST_P(BothModes, MessageThereAndBack) {
  Rig rig(options());
  ASSERT_TRUE(rig.connect());
  ASSERT_TRUE(rig.send(*rig.client, "ping"));
  rig.client->flush();
  ASSERT_TRUE(rig.wait_for(
      "ping", [&] { return Rig::find(rig.server_events, CompletionKind::kMessage) != nullptr; }));
  EXPECT_EQ(Rig::find(rig.server_events, CompletionKind::kMessage)->message, "ping");
  ASSERT_TRUE(rig.send(*rig.server, "pong"));
  rig.server->flush();
  ASSERT_TRUE(rig.wait_for(
      "pong", [&] { return Rig::find(rig.client_events, CompletionKind::kMessage) != nullptr; }));
  EXPECT_EQ(Rig::find(rig.client_events, CompletionKind::kMessage)->message, "pong");
}

TEST_P(BothModes, ConnectedComesBeforeAnyMessage) {
  Rig rig(options());
  ASSERT_TRUE(rig.connect());
  EXPECT_EQ(rig.client_events.front().completion.kind, CompletionKind::kConnected);
  EXPECT_TRUE(rig.server_events.empty());
}

TEST_P(BothModes, ServerLowersTheSizes) {
  Rig rig(options());
  rig.accepted_options.receive_slots = 5;
  rig.accepted_options.message_bytes = 1024;
  rig.accepted_options.max_reads = 2;
  ASSERT_TRUE(rig.connect());
  for (const Endpoint* end : {rig.client.get(), rig.server.get()}) {
    EXPECT_EQ(end->options().receive_slots, 5u);
    EXPECT_EQ(end->options().message_bytes, 1024u);
    EXPECT_EQ(end->options().max_reads, 2u);
  }
}

TEST_P(BothModes, ServerCannotRaiseTheSizes) {
  RigOptions small = options();
  small.sizes.receive_slots = 4;
  Rig rig(small);
  rig.accepted_options.receive_slots = 1000;
  ASSERT_TRUE(rig.connect());
  EXPECT_EQ(rig.server->options().receive_slots, 4u);
}

TEST_P(BothModes, OneDoorbellForAChain) {
  Rig rig(options());
  ASSERT_TRUE(rig.connect());
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(rig.send(*rig.client, std::to_string(i), i == 99));
  EXPECT_EQ(rig.client->counters().doorbells, 0u);
  rig.client->flush();
  EXPECT_EQ(rig.client->counters().doorbells, 1u);
  EXPECT_EQ(rig.client->counters().sends, 100u);
  ASSERT_TRUE(rig.wait_for("all", [&] {
    return Rig::count(rig.server_events, CompletionKind::kMessage) == 100 &&
           Rig::count(rig.client_events, CompletionKind::kSend) == 1;
  }));
  for (size_t i = 0; i < 100; ++i) EXPECT_EQ(rig.server_events[i].message, std::to_string(i));
}

TEST_P(BothModes, SilentMessagesGiveTheirBuffersBack) {
  RigOptions few = options();
  few.sizes.send_slots = 3;
  few.sizes.max_work = 3;
  Rig rig(few);
  ASSERT_TRUE(rig.connect());
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(rig.wait_for("a free buffer", [&] {
      const bool sent = rig.send(*rig.client, "x");
      rig.client->flush();
      return sent;
    }));
  }
  ASSERT_TRUE(rig.wait_for(
      "all", [&] { return Rig::count(rig.server_events, CompletionKind::kMessage) == 50; }));
  EXPECT_EQ(Rig::count(rig.client_events, CompletionKind::kSend), 0u);
}

TEST_P(BothModes, WorkBeyondTheLimitIsRefusedAndNotPosted) {
  RigOptions few = options();
  few.sizes.max_work = 4;
  few.sizes.send_slots = 4;
  Rig rig(few);
  ASSERT_TRUE(rig.connect());
  const auto region = region_of(*rig.client_fabric, RemoteAccess::kNone);
  const auto target = region_of(*rig.server_fabric, kAll);
  const LocalBuffer piece = local(*region, 0, 8);
  for (uint64_t i = 0; i < 4; ++i) {
    EXPECT_TRUE(rig.client->write({&piece, 1}, remote(*target), i, true));
  }
  EXPECT_FALSE(rig.client->write({&piece, 1}, remote(*target), 4, true));
  EXPECT_EQ(rig.client->counters().writes, 4u);
  rig.client->flush();
  ASSERT_TRUE(rig.wait_for(
      "4 writes", [&] { return Rig::count(rig.client_events, CompletionKind::kWrite) == 4; }));
  EXPECT_TRUE(rig.client->write({&piece, 1}, remote(*target), 5, true));
  rig.client.reset();
}

TEST_P(BothModes, GatheredWriteWithImmediateArrivesWhole) {
  Rig rig(options());
  ASSERT_TRUE(rig.connect());
  const auto source = region_of(*rig.client_fabric, RemoteAccess::kNone);
  const auto target = region_of(*rig.server_fabric, kAll);
  std::memset(source->data(), 'b', 5000);
  const MessageBuffer header = rig.client->acquire_message();
  std::memcpy(header.data, "head", 4);
  const LocalBuffer body[] = {local(*source, 0, 3000), local(*source, 3000, 0),
                              local(*source, 3000, 2000)};
  ASSERT_TRUE(
      rig.client->write_with_imm(header, 4, body, remote(*target, 100), 0xabcd1234, 9, true));
  rig.client->flush();
  ASSERT_TRUE(rig.wait_for("immediate", [&] {
    return Rig::find(rig.server_events, CompletionKind::kImmediate) != nullptr &&
           Rig::find(rig.client_events, CompletionKind::kWrite) != nullptr;
  }));
  const Completion& arrived = Rig::find(rig.server_events, CompletionKind::kImmediate)->completion;
  EXPECT_EQ(arrived.immediate, 0xabcd1234u);
  EXPECT_EQ(arrived.length, 5004u);
  EXPECT_EQ(std::memcmp(target->data() + 100, "head", 4), 0);
  EXPECT_EQ(std::memcmp(target->data() + 104, source->data(), 5000), 0);
  EXPECT_EQ(target->data()[5104], std::byte{0});
}

TEST_P(BothModes, ReadAndCompareAndSwap) {
  Rig rig(options());
  ASSERT_TRUE(rig.connect());
  const auto mine = region_of(*rig.client_fabric, RemoteAccess::kNone);
  const auto theirs = region_of(*rig.server_fabric, kAll);
  const uint64_t before = 41;
  const uint64_t after = 42;
  std::memcpy(theirs->data(), &before, 8);
  ASSERT_TRUE(
      rig.client->compare_and_swap(local(*mine, 0, 8), remote(*theirs), before, after, 1, true));
  ASSERT_TRUE(
      rig.client->compare_and_swap(local(*mine, 8, 8), remote(*theirs), before, 7, 2, true));
  ASSERT_TRUE(rig.client->read(local(*mine, 16, 8), remote(*theirs), 3, true, true));
  rig.client->flush();
  ASSERT_TRUE(rig.wait_for(
      "read", [&] { return Rig::find(rig.client_events, CompletionKind::kRead) != nullptr; }));
  uint64_t seen[3];
  std::memcpy(seen, mine->data(), sizeof(seen));
  EXPECT_EQ(seen[0], before);
  EXPECT_EQ(seen[1], after);
  EXPECT_EQ(seen[2], after);
  EXPECT_EQ(rig.client->counters().atomics, 2u);
}

TEST_P(BothModes, ForbiddenReadBreaksTheConnectionAndSaysWhy) {
  Rig rig(options());
  ASSERT_TRUE(rig.connect());
  const auto mine = region_of(*rig.client_fabric, RemoteAccess::kNone);
  const auto theirs = region_of(*rig.server_fabric, RemoteAccess::kNone);
  ASSERT_TRUE(rig.client->read(local(*mine, 0, 64), remote(*theirs), 77, true, false));
  rig.client->flush();
  ASSERT_TRUE(rig.wait_for("end", [&] { return disconnected(rig.client_events); }));
  const Event* read = Rig::find(rig.client_events, CompletionKind::kRead);
  ASSERT_NE(read, nullptr);
  EXPECT_EQ(read->completion.code, Code::kUnknownOutcome);
  EXPECT_EQ(read->completion.context, 77u);
  EXPECT_THAT(std::string(rig.client->error_text()), HasSubstr("does not allow access"));
  ASSERT_TRUE(rig.wait_for("end at the server", [&] { return disconnected(rig.server_events); }));
}

TEST_P(BothModes, TooLongAGatherListBreaksTheConnection) {
  Rig rig(options());
  ASSERT_TRUE(rig.connect());
  const auto mine = region_of(*rig.client_fabric, RemoteAccess::kNone);
  const auto theirs = region_of(*rig.server_fabric, kAll);
  const std::vector<LocalBuffer> pieces(40, local(*mine, 0, 8));
  EXPECT_FALSE(rig.client->write(pieces, remote(*theirs), 1, true));
  EXPECT_THAT(std::string(rig.client->error_text()), HasSubstr("gather list"));
}

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
  const auto theirs = region_of(*rig.server_fabric, kAll);
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

// --- the wire ------------------------------------------------------------------------------------

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
