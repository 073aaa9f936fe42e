// Pinned values that are written to the socket from where they lie.
#include <algorithm>
#include <string>

#include "tests/proxy/large_value_fixture.h"

namespace rdmakv::proxy {
namespace {

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

}  // namespace
}  // namespace rdmakv::proxy
