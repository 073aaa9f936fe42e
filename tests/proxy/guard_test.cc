// What stands between a client and its commands: passwords, permissions, pauses, MONITOR, the slow
// log, renamed commands.
#include "tests/proxy/harness.h"

namespace rdmakv::proxy {
namespace {

class GuardTest : public ProxyTest {
 protected:
  using ProxyTest::ProxyTest;
  std::string call(std::string_view line) { return ProxyTest::call(client_, line); }

  TestClient client_ = connect();
};

constexpr std::string_view kNoAuth = "-NOAUTH Authentication required.\r\n";

TEST_F(GuardTest, ANewPasswordConcernsWhoComesThen) {
  EXPECT_EQ(call("CONFIG SET requirepass pw"), "+OK\r\n");
  EXPECT_EQ(call("GET a"), "$-1\r\n");
  TestClient other = connect();
  EXPECT_EQ(ProxyTest::call(other, "GET a"), kNoAuth);
  EXPECT_EQ(ProxyTest::call(other, "NOSUCH").substr(0, 12), "-ERR unknown");
  EXPECT_EQ(ProxyTest::call(other, "AUTH no"),
            "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
  EXPECT_EQ(ProxyTest::call(other, "AUTH pw\r\nGET a"), "+OK\r\n$-1\r\n");
  EXPECT_EQ(ProxyTest::call(other, "RESET\r\nGET a"), "+RESET\r\n" + std::string(kNoAuth));
  EXPECT_EQ(call("CONFIG SET requirepass ''"), "+OK\r\n");
  EXPECT_EQ(ProxyTest::call(other, "GET a"), "$-1\r\n");
}

TEST_F(GuardTest, AStrangerCannotSendMuch) {
  call("CONFIG SET requirepass pw");
  TestClient other = connect();
  EXPECT_EQ(ProxyTest::call(other, {"SET", "a", std::string(20'000, 'x')}),
            "-ERR Protocol error: unauthenticated bulk length\r\n");
  EXPECT_TRUE(other.ended());
}

TEST_F(GuardTest, PermissionsAreCheckedAndDenialsLogged) {
  call("ACL SETUSER alice on >pw ~a* +get +set +acl|whoami");
  EXPECT_EQ(call("AUTH alice pw"), "+OK\r\n");
  EXPECT_EQ(call("ACL WHOAMI"), "$5\r\nalice\r\n");
  EXPECT_EQ(call("SET a 1"), "+OK\r\n");
  EXPECT_EQ(call("SET b 1"),
            "-NOPERM this user has no permissions to access one of the keys used as arguments\r\n");
  EXPECT_EQ(call("DEL a"), "-NOPERM this user has no permissions to run the 'del' command\r\n");
  EXPECT_EQ(call("CLIENT LIST"),
            "-NOPERM this user has no permissions to run the 'client|list' command\r\n");
  TestClient other = connect();
  const std::string log = ProxyTest::call(other, "ACL LOG");
  for (const std::string_view entry : {"$11\r\nclient|list\r\n", "$3\r\ndel\r\n", "$1\r\nb\r\n"}) {
    EXPECT_NE(log.find(entry), std::string::npos) << log;
  }
  EXPECT_TRUE(fake_->store.contains("a"));
  EXPECT_FALSE(fake_->store.contains("b"));
}

// Nothing of it is sent to the server, nor kept.
TEST_F(GuardTest, ALargeValueThatIsNotAllowedIsReadAndForgotten) {
  call("ACL SETUSER alice on nopass ~a* +@all");
  call("AUTH alice x");
  EXPECT_EQ(ProxyTest::call(client_, {"SET", "b", pattern(3 << 20)}),
            "-NOPERM this user has no permissions to access one of the keys used as arguments\r\n");
  EXPECT_EQ(ProxyTest::call(client_, {"SET", "a", pattern(3 << 20)}), "+OK\r\n");
  EXPECT_EQ(fake_->store.size(), 1u);
}

TEST_F(GuardTest, AChangedUserIsChangedForItsConnectionsToo) {
  call("ACL SETUSER alice on nopass ~* +get");
  TestClient other = connect();
  EXPECT_EQ(ProxyTest::call(other, "AUTH alice x\r\nGET a"), "+OK\r\n$-1\r\n");
  call("ACL SETUSER alice -get +set");
  EXPECT_EQ(ProxyTest::call(other, "SET a 1"), "+OK\r\n");
  EXPECT_EQ(ProxyTest::call(other, "GET a").substr(0, 7), "-NOPERM");
  EXPECT_EQ(call("ACL DELUSER alice"), ":1\r\n");
  other.receive();
  EXPECT_TRUE(other.ended());
}

TEST_F(GuardTest, WhoDeletesItselfGetsTheReply) {
  call("ACL SETUSER alice on nopass +@all");
  EXPECT_EQ(call("AUTH alice x\r\nACL DELUSER alice"), "+OK\r\n:1\r\n");
  EXPECT_TRUE(client_.ended());
}

TEST_F(GuardTest, KillByUser) {
  call("ACL SETUSER alice on nopass +@all");
  TestClient other = connect();
  ProxyTest::call(other, "AUTH alice x");
  EXPECT_EQ(call("CLIENT KILL USER alice"), ":1\r\n");
  other.receive();
  EXPECT_TRUE(other.ended());
  EXPECT_EQ(call("CLIENT KILL USER nosuch"), "-ERR No such user 'nosuch'\r\n");
}

// ---- CLIENT PAUSE ------------------------------------------------------------------------------

TEST_F(GuardTest, APauseHoldsWritesBackAndKeepsTheirOrder) {
  TestClient other = connect();
  EXPECT_EQ(call("CLIENT PAUSE 1000000 WRITE"), "+OK\r\n");
  EXPECT_EQ(ProxyTest::call(other, "GET a\r\nSET a 1\r\nGET a"), "$-1\r\n");
  EXPECT_TRUE(fake_->store.empty());
  EXPECT_EQ(call("GET a"), "$-1\r\n");
  EXPECT_EQ(call("CLIENT UNPAUSE"), "+OK\r\n");
  run();
  EXPECT_EQ(other.take(), "+OK\r\n$1\r\n1\r\n");
}

TEST_F(GuardTest, APausedLargeValueIsNotLost) {
  TestClient other = connect();
  call("CLIENT PAUSE 1000000 WRITE");
  const std::string value = pattern(3 << 20), small = pattern(10'000);
  EXPECT_EQ(ProxyTest::call(other, {"SET", "a", value}), "");
  TestClient third = connect();
  EXPECT_EQ(ProxyTest::call(third, {"SET", "b", small}), "");
  call("CLIENT UNPAUSE");
  run();
  EXPECT_EQ(other.take(), "+OK\r\n");
  EXPECT_EQ(third.take(), "+OK\r\n");
  EXPECT_EQ(fake_->store["a"].value, value);
  EXPECT_EQ(fake_->store["b"].value, small);
}

TEST_F(GuardTest, APauseOfAllHoldsEverythingBackAndEnds) {
  TestClient other = connect();
  EXPECT_EQ(call("CLIENT PAUSE 1"), "+OK\r\n");
  std::string reply = ProxyTest::call(other, "PING");  // at once, if the pause is over
  while (reply.empty()) {
    worker_->turn(true);
    reply = other.take();
  }
  EXPECT_EQ(reply, "+PONG\r\n");
}

// ---- MONITOR -----------------------------------------------------------------------------------

TEST_F(GuardTest, AMonitorSeesCommandsWithoutSecrets) {
  TestClient monitor = connect();
  EXPECT_EQ(ProxyTest::call(monitor, "MONITOR"), "+OK\r\n");
  ProxyTest::call(client_, {"SET", "a\n", "\x01"});
  std::string seen = monitor.take();
  EXPECT_NE(seen.find(" \"SET\" \"a\\n\" \"\\x01\"\r\n"), std::string::npos) << seen;
  call("AUTH default secret");
  seen = monitor.take();
  EXPECT_NE(seen.find("\"AUTH\" \"(redacted)\" \"(redacted)\"\r\n"), std::string::npos) << seen;
  call("CONFIG GET x");
  EXPECT_EQ(monitor.take(), "");
  monitor.close();
  run();
  EXPECT_EQ(proxy_.monitors(), 0u);
  EXPECT_FALSE(worker_->monitored());
}

TEST_F(GuardTest, ResetEndsMonitoring) {
  EXPECT_EQ(call("MONITOR"), "+OK\r\n");
  const std::string reply = call("RESET");
  EXPECT_TRUE(reply.ends_with("+RESET\r\n")) << reply;
  run();
  EXPECT_EQ(call("PING"), "+PONG\r\n");
}

// ---- slow log ----------------------------------------------------------------------------------

TEST_F(GuardTest, TheSlowLogKeepsArgumentsWhenItIsAskedTo) {
  call("CONFIG SET slowlog-log-slower-than 0");
  call("SLOWLOG RESET");
  call("SET a " + std::string(200, 'x') + " EX 100");
  const std::string log = call("SLOWLOG GET 1");
  EXPECT_NE(log.find("*5\r\n$3\r\nSET\r\n$1\r\na\r\n$147\r\n" + std::string(128, 'x') +
                     "... (72 more bytes)\r\n$2\r\nEX\r\n$3\r\n100\r\n"),
            std::string::npos)
      << log;
  call("CONFIG SET slowlog-log-slower-than -1");
  call("SLOWLOG RESET");
  call("SET a 1");
  EXPECT_EQ(call("SLOWLOG LEN"), ":0\r\n");
}

TEST_F(GuardTest, LatencyIsTrackedWhenAskedFor) {
  EXPECT_EQ(call("LATENCY HISTOGRAM get"), "*0\r\n");
  call("CONFIG SET latency-tracking yes");
  call("GET a\r\nGET b");
  const std::string histogram = call("LATENCY HISTOGRAM get");
  EXPECT_TRUE(histogram.starts_with("*2\r\n$3\r\nget\r\n*4\r\n$5\r\ncalls\r\n:2\r\n$14\r\n"))
      << histogram;
  EXPECT_NE(call("INFO latencystats").find("latency_percentiles_usec_get:p50="), std::string::npos);
}

// ---- the rest ----------------------------------------------------------------------------------

TEST_F(GuardTest, ErrorsAreCountedByTheirCodes) {
  call("NOSUCH");
  call("GET");
  call("AUTH a b");
  const std::string info = call("INFO errorstats");
  EXPECT_NE(info.find("errorstat_ERR:count=2\r\n"), std::string::npos) << info;
  EXPECT_NE(info.find("errorstat_WRONGPASS:count=1\r\n"), std::string::npos) << info;
}

TEST_F(GuardTest, SubscribeIsRefusedWithAReason) {
  EXPECT_EQ(call("SUBSCRIBE x"),
            "-ERR SUBSCRIBE is not supported: kv_proxy keeps keys and passes no messages on\r\n");
  EXPECT_EQ(call("PING"), "+PONG\r\n");
}

TEST_F(GuardTest, DebugIsOffUnlessItIsAllowed) {
  EXPECT_EQ(call("DEBUG SLEEP 0").substr(0, 30), "-ERR DEBUG command not allowed");
}

Options with_renames() {
  Options options;
  options.renames = {{"flushall", ""}, {"get", "fetch"}};
  options.debug_command = "yes";
  return options;
}

class RenameTest : public GuardTest {
 protected:
  RenameTest() : GuardTest(with_renames()) {}
};

TEST_F(RenameTest, OnlyTheNewNameIsKnown) {
  EXPECT_EQ(call("GET a"), "-ERR unknown command 'GET', with args beginning with: 'a' \r\n");
  EXPECT_EQ(call("fetch a"), "$-1\r\n");
  EXPECT_EQ(call("FLUSHALL"), "-ERR unknown command 'FLUSHALL', with args beginning with: \r\n");
  EXPECT_EQ(call("FETCH"), "-ERR wrong number of arguments for 'get' command\r\n");
}

TEST_F(RenameTest, RulesGoByTheOldName) {
  call("ACL SETUSER alice on nopass ~* +get");
  EXPECT_EQ(call("AUTH alice x\r\nFETCH a"), "+OK\r\n$-1\r\n");
}

TEST_F(RenameTest, DebugSleepsWhenAllowed) {
  EXPECT_EQ(call("DEBUG SLEEP 0"), "+OK\r\n");
  EXPECT_EQ(call("DEBUG OBJECT a"),
            "-ERR unknown subcommand or wrong number of arguments for 'OBJECT'. Try DEBUG "
            "HELP.\r\n");
}

}  // namespace
}  // namespace rdmakv::proxy
