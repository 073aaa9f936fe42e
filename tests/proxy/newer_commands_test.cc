// What redis-server 7.0 does not know, so that no comparison with it can show it: SET IFEQ and its
// relatives, DELEX, DIGEST of Redis 8.4, as its documentation and its own tests say; Tair's
// commands, as its module and its tests say.
#include "tests/proxy/harness.h"

namespace rdmakv::proxy {
namespace {

class NewerCommandsTest : public ProxyTest {
 protected:
  TestClient client_ = connect();
  std::string call(std::string_view line) { return ProxyTest::call(client_, line); }
  // Until the client has read all of a long reply.
  std::string call_large(std::initializer_list<std::string_view> arguments) {
    send(client_, command(arguments));
    std::string reply;
    for (std::string more; run(), client_.receive(), more = client_.take(), !more.empty();) {
      reply += more;
    }
    return reply;
  }
};

constexpr std::string_view kNull = "$-1\r\n";
constexpr std::string_view kOk = "+OK\r\n";

TEST_F(NewerCommandsTest, SetIfEqual) {
  EXPECT_EQ(call("SET a new IFEQ old"), kNull);
  EXPECT_EQ(call("EXISTS a"), ":0\r\n");
  call("SET a old EX 100");
  EXPECT_EQ(call("SET a new IFEQ other"), kNull);
  EXPECT_EQ(call("GET a"), bulk("old"));
  EXPECT_EQ(call("SET a new IFEQ old"), kOk);
  EXPECT_EQ(call("GET a"), bulk("new"));
  EXPECT_EQ(call("TTL a"), ":-1\r\n");
  EXPECT_EQ(call("SET a 1 GET IFEQ other"), bulk("new"));
  EXPECT_EQ(call("SET a 2 IFEQ new GET EX 50"), bulk("new"));
  EXPECT_EQ(call("SET a 3 KEEPTTL IFEQ 2"), kOk);
  EXPECT_EQ(call("TTL a"), ":50\r\n");
}

TEST_F(NewerCommandsTest, SetIfNotEqual) {
  EXPECT_EQ(call("SET a 1 IFNE x"), kOk);
  EXPECT_EQ(call("SET a 2 IFNE 1"), kNull);
  EXPECT_EQ(call("SET a 2 ifne x"), kOk);
  EXPECT_EQ(call("GET a"), bulk("2"));
}

TEST_F(NewerCommandsTest, SetByDigest) {
  call("SET a Hello");
  const std::string digest = call("DIGEST a").substr(5, 16);
  EXPECT_EQ(call("DIGEST a"), bulk(digest));
  EXPECT_EQ(call("DIGEST none"), kNull);
  EXPECT_EQ(call("SET a x IFDNE " + digest), kNull);
  EXPECT_EQ(call("SET a x IFDEQ 0000000000000000"), kNull);
  EXPECT_EQ(call("SET a x IFDEQ short"), "-ERR must be exactly 16 hexadecimal characters\r\n");
  EXPECT_EQ(call("SET none x IFDEQ short"), kNull);
  EXPECT_EQ(call("SET a x IFDEQ " + digest), kOk);
  EXPECT_EQ(call("SET none x IFDNE short"), kOk);
}

// The example of the documentation's leading zeros.
TEST_F(NewerCommandsTest, ADigestHasItsLeadingZeros) {
  call(
      "SET foo "
      "v8lf0c11xh8ymlqztfd3eeq16kfn4sspw7fqmnuuq3k3t75em5wdizgcdw7uc26nnf961u2jkfzkjytls2kwlj7626s"
      "d");
  EXPECT_EQ(call("DIGEST foo"), bulk("00006c38adf31777"));
  EXPECT_EQ(call("DELEX foo IFDEQ 00006C38ADF31777"), ":1\r\n");
}

TEST_F(NewerCommandsTest, ConditionsExcludeEachOther) {
  for (const std::string_view options :
       {"IFEQ", "IFEQ a NX", "NX IFEQ a", "XX IFNE a", "IFEQ a IFEQ a", "IFEQ a IFNE b",
        "IFDEQ 0000000000000000 XX"}) {
    EXPECT_EQ(call("SET a v " + std::string(options)), "-ERR syntax error\r\n") << options;
  }
}

TEST_F(NewerCommandsTest, Delex) {
  EXPECT_EQ(call("DELEX a IFEQ 1"), ":0\r\n");
  call("SET a 1");
  EXPECT_EQ(call("DELEX a IFEQ 2"), ":0\r\n");
  EXPECT_EQ(call("DELEX a IFNE 1"), ":0\r\n");
  EXPECT_EQ(call("DELEX a FOO 1"), "-ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE\r\n");
  EXPECT_EQ(call("DELEX none FOO 1"), ":0\r\n");
  EXPECT_EQ(call("DELEX a IFEQ"), "-ERR wrong number of arguments for 'delex' command\r\n");
  EXPECT_EQ(call("DELEX a IFEQ 1"), ":1\r\n");
  call("SET a 1");
  EXPECT_EQ(call("DELEX a"), ":1\r\n");
  EXPECT_EQ(call("DELEX a"), ":0\r\n");
}

TEST_F(NewerCommandsTest, Msetex) {
  EXPECT_EQ(call("MSETEX 2 {t}a 1 {t}b 2 EX 100 NX"), ":1\r\n");
  EXPECT_EQ(call("TTL {t}b"), ":100\r\n");
  EXPECT_EQ(call("MSETEX 2 {t}a 3 {t}c 4 NX"), ":0\r\n");
  EXPECT_EQ(call("MSETEX 2 {t}a 3 {t}c 4 XX"), ":0\r\n");
  EXPECT_EQ(call("EXISTS {t}c"), ":0\r\n");
  EXPECT_EQ(call("MSETEX 2 {t}a 5 {t}b 6 XX KEEPTTL"), ":1\r\n");
  EXPECT_EQ(call("MGET {t}a {t}b"), "*2\r\n$1\r\n5\r\n$1\r\n6\r\n");
  EXPECT_EQ(call("TTL {t}a"), ":100\r\n");
  EXPECT_EQ(call("MSETEX 1 {t}a 7"), ":1\r\n");
  EXPECT_EQ(call("TTL {t}a"), ":-1\r\n");
}

TEST_F(NewerCommandsTest, MsetexErrors) {
  EXPECT_EQ(call("MSETEX 1 a"), "-ERR wrong number of arguments for 'msetex' command\r\n");
  EXPECT_EQ(call("MSETEX key1 val1 ex 10"), "-ERR invalid numkeys value\r\n");
  EXPECT_EQ(call("MSETEX 0 a b"), "-ERR invalid numkeys value\r\n");
  EXPECT_EQ(call("MSETEX 2147483648 key1 val1 ex 10"), "-ERR invalid numkeys value\r\n");
  EXPECT_EQ(call("MSETEX 2147483647 key1 val1 ex 10"), "-ERR wrong number of key-value pairs\r\n");
  EXPECT_EQ(call("MSETEX 2 key1 val1 key2"), "-ERR wrong number of key-value pairs\r\n");
  for (const std::string_view options : {"foo", "nx xx", "ex 10 px 5", "keepttl ex 10", "GET"}) {
    EXPECT_EQ(call("MSETEX 1 k v " + std::string(options)), "-ERR syntax error\r\n") << options;
  }
  EXPECT_EQ(call("MSETEX 1 k v EX 0"), "-ERR invalid expire time in 'msetex' command\r\n");
}

TEST_F(NewerCommandsTest, KeysOfSeveralSlotsAreRefused) {
  constexpr std::string_view kCrossSlot =
      "-CROSSSLOT Keys in request don't hash to the same slot\r\n";
  EXPECT_EQ(call("MSETNX a 1 b 2"), kCrossSlot);
  EXPECT_EQ(call("MSETEX 2 a 1 b 2 NX"), kCrossSlot);
  EXPECT_EQ(call("EXISTS a b"), ":0\r\n");
}

TEST_F(NewerCommandsTest, CasWithExpiry) {
  call("SET a 1 EX 100");
  EXPECT_EQ(call("CAS a 1 2 KEEPTTL"), "*2\r\n:1\r\n:2\r\n");
  EXPECT_EQ(call("TTL a"), ":100\r\n");
  EXPECT_EQ(call("CAS a 2 3 PX 5000"), "*2\r\n:1\r\n:3\r\n");
  EXPECT_EQ(call("PTTL a"), ":5000\r\n");
  EXPECT_EQ(call("CAS a 3 4"), "*2\r\n:1\r\n:4\r\n");
  EXPECT_EQ(call("TTL a"), ":-1\r\n");
  EXPECT_EQ(call("CAS a 4 5 NX"), "-ERR syntax error\r\n");
  EXPECT_EQ(call("CAS a 4 5 EX 0"), "-ERR invalid expire time in 'cas' command\r\n");
}

// ---- Tair --------------------------------------------------------------------------------------

TEST_F(NewerCommandsTest, ExsetAndExget) {
  EXPECT_EQ(call("EXSET k"), "-ERR wrong number of arguments for 'exset' command\r\n");
  EXPECT_EQ(call("EXSET k v xxxx"), "-ERR syntax error\r\n");
  EXPECT_EQ(call("EXSET k v flags"), "-ERR syntax error\r\n");
  EXPECT_EQ(call("EXGET k"), kNull);
  EXPECT_EQ(call("EXSET k bar WITHVERSION"), ":1\r\n");
  EXPECT_EQ(call("EXSET k bar1"), kOk);
  EXPECT_EQ(call("EXSET k bar1 flags 10"), kOk);
  EXPECT_EQ(call("EXGET k"), "*2\r\n$4\r\nbar1\r\n:3\r\n");
  EXPECT_EQ(call("EXGET k withflags"), "*3\r\n$4\r\nbar1\r\n:3\r\n:10\r\n");
  EXPECT_EQ(call("EXSET k bar2 WITHVERSION"), ":4\r\n");
  EXPECT_EQ(call("EXGET k withflags"), "*3\r\n$4\r\nbar2\r\n:4\r\n:10\r\n");
  EXPECT_EQ(call("EXGET k foo"), "-ERR syntax error\r\n");
  // The name of an option is no number for the one before it.
  EXPECT_EQ(call("EXSET k v VER FLAGS 3"), "-ERR syntax error\r\n");
  EXPECT_EQ(call("EXINCRBY k 1 VER MIN 2"), "-ERR syntax error\r\n");
  EXPECT_EQ(call("EXSET k v FLAGS 70000"), "-ERR flags beyond 65535 are not supported\r\n");
  // The same string that GET sees. What sets the value anew without Tair drops the flags.
  call("APPEND k x");
  EXPECT_EQ(call("EXGET k withflags"), "*3\r\n$5\r\nbar2x\r\n:5\r\n:10\r\n");
  EXPECT_EQ(call("SET k bar2 IFEQ bar2x"), kOk);
  EXPECT_EQ(call("EXGET k withflags"), "*3\r\n$4\r\nbar2\r\n:6\r\n:0\r\n");
  EXPECT_EQ(call("EXSETVER k 4"), ":1\r\n");
  EXPECT_EQ(call("GET k"), bulk("bar2"));
  EXPECT_EQ(call("GETV k"), "*2\r\n$4\r\nbar2\r\n:4\r\n");
}

TEST_F(NewerCommandsTest, ExsetConditions) {
  EXPECT_EQ(call("EXSET k foo XX"), kNull);
  EXPECT_EQ(call("EXSET k foo NX WITHVERSION"), ":1\r\n");
  EXPECT_EQ(call("EXSET k foo NX"), kNull);
  EXPECT_EQ(call("EXSET k foo NX XX"), "-ERR syntax error\r\n");
}

TEST_F(NewerCommandsTest, ExsetVersions) {
  EXPECT_EQ(call("EXSET k foo VER -1"), "-ERR syntax error\r\n");
  EXPECT_EQ(call("EXSET k foo ABS -1"), "-ERR syntax error\r\n");
  EXPECT_EQ(call("EXSET k foo ABS 0"), "-ERR version is out of range\r\n");
  EXPECT_EQ(call("EXSET k foo VER 7 XX"), kNull);
  EXPECT_EQ(call("EXSET k foo VER 7"), kOk);  // there was none
  EXPECT_EQ(call("EXSET k foo VER 1 WITHVERSION"), ":2\r\n");
  EXPECT_EQ(call("EXSET k foo VER 1"), "-ERR update version is stale\r\n");
  EXPECT_EQ(call("EXSET k foo VER 0 WITHVERSION"), ":3\r\n");
  EXPECT_EQ(call("EXSET k foo ABS 10 WITHVERSION"), ":10\r\n");
  EXPECT_EQ(call("EXSET k foo VER 1 ABS 10"), "-ERR syntax error\r\n");
  EXPECT_EQ(call("EXSETVER k 99"), ":1\r\n");
  EXPECT_EQ(call("EXGET k"), "*2\r\n$3\r\nfoo\r\n:99\r\n");
  EXPECT_EQ(call("EXSETVER none 1"), ":0\r\n");
  EXPECT_EQ(call("EXSETVER none x"), ":0\r\n");
  EXPECT_EQ(call("EXSETVER k 0"), "-ERR syntax error\r\n");
  EXPECT_EQ(call("EXSETVER k x"), "-ERR syntax error\r\n");
}

TEST_F(NewerCommandsTest, ExsetExpiry) {
  for (const std::string_view bad :
       {"EX -1", "PX -1", "EXAT 0", "EX 0", "EX x", "EX 1 PX 1", "EX 1 KEEPTTL", "EX"}) {
    EXPECT_EQ(call("EXSET k v " + std::string(bad)), "-ERR syntax error\r\n") << bad;
  }
  EXPECT_EQ(call("EXSET k v EX 10"), kOk);
  EXPECT_EQ(call("TTL k"), ":10\r\n");
  EXPECT_EQ(call("EXSET k v KEEPTTL"), kOk);
  EXPECT_EQ(call("TTL k"), ":10\r\n");
  EXPECT_EQ(call("EXSET k v"), kOk);
  EXPECT_EQ(call("TTL k"), ":-1\r\n");
}

TEST_F(NewerCommandsTest, Excas) {
  EXPECT_EQ(call("EXCAS k v 1"), ":-1\r\n");
  EXPECT_EQ(call("EXCAS k v 0"), ":-1\r\n");
  EXPECT_EQ(call("EXISTS k"), ":0\r\n");
  call("EXSET k bar");
  EXPECT_EQ(call("EXCAS k bzz 1"), "*3\r\n+OK\r\n+\r\n:2\r\n");
  EXPECT_EQ(call("EXCAS k bee 1"), "*3\r\n+CAS_FAILED\r\n$3\r\nbzz\r\n:2\r\n");
  EXPECT_EQ(call("EXCAS k bee 0"), "*3\r\n+CAS_FAILED\r\n$3\r\nbzz\r\n:2\r\n");
  EXPECT_EQ(call("EXCAS k bee x"), "-ERR version should be integer\r\n");
  EXPECT_EQ(call("EXCAS k bee -1"), "-ERR syntax error\r\n");
  EXPECT_EQ(call("EXCAS k bee 2 NX"), "-ERR syntax error\r\n");
  EXPECT_EQ(call("EXCAS k bee 2 EX 30"), "*3\r\n+OK\r\n+\r\n:3\r\n");
  EXPECT_EQ(call("TTL k"), ":30\r\n");
}

// The loop of clients written for Tair.
TEST_F(NewerCommandsTest, ALostExcasTellsWhatToTryNext) {
  call("SET k 10");
  TestClient other = connect();
  ProxyTest::call(other, "SET k 20");
  EXPECT_EQ(call("EXCAS k 11 1"), "*3\r\n+CAS_FAILED\r\n$2\r\n20\r\n:2\r\n");
  EXPECT_EQ(call("EXCAS k 21 2"), "*3\r\n+OK\r\n+\r\n:3\r\n");
}

TEST_F(NewerCommandsTest, Excad) {
  EXPECT_EQ(call("EXCAD none 1"), ":-1\r\n");
  call("EXSET k bar");
  EXPECT_EQ(call("EXCAD k 0"), ":0\r\n");
  EXPECT_EQ(call("EXCAD k 2"), ":0\r\n");
  EXPECT_EQ(call("EXCAD k x"), "-ERR syntax error\r\n");
  EXPECT_EQ(call("EXCAD k 1"), ":1\r\n");
  EXPECT_EQ(call("EXGET k"), kNull);
}

TEST_F(NewerCommandsTest, Exincrby) {
  EXPECT_EQ(call("EXINCRBY k abc"), "-ERR value is not an integer\r\n");
  EXPECT_EQ(call("EXINCRBY k 100 def 200 WITHVERSION"), "*2\r\n:200\r\n:1\r\n");
  EXPECT_EQ(call("EXINCRBY k 108"), ":308\r\n");
  EXPECT_EQ(call("EXINCRBY k -208 def 300 WITHVERSION"), "*2\r\n:100\r\n:3\r\n");
  EXPECT_EQ(call("EXINCRBY k 100 MAX 150"), "-ERR increment or decrement would overflow\r\n");
  EXPECT_EQ(call("EXINCRBY k 100 MIN 500"), "-ERR increment or decrement would overflow\r\n");
  EXPECT_EQ(call("EXINCRBY k 100 MIN 500 MAX 100"),
            "-ERR min or max is specified, but not valid\r\n");
  EXPECT_EQ(call("EXINCRBY k 1 VER 1"), "-ERR update version is stale\r\n");
  EXPECT_EQ(call("EXINCRBY k 1 VER 3 EX 60"), ":101\r\n");
  EXPECT_EQ(call("TTL k"), ":60\r\n");
  EXPECT_EQ(call("EXINCRBY k -200 nonegative WITHVERSION"), "*2\r\n:0\r\n:5\r\n");
  EXPECT_EQ(call("TTL k"), ":-1\r\n");
  EXPECT_EQ(call("EXINCRBY k 1 NX"), kNull);
  EXPECT_EQ(call("EXINCRBY none 1 XX"), kNull);
  EXPECT_EQ(call("EXINCRBY k 1 FLAGS 1"), "-ERR syntax error\r\n");
  call("SET s text");
  EXPECT_EQ(call("EXINCRBY s 1"), "-ERR value is not an integer\r\n");
}

TEST_F(NewerCommandsTest, Exappend) {
  EXPECT_EQ(call("EXAPPEND k foo XX"), kNull);
  EXPECT_EQ(call("EXAPPEND k foo NX"), ":1\r\n");
  EXPECT_EQ(call("EXAPPEND k bar NX"), kNull);
  EXPECT_EQ(call("EXAPPEND k bar VER 1"), ":2\r\n");
  EXPECT_EQ(call("EXAPPEND k bar VER 1"), "-ERR update version is stale\r\n");
  EXPECT_EQ(call("EXAPPEND k my ABS 100"), ":100\r\n");
  EXPECT_EQ(call("EXGET k"), "*2\r\n$8\r\nfoobarmy\r\n:100\r\n");
  EXPECT_EQ(call("EXAPPEND k v EX 10"), "-ERR syntax error\r\n");
}

TEST_F(NewerCommandsTest, LargeInputsByEveryWay) {
  for (const size_t size : {size_t{5000}, size_t{200'000}, size_t{700'000}}) {
    const std::string old = pattern(size), more = pattern(size, 2);
    call_large({"SET", "k", old});
    EXPECT_EQ(call_large({"APPEND", "k", more}), ":" + std::to_string(2 * size) + "\r\n");
    EXPECT_EQ(call_large({"GETRANGE", "k", "-3", "-1"}), bulk(more.substr(size - 3)));
    EXPECT_EQ(call_large({"SETRANGE", "k", "0", more}), ":" + std::to_string(2 * size) + "\r\n");
    EXPECT_EQ(call_large({"GET", "k"}), bulk(more + more));
    EXPECT_EQ(call_large({"SET", "k", old, "IFEQ", "no"}), kNull);
    EXPECT_EQ(call_large({"SET", "k", old, "IFEQ", more + more}), kOk);
    EXPECT_EQ(call_large({"EXSET", "k", more, "FLAGS", "1"}), kOk);
    EXPECT_EQ(call_large({"EXCAS", "k", old, "1"}),
              "*3\r\n+CAS_FAILED\r\n" + bulk(more) + ":" +
                  std::to_string(fake_->store.find("k")->second.version) + "\r\n");
    call_large({"DEL", "k"});
  }
  EXPECT_EQ(fake_->uploads(), 0u);
  EXPECT_EQ(fake_->pins(), 0u);
}

TEST_F(NewerCommandsTest, GatheredCommandsKeepTheOrderOfTheirConnection) {
  send(client_, command({"SET", "a", "ab"}) + command({"SET", "b", "AB"}) +
                    command({"BITOP", "XOR", "d", "a", "b"}) + command({"GET", "d"}) +
                    command({"SET", "a", "changed"}) + command({"LCS", "a", "b", "LEN"}));
  run();
  client_.receive();
  EXPECT_EQ(client_.take(), "+OK\r\n+OK\r\n:2\r\n" + bulk("  ") + "+OK\r\n:0\r\n");
}

// Keys on several workers, so many that they are not all asked for at the same time.
class BitopOfManyKeysTest : public NewerCommandsTest {
 protected:
  static constexpr size_t kKeys = 1000;
  BitopOfManyKeysTest() {
    fake_->different_workers = true;
    std::vector<std::string_view> words = {"BITOP", "OR", "to"};
    for (size_t i = 0; i < kKeys; ++i) {
      names_[i] = "k" + std::to_string(i);
      words.push_back(names_[i]);
      std::string value(kKeys / 8, '\0');
      value[i / 8] = static_cast<char>(0x80 >> i % 8);
      if (i != 500) fake_->store[names_[i]] = {value, 1, 0};
    }
    line_ = "*" + std::to_string(words.size()) + "\r\n";
    for (const std::string_view word : words) line_ += bulk(word);
  }
  std::string names_[kKeys], line_;
};

TEST_F(BitopOfManyKeysTest, HoldsAWindowOfThem) {
  fake_->hold();
  send(client_, line_);
  fake_->release(1);  // no worker has them all
  run();
  EXPECT_LE(fake_->held(), 128u);
  fake_->release();
  run();
  EXPECT_EQ(client_.take(), ":125\r\n");
  std::string all(kKeys / 8, '\xff');
  all[500 / 8] = static_cast<char>(~(0x80 >> 500 % 8));
  EXPECT_EQ(fake_->store["to"].value, all);
}

TEST_F(BitopOfManyKeysTest, OneThatCannotBeHadEndsIt) {
  fake_->fault = [](const Operation& operation) {
    return operation.key == "k700" ? Code::kUnavailable : Code::kOk;
  };
  send(client_, line_ + "PING\r\n");
  EXPECT_EQ(client_.take(), "-ERR server fake:1 is not reachable: fake error\r\n+PONG\r\n");
  EXPECT_EQ(fake_->store.count("to"), 0u);
}

TEST_F(BitopOfManyKeysTest, TheProxyEndsInTheMiddle) {
  fake_->hold();
  send(client_, line_);
  fake_->release(1);
  run();
  fake_->release(200);
  run();
}

}  // namespace
}  // namespace rdmakv::proxy
