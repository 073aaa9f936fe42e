// Messages, WRITEs, READs and atomics over real devices, in CM and in Socket mode; in the Soft-RoCE
// machine (see device_test.cc).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "tests/rdmakv/transport/verbs/rig.h"

namespace rdmakv::verbs {
namespace {

using testing::HasSubstr;

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
  const auto target = region_of(*rig.server_fabric, kAllAccess);
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
  const auto target = region_of(*rig.server_fabric, kAllAccess);
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
  const auto theirs = region_of(*rig.server_fabric, kAllAccess);
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
  const auto theirs = region_of(*rig.server_fabric, kAllAccess);
  const std::vector<LocalBuffer> pieces(40, local(*mine, 0, 8));
  EXPECT_FALSE(rig.client->write(pieces, remote(*theirs), 1, true));
  EXPECT_THAT(std::string(rig.client->error_text()), HasSubstr("gather list"));
}

}  // namespace
}  // namespace rdmakv::verbs
