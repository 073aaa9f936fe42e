// Offers a Redis server commands at a given rate, whatever becomes of those before: an open loop. A
// command's latency counts from when it was due, so one that had to wait behind a stalled one shows
// it ("coordinated omission", Gil Tene). The commands due go to the connections in turn; a
// connection pipelines what is due before its earlier replies have come. One thread, which polls
// without sleeping when something is due soon.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "rdmakv/transport/shm/unique_fd.h"
#include "rdmakv/transport/status.h"
#include "tools/histogram.h"
#include "tools/resp_replies.h"
#include "tools/workload.h"

namespace rdmakv {

struct OpenLoopOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 6379;
  uint32_t connections = 50;
  double rate = 10'000;        // commands due per second
  double probe_rate = 0;       // on one more connection, measured apart; 0: none
  double warm_up = 0.5;        // seconds at this rate before anything is recorded
  double seconds = 2;          // recorded
  double patience = 10;        // seconds to wait in the end for replies still out
  uint32_t get_percent = 100;  // the others are SETs
  uint32_t value_bytes = 64;
  uint64_t keys = 100'000;  // uniform, named as redis-benchmark's
  bool poisson = false;
  uint64_t seed = 1;
};

struct OpenLoopResult {
  Histogram latency;      // ns, from due to answered
  Histogram late;         // ns, from due to handed to the kernel: what the generator itself adds
  uint64_t due = 0;       // while recording
  uint64_t answered = 0;  // of those
  double seconds = 0;     // of recording, until the last was answered
};

class OpenLoop {
 public:
  explicit OpenLoop(const OpenLoopOptions& options) : options_(options), random_(options.seed) {}

  Status connect();
  // Fails when a connection ends, or what comes is no reply.
  Status run();
  const OpenLoopResult& result() const { return load_.result; }
  const OpenLoopResult& probe() const { return probe_.result; }
  uint64_t errors() const;  // error replies
  std::string first_error() const;

 private:
  struct Due {
    uint64_t at_ns = 0;
    bool recorded = false;
  };
  // Commands that become due one after the other, on connections of their own.
  struct Stream {
    double pause_ns = 0;                    // on average
    size_t first = 0, count = 0, next = 0;  // of connections_
    uint64_t next_due_ns = 0;
    uint64_t last_answer_ns = 0;
    OpenLoopResult result;
  };
  struct Connection {
    Stream* stream = nullptr;
    shm::UniqueFd socket;
    std::string out;  // from `sent` on still to be sent
    size_t sent = 0;
    std::deque<Due> due;  // commands without a reply, the oldest first
    size_t unsent = 0;    // of those, appended to `out` in this turn
    bool writable = true, watched = false;
    RespReplies replies;
  };

  Status open(Connection& connection);
  Status open_all(Stream& stream, size_t count, double rate);
  bool more_due(const Stream& stream) const {
    return stream.count > 0 && stream.next_due_ns < end_ns_;
  }
  void make_due(Stream& stream, uint64_t now);
  void append_command(std::string& to);
  Status write(Connection& connection);
  Status read(Connection& connection);
  Status wait(uint64_t now);
  Status turn();

  const OpenLoopOptions options_;
  Random random_;
  shm::UniqueFd epoll_;
  std::vector<Connection> connections_;
  std::vector<Connection*> touched_;  // with commands made due in this turn
  std::string value_;
  std::string input_;
  Stream load_, probe_;
  uint64_t record_from_ns_ = 0, end_ns_ = 0;
  uint64_t outstanding_ = 0;
};

}  // namespace rdmakv
