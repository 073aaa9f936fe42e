// Values of 4 to 32 KB, which stay where they were read until they are stored.
#include <string>

#include "tests/proxy/large_value_fixture.h"

namespace rdmakv::proxy {
namespace {

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

}  // namespace
}  // namespace rdmakv::proxy
