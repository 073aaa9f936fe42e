// Values that the server keeps pinned, when it has no pin to spare: reads are carried out again,
// in order, and nobody waits for ever.
#include <vector>

#include "tests/proxy/harness.h"

namespace rdmakv::proxy {
namespace {

constexpr size_t kLarge = 200'000;  // more than is lent
constexpr std::string_view kBusy =
    "-ERR server is busy: too many large values under way, try again\r\n";

fakes::FakeClient::Options with_pins(size_t most, bool in_place) {
  fakes::FakeClient::Options options;
  options.pinned_memory = in_place;
  options.landing_bytes = 16 * 1024;
  options.most_pins = most;
  return options;
}

class PinWaitersTest : public ProxyTest {
 protected:
  explicit PinWaitersTest(size_t pins = 1, bool in_place = false)
      : ProxyTest(with_pins(pins, in_place)) {
    proxy_.settings().slow_reader_timeout_s = 3600;  // by time that passes; tests say as if it did
    for (int i = 0; i < 20; ++i) store("k" + std::to_string(i), kLarge + static_cast<size_t>(i));
    store("huge", 32 << 20);  // more than the kernel takes for a client that does not read
  }
  void store(const std::string& key, size_t bytes) {
    fakes::FakeClient::Entry& entry = fake_->store[key];
    entry.value = pattern(bytes, static_cast<uint32_t>(bytes));
    ++entry.version;
  }
  std::string reply_to_get(const std::string& key) { return bulk(fake_->store[key].value); }
  // As if so much time had passed.
  void pass(uint64_t us) {
    worker_->pin_waiters().tick(worker_->now_us() + us);
    run();
  }
  // A client that asks for what it does not read: it holds a pin.
  TestClient silent(std::string_view commands = "GET huge\r\n") {
    TestClient client = connect();
    send(client, commands);
    return client;
  }
  // The first `count` reads of `key` are refused, however many pins there are.
  void refuse(const std::string& key, int count) {
    fake_->fault = [this, key, left = count](const Operation& operation) mutable {
      if (operation.kind != OperationKind::kGet || operation.key != key || left == 0) {
        return Code::kOk;
      }
      --left;
      const_cast<Operation&>(operation).version = fake_->store[key].version;
      return Code::kBusy;
    };
  }
  void expect_nothing_held() {
    run();
    EXPECT_TRUE(worker_->pin_waiters().empty());
    EXPECT_EQ(fake_->pins(), 0u);
    EXPECT_EQ(worker_->requests().in_use(), 0u);
  }
};

class ManyPinsTest : public PinWaitersTest {
 protected:
  ManyPinsTest() : PinWaitersTest(4) {}
};

// Values are written from where they lie.
class InPlacePinsTest : public PinWaitersTest {
 protected:
  InPlacePinsTest() : PinWaitersTest(1, true) {}
};

TEST_F(InPlacePinsTest, WhatAStalledClientHasInItsOutputIsCopiedForOthers) {
  constexpr int kGets = 4;  // more than the kernel takes, less than makes an output full
  std::vector<TestClient> stalled;
  for (int i = 0; i < 3; ++i) {
    stalled.push_back(connect());
    std::string commands;
    for (int j = 0; j < kGets; ++j) commands += "GET k1\r\n";
    ASSERT_EQ(stalled.back().send_some(commands), commands.size());
    for (int j = 0; j <= kGets; ++j) pass(PinWaiters::kStalledUs);
  }
  TestClient client = connect();
  send(client, "GET k2\r\n");
  pass(PinWaiters::kStalledUs);
  EXPECT_EQ(read(client, kLarge), reply_to_get("k2"));
  for (TestClient& other : stalled) {
    std::string expected;
    for (int j = 0; j < kGets; ++j) expected += reply_to_get("k1");
    std::string received;
    for (int i = 0; i < 200 && received.size() < expected.size(); ++i) {
      received += read(other, expected.size() - received.size());
      pass(PinWaiters::kStalledUs);
    }
    EXPECT_EQ(received, expected);
  }
  expect_nothing_held();
}

// What cannot be copied any more will never be written.
TEST_F(InPlacePinsTest, AStalledClientWhoseValueIsVoidIsClosed) {
  TestClient stalled = silent();
  TestClient client = connect();
  send(client, "GET k2\r\n");
  fake_->pins_hold = 0;
  pass(PinWaiters::kStalledUs);
  EXPECT_EQ(worker_->stats().broken_replies.get(), 2u) << "that of who waited, too";
  expect_nothing_held();
}

TEST_F(PinWaitersTest, APipelineGetsAllItsValuesThroughOnePin) {
  TestClient client = connect();
  std::string commands, expected;
  for (int i = 0; i < 20; ++i) {
    commands += "GET k" + std::to_string(i) + "\r\nPING\r\n";
    expected += reply_to_get("k" + std::to_string(i)) + "+PONG\r\n";
  }
  send(client, commands);
  EXPECT_EQ(read(client, expected.size()), expected);
  expect_nothing_held();
}

TEST_F(PinWaitersTest, ManyClientsWithPipelinesShareOnePin) {
  std::vector<TestClient> clients;
  std::vector<std::string> received(8);
  std::string commands, expected;
  for (int i = 0; i < 8; ++i) {
    commands += "GET k" + std::to_string(i) + "\r\n";
    expected += reply_to_get("k" + std::to_string(i));
  }
  for (size_t i = 0; i < received.size(); ++i) {
    clients.push_back(connect());
    ASSERT_EQ(clients.back().send_some(commands), commands.size());
  }
  for (int idle = 0; idle < 50; ++idle) {
    worker_->turn(false);
    for (size_t i = 0; i < received.size(); ++i) {
      const std::string more = clients[i].take();
      if (!more.empty()) idle = 0;
      received[i] += more;
    }
  }
  for (const std::string& all : received) EXPECT_EQ(all, expected);
  expect_nothing_held();
}

TEST_F(PinWaitersTest, AHeadWaitsUntilAPinIsGivenBackInTheOrderOfArrival) {
  TestClient slow = silent();
  TestClient first = connect(), second = connect();
  send(first, "GET k1\r\n");
  send(second, "GET k2\r\n");
  EXPECT_EQ(first.take() + second.take(), "");
  EXPECT_EQ(read(slow, 64 << 20), reply_to_get("huge"));
  EXPECT_EQ(read(first, kLarge), reply_to_get("k1"));
  EXPECT_EQ(read(second, kLarge), reply_to_get("k2"));
  expect_nothing_held();
}

TEST_F(ManyPinsTest, HeadsThatWaitForPinsOfEachOthersLaterCommandsGetThem) {
  // Each refused once while the commands behind them take all pins.
  fake_->fault = [seen = std::vector<std::string>()](const Operation& operation) mutable {
    const bool head =
        operation.kind == OperationKind::kGet && (operation.key == "k1" || operation.key == "k11");
    if (!head || std::count(seen.begin(), seen.end(), operation.key) > 0) return Code::kOk;
    seen.emplace_back(operation.key);
    return Code::kBusy;
  };
  TestClient one = connect(), other = connect();
  ASSERT_GT(one.send_some("GET k1\r\nGET k2\r\nGET k3\r\n"), 0u);
  ASSERT_GT(other.send_some("GET k11\r\nGET k12\r\nGET k13\r\n"), 0u);
  std::string of_one, of_other;
  for (int idle = 0; idle < 50; ++idle) {
    worker_->turn(false);
    const std::string a = one.take(), b = other.take();
    if (!a.empty() || !b.empty()) idle = 0;
    of_one += a;
    of_other += b;
  }
  EXPECT_EQ(of_one, reply_to_get("k1") + reply_to_get("k2") + reply_to_get("k3"));
  EXPECT_EQ(of_other, reply_to_get("k11") + reply_to_get("k12") + reply_to_get("k13"));
  expect_nothing_held();
}

TEST_F(ManyPinsTest, AReadDoesNotSeeWhatItsConnectionWroteBehindIt) {
  refuse("k1", 1);
  TestClient client = connect();
  const std::string before = reply_to_get("k2");
  send(client, "GET k2\r\nGET k1\r\nSET k1 new\r\nGET k1\r\n");
  EXPECT_EQ(read(client, before.size() + 100),
            before + std::string(kBusy) + "+OK\r\n$3\r\nnew\r\n");
  expect_nothing_held();
}

TEST_F(ManyPinsTest, AReadIsAnsweredWhenWhatIsBehindItTouchesOtherKeys) {
  refuse("k1", 1);
  TestClient client = connect();
  send(client, "GET k2\r\nGET k1\r\nSET a new\r\nGET k3\r\nDBSIZE\r\n");
  const std::string expected =
      reply_to_get("k2") + reply_to_get("k1") + "+OK\r\n" + reply_to_get("k3") + ":22\r\n";
  EXPECT_EQ(read(client, expected.size()), expected);
  expect_nothing_held();
}

TEST_F(ManyPinsTest, AReadIsAnsweredWhenAWriteBehindItDidNotChangeTheVersion) {
  refuse("k1", 1);
  TestClient client = connect();
  send(client, "GET k2\r\nGET k1\r\nSET k1 new NX\r\n");
  const std::string expected = reply_to_get("k2") + reply_to_get("k1") + "$-1\r\n";
  EXPECT_EQ(read(client, expected.size()), expected);
  expect_nothing_held();
}

TEST_F(ManyPinsTest, AReadIsNotNewerThanAnAnsweredOneBehindIt) {
  refuse("k1", 1);
  fake_->hold();
  TestClient client = connect();
  send(client, "GET k2\r\nGET k1\r\nGET k1\r\n");
  ASSERT_EQ(fake_->held(), 3u);  // they ran
  const std::string first = reply_to_get("k2"), old = reply_to_get("k1");
  store("k1", kLarge + 5'000);
  fake_->release();
  EXPECT_EQ(read(client, first.size() + old.size() + 100), first + std::string(kBusy) + old);
  expect_nothing_held();
}

TEST_F(ManyPinsTest, WithNothingBehindItAReadMayBeNewer) {
  refuse("k1", 1);
  fake_->hold();
  TestClient client = connect();
  send(client, "GET k2\r\nGET k1\r\n");
  const std::string first = reply_to_get("k2");
  store("k1", kLarge + 5'000);
  fake_->release();
  const std::string expected = first + reply_to_get("k1");
  EXPECT_EQ(read(client, expected.size()), expected);
  expect_nothing_held();
}

TEST_F(ManyPinsTest, AStalledClientGivesUpThePinsOfAllButItsHeadWhenOthersWait) {
  TestClient stalled = silent("GET huge\r\nGET k1\r\nGET k2\r\nGET k3\r\n");
  ASSERT_EQ(fake_->pins(), 4u);
  pass(PinWaiters::kStalledUs + 1);
  EXPECT_EQ(fake_->pins(), 4u) << "nobody waits";
  TestClient other = connect();
  send(other, "GET k4\r\n");
  EXPECT_EQ(other.take(), "");
  pass(PinWaiters::kStalledUs + 1);
  EXPECT_EQ(read(other, kLarge), reply_to_get("k4"));
  const std::string expected =
      reply_to_get("huge") + reply_to_get("k1") + reply_to_get("k2") + reply_to_get("k3");
  EXPECT_EQ(read(stalled, expected.size()), expected);
  expect_nothing_held();
}

TEST_F(PinWaitersTest, AClientThatTakesNothingForLongIsClosedWhenOthersWait) {
  proxy_.settings().slow_reader_timeout_s = 10;
  TestClient slow = silent();
  pass(1'000'000'000);
  EXPECT_EQ(worker_->stats().slow_reader_closes.get(), 0u) << "nobody waits";
  TestClient other = connect();
  send(other, "GET k1\r\n");
  pass(9'000'000);
  EXPECT_EQ(other.take(), "");
  pass(11'000'000);
  EXPECT_EQ(worker_->stats().slow_reader_closes.get(), 1u);
  EXPECT_EQ(read(other, kLarge), reply_to_get("k1"));
  slow.receive();
  expect_nothing_held();
}

TEST_F(PinWaitersTest, WhoeverWaitsTooLongIsToldSo) {
  proxy_.settings().slow_reader_timeout_s = 0;
  TestClient slow = silent();
  TestClient other = connect();
  send(other, "GET k1\r\nMGET k1 k2\r\nPING\r\n");
  pass(PinWaiters::kPatienceUs + 1);
  pass(PinWaiters::kPatienceUs + 1);
  pass(PinWaiters::kPatienceUs + 1);
  const std::string busy(kBusy);
  EXPECT_EQ(other.take(), busy + "*2\r\n" + busy + busy + "+PONG\r\n");
  EXPECT_EQ(read(slow, 64 << 20), reply_to_get("huge"));
  expect_nothing_held();
}

TEST_F(PinWaitersTest, MgetsGetAllTheirValuesThroughOnePin) {
  TestClient client = connect(), other = connect();
  const std::string values =
      "*4\r\n" + reply_to_get("k1") + reply_to_get("k2") + "$-1\r\n" + reply_to_get("k1");
  for (TestClient* one : {&client, &other}) {
    ASSERT_GT(one->send_some("MGET k1 k2 none k1\r\nMGET k1 k2 none k1\r\n"), 0u);
  }
  std::string of_one, of_other;
  for (int idle = 0; idle < 50; ++idle) {
    worker_->turn(false);
    const std::string a = client.take(), b = other.take();
    if (!a.empty() || !b.empty()) idle = 0;
    of_one += a;
    of_other += b;
  }
  EXPECT_EQ(of_one, values + values);
  EXPECT_EQ(of_other, values + values);
  expect_nothing_held();
}

TEST_F(ManyPinsTest, AnMgetDoesNotSeeWhatItsConnectionWroteBehindIt) {
  refuse("k1", 1);
  TestClient client = connect();
  const std::string expected = "*2\r\n" + reply_to_get("k2") + std::string(kBusy) + "+OK\r\n";
  send(client, "MGET k2 k1\r\nSET k1 new\r\n");
  EXPECT_EQ(read(client, expected.size()), expected);
  expect_nothing_held();
}

TEST_F(PinWaitersTest, CommandsThatGatherValuesWait) {
  TestClient slow = silent();
  TestClient client = connect();
  send(client, "LCS k1 k2 LEN\r\nPING\r\n");
  EXPECT_EQ(client.take(), "");
  EXPECT_EQ(read(slow, 64 << 20), reply_to_get("huge"));
  // It has both values then, and what it would need to compare them is too much.
  const std::string told = read(client, 100);
  EXPECT_TRUE(told.starts_with("-ERR Insufficient memory, transient memory for LCS")) << told;
  EXPECT_TRUE(told.ends_with("+PONG\r\n")) << told;
  expect_nothing_held();
}

TEST_F(PinWaitersTest, OtherReadsOfLargeValuesWait) {
  TestClient client = connect();
  send(client, "GET k1\r\nGETRANGE k2 0 -1\r\nDUMP k3\r\nGETV k4\r\n");
  const std::string received = read(client, 5 * kLarge);
  EXPECT_TRUE(received.starts_with(reply_to_get("k1") + reply_to_get("k2")));
  EXPECT_TRUE(received.ends_with("*2\r\n" + reply_to_get("k4") + ":1\r\n"));
  EXPECT_EQ(received.find("ERR"), std::string::npos);
  expect_nothing_held();
}

TEST_F(PinWaitersTest, ATransactionWaitsAndNothingOvertakesIt) {
  TestClient slow = silent();
  TestClient client = connect();
  send(client, "MULTI\r\nSET a 1\r\nGET a\r\nEXEC\r\nSET a 2\r\n");
  EXPECT_EQ(client.take(), "+OK\r\n+QUEUED\r\n+QUEUED\r\n");
  EXPECT_EQ(fake_->store.count("a"), 0u);
  EXPECT_EQ(read(slow, 64 << 20), reply_to_get("huge"));
  run();
  EXPECT_EQ(client.take(), "*2\r\n+OK\r\n$1\r\n1\r\n+OK\r\n");
  expect_nothing_held();
}

TEST_F(PinWaitersTest, ClientsThatLeaveWhileTheyWaitLeaveNothing) {
  TestClient slow = silent();
  for (const std::string_view commands :
       {"GET k1\r\n", "GET k1\r\nGET k2\r\nSET a 1\r\n", "MGET k1 k2\r\nGET k1\r\n",
        "LCS k1 k2 LEN\r\n", "DUMP k1\r\n", "MULTI\r\nGET k1\r\nEXEC\r\n"}) {
    TestClient client = connect(), killer = connect();
    std::string id = call(client, "CLIENT ID").substr(1);
    send(client, commands);
    EXPECT_FALSE(worker_->pin_waiters().empty()) << commands;
    EXPECT_EQ(call(killer, "CLIENT KILL ID " + id.substr(0, id.size() - 2)), ":1\r\n");
    run();
    EXPECT_TRUE(worker_->pin_waiters().empty()) << commands;
  }
  slow.close();
  expect_nothing_held();
}

TEST_F(PinWaitersTest, EndingTheProxyWhileClientsWaitIsClean) {
  TestClient slow = silent();
  TestClient client = connect(), other = connect();
  send(client, "GET k1\r\nMGET k1 k2\r\nGET k3\r\n");
  send(other, "LCS k1 k2 LEN\r\n");
  EXPECT_FALSE(worker_->pin_waiters().empty());  // the sanitizers judge the destructors
}

}  // namespace
}  // namespace rdmakv::proxy
