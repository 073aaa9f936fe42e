// Large values, in both directions: registered buffers, uploads, pinned values, and what goes
// wrong.
#include <algorithm>
#include <chrono>

#include "tests/proxy/harness.h"

namespace rdmakv::proxy {
namespace {

fakes::FakeClient::Options small() {
  fakes::FakeClient::Options options;
  options.arena_bytes = 1 << 20;
  options.max_single_put = 16 * 1024;  // larger ones are uploads, in chunks of so much
  options.landing_bytes = 16 * 1024;
  return options;
}

class LargeValueTest : public ProxyTest {
 protected:
  LargeValueTest() : ProxyTest(small()) {}
  // Everything that was taken has been given back.
  void expect_nothing_held() {
    run();
    EXPECT_EQ(fake_->free_bytes(), small().arena_bytes);
    EXPECT_EQ(fake_->pins(), 0u);
    EXPECT_EQ(fake_->uploads(), 0u);
    EXPECT_EQ(worker_->requests().in_use(), 0u);
  }
  TestClient client_ = connect();
};

TEST_F(LargeValueTest, EverySizeAroundTheBoundaries) {
  for (const size_t size : {4095, 4096, 4097, 16383, 16384, 16385, 32768, 49152, 49153, 100000}) {
    const std::string value = pattern(size, static_cast<uint32_t>(size));
    send(client_, command({"SET", "a", value}) + command({"GET", "a"}));
    EXPECT_EQ(read(client_, size + 20), "+OK\r\n" + bulk(value)) << size;
  }
  expect_nothing_held();
}

TEST_F(LargeValueTest, ARegisteredValueAtEverySplit) {
  const std::string value = pattern(4100);
  const std::string text = command({"SET", "a", value, "EX", "100"}) + command({"STRLEN", "a"});
  for (size_t cut = 1; cut<text.size(); cut += cut> 60 && cut < 4000 ? 97 : 1) {
    fake_->store.clear();
    send(client_, text.substr(0, cut));
    send(client_, text.substr(cut));
    ASSERT_EQ(client_.take(), "+OK\r\n:4100\r\n") << cut;
    ASSERT_EQ(fake_->store["a"].value, value) << cut;
  }
  expect_nothing_held();
}

TEST_F(LargeValueTest, AnUploadAtManySplits) {
  const std::string value = pattern(70000);
  const std::string text = command({"SET", "a", value, "NX"}) + command({"GET", "b"});
  for (size_t cut = 1; cut<text.size(); cut += cut> 60 && cut < 69990 ? 1021 : 1) {
    fake_->store.clear();
    send(client_, text.substr(0, cut));
    send(client_, text.substr(cut));
    ASSERT_EQ(client_.take(), "+OK\r\n$-1\r\n") << cut;
    ASSERT_EQ(fake_->store["a"].value, value) << cut;
  }
  expect_nothing_held();
}

TEST_F(LargeValueTest, AnUploadHoldsAFewChunksHoweverSlowTheServer) {
  fake_->hold();
  const std::string value = pattern(1 << 20);
  const std::string text = command({"SET", "a", value});
  size_t sent = 0;
  for (int i = 0; i < 2000; ++i) {
    sent += client_.send_some(std::string_view(text).substr(sent));
    worker_->turn(false);
  }
  EXPECT_GE(fake_->free_bytes(), small().arena_bytes - Upload::kChunks * 16384);
  EXPECT_LT(sent, text.size());
  fake_->release();
  send(client_, std::string_view(text).substr(sent));
  EXPECT_EQ(client_.take(), "+OK\r\n");
  EXPECT_EQ(fake_->store["a"].value, value);
}

TEST_F(LargeValueTest, WhatFollowsAnUploadSeesIt) {
  const std::string value = pattern(50000);
  send(client_, command({"SET", "a", "old"}) + command({"SET", "a", value}) +
                    command({"STRLEN", "a"}) + command({"SET", "a", "new"}) +
                    command({"GET", "a"}));
  EXPECT_EQ(client_.take(), "+OK\r\n+OK\r\n:50000\r\n+OK\r\n$3\r\nnew\r\n");
}

TEST_F(LargeValueTest, CasAndSetGetOfLargeValues) {
  const std::string first = pattern(50000, 1), second = pattern(60000, 2);
  EXPECT_EQ(call(client_, {"CAS", "a", "0", first}), "*2\r\n:1\r\n:1\r\n");
  EXPECT_EQ(call(client_, {"CAS", "a", "0", second}), "*2\r\n:0\r\n:1\r\n");
  send(client_, command({"SET", "a", second, "GET"}));
  EXPECT_EQ(read(client_, 50010), bulk(first));
  send(client_, command({"GETV", "a"}));
  EXPECT_EQ(read(client_, 60020), "*2\r\n" + bulk(second) + ":2\r\n");
  expect_nothing_held();
}

TEST_F(LargeValueTest, OptionsBehindALargeValueMayBeWrong) {
  const std::string value = pattern(50000);
  EXPECT_EQ(call(client_, {"SET", "a", value, "FOO"}), "-ERR syntax error\r\n");
  EXPECT_EQ(call(client_, {"SETEX", "a", "x", value}),
            "-ERR value is not an integer or out of range\r\n");
  EXPECT_EQ(call(client_, {"SETNX", "a", value, "more"}),
            "-ERR wrong number of arguments for 'setnx' command\r\n");
  EXPECT_EQ(call(client_, {"GET", "a"}), "$-1\r\n");
  expect_nothing_held();
}

TEST_F(LargeValueTest, AnUploadThatFailsIsReadToItsEndAndAnswered) {
  for (const OperationKind failing :
       {OperationKind::kUploadBegin, OperationKind::kUploadChunk, OperationKind::kUploadCommit}) {
    fake_->fault = [failing](const Operation& operation) {
      return operation.kind == failing ? Code::kNoSpace : Code::kOk;
    };
    send(client_, command({"SET", "a", pattern(200000)}) + "PING\r\n");
    EXPECT_EQ(client_.take(),
              "-OOM command not allowed when used memory > 'maxmemory'.\r\n+PONG\r\n");
  }
  fake_->fault = nullptr;
  EXPECT_EQ(fake_->store.count("a"), 0u);
}

TEST_F(LargeValueTest, AClientThatLeavesInTheMiddleOfAnUpload) {
  send(client_, command({"SET", "a", pattern(200000)}).substr(0, 100000));
  EXPECT_EQ(fake_->uploads(), 1u);
  client_.close();
  expect_nothing_held();
  EXPECT_EQ(fake_->store.count("a"), 0u);
}

TEST_F(LargeValueTest, APinnedValueIsStreamed) {
  const std::string value = pattern(3 << 20);
  fake_->store["a"] = {value, 1, 0};
  send(client_, "PING\r\nGET a\r\nPING\r\n");
  EXPECT_EQ(read(client_, value.size() + 30), "+PONG\r\n" + bulk(value) + "+PONG\r\n");
  expect_nothing_held();
}

TEST_F(LargeValueTest, PinnedValuesInAnMget) {
  const std::string value = pattern(700000);
  fake_->store["a"] = {value, 1, 0};
  fake_->store["b"] = {pattern(10000), 1, 0};
  send(client_, "MGET a b x a\r\nPING\r\n");
  EXPECT_EQ(read(client_, 2 * value.size() + 10100),
            "*4\r\n" + bulk(value) + bulk(pattern(10000)) + "$-1\r\n" + bulk(value) + "+PONG\r\n");
  expect_nothing_held();
}

TEST_F(LargeValueTest, AReplyBeyondTheOutputLimitClosesTheConnection) {
  proxy_.settings().output_limit_bytes = 30'000;
  fake_->store["a"] = {pattern(10'000), 1, 0};
  fake_->store["b"] = {pattern(100'000), 1, 0};
  fake_->store["c"] = {pattern(1'000), 1, 0};
  const std::string many = " c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c";
  const std::vector<std::string> all = {"MGET a a a a",
                                        "GET b",
                                        "MGET a b a",
                                        "MGET" + many,
                                        "MULTI\r\nMGET a a a a\r\nEXEC",
                                        "GET a\r\nGET a\r\nGET a\r\nGET a"};
  for (const std::string& commands : all) {
    TestClient client = connect();
    client.send_some(commands + "\r\n");
    run();
    client.receive();
    EXPECT_TRUE(client.ended()) << commands;
  }
  expect_nothing_held();
}

TEST_F(LargeValueTest, ASlowReaderOfAPinnedValueHoldsLittle) {
  proxy_.settings().output_pause_bytes = 64 * 1024;
  const std::string value = pattern(8 << 20);
  fake_->store["a"] = {value, 1, 0};
  client_.send_some("GET a\r\n");
  run();
  EXPECT_GE(fake_->free_bytes(), small().arena_bytes / 4);
  EXPECT_EQ(read(client_, value.size() + 20), bulk(value));
  expect_nothing_held();
}

TEST_F(LargeValueTest, AClientThatLeavesInTheMiddleOfAPinnedValue) {
  fake_->store["a"] = {pattern(8 << 20), 1, 0};
  client_.send_some("GET a\r\nGET a\r\n");
  run();
  EXPECT_EQ(fake_->pins(), 2u);
  client_.close();
  expect_nothing_held();
}

TEST_F(LargeValueTest, AValueCutOffClosesTheConnection) {
  fake_->store["a"] = {pattern(2 << 20), 1, 0};
  int pieces = 0;
  fake_->fault = [&](const Operation& operation) {
    const bool bad = operation.kind == OperationKind::kReadPinned && ++pieces == 3;
    return bad ? Code::kUnavailable : Code::kOk;
  };
  client_.send_some("GET a\r\nPING\r\n");
  const std::string received = read(client_, 3 << 20);
  EXPECT_LT(received.size(), 2u << 20);
  EXPECT_TRUE(client_.ended());
  EXPECT_EQ(received.find("PONG"), std::string::npos);
  expect_nothing_held();
}

// The same when that was the only piece under way.
TEST_F(LargeValueTest, AValueOfOnePieceCutOffClosesTheConnection) {
  fake_->store["a"] = {pattern(100'000), 1, 0};
  fake_->fault = [&](const Operation& operation) {
    return operation.kind == OperationKind::kReadPinned ? Code::kUnavailable : Code::kOk;
  };
  client_.send_some("GET a\r\nPING\r\n");
  EXPECT_LT(read(client_, 1 << 20).size(), 20u);
  EXPECT_TRUE(client_.ended());
  expect_nothing_held();
}

// ---- values that stay where they were read ----

class ReceivedValueTest : public LargeValueTest {
 protected:
  ReceivedValueTest() {
    fake_->fault = [this](const Operation& operation) {
      const ValueBuffer& buffer = operation.input_buffer;
      if (operation.kind == OperationKind::kPut && buffer) {
        ++(buffer.is_shared() ? in_place_ : alone_);
      }
      return Code::kOk;
    };
    warm_up(client_);
  }
  // Once a connection has sent such a value, others are expected.
  void warm_up(TestClient& client) {
    EXPECT_EQ(call(client, {"SET", "w", pattern(5000)}), "+OK\r\n");
    in_place_ = alone_ = 0;
  }
  size_t in_place_ = 0, alone_ = 0;
};

TEST_F(ReceivedValueTest, ABatchIsNotCopied) {
  constexpr size_t kCount = 40;
  std::string commands, expected;
  for (size_t i = 0; i < kCount; ++i) {
    commands +=
        command({"SET", "k" + std::to_string(i), pattern(4096 + 97 * i, static_cast<uint32_t>(i))});
    expected += "+OK\r\n";
  }
  send(client_, commands);
  EXPECT_EQ(read(client_, expected.size()), expected);
  EXPECT_GE(in_place_, kCount - 1);  // one may reach beyond the end of a block
  for (size_t i = 0; i < kCount; ++i) {
    EXPECT_EQ(fake_->store["k" + std::to_string(i)].value,
              pattern(4096 + 97 * i, static_cast<uint32_t>(i)))
        << i;
  }
  expect_nothing_held();
}

// As much is held as they take, and a third more.
TEST_F(ReceivedValueTest, ManyShareABlock) {
  constexpr size_t kBlock = 256 * 1024, kCount = 60;
  std::vector<TestClient> clients;
  for (int i = 0; i < 6; ++i) {
    clients.push_back(connect());
    warm_up(clients.back());
  }
  fake_->hold();
  std::string ten;
  for (int i = 0; i < 10; ++i) ten += command({"SET", "k", pattern(7000)});
  for (TestClient& client : clients) send(client, ten);
  EXPECT_EQ(fake_->held(), kCount);
  EXPECT_EQ(in_place_, kCount);
  EXPECT_GE(fake_->free_bytes(), small().arena_bytes - 3 * kBlock);
  fake_->release();
  run();
  for (TestClient& client : clients) EXPECT_EQ(client.take().size(), 50u);
  expect_nothing_held();
}

// Everything there is between, before and behind them, cut at many places.
TEST_F(ReceivedValueTest, AmongOtherCommands) {
  const std::string long_key(3000, 'k'), value = pattern(9000, 3), other = pattern(4100, 4);
  const std::string text =
      command({"SET", "a", value}) + "PING\r\n" + command({"GET", "b"}) +
      command({"SET", long_key, other, "EX", "100"}) + command({"MSET", "b", other, "c", "1"}) +
      command({"SET", "d", "2"}) + command({"STRLEN", "a"}) + command({"APPEND", "a", other}) +
      command({"SET", "e", other}) + "*1\r\n$4\r\nPING\r\n" + command({"STRLEN", long_key});
  for (size_t cut = 1; cut < text.size(); cut += 61) {
    fake_->store.clear();
    send(client_, text.substr(0, cut));
    send(client_, text.substr(cut));
    ASSERT_EQ(
        client_.take(),
        "+OK\r\n+PONG\r\n$-1\r\n+OK\r\n+OK\r\n+OK\r\n:9000\r\n:13100\r\n+OK\r\n+PONG\r\n:4100\r\n")
        << cut;
    ASSERT_EQ(fake_->store["a"].value, value + other) << cut;
    ASSERT_EQ(fake_->store[long_key].value, other) << cut;
    ASSERT_EQ(fake_->store["e"].value, other) << cut;
  }
  EXPECT_GT(in_place_, alone_);
  expect_nothing_held();
}

TEST_F(ReceivedValueTest, WithoutRoomForABlockTheyAreCopied) {
  const ValueBuffer half = fake_->allocate(512 * 1024), quarter = fake_->allocate(256 * 1024),
                    most = fake_->allocate(128 * 1024);
  for (uint32_t i = 0; i < 10; ++i) {
    EXPECT_EQ(call(client_, {"SET", "a", pattern(8000, i)}), "+OK\r\n");
    EXPECT_EQ(fake_->store["a"].value, pattern(8000, i));
  }
  EXPECT_EQ(alone_, 10u);
}

TEST_F(ReceivedValueTest, WhatHasToWaitHoldsNoBlock) {
  TestClient other = connect();
  EXPECT_EQ(call(other, {"CLIENT", "PAUSE", "1000000", "WRITE"}), "+OK\r\n");
  send(client_, command({"SET", "a", pattern(8000)}) + command({"SET", "b", pattern(8001)}));
  EXPECT_EQ(fake_->free_bytes(), small().arena_bytes);
  EXPECT_EQ(call(other, {"CLIENT", "UNPAUSE"}), "+OK\r\n");
  run();
  EXPECT_EQ(client_.take(), "+OK\r\n+OK\r\n");
  EXPECT_EQ(fake_->store["a"].value, pattern(8000));
  EXPECT_EQ(fake_->store["b"].value, pattern(8001));
  expect_nothing_held();
}

TEST_F(ReceivedValueTest, AClientThatLeavesInTheMiddle) {
  send(client_,
       command({"SET", "a", pattern(8000)}) + command({"SET", "b", pattern(8000)}).substr(0, 4000));
  EXPECT_LT(fake_->free_bytes(), small().arena_bytes);
  client_.close();
  expect_nothing_held();
  EXPECT_EQ(fake_->store.count("b"), 0u);
}

TEST_F(ReceivedValueTest, AProtocolErrorBehindAValue) {
  send(client_,
       command({"SET", "a", pattern(8000)}) + "*1\r\nx\r\n" + command({"SET", "b", pattern(8000)}));
  EXPECT_EQ(client_.take(), "+OK\r\n-ERR Protocol error: expected '$', got 'x'\r\n");
  EXPECT_TRUE(client_.ended());
  expect_nothing_held();
  EXPECT_EQ(fake_->store.count("b"), 0u);
}

// ---- many large values at once ----

class ManyPutsTest : public ProxyTest {
 protected:
  static constexpr size_t kClients = 30;
  static constexpr size_t kBytes = 100'000;
  ManyPutsTest() : ProxyTest(roomy()) {
    for (size_t i = 0; i < kClients; ++i) clients_.push_back(connect());
  }
  static fakes::FakeClient::Options roomy() {
    fakes::FakeClient::Options options;
    options.arena_bytes = 32 << 20;
    return options;
  }
  // All at the same time.
  void send_all(uint32_t round) {
    std::vector<std::string> left;
    for (size_t i = 0; i < kClients; ++i) {
      left.push_back(command({"SET", "k" + std::to_string(i), value_of(round, i)}));
    }
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::minutes(2);
    for (bool more = true; more && std::chrono::steady_clock::now() < give_up;) {
      more = false;
      for (size_t i = 0; i < kClients; ++i) {
        left[i].erase(0, clients_[i].send_some(left[i]));
        more |= !left[i].empty();
      }
      worker_->turn(false);
    }
    for (const std::string& bytes : left) EXPECT_EQ(bytes.size(), 0u);
    run();
  }
  static std::string value_of(uint32_t round, size_t client) {
    return pattern(kBytes, round * 100 + static_cast<uint32_t>(client));
  }
  std::vector<TestClient> clients_;
};

TEST_F(ManyPutsTest, AreAllStored) {
  for (uint32_t round = 0; round < 3; ++round) {
    send_all(round);
    for (size_t i = 0; i < kClients; ++i) {
      EXPECT_EQ(clients_[i].take(), "+OK\r\n");
      EXPECT_EQ(fake_->store["k" + std::to_string(i)].value, value_of(round, i));
    }
  }
  EXPECT_EQ(fake_->free_bytes(), roomy().arena_bytes);
}

TEST_F(ManyPutsTest, AServerThatDoesNotAnswerIsNotWaitedForBeforeMoreIsRead) {
  send_all(0);
  for (TestClient& client : clients_) EXPECT_EQ(client.take(), "+OK\r\n");
  fake_->hold();
  send_all(1);
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  while (fake_->held() < kClients && std::chrono::steady_clock::now() < give_up) {
    worker_->turn(true);
  }
  EXPECT_EQ(fake_->held(), kClients);
  fake_->release();
  run();
  for (TestClient& client : clients_) EXPECT_EQ(client.take(), "+OK\r\n");
}

// The same where pinned values are written from where they lie.
class InPlaceTest : public ProxyTest {
 protected:
  static fakes::FakeClient::Options in_place() {
    fakes::FakeClient::Options options = small();
    options.pinned_memory = true;
    return options;
  }
  InPlaceTest() : ProxyTest(in_place()) {
    fake_->record_history();
    store("a", 3 << 20);
  }
  void store(const std::string& key, size_t bytes) {
    fake_->store[key] = {pattern(bytes, static_cast<uint32_t>(bytes)), 1, 0};
  }
  std::string reply_to_get(const std::string& key) { return bulk(fake_->store[key].value); }
  size_t reads() const {
    const std::vector<OperationKind>& all = fake_->history();
    return static_cast<size_t>(std::count(all.begin(), all.end(), OperationKind::kReadPinned));
  }
  void expect_nothing_held() {
    run();
    EXPECT_EQ(fake_->pins(), 0u);
    EXPECT_EQ(fake_->free_bytes(), small().arena_bytes);
    EXPECT_EQ(worker_->requests().in_use(), 0u);
  }
  TestClient client_ = connect();
};

TEST_F(InPlaceTest, ValuesOfManySizesWithoutARead) {
  std::string commands, expected;
  for (const size_t size : {16385u, 65537u, 262144u, 262160u, 262161u, 1048576u, 3000000u}) {
    const std::string key = std::to_string(size);
    store(key, size);
    commands += command({"GET", key}) + "PING\r\n";
    expected += reply_to_get(key) + "+PONG\r\n";
  }
  send(client_, commands);
  EXPECT_EQ(read(client_, expected.size()), expected);
  EXPECT_EQ(reads(), 0u);
  expect_nothing_held();
}

TEST_F(InPlaceTest, WhatIsOverwrittenMeanwhileIsWrittenAsItWas) {
  const std::string expected = reply_to_get("a") + reply_to_get("a");
  client_.send_some(command({"GET", "a"}) + command({"GET", "a"}));
  run();
  TestClient other = connect();
  EXPECT_EQ(call(other, {"SET", "a", "new"}), "+OK\r\n");
  EXPECT_EQ(read(client_, expected.size()), expected);
  EXPECT_EQ(call(client_, {"GET", "a"}), bulk("new"));
  expect_nothing_held();
}

TEST_F(InPlaceTest, InAnMgetAndBehindATransaction) {
  store("b", 700'000);
  const std::string mget = "*3\r\n" + reply_to_get("b") + "$-1\r\n" + reply_to_get("a");
  send(client_, "MGET b x a\r\n");
  EXPECT_EQ(read(client_, mget.size()), mget);
  const std::string exec = "+OK\r\n+QUEUED\r\n*1\r\n" + reply_to_get("b");
  send(client_, "MULTI\r\nGET b\r\nEXEC\r\n");
  EXPECT_EQ(read(client_, exec.size()), exec);
  expect_nothing_held();
}

// Whenever the server's connection ends, no client takes what it was sent for the value. (An output
// that is full ends a turn before the last bytes.)
TEST_F(InPlaceTest, AValueThatIsVoidBeforeItIsWrittenIsNeverWhole) {
  store("b", 200'000);
  const std::string whole = bulk(pattern(200'000, 200'000)) + "+PONG\r\n";
  for (const uint64_t pause : {uint64_t{1} << 20, uint64_t{64} << 10}) {
    proxy_.settings().output_pause_bytes = pause;
    size_t cut_off = 0;
    for (size_t holds = 0; holds < 40; ++holds) {
      fake_->pins_hold = holds;
      TestClient client = connect();
      send(client, "GET b\r\nPING\r\n");
      const std::string received = read(client, 1 << 20);
      if (client.ended()) {
        ++cut_off;
        EXPECT_LT(received.size(), 200'000u + 9) << holds;
      } else {
        EXPECT_TRUE(received == whole) << holds;
      }
    }
    EXPECT_GT(cut_off, 2u);
  }
  fake_->pins_hold = ~size_t{0};
  expect_nothing_held();
}

TEST_F(InPlaceTest, WithRepliesOffNothingIsKept) {
  send(client_, "CLIENT REPLY OFF\r\nGET a\r\nMGET a a\r\n");
  run();
  EXPECT_EQ(fake_->pins(), 0u);
  EXPECT_EQ(client_.take(), "");
  expect_nothing_held();
}

TEST_F(InPlaceTest, AClientThatLeavesInTheMiddle) {
  store("huge", 32 << 20);
  client_.send_some("GET huge\r\nGET a\r\n");
  run();
  EXPECT_EQ(fake_->pins(), 2u);
  client_.close();
  expect_nothing_held();
}

// And its output is no longer than anybody's.
TEST_F(InPlaceTest, ASlowReaderHoldsNoMemory) {
  proxy_.settings().output_limit_bytes = 4 << 20;
  store("huge", 32 << 20);
  client_.send_some("GET huge\r\n");
  run();
  EXPECT_EQ(fake_->free_bytes(), small().arena_bytes);
  EXPECT_EQ(read(client_, (32 << 20) + 20), reply_to_get("huge"));
  expect_nothing_held();
}

TEST_F(LargeValueTest, WithoutRegisteredMemoryAClientWaitsAndIsServedLater) {
  std::vector<ValueBuffer> all;
  while (ValueBuffer buffer = fake_->allocate(4096)) all.push_back(std::move(buffer));
  const std::string text =
      command({"SET", "a", pattern(10000)}) + "PING\r\n" + command({"SET", "b", pattern(100000)});
  client_.send_some(text);
  run();
  EXPECT_EQ(client_.take(), "");
  TestClient other = connect();
  EXPECT_EQ(call(other, "SET x 1"), "+OK\r\n");
  all.clear();
  run();
  EXPECT_EQ(client_.take(), "+OK\r\n+PONG\r\n+OK\r\n");
  expect_nothing_held();
}

TEST_F(LargeValueTest, LargeArgumentsOfOtherCommands) {
  const std::string big = pattern(30000);
  EXPECT_EQ(call(client_, {"ECHO", big}), bulk(big));
  EXPECT_EQ(call(client_, {"MSET", "a", big, "b", "2", "c", big}), "+OK\r\n");
  EXPECT_EQ(fake_->store["c"].value, big);
  EXPECT_EQ(call(client_, {"EXISTS", big, "a"}), ":1\r\n");
  EXPECT_EQ(call(client_, {"SET", big, "v"}), "+OK\r\n");
  EXPECT_EQ(call(client_, {"SET", big, big}), "+OK\r\n");
  EXPECT_EQ(fake_->store[big].value, big);
}

TEST_F(LargeValueTest, AQueryBeyondTheLimitCloses) {
  proxy_.settings().query_buffer_limit = 1 << 20;
  send(client_, "*2\r\n$4\r\nECHO\r\n$2000000\r\n");
  client_.receive();
  EXPECT_TRUE(client_.ended());
  TestClient many = connect();
  std::string text = "*1000000\r\n";
  for (int i = 0; i < 60000; ++i) text += "$20\r\naaaaaaaaaaaaaaaaaaaa\r\n";
  for (size_t sent = 0, idle = 0; sent < text.size() && idle < 10;) {
    const size_t bytes = many.send_some(std::string_view(text).substr(sent));
    sent += bytes;
    idle = bytes == 0 ? idle + 1 : 0;
    worker_->turn(false);
  }
  many.receive();
  EXPECT_TRUE(many.ended());
}

TEST_F(LargeValueTest, StalledReadersGiveTheirRegisteredMemoryToOthers) {
  // Stalled readers hold all registered memory by values that they do not read.
  std::vector<TestClient> stalled;
  fake_->store["a"] = {pattern(16000), 1, 0};
  for (int i = 0; i < 20; ++i) {
    stalled.push_back(connect());
    std::string commands;
    for (int j = 0; j < 100; ++j) commands += "GET a\r\n";
    stalled.back().send_some(commands);
    run();
  }
  // Served in the end, however long the others stay.
  client_.send_some(command({"SET", "b", pattern(16000)}));
  std::string reply;
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  while (reply.empty() && std::chrono::steady_clock::now() < give_up) {
    worker_->turn(true);
    reply = client_.take();
  }
  EXPECT_EQ(reply, "+OK\r\n");
}

}  // namespace
}  // namespace rdmakv::proxy
