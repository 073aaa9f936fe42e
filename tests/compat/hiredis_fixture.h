// What the tests of hiredis share. PROXY_HOST and the like tell where the proxy is
// (tests/compat/run starts it, and says what else there is).
#pragma once

#include <gtest/gtest.h>
#include <hiredis/hiredis.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <memory>
#include <string>

// hiredis leaves it to the program: to write to a connection that was closed must not end it.
inline const auto pipe_signal_before = std::signal(SIGPIPE, SIG_IGN);

struct FreeContext {
  void operator()(redisContext* context) const { redisFree(context); }
};
struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using Context = std::unique_ptr<redisContext, FreeContext>;
using Reply = std::unique_ptr<redisReply, FreeReply>;

inline const char* setting(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}
inline Context connect() {
  return Context(redisConnect(setting("PROXY_HOST"), std::atoi(setting("PROXY_PORT"))));
}

template <typename... Words>
Reply call(const Context& context, const char* format, Words... words) {
  return Reply(static_cast<redisReply*>(redisCommand(context.get(), format, words...)));
}

// A reply as text: strings and errors as they are, integers in digits, arrays in brackets.
inline std::string text(const redisReply* reply) {
  if (reply == nullptr) return "(no reply)";
  switch (reply->type) {
    case REDIS_REPLY_NIL:
      return "(nil)";
    case REDIS_REPLY_INTEGER:
      return std::to_string(reply->integer);
    case REDIS_REPLY_ARRAY: {
      std::string all = "[";
      for (size_t i = 0; i < reply->elements; ++i) {
        all += (i == 0 ? "" : " ") + text(reply->element[i]);
      }
      return all + "]";
    }
    default:
      return std::string(reply->str, reply->len);
  }
}
inline std::string text(const Reply& reply) {
  return text(reply.get());
}

// Ends the proxy and waits until another is in its place.
inline void restart_proxy() {
  const Context control(redisConnectUnix(setting("PROXY_RESTART")));
  ASSERT_EQ(control->err, 0) << control->errstr;
  char told[1000];
  const ssize_t size = read(control->fd, told, sizeof(told));
  ASSERT_EQ(std::string(told, size > 0 ? static_cast<size_t>(size) : 0), "ready\n");
}
