// hiredis, the C client: plain calls, pipelines, binary-safe arguments, against a running proxy
// whose place PROXY_HOST and PROXY_PORT tell (tests/compat/run starts it).
#include <gtest/gtest.h>
#include <hiredis/hiredis.h>

#include <cstdlib>
#include <memory>
#include <string>

namespace {

struct FreeContext {
  void operator()(redisContext* context) const { redisFree(context); }
};
struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using Context = std::unique_ptr<redisContext, FreeContext>;
using Reply = std::unique_ptr<redisReply, FreeReply>;

class Hiredis : public ::testing::Test {
 protected:
  void SetUp() override {
    context_.reset(redisConnect(std::getenv("PROXY_HOST"), std::atoi(std::getenv("PROXY_PORT"))));
    ASSERT_NE(context_, nullptr);
    ASSERT_EQ(context_->err, 0) << context_->errstr;
  }

  template <typename... Words>
  Reply call(const char* format, Words... words) {
    return Reply(static_cast<redisReply*>(redisCommand(context_.get(), format, words...)));
  }
  Reply next() {
    void* reply = nullptr;
    return Reply(redisGetReply(context_.get(), &reply) == REDIS_OK ? static_cast<redisReply*>(reply)
                                                                   : nullptr);
  }
  static std::string text(const Reply& reply) {
    return reply == nullptr ? "(no reply)" : std::string(reply->str, reply->len);
  }

  Context context_;
};

TEST_F(Hiredis, SetsAndGets) {
  EXPECT_EQ(text(call("SET hi:a %s", "value")), "OK");
  EXPECT_EQ(text(call("GET hi:a")), "value");
  EXPECT_EQ(call("GET hi:none")->type, REDIS_REPLY_NIL);
  EXPECT_EQ(call("DEL hi:a")->integer, 1);
}

TEST_F(Hiredis, IsBinarySafe) {
  std::string value;
  for (int i = 0; i < 70'000; ++i) value.push_back(static_cast<char>(i * 31));
  EXPECT_EQ(text(call("SET %b %b", "hi\0k", size_t{4}, value.data(), value.size())), "OK");
  EXPECT_EQ(text(call("GET %b", "hi\0k", size_t{4})), value);
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
  EXPECT_EQ(call("NOSUCH")->type, REDIS_REPLY_ERROR);
  EXPECT_EQ(text(call("PING")), "PONG");
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

}  // namespace
