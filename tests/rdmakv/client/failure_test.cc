// Time-outs and broken connections.
#include <poll.h>

#include <algorithm>

#include "tests/rdmakv/client/failure_fixture.h"

namespace rdmakv {
namespace {

// ---- time-outs ---------------------------------------------------------------------------------

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

// ---- broken connections ------------------------------------------------------------------------

TEST_F(FailureTest, ASentMutationHasAnUnknownOutcomeAndIsNotRepeated) {
  open_and_connect();
  TestOperation put(OperationKind::kPut, "k");
  hold_and_submit(put);
  const int connects = fabric.connects;
  fabric.endpoint()->cut();
  drive_until(put);
  EXPECT_EQ(put.code, Code::kUnknownOutcome);
  server().hold = false;
  reconnect(connects);
  EXPECT_EQ(requests_seen(), 1u);
}

TEST_F(FailureTest, EveryKindOfMutationHasAnUnknownOutcome) {
  for (const OperationKind kind : {OperationKind::kPut, OperationKind::kDelete,
                                   OperationKind::kExpire, OperationKind::kClear}) {
    server().hold = false;
    open_and_connect();
    TestOperation operation(kind, "k");
    hold_and_submit(operation);
    fabric.endpoint()->cut();
    drive_until(operation);
    EXPECT_EQ(operation.code, Code::kUnknownOutcome) << static_cast<int>(kind);
    client.reset();
  }
}

TEST_F(FailureTest, EveryKindOfReadIsSentAgain) {
  for (const OperationKind kind : {OperationKind::kGet, OperationKind::kInspect,
                                   OperationKind::kCount, OperationKind::kPing}) {
    server().hold = false;
    server().entries["k"] = {"v", 1};
    open_and_connect();
    TestOperation operation(kind, "k");
    hold_and_submit(operation);
    server().hold = false;
    fabric.endpoint()->cut();
    client->wait(operation);
    EXPECT_EQ(operation.code, Code::kOk) << static_cast<int>(kind);
    client.reset();
  }
}

TEST_F(FailureTest, AMutationNotYetSentWaitsForTheNextConnection) {
  server().credits = 1;
  open_and_connect();
  server().hold = true;
  TestOperation first(OperationKind::kPut, "k");
  TestOperation second(OperationKind::kPut, "k");
  client->submit(first);
  client->submit(second);
  drive(3);
  fabric.endpoint()->cut();
  server().hold = false;
  client->wait(second);
  EXPECT_EQ(first.code, Code::kUnknownOutcome);
  EXPECT_EQ(second.code, Code::kOk);
}

TEST_F(FailureTest, ALargePutStartsAgainWhenItsCommitWasNotSent) {
  open_and_connect();
  int chunks = 0;
  server().intercept = [&](const fakes::FakeRequest& request) {
    if (request.header.opcode == wire::Opcode::kUploadChunk && ++chunks == 3) {
      request.endpoint->cut();
    }
    return false;
  };
  const std::string value(2'000'000, 'x');
  TestOperation put(OperationKind::kPut, "k");
  put.input = bytes_of(value);
  EXPECT_EQ(run(put), Code::kOk);
  EXPECT_TRUE(server().entries["k"].value == value);
  EXPECT_EQ(server().entries["k"].version, 1u);
  EXPECT_EQ(fabric.connects, 2);
}

TEST_F(FailureTest, ALargePutWhoseCommitWasSentHasAnUnknownOutcome) {
  open_and_connect();
  server().intercept = [&](const fakes::FakeRequest& request) {
    if (request.header.opcode != wire::Opcode::kUploadCommit) return false;
    request.endpoint->cut();
    return true;
  };
  const std::string value(500'000, 'x');
  TestOperation put(OperationKind::kPut, "k");
  put.input = bytes_of(value);
  EXPECT_EQ(run(put), Code::kUnknownOutcome);
}

TEST_F(FailureTest, APinnedReadStartsAgain) {
  open_and_connect();
  const std::string value(600'000, 'p');
  server().intercept = [&](const fakes::FakeRequest& request) {
    if (request.header.opcode != wire::Opcode::kGet) return false;
    server().pin_reply(request, value);
    return true;
  };
  fabric.hold_reads = true;
  std::string destination(600'000, '-');
  TestOperation get(OperationKind::kGet, "k");
  get.destination = std::as_writable_bytes(std::span<char>(destination));
  client->submit(get);
  drive();
  fabric.hold_reads = false;
  fabric.endpoint()->cut();
  client->wait(get);
  EXPECT_EQ(get.code, Code::kOk);
  EXPECT_TRUE(destination == value);
}

TEST_F(FailureTest, TicketsEndWithTheirConnection) {
  open_and_connect();
  server().entries["k"] = {std::string(100'000, 'p'), 1};
  TestOperation get(OperationKind::kGet, "k");
  TestOperation begin(OperationKind::kUploadBegin, "k");
  begin.total = 10;
  ASSERT_EQ(run(get), Code::kOk);
  ASSERT_EQ(run(begin), Code::kOk);
  const int connects = fabric.connects;
  fabric.endpoint()->cut();
  reconnect(connects);
  TestOperation piece(OperationKind::kReadPinned, "k");
  piece.ticket = get.ticket;
  piece.length = 10;
  EXPECT_EQ(run(piece), Code::kUnavailable);
  TestOperation commit(OperationKind::kUploadCommit, "k");
  commit.ticket = begin.ticket;
  EXPECT_EQ(run(commit), Code::kUnavailable);
  TestOperation release(OperationKind::kRelease, "k");
  release.ticket = get.ticket;
  EXPECT_EQ(run(release), Code::kOk);
}

TEST_F(FailureTest, ACutAtAnyStepOfConnectingIsAnError) {
  for (int step = 0; step < 3; ++step) {
    fabric.hold_connect = step == 0;
    server().hold_handshake = step == 1;
    server().change_welcome = [&](wire::Welcome&) {
      if (step == 2) fabric.endpoint()->cut();
    };
    open();
    TestOperation put(OperationKind::kPut, "k");
    client->submit(put);
    if (step == 2) {
      for (int i = 0; i < 10 && put.dones == 0; ++i) drive(1);
    } else {
      drive(3);
      fabric.endpoint()->cut();
      drive(3);
    }
    ASSERT_EQ(put.dones, 1) << step;
    EXPECT_EQ(put.code, Code::kUnavailable) << step;
    client.reset();
  }
}

TEST_F(FailureTest, WithoutAServerOperationsEndAtOnce) {
  fabric.connect_error = {Code::kUnavailable, "nobody listens"};
  open();
  TestOperation put(OperationKind::kPut, "k");
  EXPECT_EQ(run(put), Code::kUnavailable);
  EXPECT_EQ(client->servers()[0].last_error, "server unavailable: nobody listens");
  EXPECT_EQ(client->connect_and_wait().message(), "nobody listens");
}

// A host that is down does not even refuse: an attempt to connect to it takes its whole timeout.
TEST_F(FailureTest, NobodyWaitsForAnAttemptAfterOneThatFailed) {
  fabric.connect_error = {Code::kUnavailable, "nobody listens"};
  options.connect_timeout_ns = 3'600'000'000'000;
  open();
  TestOperation put(OperationKind::kPut, "k");
  run(put);
  EXPECT_EQ(put.server, 0);
  fabric.connect_error = {};
  fabric.hold_connect = true;
  const int connects = fabric.connects;
  while (fabric.connects == connects) client->poll();
  for (int i = 0; i < 3; ++i) {
    put.dones = 0;
    EXPECT_EQ(run(put), Code::kUnavailable);
  }
  EXPECT_EQ(fabric.connects, connects + 1);
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

TEST_F(FailureTest, PausesBetweenAttemptsGrow) {
  fabric.connect_error = {Code::kUnavailable, "nobody listens"};
  open();
  TestOperation put(OperationKind::kPut, "k");
  run(put);
  const uint64_t until = steady_ns() + 300'000'000;
  while (steady_ns() < until) client->poll();
  // 10, 20, 40, 80, 160 ms: not more than seven attempts in 300 ms, however slow we are.
  EXPECT_LE(fabric.connects, 7);
  EXPECT_GE(fabric.connects, 2);
}

TEST_F(FailureTest, ItConnectsAgainWhenTheServerIsBack) {
  fabric.connect_error = {Code::kUnavailable, "nobody listens"};
  open();
  TestOperation put(OperationKind::kPut, "k");
  run(put);
  fabric.connect_error = {};
  const int connects = fabric.connects;
  reconnect(connects);
  put.dones = 0;
  EXPECT_EQ(run(put), Code::kOk);
}

TEST_F(FailureTest, AServerThatComesBackWithOtherWorkersIsFollowed) {
  server().workers = 4;
  open_and_connect();
  std::vector<std::string> keys;
  for (int i = 0; i < 40; ++i) keys.push_back("key" + std::to_string(i));
  for (const std::string& key : keys) {
    TestOperation put(OperationKind::kPut, key);
    ASSERT_EQ(run(put), Code::kOk);
  }
  server().workers = 2;
  server().epoch = 8;
  const std::vector<fakes::FakeEndpoint*> endpoints = fabric.endpoints;
  for (fakes::FakeEndpoint* endpoint : endpoints) endpoint->cut();
  server().messages.clear();
  while (client->servers()[0].workers != 2) client->poll();
  for (const std::string& key : keys) {
    TestOperation get(OperationKind::kGet, key);
    ASSERT_EQ(run(get), Code::kOk) << key;
  }
  for (const auto& message : server().messages) {
    EXPECT_LT(message.requests[0].endpoint->request.worker, 2);
  }
}

TEST_F(FailureTest, AFailedPostIsTriedAgain) {
  open_and_connect();
  fabric.fail_posts = 3;
  const std::string large(10'000, 'l');
  TestOperation operations[4];
  for (int i = 0; i < 4; ++i) {
    operations[i].kind = OperationKind::kPut;
    operations[i].key = "k";
    if (i % 2 == 1) operations[i].input = bytes_of(large);
    client->submit(operations[i]);
  }
  for (TestOperation& operation : operations) client->wait(operation);
  for (uint64_t i = 0; i < 4; ++i) EXPECT_EQ(operations[i].version, i + 1);
}

TEST_F(FailureTest, AFailedReadPostIsTriedAgain) {
  open_and_connect();
  const std::string value(600'000, 'p');
  server().intercept = [&](const fakes::FakeRequest& request) {
    if (request.header.opcode != wire::Opcode::kGet) return false;
    server().pin_reply(request, value);
    fabric.fail_posts = 1;
    return true;
  };
  std::string destination(600'000, '-');
  TestOperation get(OperationKind::kGet, "k");
  get.destination = std::as_writable_bytes(std::span<char>(destination));
  EXPECT_EQ(run(get), Code::kOk);
  EXPECT_TRUE(destination == value);
}

TEST_F(FailureTest, AnIdleConnectionIsProbed) {
  options.keepalive_ns = 1'000'000;
  open_and_connect();
  for (int i = 0; i < 100'000'000 && fabric.endpoint()->probes == 0; ++i) client->poll();
  EXPECT_GT(fabric.endpoint()->probes, 0);
}

// A server that is stopped in the middle of a WRITE: what it may write to is given to no request
// of the next connection.
class QuarantineTest : public FailureTest {
 protected:
  void SetUp() override {
    open_and_connect();
    room_at_first = room();
    server().entries["k"] = {std::string(10'000, 'v'), 1};
    server().hold = true;
    get.deadline_ns = steady_ns() + 60'000'000'000;
    client->submit(get);
    client->flush();
  }
  // Buffers that there are.
  size_t room() {
    std::vector<ValueBuffer> buffers;
    do {
      buffers.push_back(client->allocate(10'000));
    } while (buffers.back());
    return buffers.size();
  }
  fakes::FakeRequest next_request() {
    for (int i = 0; i < 100'000'000 && server().held.empty(); ++i) client->poll();
    EXPECT_EQ(server().held.size(), 1u);
    const fakes::FakeRequest request = server().held.back();
    server().held.clear();
    return request;
  }
  // The connection ends while its server is about to write.
  void break_in_a_write(const fakes::FakeRequest& request) {
    inside.push_back(request.endpoint);
    request.endpoint->server_inside = true;
    request.endpoint->deliver(bytes_of("nonsense"));
    wait_for_quarantined(inside.size());
  }
  void wait_for_quarantined(uint64_t wanted) {
    for (int i = 0; i < 100'000'000 && client->counters().quarantined != wanted; ++i) {
      client->poll();
    }
    ASSERT_EQ(client->counters().quarantined, wanted);
  }
  size_t room_at_first = 0;
  TestOperation get{OperationKind::kGet, "k"};
  std::vector<fakes::FakeEndpoint*> inside;
};

TEST_F(QuarantineTest, LandingBuffersAreNotUsedAgainWhileTheServerMayWrite) {
  const fakes::FakeRequest first = next_request();
  break_in_a_write(first);
  const fakes::FakeRequest again = next_request();
  EXPECT_NE(again.endpoint, inside[0]);
  EXPECT_NE(again.header.landing_offset, first.header.landing_offset);
  EXPECT_EQ(fabric.destroyed, 0) << "who is to tell when the server has left?";
  server().answer(again);
  drive_until(get);
  EXPECT_EQ(get.code, Code::kOk);
  EXPECT_TRUE(get.lent == server().entries["k"].value);

  inside[0]->server_inside = false;
  wait_for_quarantined(0);
  EXPECT_EQ(fabric.destroyed, 1);
  EXPECT_EQ(client->counters().quarantines, 1u);
  get.buffer.reset();
  EXPECT_EQ(room(), room_at_first) << "the buffer was lost";
}

TEST_F(QuarantineTest, ThereIsALimitAndItSaysWhatIsWrong) {
  for (int i = 0; i < 4; ++i) break_in_a_write(next_request());
  drive_until(get);
  EXPECT_EQ(get.code, Code::kUnavailable);
  EXPECT_NE(client->servers()[0].last_error.find("is stopped: it has left 4 connections"),
            std::string::npos)
      << client->servers()[0].last_error;
  EXPECT_EQ(client->counters().quarantines, 4u);

  inside[2]->server_inside = false;
  wait_for_quarantined(3);
  server().hold = false;
  for (int i = 0; i < 10'000'000 && !client->servers()[0].reachable; ++i) client->poll();
  get.dones = 0;
  EXPECT_EQ(run(get), Code::kOk);
}

TEST_F(FailureTest, ClosingEndsEverythingAsCancelled) {
  open_and_connect();
  TestOperation sent(OperationKind::kPut, "k");
  hold_and_submit(sent);
  TestOperation queued(OperationKind::kGet, "k");
  client->submit(queued);
  client.reset();
  EXPECT_EQ(sent.code, Code::kCancelled);
  EXPECT_EQ(queued.code, Code::kCancelled);
  EXPECT_EQ(sent.dones, 1);
  EXPECT_EQ(queued.dones, 1);
}

}  // namespace
}  // namespace rdmakv
