// GETs that share a Request: what they say, the order that they keep, what becomes of those that
// are not as simple as that, and that they allocate nothing.
#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

#include "tests/proxy/allocation_counter.h"
#include "tests/proxy/harness.h"

namespace rdmakv::proxy {
namespace {

std::string gets(std::string_view keys) {
  std::string commands;
  for (const char key : keys) commands += command({"GET", std::string(1, key)});
  return commands;
}

class QuickGetRunTest : public ProxyTest {
 protected:
  QuickGetRunTest() {
    fake_->in_get_runs = ~size_t{0};
    for (const char key : std::string_view("abcdef")) {
      fake_->store[std::string(1, key)] = {std::string("v") + key, 1, 0};
    }
    fake_->store["L"] = {large_, 1, 0};
    fake_->store["M"] = {pattern(90'000, 7), 1, 0};
  }
  // One that reads slowly may be.
  void expect(const std::string& commands, const std::string& replies) {
    send(client_, commands);
    EXPECT_EQ(read(client_, replies.size()), replies);
    EXPECT_EQ(fake_->pins(), 0u);
  }
  const std::string large_ = pattern(80'000);
  TestClient client_ = connect();
};

TEST_F(QuickGetRunTest, ShareARun) {
  expect(gets("abz") + command({"get", "c"}), bulk("va") + bulk("vb") + "$-1\r\n" + bulk("vc"));
  EXPECT_EQ(fake_->get_runs, 1u);
  EXPECT_EQ(fake_->gets_in_runs, 4u);
  EXPECT_EQ(fake_->submitted(), 0u);
  EXPECT_EQ(fake_->flushes(), 1u);
}

TEST_F(QuickGetRunTest, CountLikeAnyOther) {
  expect(gets("abzLz"), bulk("va") + bulk("vb") + "$-1\r\n" + bulk(large_) + "$-1\r\n");
  const std::string info = call(client_, "INFO everything");
  EXPECT_NE(info.find("keyspace_hits:3\r\nkeyspace_misses:2\r\n"), std::string::npos) << info;
  EXPECT_NE(info.find("cmdstat_get:calls=5,"), std::string::npos) << info;
}

TEST_F(QuickGetRunTest, KeepTheirOrderWithOtherCommands) {
  expect(gets("ab") + command({"SET", "a", "1"}) + gets("aa") + command({"APPEND", "a", "2"}) +
             "PING\r\n" + gets("az"),
         bulk("va") + bulk("vb") + "+OK\r\n" + bulk("1") + bulk("1") + ":2\r\n+PONG\r\n" +
             bulk("12") + "$-1\r\n");
  EXPECT_EQ(fake_->get_runs, 3u);
}

TEST_F(QuickGetRunTest, RepliesWaitForThoseBeforeThem) {
  fake_->hold();
  send(client_, command({"APPEND", "x", "1"}) + gets("ab") + command({"APPEND", "x", "1"}));
  fake_->release_at(1);
  fake_->release_at(1);
  run();
  EXPECT_EQ(client_.take(), "");
  fake_->release();
  run();
  EXPECT_EQ(client_.take(), ":1\r\n" + bulk("va") + bulk("vb") + ":2\r\n");
}

// Of several servers or workers, say.
TEST_F(QuickGetRunTest, AnswersInAnyOrder) {
  for (const auto& order : {std::array{0, 0, 0, 0}, std::array{3, 2, 1, 0}, std::array{2, 0, 1, 0},
                            std::array{1, 2, 0, 0}}) {
    fake_->hold();
    send(client_, gets("abzc"));
    for (const int index : order) fake_->release_at(static_cast<size_t>(index));
    run();
    EXPECT_EQ(client_.take(), bulk("va") + bulk("vb") + "$-1\r\n" + bulk("vc"));
  }
  EXPECT_EQ(fake_->gets_in_runs, 16u);
}

// A large value is written from where it lies, in its turn, wherever it stands.
TEST_F(QuickGetRunTest, OneThatIsNotSimpleGetsItsOwnRequest) {
  for (const std::string keys : {"L", "Lab", "aLb", "abL", "LL", "aLbMc", "LaM", "LabMML"}) {
    std::string replies;
    for (const char key : keys) replies += bulk(fake_->store[std::string(1, key)].value);
    expect(gets(keys), replies);
    expect(gets(keys) + gets("z"), replies + "$-1\r\n");
  }
}

TEST_F(QuickGetRunTest, OneThatIsNotSimpleInAnyOrder) {
  const std::string keys = "aLbMc";
  std::string replies;
  for (const char key : keys) replies += bulk(fake_->store[std::string(1, key)].value);
  std::array<size_t, 5> order = {0, 1, 2, 3, 4};
  do {
    run();
    fake_->hold();
    send(client_, gets(keys));
    ASSERT_EQ(fake_->held(), 5u);
    std::vector<size_t> left = {0, 1, 2, 3, 4};
    for (const size_t wanted : order) {
      const auto at = std::find(left.begin(), left.end(), wanted);
      fake_->release_at(static_cast<size_t>(at - left.begin()));
      left.erase(at);
    }
    fake_->release();
    EXPECT_EQ(read(client_, replies.size()), replies);
  } while (std::next_permutation(order.begin(), order.end()));
  run();
  EXPECT_EQ(fake_->pins(), 0u);
}

TEST_F(QuickGetRunTest, OneThatFailsSaysSo) {
  fake_->fault = [](const Operation& operation) {
    return operation.key == "b" ? Code::kTimeout : Code::kOk;
  };
  send(client_, gets("abc"));
  const std::string replies = client_.take();
  EXPECT_EQ(replies.find(bulk("va") + "-"), 0u) << replies;
  EXPECT_TRUE(replies.ends_with("\r\n" + bulk("vc"))) << replies;
}

TEST_F(QuickGetRunTest, WhatIsNotTakenGoesTheOrdinaryWay) {
  for (size_t possible = 0; possible <= 4; ++possible) {
    fake_->in_get_runs = possible;
    fake_->gets_in_runs = 0;
    expect(gets("abzc"), bulk("va") + bulk("vb") + "$-1\r\n" + bulk("vc"));
    EXPECT_EQ(fake_->gets_in_runs, possible == 0 ? 0u : 4u) << "in several runs";
  }
}

TEST_F(QuickGetRunTest, LongKeysTakeMoreRuns) {
  std::string commands, replies;
  for (int i = 0; i < 32; ++i) {
    const std::string key(500, static_cast<char>('A' + i % 26));
    fake_->store[key] = {key.substr(0, 3), 1, 0};
    commands += command({"GET", key});
    replies += bulk(key.substr(0, 3));
  }
  commands += command({"GET", std::string(5000, 'k')});
  expect(commands, replies + "$-1\r\n");
  EXPECT_EQ(fake_->gets_in_runs, 32u);
  EXPECT_EQ(fake_->get_runs, 4u);
  EXPECT_EQ(fake_->submitted(), 1u);
}

TEST_F(QuickGetRunTest, SpeakTheConnectionsProtocol) {
  call(client_, "HELLO 3");
  expect(gets("za"), "_\r\n" + bulk("va"));
}

TEST_F(QuickGetRunTest, AClientThatIsGoneTakesNothing) {
  fake_->hold();
  send(client_, gets("aLb"));
  client_.close();
  run();
  fake_->release();
  run();
  EXPECT_EQ(fake_->pins(), 0u);
}

TEST_F(QuickGetRunTest, TheEndOfTheWorkerCancelsThem) {  // With the fixture.
  fake_->hold();
  send(client_, gets("aLb"));
}

TEST_F(QuickGetRunTest, SlowOnesAreNotedOneByOne) {
  call(client_, "CONFIG SET slowlog-log-slower-than 1000");
  fake_->hold();
  send(client_, gets("abL"));
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  fake_->release();
  EXPECT_EQ(read(client_, (bulk("va") + bulk("vb") + bulk(large_)).size()),
            bulk("va") + bulk("vb") + bulk(large_));
  const std::string log = call(client_, "SLOWLOG GET 10");
  for (const std::string key : {"a", "b", "L"}) {
    EXPECT_NE(log.find("*2\r\n$3\r\nGET\r\n$1\r\n" + key + "\r\n"), std::string::npos) << log;
  }
}

TEST_F(QuickGetRunTest, AllocateNothing) {
  std::string commands;
  for (int i = 0; i < 64; ++i) commands += gets(i % 2 == 0 ? "a" : "z");
  const auto once = [&] {
    run();
    client_.send_some(commands);
    run();
    EXPECT_FALSE(client_.take().empty());
  };
  for (int i = 0; i < 20; ++i) once();
  client_.send_some(commands);
  const size_t before = allocation_count();
  worker_->turn(false);
  EXPECT_EQ(allocation_count() - before, 0u);
}

}  // namespace
}  // namespace rdmakv::proxy
