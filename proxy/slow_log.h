// The slow log: the commands that took longer than slowlog-log-slower-than, the latest first. Only
// touched when one did. Any thread.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace rdmakv::proxy {

struct SlowLogEntry {
  uint64_t id = 0;
  int64_t time_s = 0;  // wall clock, when it ended
  uint64_t duration_us = 0;
  std::vector<std::string> arguments;  // cut as Redis cuts them
  std::string address, client_name;
};

class SlowLog {
 public:
  static constexpr size_t kMostArguments = 32;
  static constexpr size_t kMostBytes = 128;  // of an argument

  // fill(entry) says everything but its id, in an entry that may have been another: where commands
  // wait long, many are slow, and the memory of the oldest is used again. `most`: slowlog-max-len.
  template <typename Fill>
  void add(size_t most, Fill&& fill) {
    const std::lock_guard lock(mutex_);
    SlowLogEntry entry;
    if (!entries_.empty() && entries_.size() >= most) {
      entry = std::move(entries_.back());
      entries_.pop_back();
    }
    entry.id = next_id_++;
    fill(entry);
    entries_.push_front(std::move(entry));
    if (entries_.size() > most) entries_.resize(most);
  }
  std::vector<SlowLogEntry> latest(size_t count) const;
  size_t size() const;
  void clear();

 private:
  mutable std::mutex mutex_;
  std::deque<SlowLogEntry> entries_;
  uint64_t next_id_ = 0;
};

}  // namespace rdmakv::proxy
