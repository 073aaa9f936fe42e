// What a client has watched and queued between WATCH or MULTI and EXEC. A connection has one only
// while there is something in it. One worker's thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "proxy/command_table.h"
#include "rdmakv/client/operation.h"

namespace rdmakv::proxy {

struct QueuedCommand {
  const Command* command = nullptr;
  std::vector<std::string> arguments;
};

// Set, from any thread, when a watched key was seen to have changed.
using ChangedMark = std::atomic<bool>;

struct WatchedKey {
  std::string key;
  uint64_t version = 0;   // 0: there was no such key
  uint64_t removals = 0;  // then: what kInspect told
  uint64_t epoch = 0;     // of the server that told it: another one counts from 1 again
  bool known = false;     // all of that has been told
  Operation operation;    // asks for it

  // By what an answered kInspect says of the key now: whether EXEC would be refused.
  bool changed(const Operation& now) const {
    if (now.code != Code::kOk && now.code != Code::kNotFound) return false;
    return now.epoch != epoch || now.version != version || (version == 0 && now.number != removals);
  }
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
  // Of the keys that are watched now; it stays so. Lives as long as anybody may set it.
  const std::shared_ptr<ChangedMark>& changed_mark() {
    if (changed_ == nullptr) changed_ = std::make_shared<ChangedMark>(false);
    return changed_;
  }
  bool changed() const { return changed_ != nullptr && changed_->load(std::memory_order_relaxed); }
  void unwatch() {
    watched_.clear();
    changed_.reset();
    if (!open_) spoiled_ = false;
  }

 private:
  bool open_ = false;
  bool spoiled_ = false;
  uint32_t flags_ = 0;
  uint64_t bytes_ = 0;
  std::vector<QueuedCommand> commands_;
  std::deque<WatchedKey> watched_;
  std::shared_ptr<ChangedMark> changed_;  // null: nobody has looked
};

}  // namespace rdmakv::proxy
