// GETs under way without a Request each: a connection's that stood next to each other in what it
// sent, for servers that are asked (rdmakv/client/get_run.h). They have one Request in the reply
// queue, and their replies are written as they come, in the order of the commands.
//
// One that is not as simple as that gets a Request, in its place, and so do those behind it:
//
//   [ GET a b c d ]  ->  [ GET a b ] [ GET c, as ever ] [ GET d ]
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "rdmakv/client/get_run.h"

namespace rdmakv::proxy {

class Request;
class Worker;

// Pooled by the worker.
class QuickGetRun final : public GetRun {
 public:
  // Keeps copies of keys, from the first on, as far as there is room, to be asked for; how many.
  size_t keep(std::span<const std::string_view> from);
  // What has been taken of them has this Request.
  void begin(Worker& worker, Request& request);

  // Whether `key` is one of the keys.
  bool asks_for(std::string_view key) const {
    return std::find(keys.begin(), keys.end(), key) != keys.end();
  }
  // Those that this Request stands for.
  template <typename Visit>
  void for_each_key(const Request& request, Visit&& visit) const {
    for (size_t i = 0; i < taken; ++i) {
      if (parts_[i] == &request) visit(keys_[i]);
    }
  }

  void take(size_t index, bool found, std::span<const std::byte> bytes) override;
  Operation& stand_in(size_t index) override;
  void done() override;

 private:
  enum class State : uint8_t { kOpen, kFound, kMissing, kOver };
  // An answer that came before one of an earlier command: its value is a piece of early_.
  struct Early {
    State state;
    uint32_t at, length;
  };

  void write(size_t index, bool found, std::string_view value);
  void go_on();

  Worker* worker_ = nullptr;
  size_t next_ = 0;  // to be written
  size_t hits_ = 0;
  std::array<Request*, kMost> parts_;  // whose reply it belongs to; null: a Request of its own
  std::array<Early, kMost> answers_;
  std::string early_;
  std::array<std::string_view, kMost> keys_;
  char text_[4096];  // of the keys
};

}  // namespace rdmakv::proxy
