// What a client has watched and queued between WATCH or MULTI and EXEC. A connection has one only
// while there is something in it. One worker's thread.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "proxy/command_table.h"
#include "rdmakv/client/operation.h"

namespace rdmakv::proxy {

struct QueuedCommand {
  const Command* command = nullptr;
  std::vector<std::string> arguments;
};

struct WatchedKey {
  std::string key;
  uint64_t version = 0;   // 0: there was no such key
  uint64_t removals = 0;  // then: what kInspect told
  uint64_t epoch = 0;     // of the server that told it: another one counts from 1 again
  Operation operation;    // asks for it
};

class Transaction {
 public:
  // From MULTI on commands are queued.
  bool open() const { return open_; }
  void begin() { open_ = true; }

  // EXEC is to answer EXECABORT: a command was not fit to be queued, or a key could not be watched.
  void spoil() { spoiled_ = true; }
  bool spoiled() const { return spoiled_; }

  void queue(const Command& command, Arguments arguments) {
    commands_.push_back({&command, {arguments.begin(), arguments.end()}});
    flags_ |= command.flags;
    for (const std::string_view argument : arguments) bytes_ += argument.size();
  }
  std::vector<QueuedCommand>& commands() { return commands_; }
  const std::vector<QueuedCommand>& commands() const { return commands_; }
  // Of all queued commands together.
  uint32_t flags() const { return flags_; }
  uint64_t bytes() const { return bytes_; }

  // Stays where it is. A key that is watched already keeps the version of the first time.
  WatchedKey& watch(std::string_view key) {
    watched_.emplace_back();
    watched_.back().key = key;
    return watched_.back();
  }
  bool watches(std::string_view key) const {
    for (const WatchedKey& one : watched_) {
      if (one.key == key) return true;
    }
    return false;
  }
  std::deque<WatchedKey>& watched() { return watched_; }
  void unwatch() {
    watched_.clear();
    if (!open_) spoiled_ = false;
  }

 private:
  bool open_ = false;
  bool spoiled_ = false;
  uint32_t flags_ = 0;
  uint64_t bytes_ = 0;
  std::vector<QueuedCommand> commands_;
  std::deque<WatchedKey> watched_;
};

}  // namespace rdmakv::proxy
