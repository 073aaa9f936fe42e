// Messages of requests for a partition's transactions, and what came of them.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "protocol/kv_transaction.h"
#include "tests/rdmakv/server/cas_fixture.h"

namespace rdmakv::server {

struct One {  // a reply to a command
  ReplyStatus status = ReplyStatus::kOk;
  uint64_t version = 0;
  uint64_t number = 0;
  bool has_value = false;
  std::string value;
};

class Commands {
 public:
  Commands& require(std::string_view key, uint64_t version) {
    builder_.require(key, version);
    return *this;
  }
  Commands& require_absent_since(std::string_view key, uint64_t number) {
    builder_.require_absent_since(key, number);
    return *this;
  }
  Commands& add(const Ask& ask) {
    builder_.add(header_of(ask), ask.key, bytes_of_value(ask));
    return *this;
  }
  Commands& get(std::string_view key) { return add({.opcode = Opcode::kGet, .key = key}); }
  Commands& put(std::string_view key, std::string_view value) {
    return add({.opcode = Opcode::kPut, .key = key, .value = value});
  }
  Commands& swap(std::string_view key, std::string_view value) {
    return add({.opcode = Opcode::kPut, .key = key, .value = value, .flags = wire::kWantPrevious});
  }
  Commands& del(std::string_view key) { return add({.opcode = Opcode::kDelete, .key = key}); }
  std::string message() {
    const auto bytes = builder_.finish();
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

 private:
  wire::TransactionBuilder builder_;
};

template <typename Box>
Told run_message(Box& box, std::string_view key, std::string_view message) {
  return box.ask({.opcode = Opcode::kTransaction, .key = key, .value = message});
}

inline std::vector<One> replies_of(const Told& told) {
  std::vector<One> replies;
  wire::MessageReader reader(std::as_bytes(std::span(told.value.data(), told.value.size())),
                             wire::kMaxRequestsPerTransaction);
  wire::ReplyView reply;
  while (reader.next(reply)) {
    replies.push_back({reply.header.status,
                       reply.header.version,
                       reply.header.number,
                       (reply.header.flags & wire::kHasValue) != 0,
                       {reinterpret_cast<const char*>(reply.value.data()), reply.value.size()}});
  }
  EXPECT_TRUE(reader.valid()) << reader.error();
  return replies;
}

template <typename Box>
std::vector<One> run(Box& box, Commands& commands, std::string_view key = "a") {
  const Told told = run_message(box, key, commands.message());
  EXPECT_EQ(told.status, ReplyStatus::kOk);
  EXPECT_TRUE(told.has_value);
  return replies_of(told);
}

}  // namespace rdmakv::server
