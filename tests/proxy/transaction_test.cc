// Transactions when something goes wrong; what goes right is compared with Redis by
// proxy_differential_transactions.py.
#include <vector>

#include "tests/proxy/harness.h"

namespace rdmakv::proxy {
namespace {

class TransactionTest : public ProxyTest {
 protected:
  std::string call(std::string_view line) { return ProxyTest::call(client_, line); }
  // Fails operations of `kind`.
  void fail(OperationKind kind, Code code) {
    fake_->fault = [=](const Operation& operation) {
      return operation.kind == kind ? code : Code::kOk;
    };
  }
  std::string sent(const std::string& bytes) {
    send(client_, bytes);
    return client_.take();
  }
  // All that comes, however long it is.
  std::string reply() {
    std::string all = client_.take();
    for (std::string more; run(), !(more = client_.take()).empty();) all += more;
    return all;
  }
  TestClient client_ = connect();
};

TEST_F(TransactionTest, IsOneOperation) {
  fake_->record_history();
  EXPECT_EQ(
      call("WATCH a b\r\nMULTI\r\nSET a 1\r\nMGET a b\r\nPING\r\nEXEC"),
      "+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n-CROSSSLOT Keys in request don't hash to "
      "the same slot\r\n");
  fake_->clear_history();
  EXPECT_EQ(
      call("MULTI\r\nSET {t}a 1\r\nMGET {t}a {t}b\r\nPING\r\nEXEC"),
      "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+OK\r\n*2\r\n$1\r\n1\r\n$-1\r\n+PONG\r\n");
  EXPECT_EQ(fake_->history(), std::vector{OperationKind::kTransaction});
}

TEST_F(TransactionTest, AServerThatCannotBeReachedEndsItWithoutEffect) {
  for (const Code code : {Code::kUnavailable, Code::kNoSpace}) {
    fail(OperationKind::kTransaction, code);
    call("MULTI\r\nSET a 1\r\nCLIENT SETNAME me");
    const std::string reply = call("EXEC");
    EXPECT_TRUE(reply.starts_with("-EXECABORT Transaction discarded because of: ")) << reply;
    EXPECT_EQ(call("CLIENT GETNAME"), "$-1\r\n");
  }
  fail(OperationKind::kTransaction, Code::kUnavailable);
  call("MULTI\r\nSET a 1");
  EXPECT_EQ(call("EXEC"),
            "-EXECABORT Transaction discarded because of: server fake:1 is not reachable: fake "
            "error\r\n");
  fake_->fault = nullptr;
  EXPECT_EQ(call("EXEC"), "-ERR EXEC without MULTI\r\n");
  EXPECT_EQ(call("GET a"), "$-1\r\n");
}

TEST_F(TransactionTest, AnOutcomeThatIsNotKnownIsReportedAsSuch) {
  fail(OperationKind::kTransaction, Code::kUnknownOutcome);
  call("MULTI\r\nSET a 1\r\nDEL a a\r\nMGET a a");
  EXPECT_TRUE(call("EXEC").starts_with("-ERR outcome unknown: "));
  fail(OperationKind::kTransaction, Code::kTimeout);
  call("MULTI\r\nSET a 1");
  EXPECT_TRUE(call("EXEC").starts_with("-ERR timed out: "));
  fail(OperationKind::kTransaction, Code::kWrongWorker);
  call("MULTI\r\nSET a 1");
  EXPECT_TRUE(call("EXEC").starts_with("-CROSSSLOT "));
}

TEST_F(TransactionTest, AKeyThatCouldNotBeWatchedSpoilsIt) {
  fail(OperationKind::kInspect, Code::kUnavailable);
  EXPECT_TRUE(call("WATCH a").starts_with("-ERR server fake:1 is not reachable"));
  fake_->fault = nullptr;
  call("MULTI\r\nSET a 1");
  EXPECT_EQ(call("EXEC"), "-EXECABORT Transaction discarded because of previous errors.\r\n");
  fail(OperationKind::kInspect, Code::kUnavailable);
  call("WATCH a");
  fake_->fault = nullptr;
  EXPECT_EQ(call("UNWATCH\r\nMULTI\r\nSET a 1\r\nEXEC"), "+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n");
}

// `command` with `count` keys of one slot, from number `first` on.
std::string with_keys(std::string_view command, size_t first, size_t count) {
  std::string text = "*" + std::to_string(1 + count) + "\r\n" + bulk(command);
  for (size_t i = first; i < first + count; ++i) text += bulk("{t}" + std::to_string(i));
  return text;
}

constexpr std::string_view kSpoiled =
    "-EXECABORT Transaction discarded because of previous errors.\r\n";
constexpr std::string_view kTooLong =
    "-EXECABORT Transaction discarded because of: watched keys and keys of commands are more than "
    "65535\r\n";

// All of it, or nothing: one step of the server takes so many.
TEST_F(TransactionTest, TooManyStepsDoNothing) {
  constexpr size_t kMost = wire::kMaxRequestsPerTransaction;
  std::string sets = "MULTI\r\n";
  for (size_t i = 0; i < kMost; ++i) sets += "SET a 1\r\n";
  send(client_, sets + "EXEC\r\n");
  EXPECT_TRUE(reply().ends_with("+OK\r\n+OK\r\n"));
  EXPECT_EQ(call("GETV a"), "*2\r\n$1\r\n1\r\n:" + std::to_string(kMost) + "\r\n");
  send(client_, sets + "SET a 2\r\nEXEC\r\n");
  EXPECT_TRUE(reply().ends_with(kTooLong));
  EXPECT_EQ(call("GET a"), "$1\r\n1\r\n");
  for (const char* command : {"MGET", "DEL", "EXISTS"}) {
    send(client_, "MULTI\r\nSET {t}0 2\r\n" + with_keys(command, 0, kMost) + "EXEC\r\n");
    EXPECT_TRUE(reply().ends_with(kTooLong)) << command;
    EXPECT_EQ(call("GET {t}0"), "$-1\r\n");
  }
}

TEST_F(TransactionTest, NoWatchedKeyIsForgotten) {
  constexpr size_t kMost = wire::kMaxRequestsPerTransaction;
  TestClient other = connect();
  const std::string last = "{t}" + std::to_string(kMost - 1);
  EXPECT_EQ(sent(with_keys("WATCH", 0, kMost)), "+OK\r\n");
  EXPECT_EQ(sent(with_keys("WATCH", 0, 10)), "+OK\r\n");  // they are watched already
  EXPECT_EQ(call("MULTI\r\nSET {t}0 1\r\nEXEC"), "+OK\r\n+QUEUED\r\n" + std::string(kTooLong));
  EXPECT_EQ(sent(with_keys("WATCH", 1, kMost - 1)), "+OK\r\n");
  ProxyTest::call(other, "SET " + last + " 1");
  EXPECT_EQ(call("MULTI\r\nSET {t}0 1\r\nEXEC"), "+OK\r\n+QUEUED\r\n*-1\r\n");
  EXPECT_EQ(call("GET {t}0"), "$-1\r\n");
  EXPECT_EQ(sent(with_keys("WATCH", 0, kMost + 1)),
            "-ERR too many watched keys: 65535 at most\r\n");
  EXPECT_EQ(call("MULTI\r\nSET {t}0 1\r\nEXEC"), "+OK\r\n+QUEUED\r\n" + std::string(kSpoiled));
}

TEST_F(TransactionTest, WatchedKeysCountAsWhatAClientHolds) {
  call("CONFIG SET client-query-buffer-limit 1mb");
  const auto long_key = [](int number) {
    return command({"WATCH", "{t}" + std::string(60'000, static_cast<char>('a' + number))});
  };
  int number = 0;
  std::string reply;
  while ((reply = sent(long_key(number))) == "+OK\r\n") ASSERT_LT(++number, 20);
  EXPECT_GT(number, 10);
  EXPECT_EQ(reply, "-ERR watched keys take more than client-query-buffer-limit\r\n");
  EXPECT_EQ(call("MULTI\r\nSET a 1\r\nEXEC"), "+OK\r\n+QUEUED\r\n" + std::string(kSpoiled));
  // It is all given back, and spoils nothing else.
  for (int round = 0; round < 20; ++round) {
    ASSERT_EQ(sent(long_key(round)), "+OK\r\n");
    ASSERT_EQ(call("UNWATCH"), "+OK\r\n");
  }
  size_t keys = 0;
  while (sent(with_keys("WATCH", keys, 100)) == "+OK\r\n") ASSERT_LT(keys += 100, 10'000u);
  EXPECT_GT(keys, 500u);
}

TEST_F(TransactionTest, ClientListAsksForSoManyWatchedKeysOnly) {
  constexpr size_t kMost = wire::kMaxRequestsPerTransaction;
  TestClient other = connect(), third = connect();
  EXPECT_EQ(sent(with_keys("WATCH", 0, kMost)), "+OK\r\n");
  send(other, with_keys("WATCH", 1000, kMost));
  ProxyTest::call(third, "SET {t}" + std::to_string(kMost - 1) + " 1");  // both watch it
  fake_->record_history();
  send(third, "CLIENT LIST\r\n");
  EXPECT_EQ(fake_->history().size(), kMost);
  const std::string list = third.take();
  EXPECT_NE(list.find("flags=d "), std::string::npos) << list;
}

TEST_F(TransactionTest, CommandsBehindExecWaitForIt) {
  fake_->hold();
  send(client_, "MULTI\r\nSET a 1\r\nEXEC\r\nPING\r\nGET a\r\n");
  EXPECT_EQ(client_.take(), "+OK\r\n+QUEUED\r\n");
  EXPECT_EQ(fake_->held(), 1u);
  fake_->release();
  run();
  EXPECT_EQ(client_.take(), "*1\r\n+OK\r\n+PONG\r\n$1\r\n1\r\n");
}

TEST_F(TransactionTest, TheClientLeavesInTheMiddle) {
  for (const char* text :
       {"WATCH a b c\r\n", "MULTI\r\nSET a 1\r\nMGET a a\r\nINFO\r\nEXEC\r\n",
        "MULTI\r\nKEYS *\r\nSCAN 0\r\nRANDOMKEY\r\nINFO\r\nRENAME a b\r\nRENAME b a\r\n"
        "MSETNX a 1\r\nBITOP OR a a\r\nEXEC\r\n"}) {
    TestClient other = connect();
    fake_->hold();
    send(other, text);
    other.close();
    run();
    fake_->release();
    run();
  }
  EXPECT_EQ(call("GET a"), "$1\r\n1\r\n");
}

TEST_F(TransactionTest, NothingIsSaidOfCommandsThatDidNotTakePlace) {
  call("SET a 1");
  for (const Code code : {Code::kVersionMismatch, Code::kUnavailable, Code::kUnknownOutcome}) {
    fail(OperationKind::kTransaction, code);
    call("MULTI\r\nKEYS *\r\nSCAN 0\r\nSCAN x\r\nRANDOMKEY\r\nFLUSHALL\r\nDBSIZE");
    call("MSETNX a 1\r\nMSETNX a\r\nBITOP NOT b a\r\nRENAME a b\r\nCOPY a a");
    const std::string reply = call("EXEC");
    EXPECT_TRUE(reply.starts_with("-") || reply == "*-1\r\n") << reply;
    EXPECT_EQ(reply.find("\r\n"), reply.size() - 2) << reply;
  }
  fake_->fault = nullptr;
  EXPECT_EQ(call("GET a"), "$1\r\n1\r\n");
}

// The destructors check that nothing is left.
TEST_F(TransactionTest, TheProxyEndsInTheMiddle) {
  fake_->hold();
  send(client_, "MULTI\r\nSET a 1\r\nMGET a a\r\nKEYS *\r\nFLUSHALL\r\nINFO\r\nEXEC\r\n");
  TestClient other = connect();
  send(other, "WATCH a b c\r\n");
}

TEST_F(TransactionTest, CommandsOfManyWorkersGiveTheirAnswerToo) {
  call("MULTI\r\nINFO server\r\nSET a 1\r\nCLIENT LIST\r\nSLOWLOG LEN\r\nDBSIZE");
  const std::string reply = call("EXEC");
  EXPECT_TRUE(reply.starts_with("*5\r\n$")) << reply.substr(0, 100);
  EXPECT_NE(reply.find("# Server"), std::string::npos);
  EXPECT_NE(reply.find("cmd=exec"), std::string::npos);
  EXPECT_TRUE(reply.ends_with(":0\r\n:1\r\n")) << reply;
}

TEST_F(TransactionTest, TooManyKeysOfOneCommand) {
  std::string line = "EXISTS";
  for (int i = 0; i < 2000; ++i) line += " a";
  call("MULTI");
  call(line);
  EXPECT_EQ(call("EXEC"), "*1\r\n:0\r\n");
}

TEST_F(TransactionTest, AReplyThatIsFetchedPieceByPiece) {
  const std::string value = pattern(700'000);
  fake_->store["a"] = {value, 1, 0};
  call("MULTI\r\nGET a\r\nGET a");
  send(client_, "EXEC\r\n");
  EXPECT_TRUE(reply() == "*2\r\n" + bulk(value) + bulk(value));
  EXPECT_EQ(fake_->pins(), 0u);
  fail(OperationKind::kReadPinned, Code::kUnavailable);
  call("MULTI\r\nPERSIST a\r\nGET a");
  EXPECT_EQ(call("EXEC"),
            "-ERR the transaction took place, but its replies were lost: server unavailable\r\n");
  fake_->fault = nullptr;
  EXPECT_EQ(call("PING"), "+PONG\r\n");
}

TEST_F(TransactionTest, AReplyWaitsForRegisteredMemory) {
  const std::string value = pattern(300'000);
  fake_->store["a"] = {value, 1, 0};
  std::vector<ValueBuffer> all;
  for (uint32_t bytes = 1 << 20; bytes >= 64; bytes /= 2) {
    for (ValueBuffer buffer; (buffer = fake_->allocate(bytes));) all.push_back(std::move(buffer));
  }
  send(client_, "MULTI\r\nGET a\r\nEXEC\r\n");
  EXPECT_EQ(client_.take(), "+OK\r\n+QUEUED\r\n");
  all.clear();
  EXPECT_TRUE(reply() == "*1\r\n" + bulk(value));
}

}  // namespace
}  // namespace rdmakv::proxy
