// Plain SETs that need no Request each: those of one read that stand next to each other are handed
// to the client library together (rdmakv/client/put_run.h), straight from what was read, and have
// one Request in the reply queue, which is finished when all of them are done.
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
  // Key and value stay where they are until clear(). `name`: what the client called the command.
  void add(const Command& command, std::string_view name, std::string_view key,
           std::string_view value) {
    command_ = &command;
    name_ = name;
    puts_[count_++] = {key, std::as_bytes(std::span(value)), 0};
  }
  void clear() { count_ = 0; }

  const Command& command() const { return *command_; }
  std::string_view name() const { return name_; }
  std::span<const wire::PutView> puts() const { return {puts_.data(), count_}; }

 private:
  const Command* command_ = nullptr;
  std::string_view name_;
  std::array<wire::PutView, PutRun::kMost> puts_;
  size_t count_ = 0;
};

// SETs under way. Keeps their keys and values, which the slow log may want to know, as far as there
// is room: they lie near each other in what was read, so they are copied as one piece.
class SetRun : public PutRun {
 public:
  void keep(std::span<const wire::PutView> puts) {
    const char* const begin = puts[0].key.data();
    size_t end = 0;
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
  char text_[8192];
};

}  // namespace rdmakv::proxy
