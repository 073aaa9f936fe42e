// What a client has watched and queued between WATCH or MULTI and EXEC. A connection has one only
// while there is something in it. One worker's thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "protocol/kv_message.h"
#include "proxy/command_table.h"
#include "rdmakv/client/operation.h"

namespace rdmakv::proxy {

struct QueuedCommand {
  const Command* command = nullptr;
  std::vector<std::string> arguments;
};

// Set, from any thread, when a watched key was seen to have changed.
using ChangedMark = std::atomic<bool>;

// What was told of a watched key.
struct WatchedKey {
  uint64_t version = 0;   // 0: there was no such key
  uint64_t removals = 0;  // then: what kInspect told
  uint64_t epoch = 0;     // of the server that told it: another one counts from 1 again
  bool known = false;     // all of that has been told

  // By what an answered kInspect says of the key now: whether EXEC would be refused.
  bool changed(const Operation& now) const {
    if (now.code != Code::kOk && now.code != Code::kNotFound) return false;
    return now.epoch != epoch || now.version != version || (version == 0 && now.number != removals);
  }
};

class Transaction {
 public:
  using Watched = std::map<std::string, WatchedKey, std::less<>>;
  // EXEC has a step for each.
  static constexpr size_t kMostWatched = wire::kMaxRequestsPerTransaction;
  // What watching a key takes besides the key, at most: its place in the map, and asking for it.
  static constexpr uint64_t kWatchBytes =
      sizeof(Watched::value_type) + 4 * sizeof(void*) + sizeof(Operation) + 2 * sizeof(void*);

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
    overhead_ += sizeof(QueuedCommand) + arguments.size() * sizeof(std::string);
  }
  std::vector<QueuedCommand>& commands() { return commands_; }
  const std::vector<QueuedCommand>& commands() const { return commands_; }
  // Of all queued commands together.
  uint32_t flags() const { return flags_; }
  uint64_t bytes() const { return bytes_; }
  // What it takes of memory, watched keys included.
  uint64_t memory() const { return bytes_ + overhead_ + watched_bytes_; }

  // Null: it is watched already, and keeps the version of the first time. Stays where it is.
  Watched::value_type* watch(std::string_view key) {
    const auto [at, is_new] = watched_.try_emplace(std::string(key));
    if (!is_new) return nullptr;
    watched_bytes_ += key.size() + kWatchBytes;
    return &*at;
  }
  Watched& watched() { return watched_; }
  // Of the keys that are watched now; it stays so. Lives as long as anybody may set it.
  const std::shared_ptr<ChangedMark>& changed_mark() {
    if (changed_ == nullptr) changed_ = std::make_shared<ChangedMark>(false);
    return changed_;
  }
  bool changed() const { return changed_ != nullptr && changed_->load(std::memory_order_relaxed); }
  void unwatch() {
    watched_.clear();
    watched_bytes_ = 0;
    changed_.reset();
    if (!open_) spoiled_ = false;
  }

 private:
  bool open_ = false;
  bool spoiled_ = false;
  uint32_t flags_ = 0;
  uint64_t bytes_ = 0, overhead_ = 0, watched_bytes_ = 0;
  std::vector<QueuedCommand> commands_;
  Watched watched_;
  std::shared_ptr<ChangedMark> changed_;  // null: nobody has looked
};

}  // namespace rdmakv::proxy
