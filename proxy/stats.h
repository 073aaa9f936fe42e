// What a worker counts. Each counter has one writer, its worker, and may be read by any thread
// (INFO); reading and adding are relaxed and cost what a plain integer costs.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "proxy/latency_histogram.h"

namespace rdmakv::proxy {

class Counter {
 public:
  void add(uint64_t amount = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  uint64_t get() const { return value_.load(std::memory_order_relaxed); }
  // Only by the worker that counts.
  void reset() { value_.store(0, std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// Of one command (or subcommand).
struct CommandStats {
  Counter calls;         // executed, failed ones included
  Counter microseconds;  // from issue to reply, summed; as exact as the worker's clock, read once a
                         // turn
  Counter rejected;      // refused before execution: wrong arity
  Counter failed;        // answered by an error
  // While latency-tracking is on; made by its worker when the first call ended, and then there.
  std::atomic<LatencyHistogram*> latency{nullptr};

  void record_latency(uint64_t elapsed_us);

 private:
  std::unique_ptr<LatencyHistogram> owned_latency_;
};

// Error replies by their first word. Errors are rare enough for a lock.
class ErrorStats {
 public:
  void add(std::string_view error);
  void add_to(std::map<std::string, uint64_t>& sums) const;
  void reset();

 private:
  // As Redis: a client must not fill the memory with made-up codes.
  static constexpr size_t kMostCodes = 128;

  mutable std::mutex mutex_;
  std::map<std::string, uint64_t, std::less<>> counts_;
};

struct WorkerStats {
  explicit WorkerStats(size_t commands)
      : command_count(commands), commands(std::make_unique<CommandStats[]>(commands)) {}

  Counter connections;  // accepted
  Counter rejected;     // turned away by maxclients
  Counter processed;    // commands
  Counter unknown;      // commands that do not exist
  Counter errors;       // error replies
  ErrorStats error_codes;
  Counter auth_denied, command_denied, key_denied;  // by ACL
  Counter input_bytes, output_bytes;
  Counter reads, writes;  // system calls on client sockets
  Counter flushes;        // times that a batch was handed to the client library
  Counter hits, misses;   // keys that were (not) there when read
  Counter output_limit_closes, query_limit_closes, broken_replies;
  Counter repeated_reads, pin_waits, slow_reader_closes;  // pin_waiters.h
  const size_t command_count;
  const std::unique_ptr<CommandStats[]> commands;  // by Command::index

  void reset();
};

}  // namespace rdmakv::proxy
