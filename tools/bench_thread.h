// One thread of kv_bench: a Client of its own, and `depth` operations under way at most.
//
// Closed loop: the next operation begins when one is done. Its latency is what the operation took,
// which hides what a stalled server would have done to those who wanted to come meanwhile
// ("coordinated omission", Gil Tene). Open loop (`rate`): operations have times at which they are
// due, whatever became of the ones before, and latency counts from there; what the operation itself
// took is kept beside it.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "rdmakv/client/at_once.h"
#include "rdmakv/client/put_run.h"
#include "tools/histogram.h"
#include "tools/workload.h"

namespace rdmakv {

struct BenchThreadOptions {
  Workload::Options workload;
  const ValueSizes* sizes = nullptr;
  uint32_t depth = 1;
  uint64_t operations = 0;    // to do
  double rate = 0;            // due per second; 0: closed loop
  bool poisson = false;       // the times between are exponentially distributed, not all the same
  bool at_once = false;       // GETs by get_at_once(), as many as `depth` together, where it can be
  bool in_runs = false;       // PUTs by put_run(), as many as `depth` together, where it can be
  uint32_t prepared = 0;      // drawn before the clock starts, and repeated; 0: each when it begins
  uint64_t spin_ns = 50'000;  // how long to poll before sleeping
};

struct BenchResult {
  Histogram latency[kActions];  // ns; open loop: from when it was due
  Histogram service[kActions];  // ns; open loop: from submit() to done
  uint64_t not_found = 0;
  uint64_t failures = 0;
  Code first_failure = Code::kOk;
  uint16_t failed_server = 0;             // that the first failure was of
  uint64_t started_ns = 0, ended_ns = 0;  // steady clock
  uint64_t cpu_ns = 0;                    // of the thread
  ClientCounters counts;

  void merge(const BenchResult& other);
};

class BenchThread {
 public:
  BenchThread(Client& client, const BenchThreadOptions& options);
  // Puts the items [first, last) of the shared key space; part of the result only if it fails.
  void load(uint64_t first, uint64_t last);
  void run();
  BenchResult& result() { return result_; }

 private:
  struct Lane {
    Operation operation;
    BenchThread* thread = nullptr;
    Action action = Action::kRead;
    bool reading = false;  // the first half of a read-modify-write
    char key[kKeyBytes];
    uint64_t due_ns = 0, submitted_ns = 0;
    std::vector<std::byte> destination;
  };

  // PUTs under way together.
  struct Run : PutRun {
    BenchThread* thread = nullptr;
    std::vector<Lane*> lanes;
  };

  static void done(Operation& operation);
  static void run_done(PutRun& run);
  void prepare();
  void draw(Lane& lane);
  void begin(uint64_t now);
  void submit_read(Lane& lane);
  void submit_put(Lane& lane);
  void finish(Lane& lane, uint64_t now);
  void finish_gets();
  void send_puts();
  void answered(Code code, uint16_t server);
  void turn(bool something_begun);
  bool may_begin(uint64_t now) const;
  uint64_t next_due();

  Client& client_;
  AtOnceReader* const at_once_;  // null: not to be used
  PutRunner* const runner_;      // likewise
  const BenchThreadOptions options_;
  Workload workload_;
  std::vector<std::byte> value_;
  std::deque<Lane> lanes_;
  std::vector<Lane*> free_;
  std::vector<Lane*> gets_;  // to be answered at once, if that is possible
  std::vector<Lane*> puts_;  // to be sent in runs
  std::deque<Run> runs_;
  std::vector<Run*> free_runs_;
  struct Prepared {
    Action action;
    char key[kKeyBytes];
  };
  std::vector<Prepared> prepared_;
  size_t next_prepared_ = 0;
  uint64_t left_ = 0;
  bool loading_ = false;
  uint64_t next_item_ = 0;
  uint64_t due_ns_ = 0;
  uint64_t last_progress_ns_ = 0;
  BenchResult result_;
};

}  // namespace rdmakv
