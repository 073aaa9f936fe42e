// What a worker counts. Each counter has one writer, its worker, and may be read by any thread
// (INFO); reading and adding are relaxed and cost what a plain integer costs.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

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
};

struct WorkerStats {
  explicit WorkerStats(size_t commands)
      : command_count(commands), commands(std::make_unique<CommandStats[]>(commands)) {}

  Counter connections;  // accepted
  Counter rejected;     // turned away by maxclients
  Counter processed;    // commands
  Counter unknown;      // commands that do not exist
  Counter errors;       // error replies
  Counter input_bytes, output_bytes;
  Counter reads, writes;  // system calls on client sockets
  Counter flushes;        // times that a batch was handed to the client library
  Counter hits, misses;   // keys that were (not) there when read
  Counter output_limit_closes, query_limit_closes, broken_replies;
  const size_t command_count;
  const std::unique_ptr<CommandStats[]> commands;  // by Command::index

  void reset();
};

}  // namespace rdmakv::proxy
