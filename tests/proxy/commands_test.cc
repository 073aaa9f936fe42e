// Commands through a whole connection: replies in both protocols, and what reaches the client
// library.
#include "tests/proxy/harness.h"

namespace rdmakv::proxy {
namespace {

class CommandsTest : public ProxyTest {
 protected:
  TestClient client_ = connect();
  std::string call(std::string_view line) { return ProxyTest::call(client_, line); }
};

TEST_F(CommandsTest, GetOfAMissingKeyIsNull) {
  EXPECT_EQ(call("GET a"), "$-1\r\n");
}

TEST_F(CommandsTest, GetOfAMissingKeyIsNullInResp3) {
  call("HELLO 3");
  EXPECT_EQ(call("GET a"), "_\r\n");
}

TEST_F(CommandsTest, SetThenGet) {
  EXPECT_EQ(call("SET a hello"), "+OK\r\n");
  EXPECT_EQ(call("GET a"), "$5\r\nhello\r\n");
}

TEST_F(CommandsTest, ValuesAreAnyBytes) {
  const std::string value("\r\n\0*1\r\n", 7);
  EXPECT_EQ(ProxyTest::call(client_, {"SET", "a", value}), "+OK\r\n");
  EXPECT_EQ(ProxyTest::call(client_, {"GET", "a"}), bulk(value));
}

TEST_F(CommandsTest, SetNxAndXx) {
  EXPECT_EQ(call("SET a 1 XX"), "$-1\r\n");
  EXPECT_EQ(call("SET a 1 NX"), "+OK\r\n");
  EXPECT_EQ(call("SET a 2 NX"), "$-1\r\n");
  EXPECT_EQ(call("SET a 3 XX"), "+OK\r\n");
}

TEST_F(CommandsTest, SetGetRepliesWithThePreviousValue) {
  EXPECT_EQ(call("SET a 1 GET"), "$-1\r\n");
  EXPECT_EQ(call("SET a 2 GET"), "$1\r\n1\r\n");
  EXPECT_EQ(call("SET a 3 NX GET"), "$1\r\n2\r\n");
  EXPECT_EQ(call("GET a"), "$1\r\n2\r\n");
}

TEST_F(CommandsTest, SetWithExpiryAndTtl) {
  EXPECT_EQ(call("SET a 1 EX 100"), "+OK\r\n");
  EXPECT_EQ(call("TTL a"), ":100\r\n");
  EXPECT_EQ(call("PTTL a"), ":100000\r\n");
  EXPECT_EQ(call("SET a 2 KEEPTTL"), "+OK\r\n");
  EXPECT_EQ(call("TTL a"), ":100\r\n");
  EXPECT_EQ(call("SET a 3"), "+OK\r\n");
  EXPECT_EQ(call("TTL a"), ":-1\r\n");
}

TEST_F(CommandsTest, AnExpiredKeyIsGone) {
  call("SET a 1 PX 500");
  fake_->now_ms += 500;
  EXPECT_EQ(call("GET a"), "$-1\r\n");
  EXPECT_EQ(call("TTL a"), ":-2\r\n");
}

TEST_F(CommandsTest, ExpireConditions) {
  call("SET a 1");
  EXPECT_EQ(call("EXPIRE a 100 XX"), ":0\r\n");
  EXPECT_EQ(call("EXPIRE a 100 GT"), ":0\r\n");
  EXPECT_EQ(call("EXPIRE a 100 NX"), ":1\r\n");
  EXPECT_EQ(call("EXPIRE a 50 GT"), ":0\r\n");
  EXPECT_EQ(call("EXPIRE a 50 LT"), ":1\r\n");
  EXPECT_EQ(call("TTL a"), ":50\r\n");
  EXPECT_EQ(call("PERSIST a"), ":1\r\n");
  EXPECT_EQ(call("PERSIST a"), ":0\r\n");
}

// Also when the server's clock is behind our estimate of it.
TEST_F(CommandsTest, ExpireZeroIsOverAtOnceByAnyClock) {
  for (const std::string_view line : {"EXPIRE a 0", "PEXPIRE a 0", "EXPIRE a -1", "EXPIREAT a 1"}) {
    call("SET a 1");
    fake_->fault = [](const Operation& operation) {
      EXPECT_LE(operation.expiry_ms, 1);
      return Code::kOk;
    };
    EXPECT_EQ(call(line), ":1\r\n") << line;
    EXPECT_EQ(call("EXISTS a"), ":0\r\n") << line;
  }
}

TEST_F(CommandsTest, ExpireXxLtNeedsAnExpiryThatIsLater) {
  call("SET a 1");
  EXPECT_EQ(call("EXPIRE a 10 XX LT"), ":0\r\n");
  EXPECT_EQ(call("TTL a"), ":-1\r\n");
  call("EXPIRE a 100");
  EXPECT_EQ(call("EXPIRE a 200 XX LT"), ":0\r\n");
  EXPECT_EQ(call("EXPIRE a 10 XX LT"), ":1\r\n");
  EXPECT_EQ(call("TTL a"), ":10\r\n");
}

TEST_F(CommandsTest, CasRepliesWithVersions) {
  EXPECT_EQ(call("CAS a 5 x"), "*2\r\n:0\r\n:0\r\n");
  EXPECT_EQ(call("CAS a 0 x"), "*2\r\n:1\r\n:1\r\n");
  EXPECT_EQ(call("CAS a 0 y"), "*2\r\n:0\r\n:1\r\n");
  EXPECT_EQ(call("CAS a 1 y"), "*2\r\n:1\r\n:2\r\n");
  EXPECT_EQ(call("GETV a"), "*2\r\n$1\r\ny\r\n:2\r\n");
  EXPECT_EQ(call("CAS a x y"), "-ERR version is not an integer or out of range\r\n");
  EXPECT_EQ(call("CAS a -1 y"), "-ERR version is not an integer or out of range\r\n");
}

TEST_F(CommandsTest, GetvOfAMissingKeyIsNull) {
  EXPECT_EQ(call("GETV a"), "*-1\r\n");
  call("HELLO 3");
  EXPECT_EQ(call("GETV a"), "_\r\n");
}

TEST_F(CommandsTest, DelAndExistsCountEachMention) {
  call("MSET a 1 b 2 c 3");
  EXPECT_EQ(call("EXISTS a a b x"), ":3\r\n");
  EXPECT_EQ(call("DEL a a b x"), ":2\r\n");
  EXPECT_EQ(call("EXISTS a b c"), ":1\r\n");
}

TEST_F(CommandsTest, MgetMixesValuesAndNulls) {
  call("MSET a 1 c 3");
  EXPECT_EQ(call("MGET a b c"), "*3\r\n$1\r\n1\r\n$-1\r\n$1\r\n3\r\n");
}

TEST_F(CommandsTest, MgetOfMoreKeysThanTheWindow) {
  std::string line = "MGET", expected = "*1000\r\n";
  for (int i = 0; i < 1000; ++i) {
    fake_->store["k" + std::to_string(i)] = {std::to_string(i), 1, 0};
    line += " k" + std::to_string(i);
    expected += bulk(std::to_string(i));
  }
  EXPECT_EQ(call(line), expected);
  EXPECT_LE(fake_->largest_batch(), Fanout::kWindow);
}

TEST_F(CommandsTest, DelOfMoreKeysThanTheWindowKeepsTheOrderOfCommands) {
  std::string commands = "DEL";
  for (int i = 0; i < 1000; ++i) {
    fake_->store["k" + std::to_string(i)] = {"x", 1, 0};
    commands += " k" + std::to_string(i);
  }
  commands += "\r\nSET k999 new\r\nGET k999";
  EXPECT_EQ(call(commands), ":1000\r\n+OK\r\n$3\r\nnew\r\n");
}

TEST_F(CommandsTest, AFailedOperationFailsAWholeMget) {
  fake_->fault = [](const Operation& operation) {
    return operation.key == "b" ? Code::kTimeout : Code::kOk;
  };
  EXPECT_EQ(call("MGET a b c"), "-ERR timed out: no answer from the server\r\n");
}

TEST_F(CommandsTest, GetsetGetdelSetnxStrlenType) {
  EXPECT_EQ(call("GETSET a 1"), "$-1\r\n");
  EXPECT_EQ(call("GETSET a 22"), "$1\r\n1\r\n");
  EXPECT_EQ(call("SETNX a 3"), ":0\r\n");
  EXPECT_EQ(call("SETNX b 3"), ":1\r\n");
  EXPECT_EQ(call("STRLEN a"), ":2\r\n");
  EXPECT_EQ(call("STRLEN x"), ":0\r\n");
  EXPECT_EQ(call("TYPE a"), "+string\r\n");
  EXPECT_EQ(call("TYPE x"), "+none\r\n");
  EXPECT_EQ(call("GETDEL a"), "$2\r\n22\r\n");
  EXPECT_EQ(call("GETDEL a"), "$-1\r\n");
}

TEST_F(CommandsTest, UnknownCommandsAndWrongArity) {
  EXPECT_EQ(call("FOO a b"), "-ERR unknown command 'FOO', with args beginning with: 'a' 'b' \r\n");
  EXPECT_EQ(call("CLIENT FOO"), "-ERR unknown subcommand 'FOO'. Try CLIENT HELP.\r\n");
  EXPECT_EQ(call("get"), "-ERR wrong number of arguments for 'get' command\r\n");
  EXPECT_EQ(call("CLIENT ID x"), "-ERR wrong number of arguments for 'client|id' command\r\n");
  EXPECT_EQ(call("LPOP"), "-ERR unknown command 'LPOP', with args beginning with: \r\n");
  EXPECT_EQ(call("client|id"), "-ERR unknown command 'client|id', with args beginning with: \r\n");
  EXPECT_EQ(call("PING"), "+PONG\r\n");
}

TEST_F(CommandsTest, TheShownArgumentsOfAnUnknownCommandAreCutAndClean) {
  const std::string reply = ProxyTest::call(client_, {"a\r\nb", std::string(300, 'x'), "y"});
  EXPECT_EQ(reply, "-ERR unknown command 'a  b', with args beginning with: '" +
                       std::string(128, 'x') + "' \r\n");
}

TEST_F(CommandsTest, ErrorsOfOperationsAreTold) {
  const auto failing = [&](Code code, std::string_view line) {
    fake_->fault = [code](const Operation&) { return code; };
    return call(line);
  };
  EXPECT_EQ(failing(Code::kUnavailable, "GET a"),
            "-ERR server fake:1 is not reachable: fake error\r\n");
  EXPECT_EQ(failing(Code::kNoSpace, "SET a 1"),
            "-OOM command not allowed when used memory > 'maxmemory'.\r\n");
  EXPECT_EQ(failing(Code::kUnknownOutcome, "DEL a").substr(0, 21), "-ERR outcome unknown:");
  EXPECT_EQ(failing(Code::kTimeout, "SET a 1"),
            "-ERR timed out: no answer from the server; the command may still take effect\r\n");
}

TEST_F(CommandsTest, AKeyLongerThan64KbIsRefused) {
  EXPECT_EQ(ProxyTest::call(client_, {"GET", std::string(65536, 'k')}), "$-1\r\n");
  EXPECT_EQ(ProxyTest::call(client_, {"GET", std::string(65537, 'k')}),
            "-ERR key is too long: 65536 bytes at most\r\n");
  EXPECT_EQ(ProxyTest::call(client_, {"SET", std::string(65537, 'k'), pattern(10000)}),
            "-ERR key is too long: 65536 bytes at most\r\n");
}

TEST_F(CommandsTest, ReplyOffAndSkipAreSilent) {
  EXPECT_EQ(call("CLIENT REPLY SKIP\r\nGET a\r\nPING"), "+PONG\r\n");
  EXPECT_EQ(call("CLIENT REPLY OFF\r\nSET a 1\r\nFOO\r\nGET a"), "");
  EXPECT_EQ(call("CLIENT REPLY ON\r\nGET a"), "+OK\r\n$1\r\n1\r\n");
}

TEST_F(CommandsTest, ResetGoesBackToTheBeginning) {
  call("HELLO 3 SETNAME me");
  EXPECT_EQ(call("CLIENT GETNAME"), "$2\r\nme\r\n");
  EXPECT_EQ(call("RESET"), "+RESET\r\n");
  EXPECT_EQ(call("CLIENT GETNAME"), "$-1\r\n");
}

TEST_F(CommandsTest, QuitRepliesAndCloses) {
  call("SET a 1");
  EXPECT_EQ(call("GET a\r\nQUIT\r\nPING"), "$1\r\n1\r\n+OK\r\n");
  EXPECT_TRUE(client_.ended());
}

TEST_F(CommandsTest, AProtocolErrorIsToldBehindTheReplies) {
  call("SET a 1");
  EXPECT_EQ(call("GET a\r\n*1\r\n$x\r\n"),
            "$1\r\n1\r\n-ERR Protocol error: invalid bulk length\r\n");
  EXPECT_TRUE(client_.ended());
}

TEST_F(CommandsTest, HttpIsClosedWithoutAReply) {
  EXPECT_EQ(call("POST / HTTP/1.1"), "");
  EXPECT_TRUE(client_.ended());
}

TEST_F(CommandsTest, ConfigGetAndSet) {
  EXPECT_EQ(call("CONFIG GET save"), "*2\r\n$4\r\nsave\r\n$0\r\n\r\n");
  EXPECT_EQ(call("CONFIG SET timeout 5"), "+OK\r\n");
  EXPECT_EQ(call("CONFIG GET timeout"), "*2\r\n$7\r\ntimeout\r\n$1\r\n5\r\n");
  EXPECT_EQ(call("CONFIG SET timeout 6 databases 4"),
            "-ERR CONFIG SET failed (possibly related to argument 'databases') - can't set "
            "immutable config\r\n");
  EXPECT_EQ(call("CONFIG GET timeout"), "*2\r\n$7\r\ntimeout\r\n$1\r\n5\r\n");
}

TEST_F(CommandsTest, ClientListAndKill) {
  TestClient other = connect();
  ProxyTest::call(other, "CLIENT SETNAME victim");
  const std::string list = call("CLIENT LIST");
  EXPECT_NE(list.find("name=victim"), std::string::npos);
  EXPECT_NE(list.find("cmd=client|list"), std::string::npos);
  EXPECT_EQ(call("CLIENT KILL ID 2"), ":1\r\n");
  other.receive();
  EXPECT_TRUE(other.ended());
  EXPECT_EQ(call("CLIENT KILL TYPE normal SKIPME no"), ":1\r\n");
  EXPECT_TRUE(client_.ended());
}

TEST_F(CommandsTest, InfoTellsWhatClientsLookFor) {
  const std::string info = call("INFO");
  for (const std::string_view line :
       {"redis_version:7.0.15\r\n", "redis_mode:standalone\r\n", "loading:0\r\n", "role:master\r\n",
        "backend0:name=fake:1,status=down"}) {
    EXPECT_NE(info.find(line), std::string::npos) << line;
  }
}

TEST_F(CommandsTest, InfoTellsWhatTheServersHold) {
  call("MSET a 1 b 2 c 3");
  const std::string all = call("INFO");
  EXPECT_NE(all.find(",keys=3,used_memory=1024,total_memory=4096,error="), std::string::npos)
      << all;
  EXPECT_NE(all.find("db0:keys=3,"), std::string::npos);
  // A server that does not answer keeps nobody waiting, and nothing is made up for it.
  fake_->fault = [](const Operation& operation) {
    return operation.kind == OperationKind::kStats ? Code::kTimeout : Code::kOk;
  };
  const std::string without = call("INFO");
  EXPECT_NE(without.find("backend0:name=fake:1,status=down"), std::string::npos);
  EXPECT_EQ(without.find("used_memory=1024"), std::string::npos);
  EXPECT_EQ(without.find("db0:"), std::string::npos);
  EXPECT_EQ(call("INFO keyspace").find("db0:"), std::string::npos);
  fake_->fault = nullptr;
  EXPECT_NE(call("INFO keyspace").find("db0:keys=3,expires=7,"), std::string::npos);
  EXPECT_NE(call("INFO persistence").find("rdb_changes_since_last_save:12\r\n"), std::string::npos);
  EXPECT_NE(call("INFO stats").find("expired_keys:5\r\n"), std::string::npos);
}

}  // namespace
}  // namespace rdmakv::proxy
