// SETs without options, or with an expiry and nothing else (SETEX and PSETEX, too), that need no
// Request each: those of one read that stand next to each other are handed to the client library
// together (rdmakv/client/put_run.h), straight from what was read, and have one Request in the
// reply queue, which is finished when all of them are done.
//
//   SET a 1, SET b 2, GET c, SET d 4     a and b together; c as ever; d alone
//
// What the library does not take is executed as ever, and whatever has to look at each command
// keeps SETs from being quick (Connection::may_be_quick_set()).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "proxy/command_table.h"
#include "proxy/request.h"
#include "rdmakv/client/put_run.h"

namespace rdmakv::proxy {

// Gathered while a worker parses for one connection.
class QuickSets {
 public:
  bool empty() const { return count_ == 0; }
  bool full() const { return count_ == puts_.size(); }
  static constexpr size_t kMostArguments = 5;  // SET key value EX seconds

  // What the arguments say, `put` among it, stays where it is until clear(). All of them have the
  // same command, under the same name.
  void add(const Command& command, Arguments arguments, const wire::PutView& put) {
    command_ = &command;
    puts_[count_] = put;
    std::copy(arguments.begin(), arguments.end(), arguments_[count_].begin());
    argument_counts_[count_++] = static_cast<uint8_t>(arguments.size());
  }
  void clear() { count_ = 0; }

  const Command& command() const { return *command_; }
  // What the client called the command.
  std::string_view name() const { return arguments_[0][0]; }
  std::span<const wire::PutView> puts() const { return {puts_.data(), count_}; }
  Arguments arguments(size_t index) const {
    return {arguments_[index].data(), argument_counts_[index]};
  }

 private:
  const Command* command_ = nullptr;
  std::array<wire::PutView, PutRun::kMost> puts_;
  std::array<std::array<std::string_view, kMostArguments>, PutRun::kMost> arguments_;
  std::array<uint8_t, PutRun::kMost> argument_counts_;
  size_t count_ = 0;
};

// SETs under way. Keeps their keys and values, which the slow log may want to know, as far as there
// is room: they lie near each other in what was read, so they are copied as one piece.
class SetRun : public PutRun {
 public:
  void keep(const QuickSets& quick, size_t count) {
    const std::span<const wire::PutView> puts = quick.puts().first(count);
    const char* const begin = puts[0].key.data();
    size_t end = 0;
    for (size_t i = 0; i < count; ++i) {
      argument_counts_[i] = static_cast<uint8_t>(quick.arguments(i).size());
    }
    for (kept_ = 0; kept_ < puts.size(); ++kept_) {
      const wire::PutView& put = puts[kept_];
      const auto* value = reinterpret_cast<const char*>(put.value.data());
      const size_t after = static_cast<size_t>(value - begin) + put.value.size();
      if (put.key.data() < begin || value < put.key.data() || after > sizeof(text_)) break;
      places_[kept_] = {static_cast<uint16_t>(put.key.data() - begin),
                        static_cast<uint16_t>(put.key.size()), static_cast<uint16_t>(value - begin),
                        static_cast<uint16_t>(put.value.size())};
      end = after;
    }
    if (end > 0) std::copy_n(begin, end, text_);
  }
  size_t argument_count(size_t index) const { return argument_counts_[index]; }
  // Of one of them; without key and value: they were not kept.
  wire::PutView kept(size_t index) const {
    if (index >= kept_) return {};
    const Place& place = places_[index];
    const std::string_view value(text_ + place.value, place.value_length);
    return {{text_ + place.key, place.key_length}, std::as_bytes(std::span(value)), 0};
  }

 private:
  struct Place {
    uint16_t key, key_length, value, value_length;
  };
  size_t kept_ = 0;
  Place places_[kMost];
  uint8_t argument_counts_[kMost];
  char text_[8192];
};

}  // namespace rdmakv::proxy
