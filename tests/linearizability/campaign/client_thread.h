// One client of a campaign: keeps a window of operations under way, writes down each.
//
//   client_run.cc         its life
//   client_operations.cc  what it asks
//   client_answers.cc     what it is told
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/kv_transaction.h"
#include "tests/fakes/chaos_fabric.h"
#include "tests/linearizability/campaign/workload.h"
#include "tests/linearizability/history_file.h"

namespace rdmakv::linearizability {

inline constexpr uint32_t kHugeBytes = 1'200'000;  // more than one READ takes

class ClientThread {
 public:
  explicit ClientThread(const ClientRun& run);
  ~ClientThread();
  ClientThread(const ClientThread&) = delete;
  ClientThread& operator=(const ClientThread&) = delete;

  int run();

 private:
  struct Slot {
    Operation operation;
    ClientThread* client = nullptr;
    Record* record = nullptr;
    std::string key;
    uint64_t key_id = 0;
    std::vector<std::byte> input, output;
    wire::TransactionBuilder transaction;
    // Of a pinned value:
    uint64_t pinned_version = 0;
    uint64_t pinned_bytes = 0, pinned_read = 0;  // all, and those that have come
    bool busy = false;
    uint64_t begun_ns = 0;
  };

  // What this client does most.
  enum class Role : uint8_t { kAll, kReader, kSwapper, kWriter };
  Mix mix_of(Role role) const;

  bool set_up();
  void begin(Slot& slot);
  void make_get(Slot& slot, Record& asked);
  void make_write(Slot& slot, Record& asked, bool cas);
  void make_expire(Slot& slot, Record& asked);
  void make_pair(Slot& slot, Record& asked);
  uint64_t history_deadline(int64_t expiry_ms) const;
  uint32_t pick_size();
  void done(Slot& slot);
  void finish_get(Slot& slot, Record& answer);
  void finish_change(Slot& slot, Record& answer);
  void finish_pair(const Operation& operation, Record& answer);
  bool read_pinned(Slot& slot, Record& answer);
  void wait_a_little();
  void testify() const;  // witness.h

  const ClientRun& run_;
  fakes::Dice dice_;
  Mix mix_;
  uint32_t window_ = 1;
  std::unique_ptr<Fabric> fabric_;
  std::unique_ptr<fakes::ChaosFabric> chaos_;
  std::optional<HistoryWriter> history_;
  std::unique_ptr<Client> client_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<uint64_t> versions_;  // as last seen, by key
  std::vector<uint64_t> seen_;      // likewise, but together with the value
  uint32_t busy_ = 0;
  uint64_t begun_ = 0;
  uint64_t values_ = 0;
  uint32_t refused_ = 0;
  int empty_polls_ = 0;
  bool broken_ = false;
  const char* stage_ = "is being set up";
};

}  // namespace rdmakv::linearizability
