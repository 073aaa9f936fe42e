// Broken connections. (timeout_test.cc has operations that end for want of an answer.)
#include <gmock/gmock.h>

#include <algorithm>

#include "rdmakv/client/session.h"
#include "tests/rdmakv/client/failure_fixture.h"

namespace rdmakv {
namespace {

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

// A time-out in which connections break several times, the pauses between attempts included.
constexpr uint64_t kMorePausesNs = 3 * Session::kLongestPauseNs;
constexpr int kMostConnects = 40;  // many more than that

// It depends on whether there is a connection just then.
bool has_timed_out(const Operation& operation) {
  return operation.code == Code::kTimeout || operation.code == Code::kUnavailable;
}

// However often: its time is counted from when it was sent first, while others are answered.
TEST_F(FailureTest, AReadThatIsSentAgainAndAgainTimesOut) {
  options.timeout_ns = kMorePausesNs;
  open_and_connect();
  server().intercept = [&](const fakes::FakeRequest& request) {
    if (request.header.opcode != wire::Opcode::kInspect) return false;
    request.endpoint->cut();
    return true;
  };
  TestOperation again(OperationKind::kInspect, "k");
  client->submit(again);
  while (again.dones == 0 && fabric.connects < kMostConnects) {
    TestOperation other(OperationKind::kPut, "other");
    run(other);
  }
  ASSERT_EQ(again.dones, 1) << "it goes on for ever";
  EXPECT_TRUE(has_timed_out(again));
  EXPECT_GT(fabric.connects, 2);
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

// Every connection breaks after the first pieces, and answers some requests before that.
TEST_F(FailureTest, ALargePutThatGetsNoFurtherTimesOut) {
  options.timeout_ns = kMorePausesNs;
  open_and_connect();
  int chunks = 0;
  server().intercept = [&](const fakes::FakeRequest& request) {
    if (request.header.opcode != wire::Opcode::kUploadChunk || ++chunks % 3 != 0) return false;
    request.endpoint->cut();
    return true;
  };
  const std::string value(2'000'000, 'x');
  TestOperation put(OperationKind::kPut, "k"), behind(OperationKind::kPut, "k");
  put.input = bytes_of(value);
  client->submit(put);
  client->submit(behind);
  while (put.dones == 0 && fabric.connects < kMostConnects) client->poll();
  ASSERT_EQ(put.dones, 1) << "it goes on for ever";
  EXPECT_TRUE(has_timed_out(put));
  EXPECT_GT(fabric.connects, 2);
  drive_until(behind);
  EXPECT_EQ(behind.code, Code::kOk) << "what waited behind it goes on";
}

// It takes several times its timeout, but is never without progress for as long. The machine may
// be: then once more, with more time.
TEST_F(FailureTest, ALargePutThatGetsOnTakesItsTime) {
  const std::string value(6'000'000, 'x');  // of which about one million is under way at a time
  for (uint64_t attempt = 1; attempt <= 40; ++attempt) {
    const uint64_t timeout_ns = options.timeout_ns = attempt * 300'000'000;
    open_and_connect();
    bool answers = false;
    server().intercept = [&](const fakes::FakeRequest& request) {
      if (answers || request.header.opcode != wire::Opcode::kUploadChunk) return false;
      server().held.push_back(request);
      return true;
    };
    TestOperation put(OperationKind::kPut, "k");
    put.input = bytes_of(value);
    client->submit(put);
    client->flush();
    const uint64_t begun = steady_ns();
    uint64_t turn = begun, longest = 0;
    while (put.dones == 0) {
      client->poll();
      if (steady_ns() - turn < timeout_ns / 4) continue;
      longest = std::max(longest, steady_ns() - turn);
      turn = steady_ns();
      answers = true;
      server().answer_held();
      answers = false;
    }
    const bool in_time = longest < timeout_ns / 2;
    if (in_time) {
      EXPECT_EQ(put.code, Code::kOk);
      EXPECT_GT(steady_ns() - begun, timeout_ns);
      return;
    }
    client.reset();
    server().held.clear();
  }
  FAIL() << "the machine is never in time";
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

// Of two on one key the first has its pin, and is READing; the second is on its way to the server.
TEST_F(FailureTest, ReadsOfOneKeyAreSentAgainInTheirOrder) {
  options.get_path = GetPath::kRequest;
  open_and_connect();
  std::vector<wire::Opcode> asked;
  bool pins = true;
  server().intercept = [&](const fakes::FakeRequest& request) {
    asked.push_back(request.header.opcode);
    if (pins && request.header.opcode == wire::Opcode::kGet) {
      server().pin_reply(request, std::string(600'000, 'p'));
      return true;
    }
    return pins && request.header.opcode == wire::Opcode::kInspect;
  };
  fabric.hold_reads = true;
  std::string destination(600'000, '-');
  TestOperation first(OperationKind::kGet, "k"), second(OperationKind::kInspect, "k");
  first.destination = std::as_writable_bytes(std::span<char>(destination));
  client->submit(first);
  drive();
  client->submit(second);
  drive();
  ASSERT_THAT(asked, testing::ElementsAre(wire::Opcode::kGet, wire::Opcode::kInspect));
  asked.clear();
  pins = false;
  fabric.hold_reads = false;
  fabric.endpoint()->cut();
  drive_until(second);
  drive_until(first);
  EXPECT_THAT(asked, testing::ElementsAre(wire::Opcode::kGet, wire::Opcode::kInspect));
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
