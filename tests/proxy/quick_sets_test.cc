// SETs that share a Request: what they say, the order that they keep, who does without them, and
// that they allocate nothing.
#include <algorithm>
#include <chrono>
#include <tuple>

#include "tests/proxy/allocation_counter.h"
#include "tests/proxy/harness.h"

namespace rdmakv::proxy {
namespace {

std::string sets(size_t count, std::string_view value = "v") {
  std::string commands;
  for (size_t i = 0; i < count; ++i) commands += command({"SET", "k" + std::to_string(i), value});
  return commands;
}
std::string oks(size_t count) {
  std::string replies;
  for (size_t i = 0; i < count; ++i) replies += "+OK\r\n";
  return replies;
}

class QuickSetsTest : public ProxyTest {
 protected:
  QuickSetsTest() { fake_->in_runs = ~size_t{0}; }
  TestClient client_ = connect();
};

TEST_F(QuickSetsTest, ShareARun) {
  send(client_, sets(3) + command({"set", "a", ""}) + command({"SET", "", "b"}));
  EXPECT_EQ(client_.take(), oks(5));
  EXPECT_EQ(fake_->runs, 1u);
  EXPECT_EQ(fake_->puts_in_runs, 5u);
  EXPECT_EQ(fake_->submitted(), 0u);
  EXPECT_EQ(fake_->flushes(), 1u);
  EXPECT_EQ(fake_->store["k2"].value, "v");
  EXPECT_EQ(fake_->store["a"].value, "");
  EXPECT_EQ(fake_->store[""].value, "b");
}

TEST_F(QuickSetsTest, WithAnExpiryToo) {
  send(client_, command({"SET", "a", "1", "EX", "100"}) +
                    command({"SET", "b", "2", "px", "90000"}) +
                    command({"SET", "c", "3", "PXAT", "99999999999999"}) + sets(1) +
                    command({"SETEX", "d", "80", "4"}) + command({"SETEX", "e", "70", "5"}) +
                    command({"PSETEX", "f", "60000", "6"}));
  EXPECT_EQ(client_.take(), oks(7));
  EXPECT_EQ(fake_->puts_in_runs, 7u);
  EXPECT_EQ(fake_->runs, 3u);
  EXPECT_EQ(fake_->submitted(), 0u);
  for (const auto& [key, value, seconds] :
       {std::tuple("a", "1", 100), std::tuple("b", "2", 90), std::tuple("d", "4", 80),
        std::tuple("e", "5", 70), std::tuple("f", "6", 60)}) {
    EXPECT_EQ(call(client_, std::string("GET ") + key), bulk(value));
    EXPECT_EQ(call(client_, std::string("TTL ") + key), ":" + std::to_string(seconds) + "\r\n");
  }
  EXPECT_EQ(call(client_, "PEXPIRETIME c"), ":99999999999999\r\n");
  EXPECT_EQ(call(client_, "TTL k0"), ":-1\r\n");
}

TEST_F(QuickSetsTest, WhatSaysMoreGoesTheOrdinaryWay) {
  send(client_, command({"SET", "a", "1", "EX", "100"}) + command({"SET", "a", "2", "EX", "0"}) +
                    command({"SET", "a", "2", "EX", "x"}) +
                    command({"SET", "a", "2", "NX", "GET"}) + command({"SET", "a", "2", "EX"}) +
                    command({"SET", "b", "1", "EX", "9", "XX"}) +
                    command({"SET", "a", "3", "XX", "KEEPTTL"}) + command({"SETEX", "c", "1"}) +
                    command({"SETEX", "c", "0", "1"}) + command({"SETEX", "c", "9", "1"}) +
                    command({"SETEX", "c", "9"}));
  const std::string wrong = "-ERR wrong number of arguments for 'setex' command\r\n";
  EXPECT_EQ(client_.take(), oks(1) + "-ERR invalid expire time in 'set' command\r\n" +
                                "-ERR value is not an integer or out of range\r\n" + bulk("1") +
                                "-ERR syntax error\r\n$-1\r\n" + oks(1) + wrong +
                                "-ERR invalid expire time in 'setex' command\r\n" + oks(1) + wrong);
  EXPECT_EQ(fake_->puts_in_runs, 2u);
  EXPECT_EQ(call(client_, "GET a"), bulk("3"));
  EXPECT_EQ(call(client_, "TTL a"), ":100\r\n");
}

// The library takes one of them, or none: the others keep their options.
TEST_F(QuickSetsTest, WhatIsNotTakenKeepsItsExpiry) {
  fake_->in_runs = 1;
  send(client_, command({"SET", "a", "1", "EX", "100"}) + command({"SET", "b", "2", "EX", "50"}));
  EXPECT_EQ(client_.take(), oks(2));
  EXPECT_EQ(fake_->puts_in_runs, 1u);
  EXPECT_EQ(call(client_, "TTL a"), ":100\r\n");
  EXPECT_EQ(call(client_, "TTL b"), ":50\r\n");
}

TEST_F(QuickSetsTest, MoreThanARun) {
  send(client_, sets(1000));
  EXPECT_EQ(client_.take(), oks(1000));
  EXPECT_EQ(fake_->puts_in_runs, 1000u);
  EXPECT_GE(fake_->runs, 1000u / 64);
  EXPECT_EQ(fake_->store.size(), 1000u);
}

TEST_F(QuickSetsTest, WithOtherCommandsBetweenThemKeepTheirOrder) {
  send(client_, sets(2) + command({"GET", "k1"}) + command({"SET", "k1", "w"}) +
                    command({"GET", "k1"}) + command({"APPEND", "k1", "x"}) +
                    command({"SET", "k1", "y", "GET"}) + command({"PING"}) +
                    command({"SET", "k1", "z"}) + "get k1\r\n");
  EXPECT_EQ(client_.take(), oks(2) + bulk("v") + oks(1) + bulk("w") + ":2\r\n" + bulk("wx") +
                                "+PONG\r\n" + oks(1) + bulk("z"));
}

TEST_F(QuickSetsTest, RepliesWaitForThoseBeforeThem) {
  fake_->hold();
  send(client_, command({"APPEND", "a", "1"}) + sets(2) + command({"APPEND", "a", "1"}));
  fake_->release_at(1);
  fake_->release_at(1);
  run();
  EXPECT_EQ(client_.take(), "");
  fake_->release();
  run();
  EXPECT_EQ(client_.take(), ":1\r\n" + oks(2) + ":2\r\n");
}

TEST_F(QuickSetsTest, WhatIsNotTakenGoesTheOrdinaryWay) {
  for (size_t possible = 0; possible <= 4; ++possible) {
    fake_->in_runs = possible;
    const size_t before = fake_->submitted();
    send(client_, sets(4, std::to_string(possible)));
    EXPECT_EQ(client_.take(), oks(4));
    EXPECT_EQ(fake_->submitted() - before, 4 - possible);
    EXPECT_EQ(fake_->store["k3"].value, std::to_string(possible));
  }
}

// When credits have run out, clients that sent SETs last are not read for a moment: until a run
// ends, or it has taken too long.
TEST_F(QuickSetsTest, WhoSendsThemWaitsForCredits) {
  TestClient other = connect();
  send(other, sets(1));
  EXPECT_EQ(other.take(), oks(1));
  fake_->in_runs = 2;
  fake_->runs_full = true;
  for (const bool ends : {true, false}) {
    const size_t before = fake_->submitted();
    fake_->hold();
    send(client_, sets(4));
    send(other, sets(3, "w"));
    if (ends) fake_->release();
    while (fake_->submitted() < before + 3) run();
    fake_->release();
    run();
    EXPECT_EQ(client_.take(), oks(4));
    EXPECT_EQ(other.take(), oks(3));
    EXPECT_EQ(fake_->store["k2"].value, "w");
  }
}

TEST_F(QuickSetsTest, EachSaysHowItEnded) {
  fake_->fault = [](const Operation& operation) {
    if (operation.key == "k1") return Code::kNoSpace;
    if (operation.key == "k2") return Code::kTimeout;
    return Code::kOk;
  };
  send(client_, sets(4));
  EXPECT_EQ(client_.take(),
            "+OK\r\n-OOM command not allowed when used memory > 'maxmemory'.\r\n"
            "-ERR timed out: no answer from the server; the command may still take effect\r\n"
            "+OK\r\n");
  const std::string info = call(client_, "INFO everything");
  EXPECT_NE(info.find("cmdstat_set:calls=4,"), std::string::npos) << info;
  EXPECT_NE(info.find("rejected_calls=0,failed_calls=2"), std::string::npos) << info;
  EXPECT_NE(info.find("errorstat_OOM:count=1"), std::string::npos) << info;
}

TEST_F(QuickSetsTest, CountLikeAnyOther) {
  send(client_, sets(5));
  const std::string info = call(client_, "INFO everything");
  EXPECT_NE(info.find("cmdstat_set:calls=5,"), std::string::npos) << info;
  EXPECT_NE(info.find("total_commands_processed:6"), std::string::npos) << info;
}

TEST_F(QuickSetsTest, NeverMoreInFlightThanAllowed) {
  EXPECT_EQ(call(client_, "CONFIG SET pipeline-limit 100"), "+OK\r\n");
  fake_->hold();
  client_.send_some(sets(500));
  run();
  EXPECT_LE(fake_->held(), 100u);
  EXPECT_GE(fake_->held(), 64u);
  while (fake_->held() > 0) {
    EXPECT_LE(fake_->held(), 100u);
    fake_->release(fake_->held());
    run();
  }
  EXPECT_EQ(client_.take(), oks(500));
}

TEST_F(QuickSetsTest, AClientThatLeavesLeavesNothingBehind) {
  fake_->hold();
  send(client_, sets(10));
  client_.close();
  run();
  fake_->release();
  run();
  TestClient other = connect();
  EXPECT_EQ(call(other, "GET k9"), bulk("v"));
}

// ---- who wants each of them for himself --------------------------------------------------------

TEST_F(QuickSetsTest, AWrongNumberOfArgumentsIsAnError) {
  send(client_, sets(1) + command({"SET", "a"}) + sets(1));
  EXPECT_EQ(client_.take(),
            oks(1) + "-ERR wrong number of arguments for 'set' command\r\n" + oks(1));
}

TEST_F(QuickSetsTest, InlineCommandsWithQuotes) {
  send(client_, "SET \"x y\" '1 2'\r\nSET a \"b\"\r\n\"SET\" c d\r\nSET e f\r\n");
  EXPECT_EQ(client_.take(), oks(4));
  EXPECT_EQ(fake_->store["x y"].value, "1 2");
  EXPECT_EQ(fake_->store["a"].value, "b");
  EXPECT_EQ(fake_->store["c"].value, "d");
  EXPECT_EQ(fake_->store["e"].value, "f");
}

TEST_F(QuickSetsTest, WithRepliesOffThereAreNone) {
  send(client_, command({"CLIENT", "REPLY", "SKIP"}) + sets(2) +
                    command({"CLIENT", "REPLY", "OFF"}) + sets(2) +
                    command({"CLIENT", "REPLY", "ON"}));
  EXPECT_EQ(client_.take(), oks(2));
}

TEST_F(QuickSetsTest, InATransactionTheyAreQueued) {
  send(client_, command({"MULTI"}) + command({"SET", "k", "1"}) + command({"SET", "k", "2"}) +
                    command({"EXEC"}));
  EXPECT_EQ(client_.take(), "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n" + oks(2));
  EXPECT_EQ(fake_->runs, 0u);
}

TEST_F(QuickSetsTest, PermissionsAreAskedFor) {
  call(client_, "ACL SETUSER writer on nopass ~a* +set");
  EXPECT_EQ(call(client_, "AUTH writer x"), "+OK\r\n");
  EXPECT_EQ(call(client_, "SET a 1"), "+OK\r\n");
  EXPECT_EQ(call(client_, "SET b 1").substr(0, 7), "-NOPERM");
}

TEST_F(QuickSetsTest, AMonitorSeesThem) {
  TestClient monitor = connect();
  EXPECT_EQ(call(monitor, "MONITOR"), "+OK\r\n");
  EXPECT_EQ(call(client_, "SET a 1"), "+OK\r\n");
  monitor.receive();
  EXPECT_NE(monitor.take().find("\"SET\" \"a\" \"1\""), std::string::npos);
}

TEST_F(QuickSetsTest, APauseHoldsThem) {
  EXPECT_EQ(call(client_, "CLIENT PAUSE 100000 WRITE"), "+OK\r\n");
  send(client_, sets(2));
  EXPECT_EQ(client_.take(), "");
  EXPECT_TRUE(fake_->store.empty());
}

TEST_F(QuickSetsTest, ALargeValueIsNone) {
  send(client_, sets(1) + command({"SET", "large", pattern(100'000)}) + sets(1));
  EXPECT_EQ(client_.take(), oks(3));
  EXPECT_EQ(fake_->store["large"].value, pattern(100'000));
}

// The usual threshold: arguments are not kept beforehand.
TEST_F(QuickSetsTest, TheSlowLogKnowsTheirKeysAndValues) {
  fake_->hold();
  send(client_, command({"SET", "a", "one"}) + command({"SET", "b", "two"}));
  const auto begun = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - begun < std::chrono::milliseconds(11)) {
  }
  fake_->release();
  run();
  EXPECT_EQ(client_.take(), oks(2));
  const std::string log = call(client_, "SLOWLOG GET 10");
  const std::string two = "*3\r\n" + bulk("set") + bulk("b") + bulk("two");
  const std::string one = "*3\r\n" + bulk("set") + bulk("a") + bulk("one");
  ASSERT_NE(log.find(two), std::string::npos) << log;
  EXPECT_GT(log.find(one), log.find(two)) << log;
}

// As the ordinary way has it.
TEST_F(QuickSetsTest, TheSlowLogTellsOfOptions) {
  const auto logged = [&](size_t in_runs) {
    fake_->in_runs = in_runs;
    call(client_, "SLOWLOG RESET");
    fake_->hold();
    client_.send_some(command({"SET", "a", "one", "EX", "100"}));
    run();
    const auto begun = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - begun < std::chrono::milliseconds(11)) {
    }
    fake_->release();
    run();
    EXPECT_EQ(client_.take(), oks(1));
    const std::string log = call(client_, "SLOWLOG GET 1");
    return log.substr(std::min(log.find(bulk("set")), log.size()));
  };
  const std::string ordinary = logged(0);
  EXPECT_NE(ordinary.find("2 more"), std::string::npos) << ordinary;
  EXPECT_EQ(logged(~size_t{0}), ordinary);
  EXPECT_EQ(fake_->runs, 1u);
}

TEST_F(QuickSetsTest, AllocateNothing) {
  const std::string commands = sets(64, "0123456789");
  const auto turn = [&] {
    client_.send_some(commands);
    const size_t before = allocation_count();
    for (int i = 0; i < 4; ++i) worker_->turn(false);
    const size_t allocated = allocation_count() - before;
    EXPECT_EQ(client_.take(), oks(64));
    return allocated;
  };
  for (int i = 0; i < 20; ++i) turn();
  EXPECT_EQ(turn(), 0u);
}

}  // namespace
}  // namespace rdmakv::proxy
