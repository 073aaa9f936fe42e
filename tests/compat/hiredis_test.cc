// hiredis, the C client, with blocking calls: pipelines, binary-safe arguments, transactions,
// users, SCAN, compare and set from several threads, and a restart of the proxy.
#include <set>
#include <thread>
#include <vector>

#include "tests/compat/hiredis_fixture.h"

namespace {

class Hiredis : public ::testing::Test {
 protected:
  void SetUp() override {
    context_ = connect();
    ASSERT_NE(context_, nullptr);
    ASSERT_EQ(context_->err, 0) << context_->errstr;
  }
  template <typename... Words>
  Reply call(const char* format, Words... words) {
    return ::call(context_, format, words...);
  }
  Reply next() {
    void* reply = nullptr;
    return Reply(redisGetReply(context_.get(), &reply) == REDIS_OK ? static_cast<redisReply*>(reply)
                                                                   : nullptr);
  }

  Context context_;
};

TEST_F(Hiredis, SetsAndGets) {
  EXPECT_EQ(text(call("SET hi:a %s", "value")), "OK");
  EXPECT_EQ(text(call("GET hi:a")), "value");
  EXPECT_EQ(call("GET hi:none")->type, REDIS_REPLY_NIL);
  EXPECT_EQ(text(call("MGET hi:a hi:none")), "[value (nil)]");
  EXPECT_EQ(call("DEL hi:a")->integer, 1);
}

TEST_F(Hiredis, IsBinarySafe) {
  std::string value;
  for (int i = 0; i < 70'000; ++i) value.push_back(static_cast<char>(i * 31));
  EXPECT_EQ(text(call("SET %b %b", "hi\0k", size_t{4}, value.data(), value.size())), "OK");
  EXPECT_EQ(text(call("GET %b", "hi\0k", size_t{4})), value);
  EXPECT_EQ(call("EXISTS hi")->integer, 0);
}

TEST_F(Hiredis, LargeValues) {
  const std::string value(5'000'003, 'v');
  EXPECT_EQ(text(call("SET hi:large %b", value.data(), value.size())), "OK");
  EXPECT_EQ(text(call("GET hi:large")), value);
  EXPECT_EQ(text(call("GETRANGE hi:large 5000000 -1")), "vvv");
}

TEST_F(Hiredis, PipelinesInOrder) {
  constexpr int kCommands = 2000;
  for (int i = 0; i < kCommands; ++i) {
    redisAppendCommand(context_.get(), "SET hi:p%d %d", i % 10, i);
    redisAppendCommand(context_.get(), "GET hi:p%d", i % 10);
  }
  for (int i = 0; i < kCommands; ++i) {
    ASSERT_EQ(text(next()), "OK");
    ASSERT_EQ(text(next()), std::to_string(i));
  }
}

TEST_F(Hiredis, ErrorsLeaveTheConnection) {
  const long long id = call("CLIENT ID")->integer;
  call("SET hi:text text");
  for (const auto& [command, error] : {std::pair("NOSUCH x", "ERR unknown command 'NOSUCH'"),
                                       {"GET", "ERR wrong number of arguments"},
                                       {"INCR hi:text", "ERR value is not an integer"},
                                       {"LPUSH hi:text x", "ERR unknown command 'LPUSH'"},
                                       {"SUBSCRIBE x", "ERR"}}) {
    const Reply reply = call(command);
    EXPECT_EQ(reply->type, REDIS_REPLY_ERROR) << command;
    EXPECT_EQ(text(reply).rfind(error, 0), 0u) << text(reply);
  }
  EXPECT_EQ(call("CLIENT ID")->integer, id);
}

TEST_F(Hiredis, Transactions) {
  EXPECT_EQ(text(call("MULTI")), "OK");
  EXPECT_EQ(text(call("SET hi:t 5")), "QUEUED");
  EXPECT_EQ(text(call("INCR hi:t")), "QUEUED");
  EXPECT_EQ(text(call("EXEC")), "[OK 6]");
  call("MULTI");
  call("SET hi:t 7");
  EXPECT_EQ(text(call("DISCARD")), "OK");
  EXPECT_EQ(text(call("GET hi:t")), "6");
  call("MULTI");
  EXPECT_EQ(call("NOSUCH")->type, REDIS_REPLY_ERROR);
  EXPECT_EQ(text(call("EXEC")), "EXECABORT Transaction discarded because of previous errors.");
}

TEST_F(Hiredis, WatchWonAndLost) {
  const Context other = connect();
  call("SET hi:w 1");
  call("WATCH hi:w");
  call("MULTI");
  call("INCR hi:w");
  EXPECT_EQ(text(call("EXEC")), "[2]");
  call("WATCH hi:w");
  ::call(other, "SET hi:w 10");
  call("MULTI");
  call("INCR hi:w");
  EXPECT_EQ(text(call("EXEC")), "(nil)");
  EXPECT_EQ(text(call("GET hi:w")), "10");
}

TEST_F(Hiredis, Scans) {
  for (int i = 0; i < 300; ++i) redisAppendCommand(context_.get(), "SET hi:scan:%d x", i);
  for (int i = 0; i < 300; ++i) ASSERT_EQ(text(next()), "OK");
  std::set<std::string> found;
  std::string cursor = "0";
  do {
    const Reply reply = call("SCAN %s MATCH hi:scan:* COUNT 23", cursor.c_str());
    ASSERT_EQ(reply->elements, 2u);
    cursor = text(reply->element[0]);
    const redisReply* keys = reply->element[1];
    for (size_t i = 0; i < keys->elements; ++i) found.insert(text(keys->element[i]));
  } while (cursor != "0");
  EXPECT_EQ(found.size(), 300u);
  EXPECT_EQ(found.count("hi:scan:299"), 1u);
}

TEST_F(Hiredis, PasswordsAndUsers) {
  call("ACL SETUSER hi-reader on >pass ~hi:open:* +@read");
  call("SET hi:open:a 1");
  const Context reader = connect();
  EXPECT_EQ(text(::call(reader, "AUTH hi-reader wrong")),
            "WRONGPASS invalid username-password pair or user is disabled.");
  EXPECT_EQ(text(::call(reader, "AUTH hi-reader pass")), "OK");
  EXPECT_EQ(text(::call(reader, "GET hi:open:a")), "1");
  EXPECT_EQ(text(::call(reader, "GET hi:shut")).rfind("NOPERM", 0), 0u);
  EXPECT_EQ(text(::call(reader, "SET hi:open:a 2")).rfind("NOPERM", 0), 0u);
  EXPECT_EQ(call("ACL DELUSER hi-reader")->integer, 1);

  call("CONFIG SET requirepass secret");
  const Context stranger = connect();
  EXPECT_EQ(text(::call(stranger, "GET hi:a")), "NOAUTH Authentication required.");
  EXPECT_EQ(text(::call(stranger, "AUTH secret")), "OK");
  EXPECT_EQ(text(::call(stranger, "ACL WHOAMI")), "default");
  EXPECT_EQ(text(::call(context_, "CONFIG SET requirepass %s", "")), "OK");
}

TEST_F(Hiredis, ClientCommandsAndUnixSocket) {
  const Context unix_context(redisConnectUnix(setting("PROXY_UNIX")));
  ASSERT_EQ(unix_context->err, 0) << unix_context->errstr;
  EXPECT_EQ(text(::call(unix_context, "CLIENT SETNAME worker")), "OK");
  EXPECT_NE(text(call("CLIENT LIST")).find(" name=worker "), std::string::npos);
  const long long id = ::call(unix_context, "CLIENT ID")->integer;
  EXPECT_EQ(call("CLIENT KILL ID %lld", id)->integer, 1);
  EXPECT_EQ(::call(unix_context, "PING"), nullptr);
  EXPECT_EQ(redisReconnect(unix_context.get()), REDIS_OK);
  EXPECT_EQ(text(::call(unix_context, "PING")), "PONG");
}

TEST_F(Hiredis, CasAnswersTwoIntegers) {
  call("DEL hi:c");
  const Reply won = call("CAS hi:c 0 one");
  ASSERT_EQ(won->type, REDIS_REPLY_ARRAY);
  ASSERT_EQ(won->elements, 2u);
  EXPECT_EQ(won->element[0]->integer, 1);
  const Reply lost = call("CAS hi:c 0 two");
  ASSERT_EQ(lost->elements, 2u);
  EXPECT_EQ(lost->element[0]->integer, 0);
  EXPECT_EQ(lost->element[1]->integer, won->element[1]->integer);
}

// Tair's EXGET and EXCAS. None of the increments may be lost, or counted twice.
TEST_F(Hiredis, ACounterOfSeveralThreads) {
  call("SET hi:n 0");
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([] {
      const Context own = connect();
      for (int done = 0; done < 50;) {
        const Reply now = ::call(own, "EXGET hi:n");
        ASSERT_EQ(now->elements, 2u);
        const long long next = std::stoll(text(now->element[0])) + 1;
        const Reply put = ::call(own, "EXCAS hi:n %lld %lld", next, now->element[1]->integer);
        ASSERT_EQ(put->elements, 3u);
        if (text(put->element[0]) == "OK") ++done;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(text(call("GET hi:n")), "300");
}

TEST_F(Hiredis, ReconnectsAfterARestart) {
  call("SET hi:stays value");
  restart_proxy();
  EXPECT_EQ(call("GET hi:stays"), nullptr);
  EXPECT_EQ(context_->err, REDIS_ERR_EOF) << context_->errstr;
  ASSERT_EQ(redisReconnect(context_.get()), REDIS_OK);
  EXPECT_EQ(text(call("GET hi:stays")), "value");
}

}  // namespace
