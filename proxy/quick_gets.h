// GETs that need no Request: where the client library can answer from memory here and now, those of
// one read that stand next to each other are answered together, straight into the output.
//
//   GET a, GET b, SET c .., GET d     a and b together; c as ever, and d too, since it waits for c
//
// Only while every earlier command of the connection is done, so that order is not in question;
// what cannot be answered like this, and all behind it, is executed as ever.
//
// A value of 4 KB or more is copied to registered memory, as an entry, and written from there with
// what goes around it in the reply put in its place:
//
//   header, key |         value      | unused            becomes   ... $16384\r\n | value | \r\n
//
// Or, when nothing else waits to be written, it is written from where it lies in the server's
// memory, at once, and what the socket does not take is copied: the server can do nothing else with
// that memory before.
//
// One per worker, because a worker parses for one connection at a time.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "proxy/command_table.h"
#include "rdmakv/client/at_once.h"

namespace rdmakv::proxy {

class QuickGets {
 public:
  bool empty() const { return count_ == 0; }
  bool full() const { return count_ == keys_.size(); }
  // `key` stays where it is until clear(). `name`: what the client called the command.
  void add(const Command& command, std::string_view name, std::string_view key) {
    command_ = &command;
    name_ = name;
    keys_[count_++] = key;
  }
  void clear() { count_ = 0; }

  const Command& command() const { return *command_; }
  std::string_view name() const { return name_; }
  std::span<const std::string_view> keys() const { return {keys_.data(), count_}; }

 private:
  const Command* command_ = nullptr;
  std::string_view name_;
  std::array<std::string_view, AtOnceReader::kMost> keys_;
  size_t count_ = 0;
};

}  // namespace rdmakv::proxy
