// Large values, in both directions: registered buffers, uploads, pinned values, and what goes
// wrong.
#include <chrono>

#include "tests/proxy/large_value_fixture.h"

namespace rdmakv::proxy {
namespace {

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
