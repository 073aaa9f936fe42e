// hiredis's asynchronous half, on libevent: pipelines, transactions, a counter of several clients,
// and a restart of the proxy.
#include <event2/event.h>
#include <hiredis/adapters/libevent.h>
#include <hiredis/async.h>

#include <functional>
#include <vector>

#include "tests/compat/hiredis_fixture.h"

namespace {

struct FreeBase {
  void operator()(event_base* base) const { event_base_free(base); }
};

class HiredisAsync : public ::testing::Test {
 protected:
  using Then = std::function<void(const redisReply* reply)>;

  // Ends with `run`, or before when the proxy closes it.
  redisAsyncContext* open() {
    redisAsyncContext* context =
        redisAsyncConnect(setting("PROXY_HOST"), std::atoi(setting("PROXY_PORT")));
    EXPECT_EQ(context->err, 0) << context->errstr;
    context->data = this;
    EXPECT_EQ(redisLibeventAttach(context, base_.get()), REDIS_OK);
    redisAsyncSetDisconnectCallback(context, [](const redisAsyncContext* gone, int status) {
      (status == REDIS_OK ? static_cast<HiredisAsync*>(gone->data)->left_
                          : static_cast<HiredisAsync*>(gone->data)->lost_)++;
    });
    return context;
  }
  // `then` gets the reply, or null when the connection was lost.
  template <typename... Words>
  void send(redisAsyncContext* context, Then then, const char* format, Words... words) {
    auto* kept = new Then(std::move(then));  // hiredis hands it back exactly once
    const int status = redisAsyncCommand(
        context,
        [](redisAsyncContext*, void* reply, void* then) {
          const std::unique_ptr<Then> own(static_cast<Then*>(then));
          (*own)(static_cast<const redisReply*>(reply));
        },
        kept, format, words...);
    EXPECT_EQ(status, REDIS_OK);
    if (status != REDIS_OK) delete kept;
  }
  // Until all connections have ended.
  void run() { event_base_dispatch(base_.get()); }
  // Expects a reply that reads so.
  static Then expect(std::string wanted) {
    return
        [wanted = std::move(wanted)](const redisReply* reply) { EXPECT_EQ(text(reply), wanted); };
  }

  std::unique_ptr<event_base, FreeBase> base_{event_base_new()};
  int left_ = 0, lost_ = 0;
};

TEST_F(HiredisAsync, PipelinesInOrder) {
  redisAsyncContext* context = open();
  constexpr int kCommands = 3000;
  int answered = 0;
  for (int i = 0; i < kCommands; ++i) {
    send(context, expect("OK"), "SET ha:p%d %d", i % 10, i);
    send(
        context,
        [&answered, i](const redisReply* reply) {
          EXPECT_EQ(answered++, i);
          EXPECT_EQ(text(reply), std::to_string(i));
        },
        "GET ha:p%d", i % 10);
  }
  redisAsyncDisconnect(context);  // once all has been answered
  run();
  EXPECT_EQ(answered, kCommands);
  EXPECT_EQ(left_, 1);
}

TEST_F(HiredisAsync, TransactionsAndErrors) {
  redisAsyncContext* context = open();
  send(context, expect("OK"), "SET ha:w 1");
  send(context, expect("OK"), "WATCH ha:w");
  send(context, expect("OK"), "MULTI");
  send(context, expect("QUEUED"), "INCR ha:w");
  send(context, expect("QUEUED"), "APPEND ha:w x");
  send(context, expect("QUEUED"), "INCR ha:w");
  send(context, expect("[2 2 ERR value is not an integer or out of range]"), "EXEC");
  send(context, expect("OK"), "WATCH ha:w");
  send(context, expect("OK"), "SET ha:w 5");
  send(context, expect("OK"), "MULTI");
  send(context, expect("QUEUED"), "INCR ha:w");
  send(context, expect("(nil)"), "EXEC");
  send(context, expect("5"), "GET ha:w");
  send(context, expect("ERR unknown command 'NOSUCH', with args beginning with: "), "NOSUCH");
  redisAsyncDisconnect(context);
  run();
  EXPECT_EQ(left_, 1);
}

TEST_F(HiredisAsync, LargeBinaryValues) {
  std::string value;
  for (int i = 0; i < 3'000'000; ++i) value.push_back(static_cast<char>(i * 31));
  redisAsyncContext* context = open();
  send(context, expect("OK"), "SET %b %b", "ha\0k", size_t{4}, value.data(), value.size());
  send(context, expect(value), "GET %b", "ha\0k", size_t{4});
  redisAsyncDisconnect(context);
  run();
  EXPECT_EQ(left_, 1);
}

// Each of several clients raises one number by CAS as often as it must.
TEST_F(HiredisAsync, ACounterOfSeveralClients) {
  constexpr int kClients = 6, kTimes = 50;
  ASSERT_EQ(text(call(connect(), "SET ha:n 0")), "OK");
  std::function<void(redisAsyncContext*, int)> raise = [&](redisAsyncContext* context, int done) {
    if (done == kTimes) return redisAsyncDisconnect(context);
    send(
        context,
        [&, context, done](const redisReply* now) {
          ASSERT_EQ(text(now).front(), '[');
          send(
              context,
              [&, context, done](const redisReply* put) {
                ASSERT_EQ(text(put).front(), '[');
                raise(context, done + (put->element[0]->integer == 1 ? 1 : 0));
              },
              "CAS ha:n %lld %lld", now->element[1]->integer,
              std::stoll(text(now->element[0])) + 1);
        },
        "GETV ha:n");
  };
  for (int i = 0; i < kClients; ++i) {
    redisAsyncContext* context = open();
    send(
        context, [&raise, context](const redisReply*) { raise(context, 0); }, "PING");
  }
  run();
  EXPECT_EQ(text(call(connect(), "GET ha:n")), std::to_string(kClients * kTimes));
}

TEST_F(HiredisAsync, ARestartIsTold) {
  redisAsyncContext* context = open();
  bool told = false;
  send(
      context,
      [&](const redisReply* reply) {
        EXPECT_EQ(text(reply), "OK");
        restart_proxy();
        send(
            context,
            [&told](const redisReply* none) {
              EXPECT_EQ(none, nullptr);
              told = true;
            },
            "GET ha:stays");
      },
      "SET ha:stays value");
  run();
  EXPECT_TRUE(told);
  EXPECT_EQ(lost_, 1);
  redisAsyncContext* another = open();
  send(another, expect("value"), "GET ha:stays");
  redisAsyncDisconnect(another);
  run();
  EXPECT_EQ(left_, 1);
}

}  // namespace
