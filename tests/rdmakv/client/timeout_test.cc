// Operations that end for want of an answer.
#include <poll.h>

#include "tests/rdmakv/client/failure_fixture.h"

namespace rdmakv {
namespace {

TEST_F(FailureTest, AnOperationEndsAtItsDeadline) {
  open_and_connect();
  server().hold = true;
  TestOperation get(OperationKind::kGet, "k");
  submit_soon(get);
  client->wait(get);
  EXPECT_EQ(get.code, Code::kTimeout);
  EXPECT_GE(steady_ns(), get.deadline_ns);
}

TEST_F(FailureTest, SleepingEndsAtADeadline) {
  open_and_connect();
  drive();
  server().hold = true;
  TestOperation get(OperationKind::kGet, "k");
  submit_soon(get);
  while (!client->arm()) client->poll();
  pollfd fd{client->fd(), POLLIN, 0};
  EXPECT_EQ(poll(&fd, 1, 20'000), 1);
  drive_until(get);
}

TEST_F(FailureTest, ALateReplyIsDroppedAndGivesItsCreditBack) {
  server().credits = 1;
  open_and_connect();
  server().hold = true;
  TestOperation first(OperationKind::kGet, "k");
  submit_soon(first);
  drive_until(first);
  server().hold = false;
  TestOperation second(OperationKind::kGet, "k");
  client->submit(second);
  drive();
  EXPECT_EQ(second.dones, 0) << "the only credit is still out";
  server().answer_held();
  drive();
  EXPECT_EQ(second.dones, 1);
  EXPECT_EQ(first.dones, 1);
}

// Two landing buffers that the server may write to at the same time never overlap.
TEST_F(FailureTest, ATimeoutKeepsTheLandingBufferReserved) {
  options.arena_bytes = 1 << 20;
  open_and_connect();
  server().hold = true;
  std::vector<TestOperation> gets(16);
  for (TestOperation& get : gets) submit_soon(get);
  for (TestOperation& get : gets) drive_until(get);
  EXPECT_FALSE(client->allocate(4096)) << "all of it is still in the server's hands";
  TestOperation another(OperationKind::kGet, "k");
  client->submit(another);
  drive();
  ASSERT_EQ(server().held.size(), 17u);
  EXPECT_EQ(server().held.back().header.landing_bytes, 0u);
  server().answer_held();
  drive();
  EXPECT_TRUE(client->allocate(1 << 20)) << "the replies have come";
}

TEST_F(FailureTest, ABrokenConnectionGivesLandingBuffersBackWhenTheEndpointIsGone) {
  options.arena_bytes = 1 << 20;
  open_and_connect();
  server().hold = true;
  TestOperation get(OperationKind::kGet, "k");
  get.key = "k";
  submit_soon(get);
  drive_until(get);
  EXPECT_FALSE(client->allocate(1 << 20));
  fabric.endpoint()->cut();
  client->poll();
  EXPECT_EQ(fabric.destroyed, 1);
  EXPECT_TRUE(client->allocate(1 << 20));
}

TEST_F(FailureTest, ALateWriteToATimedOutLandingBufferHurtsNobody) {
  open_and_connect();
  server().hold = true;
  TestOperation get(OperationKind::kGet, "k");
  submit_soon(get);
  drive_until(get);
  server().land_reply(server().held[0], {}, std::string(5000, 'z'));
  drive();
  EXPECT_EQ(get.dones, 1);
  EXPECT_TRUE(client->servers()[0].reachable);
}

TEST_F(FailureTest, APinThatComesTooLateIsReleased) {
  open_and_connect();
  server().hold = true;
  TestOperation get(OperationKind::kGet, "k");
  submit_soon(get);
  drive_until(get);
  server().hold = false;
  server().pin_reply(server().held[0], std::string(100'000, 'p'), 5);
  drive();
  EXPECT_EQ(server().released, std::vector<uint64_t>{5});
}

// What has to happen before the deadline is given more time until it does.
TEST_F(FailureTest, ATimeoutWhileReadingAPinnedValueReleasesIt) {
  options.arena_bytes = 1 << 20;
  server().entries["k"] = {std::string(600'000, 'p'), 1};
  server().intercept = [&](const fakes::FakeRequest& request) {
    if (request.header.opcode != wire::Opcode::kGet) return false;
    server().pin_reply(request, server().entries["k"].value, 6);
    return true;
  };
  fabric.hold_reads = true;
  std::string destination(600'000, '-');
  for (uint64_t time = kSoon;; time *= 4) {
    open_and_connect();
    TestOperation get(OperationKind::kGet, "k");
    get.destination = std::as_writable_bytes(std::span<char>(destination));
    get.deadline_ns = steady_ns() + time;
    client->submit(get);
    client->wait(get);
    EXPECT_EQ(get.code, Code::kTimeout);
    if (client->counters().verbs.reads == 3) break;
    client.reset();
  }
  drive();
  EXPECT_EQ(server().released.back(), 6u);
  EXPECT_FALSE(client->allocate(1 << 20)) << "READs are still on their way";
  fabric.endpoint()->complete_reads();
  drive();
  EXPECT_TRUE(client->allocate(1 << 20));
  EXPECT_EQ(destination, std::string(600'000, '-'));
}

TEST_F(FailureTest, ATimedOutUploadIsAborted) {
  const std::string value(1'000'000, 'x');
  server().intercept = [&](const fakes::FakeRequest& request) {
    if (request.header.opcode != wire::Opcode::kUploadChunk) return false;
    server().held.push_back(request);
    return true;
  };
  for (uint64_t time = kSoon;; time *= 4) {
    open_and_connect();
    TestOperation put(OperationKind::kPut, "k");
    put.input = bytes_of(value);
    TestOperation behind(OperationKind::kGet, "k");
    put.deadline_ns = steady_ns() + time;
    client->submit(put);
    client->submit(behind);
    drive_until(put);
    EXPECT_EQ(put.code, Code::kTimeout);
    drive();
    EXPECT_EQ(behind.dones, 1) << "what waited behind it goes on";
    if (!server().held.empty()) break;
    client.reset();
    server().aborted.clear();
  }
  server().intercept = nullptr;
  server().answer_held();
  drive();
  EXPECT_EQ(server().aborted.size(), 1u);
  TestOperation again(OperationKind::kPut, "k");
  again.input = bytes_of(value);
  EXPECT_EQ(run(again), Code::kOk);
}

TEST_F(FailureTest, QueuedWithoutAConnectionEndsAsUnavailable) {
  fabric.hold_connect = true;
  open();
  TestOperation put(OperationKind::kPut, "k");
  submit_soon(put);
  drive_until(put);
  EXPECT_EQ(put.code, Code::kUnavailable);
}

TEST_F(FailureTest, TheDefaultTimeoutDoesNotCountTheTimeInOurQueue) {
  server().credits = 1;
  options.timeout_ns = 3'600'000'000'000;
  open_and_connect();
  TestOperation first(OperationKind::kGet, "a"), second(OperationKind::kGet, "b");
  hold_and_submit(first);
  client->submit(second);
  drive();
  const uint64_t sent_ns = steady_ns();
  server().answer_held();
  drive();
  ASSERT_EQ(first.dones, 1);
  ASSERT_EQ(second.dones, 0);
  EXPECT_GE(second.internal[0], sent_ns + options.timeout_ns);
  server().answer_held();
  drive_until(second);
  EXPECT_EQ(second.code, Code::kNotFound);
}

TEST_F(FailureTest, AQueueThatDoesNotMoveTimesOut) {
  server().credits = 1;
  options.timeout_ns = 20'000'000;
  open_and_connect();
  TestOperation first(OperationKind::kGet, "a"), second(OperationKind::kGet, "b");
  hold_and_submit(first);
  client->submit(second);
  drive_until(second);
  EXPECT_EQ(second.code, Code::kTimeout);
}

}  // namespace
}  // namespace rdmakv
