// A client library with a map in memory instead of servers, for tests of what stands on top of it.
// It keeps the contract of rdmakv/client/client.h, on the strict side: values it lends are
// overwritten when `done` returns, operations on one key run in the order of submission, `done`
// comes only from poll().
//
// A test decides what fails (`fault`), when operations end (hold(), release()) and in which order.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "rdmakv/client/at_once.h"
#include "rdmakv/client/get_run.h"
#include "rdmakv/client/pinned_memory.h"
#include "rdmakv/client/put_run.h"
#include "rdmakv/transport/buffer_arena.h"

namespace rdmakv::fakes {

class FakeClient final : public Client,
                         public AtOnceReader,
                         public GetRunner,
                         public PutRunner,
                         public PinnedMemory {
 public:
  struct Options {
    uint64_t arena_bytes = 8 << 20;
    uint32_t max_single_put = 256 * 1024;
    uint32_t landing_bytes = 64 * 1024;  // larger values are pinned
    size_t most_pins = ~size_t{0};       // with so many, what needs one ends with kBusy
    bool pinned_memory = false;          // pinned values can be used where they lie
  };
  struct Entry {
    std::string value;
    uint64_t version = 0;
    int64_t expiry = 0;
    uint16_t user_flags = 0;
  };

  FakeClient() : FakeClient(Options{}) {}
  explicit FakeClient(const Options& options);
  ~FakeClient() override;

  void submit(Operation& operation) override;
  size_t get_at_once(std::span<const std::string_view> keys, AtOnce& answers) override;
  void read_in_place() override;
  bool takes_gets() const override { return true; }
  size_t get_run(GetRun& run) override;
  size_t put_run(std::span<const wire::PutView> puts, PutRun& run) override;
  bool has_room() const override { return !holding_; }
  bool has_pinned_memory() const override { return options_.pinned_memory; }
  std::span<const std::byte> pinned(const Ticket& pin, uint64_t offset, uint64_t length) override;
  bool pinned_holds(const Ticket& pin) override;
  void flush() override;
  size_t poll() override;
  int fd() const override { return fd_; }
  bool arm() override;
  bool busy() const override { return !submitted_.empty() || !ended_.empty(); }
  ValueBuffer allocate(uint32_t bytes) override { return arena_->allocate(bytes); }
  uint32_t max_single_put() const override { return options_.max_single_put; }
  Status connect_and_wait() override { return Status::ok(); }
  void wait(Operation& operation) override;
  bool same_worker(std::string_view, std::string_view) const override { return true; }
  bool has_one_worker() const override { return true; }
  bool is_with(std::string_view, uint16_t server, uint16_t worker) const override {
    return server == 0 && worker == 0;
  }
  int64_t server_clock_ms(std::string_view) const override { return now_ms; }
  ClientCounters counters() const override { return {}; }
  std::vector<ServerState> servers() const override;

  // ---- for tests ----
  std::map<std::string, Entry, std::less<>> store;
  int64_t now_ms = 1'700'000'000'000;
  // Asked for each operation when it runs: kOk, or the code with which it ends without effect.
  std::function<Code(const Operation&)> fault;
  size_t at_once = 0;  // so many keys, at most, does one get_at_once() answer
  size_t answered_at_once = 0;
  // Gives large values of up to so many bytes in place; they are others after read_in_place().
  size_t in_place = 0;
  size_t given_in_place = 0, given_back = 0;
  size_t in_runs = 0;      // so many puts, at most, does one put_run() take
  bool runs_full = false;  // whether it says that this was for want of credits
  size_t runs = 0, puts_in_runs = 0;
  size_t in_get_runs = 0;  // likewise gets, one get_run()
  size_t get_runs = 0, gets_in_runs = 0;
  // So many more times do pins hold when asked, or looked at; then all are void, and their bytes
  // others.
  size_t pins_hold = ~size_t{0};
  bool different_workers = false;  // no two keys are on one worker
  bool newest_first = false;       // completions of one poll in reverse order

  // Operations run, but do not end.
  void hold() {
    holding_ = true;
    releasable_ = 0;
  }
  void release(size_t count = ~size_t{0});
  // Ends one of the held operations, out of order.
  void release_at(size_t index);
  size_t held() const { return ended_.size(); }

  size_t flushes() const { return flushes_; }  // those that had something to send
  size_t submitted() const { return total_; }
  size_t largest_batch() const { return largest_batch_; }
  uint64_t free_bytes() const { return arena_->free_bytes(); }
  size_t pins() const { return pins_.size(); }
  size_t uploads() const { return uploads_.size(); }
  const std::vector<OperationKind>& history() const { return history_; }
  void clear_history() { history_.clear(); }
  void record_history() { recording_ = true; }

 private:
  struct Ended {
    Operation* operation = nullptr;
    std::string lent;
  };
  struct UploadState {
    std::string bytes;
    uint64_t received = 0;
  };

  // A put of a run.
  struct RunPut {
    Operation operation;
    std::string key, value;
    PutRun* run = nullptr;
    size_t index = 0;
    std::vector<RunPut*>* spare = nullptr;
  };
  static void run_put_done(Operation& operation);
  // Likewise a get.
  struct RunGet {
    Operation operation;
    std::string key;
    GetRun* run = nullptr;
    size_t index = 0;
    std::vector<RunGet*>* spare = nullptr;
  };
  static void run_get_done(Operation& operation);

  void count_hold();
  void run(Operation& operation);
  void execute(Operation& operation, Ended& ended);
  void get(Operation& operation, Ended& ended);
  void put(Operation& operation, std::string_view value, Ended& ended);
  void erase(Operation& operation, Ended& ended);
  void expire(Operation& operation, Ended& ended);
  void transact(Operation& operation, Ended& ended);
  bool run_part(const wire::RequestView& request, Operation& whole, uint64_t number,
                std::string& replies);
  // fake_client_functions.cc
  void modify(Operation& operation, std::string_view input, Ended& ended);
  void evaluate(Operation& operation, Ended& ended);
  static void take_function(const wire::RequestView& request, Operation& part);
  void upload(Operation& operation, Ended& ended);
  void scan(Operation& operation, Ended& ended);
  void copy(Operation& operation);
  void combine(Operation& operation);
  void erase_key(std::string_view key);
  void lend(Operation& operation, const std::string& value, Ended& ended);
  Entry* find(std::string_view key);
  Code check(const Operation& operation, const Entry* entry) const;
  void end(Ended& ended);

  Options options_;
  std::unique_ptr<BufferArena> arena_;
  int fd_ = -1;
  std::vector<Operation*> submitted_;  // not flushed
  std::vector<Operation*> flushed_, running_;
  std::vector<std::unique_ptr<RunPut>> run_puts_;
  std::vector<RunPut*> spare_run_puts_;
  std::vector<std::unique_ptr<RunGet>> run_gets_;
  std::vector<RunGet*> spare_run_gets_;
  std::vector<Ended> ended_, due_;  // ran, `done` not called
  std::vector<std::string> spare_;  // strings whose memory is used again
  std::map<uint64_t, std::string> pins_;
  std::vector<std::unique_ptr<std::string>> read_in_place_;
  std::map<uint64_t, UploadState> uploads_;
  std::vector<OperationKind> history_;
  uint64_t next_ticket_ = 1;
  uint64_t version_floor_ = 0;
  uint64_t removals_ = 0;
  size_t flushes_ = 0, total_ = 0, largest_batch_ = 0, releasable_ = 0;
  bool holding_ = false, recording_ = false;
};

}  // namespace rdmakv::fakes
