// GETs that the client library answers at once: what they say, the order that they keep, and who
// does without them. Then what a batch costs in system calls, and that it allocates nothing.
#include "tests/proxy/allocation_counter.h"
#include "tests/proxy/harness.h"

namespace rdmakv::proxy {
namespace {

class QuickGetsTest : public ProxyTest {
 protected:
  QuickGetsTest() {
    fake_->at_once = ~size_t{0};
    fake_->store["a"] = {"1", 1, 0};
    fake_->store["b"] = {pattern(3000), 1, 0};
  }
  TestClient client_ = connect();
};

TEST_F(QuickGetsTest, AreAnsweredWithoutAnOperation) {
  send(client_, command({"GET", "a"}) + command({"get", "b"}) + command({"GeT", "none"}));
  EXPECT_EQ(client_.take(), bulk("1") + bulk(pattern(3000)) + "$-1\r\n");
  EXPECT_EQ(fake_->answered_at_once, 3u);
  EXPECT_EQ(fake_->submitted(), 0u);
  EXPECT_EQ(fake_->flushes(), 0u);
}

TEST_F(QuickGetsTest, CountLikeAnyOther) {
  send(client_, command({"GET", "a"}) + command({"GET", "none"}));
  const std::string info = call(client_, "INFO everything");
  EXPECT_NE(info.find("keyspace_hits:1\r\nkeyspace_misses:1\r\n"), std::string::npos) << info;
  EXPECT_NE(info.find("cmdstat_get:calls=2,"), std::string::npos) << info;
}

TEST_F(QuickGetsTest, SpeakTheConnectionsProtocol) {
  call(client_, "HELLO 3");
  EXPECT_EQ(call(client_, "GET none"), "_\r\n");
}

TEST_F(QuickGetsTest, WaitForWhatIsBeforeThem) {
  fake_->hold();
  send(client_, command({"SET", "a", "2"}) + command({"GET", "a"}) + command({"GET", "b"}));
  EXPECT_EQ(client_.take(), "");
  EXPECT_EQ(fake_->answered_at_once, 0u);
  fake_->release();
  run();
  EXPECT_EQ(client_.take(), "+OK\r\n" + bulk("2") + bulk(pattern(3000)));
}

TEST_F(QuickGetsTest, WhatIsBehindThemWaitsForThem) {
  send(client_, command({"GET", "a"}) + command({"SET", "a", "2"}) + "GET a\r\n");
  EXPECT_EQ(client_.take(), bulk("1") + "+OK\r\n" + bulk("2"));
}

// The first that cannot be answered goes the ordinary way, and with it all behind it in its batch.
TEST_F(QuickGetsTest, OneThatCannotBeAnsweredHoldsBackThoseBehindIt) {
  for (size_t possible = 0; possible <= 4; ++possible) {
    fake_->at_once = possible;
    fake_->answered_at_once = 0;
    const size_t before = fake_->submitted();
    fake_->hold();
    send(client_, command({"GET", "a"}) + command({"GET", "none"}) + command({"GET", "b"}) +
                      command({"GET", "a"}));
    EXPECT_EQ(fake_->answered_at_once, possible);
    EXPECT_EQ(fake_->submitted() - before, 4 - possible);
    fake_->release();
    run();
    EXPECT_EQ(client_.take(), bulk("1") + "$-1\r\n" + bulk(pattern(3000)) + bulk("1"));
  }
}

TEST_F(QuickGetsTest, MoreThanABatch) {
  std::string commands, expected;
  for (int i = 0; i < 1000; ++i) {
    const std::string key = "k" + std::to_string(i % 300);
    fake_->store[key] = {key, 1, 0};
    commands += command({"GET", key});
    expected += bulk(key);
  }
  send(client_, commands);
  EXPECT_EQ(client_.take(), expected);
  EXPECT_EQ(fake_->answered_at_once, 1000u);
}

TEST_F(QuickGetsTest, LargeValues) {
  std::string commands, expected;
  for (const size_t size : {4095u, 4096u, 4097u, 9999u, 10000u, 65536u}) {
    const std::string key = std::to_string(size);
    fake_->store[key] = {pattern(size, static_cast<uint32_t>(size)), 1, 0};
    commands += command({"GET", key}) + command({"GET", "a"});
    expected += bulk(fake_->store[key].value) + bulk("1");
  }
  const uint64_t free = fake_->free_bytes();
  send(client_, commands);
  EXPECT_EQ(read(client_, expected.size()), expected);
  EXPECT_EQ(fake_->answered_at_once, 12u);
  EXPECT_EQ(fake_->submitted(), 0u);
  EXPECT_EQ(fake_->free_bytes(), free);
}

// As much as its output may have is in memory, and a batch of commands behind that under way.
TEST_F(QuickGetsTest, AClientThatDoesNotReadIsNotAnsweredAtOnceForEver) {
  fake_->store["large"] = {pattern(60'000), 1, 0};
  std::string commands, expected;
  for (int i = 0; i < 400; ++i) {
    commands += command({"GET", "large"}) + command({"GET", "a"});
    expected += bulk(fake_->store["large"].value) + bulk("1");
  }
  commands.resize(commands.size() - 5);  // in the middle of the last command
  const uint64_t free = fake_->free_bytes();
  client_.send_some(commands);
  run();
  EXPECT_LT(free - fake_->free_bytes(), 4u << 20);
  EXPECT_LT(fake_->answered_at_once, 100u);
  expected.resize(expected.size() - bulk("1").size());
  EXPECT_EQ(read(client_, expected.size()), expected);
  EXPECT_EQ(fake_->free_bytes(), free);
}

// Values that lie with the server only until they have been given back.
class InPlaceGetsTest : public QuickGetsTest {
 protected:
  InPlaceGetsTest() {
    fake_->in_place = kLargest;
    for (const size_t size : {4095u, 4096u, 16384u, 65537u, 262144u}) {
      fake_->store[std::to_string(size)] = {pattern(size, static_cast<uint32_t>(size)), 1, 0};
    }
  }
  void TearDown() override { EXPECT_EQ(fake_->given_back, fake_->given_in_place); }
  std::string value(std::string_view key) const {
    return bulk(fake_->store.find(key)->second.value);
  }
  static constexpr size_t kLargest = size_t{256} * 1024;
};

TEST_F(InPlaceGetsTest, AreWrittenAtOnce) {
  const uint64_t free = fake_->free_bytes();
  for (const std::string_view key : {"4096", "16384", "65537"}) {
    const uint64_t writes = worker_->stats().writes.get();
    send(client_, command({"GET", key}));
    EXPECT_EQ(read(client_, value(key).size()), value(key));
    EXPECT_EQ(worker_->stats().writes.get() - writes, 1u) << "nothing is held back";
  }
  EXPECT_EQ(fake_->given_in_place, 3u);
  EXPECT_EQ(fake_->submitted(), 0u);
  EXPECT_EQ(fake_->free_bytes(), free) << "and nothing is copied";
}

TEST_F(InPlaceGetsTest, ManyInOneWrite) {
  std::string commands, expected;
  for (int i = 0; i < 40; ++i) {
    commands += command({"GET", i % 2 == 0 ? "4096" : "4095"}) + command({"GET", "a"});
    expected += value(i % 2 == 0 ? "4096" : "4095") + bulk("1");
  }
  send(client_, commands);
  EXPECT_EQ(read(client_, expected.size()), expected);
  EXPECT_GT(fake_->given_in_place, 10u);
}

// What the socket does not take has been copied when the memory is given back.
TEST_F(InPlaceGetsTest, AClientThatDoesNotReadKeepsNothingInPlace) {
  std::string commands, expected;
  for (int i = 0; i < 100; ++i) {
    for (const std::string_view key : {"262144", "16384", "a", "65537"}) {
      commands += command({"GET", key});
      expected += value(key);
    }
  }
  client_.send_some(commands);
  run();
  EXPECT_GT(fake_->given_in_place, 0u);
  EXPECT_LT(fake_->answered_at_once, 300u);
  EXPECT_TRUE(read(client_, expected.size()) == expected);
}

TEST_F(InPlaceGetsTest, AClientThatGoesMeanwhile) {
  std::string commands;
  for (int i = 0; i < 100; ++i) commands += command({"GET", "262144"});
  client_.send_some(commands);
  { const TestClient gone = std::move(client_); }
  run();
  TestClient other = connect();
  send(other, command({"GET", "4096"}));
  EXPECT_EQ(read(other, value("4096").size()), value("4096"));
}

TEST_F(QuickGetsTest, WithoutRegisteredMemoryALargeValueGoesTheOrdinaryWay) {
  fake_->store["large"] = {pattern(60'000), 1, 0};
  std::vector<ValueBuffer> all;
  while (ValueBuffer buffer = fake_->allocate(4096)) all.push_back(std::move(buffer));
  send(client_, command({"GET", "a"}) + command({"GET", "large"}) + command({"GET", "a"}));
  all.clear();
  EXPECT_EQ(read(client_, 61'000), bulk("1") + bulk(pattern(60'000)) + bulk("1"));
  EXPECT_EQ(fake_->answered_at_once, 1u);
}

TEST_F(QuickGetsTest, InlineCommandsWithQuotes) {
  fake_->store["x y"] = {"xy", 1, 0};
  send(client_, "GET \"x y\"\r\n\"GET\" a\r\nGET 'a'\r\nGET a\r\nget \"none at all\"\r\n");
  EXPECT_EQ(client_.take(), bulk("xy") + bulk("1") + bulk("1") + bulk("1") + "$-1\r\n");
}

TEST_F(QuickGetsTest, AWrongNumberOfArgumentsIsAnError) {
  send(client_, command({"GET", "a"}) + command({"GET"}) + command({"GET", "a", "b"}));
  const std::string error = "-ERR wrong number of arguments for 'get' command\r\n";
  EXPECT_EQ(client_.take(), bulk("1") + error + error);
}

TEST_F(QuickGetsTest, WithRepliesOffThereAreNone) {
  send(client_, command({"CLIENT", "REPLY", "SKIP"}) + command({"GET", "a"}) +
                    command({"GET", "none"}) + command({"CLIENT", "REPLY", "OFF"}) +
                    command({"GET", "a"}) + command({"CLIENT", "REPLY", "ON"}));
  EXPECT_EQ(client_.take(), "$-1\r\n+OK\r\n");
}

TEST_F(QuickGetsTest, PermissionsAreAskedFor) {
  call(client_, "ACL SETUSER reader on nopass ~a* +get");
  EXPECT_EQ(call(client_, "AUTH reader x"), "+OK\r\n");
  EXPECT_EQ(call(client_, "GET a"), bulk("1"));
  EXPECT_EQ(call(client_, "GET b").substr(0, 7), "-NOPERM");
}

TEST_F(QuickGetsTest, AMonitorSeesThem) {
  TestClient monitor = connect();
  EXPECT_EQ(call(monitor, "MONITOR"), "+OK\r\n");
  EXPECT_EQ(call(client_, "GET a"), bulk("1"));
  monitor.receive();
  EXPECT_NE(monitor.take().find("\"GET\" \"a\""), std::string::npos);
}

TEST_F(QuickGetsTest, APauseHoldsThem) {
  EXPECT_EQ(call(client_, "CLIENT PAUSE 100000 ALL"), "+OK\r\n");
  send(client_, command({"GET", "a"}) + command({"GET", "none"}));
  EXPECT_EQ(client_.take(), "");
}

// ---- what a batch costs ------------------------------------------------------------------------

struct Calls {
  uint64_t reads, writes;
};

class BatchTest : public QuickGetsTest {
 protected:
  Calls cost_of(const std::string& commands) {
    run();
    const Calls before{worker_->stats().reads.get(), worker_->stats().writes.get()};
    EXPECT_EQ(client_.send_some(commands), commands.size());
    run();
    EXPECT_FALSE(client_.take().empty());
    return {worker_->stats().reads.get() - before.reads,
            worker_->stats().writes.get() - before.writes};
  }
};

TEST_F(BatchTest, IsOneReadAndOneWrite) {
  for (const bool at_once : {true, false}) {
    fake_->at_once = at_once ? ~size_t{0} : 0;
    for (const size_t pipeline : {1, 16, 64, 200}) {
      std::string gets, sets, both;
      for (size_t i = 0; i < pipeline; ++i) {
        gets += command({"GET", "a"});
        sets += command({"SET", "k" + std::to_string(i), "value"});
        both += i % 2 == 0 ? command({"GET", "a"}) : command({"SET", "a", "1"});
      }
      for (const std::string& commands : {gets, sets, both}) {
        const Calls calls = cost_of(commands);
        EXPECT_EQ(calls.reads, 1u) << pipeline << " at once: " << at_once;
        EXPECT_EQ(calls.writes, 1u) << pipeline << " at once: " << at_once;
      }
    }
  }
}

TEST_F(BatchTest, AllocatesNothing) {
  std::string commands;
  for (int i = 0; i < 64; ++i) commands += command({"GET", i % 2 == 0 ? "a" : "none"});
  for (int i = 0; i < 20; ++i) cost_of(commands);
  client_.send_some(commands);
  const size_t before = allocation_count();
  worker_->turn(false);
  EXPECT_EQ(allocation_count() - before, 0u);
}

}  // namespace
}  // namespace rdmakv::proxy
