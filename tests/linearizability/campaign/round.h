// A round of a campaign: clients of several processes at work on keys of their own, some of them
// killed and followed by others, the server perhaps killed and started again; then the history is
// checked, and the server's books are.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "tests/linearizability/campaign/audit.h"
#include "tests/linearizability/campaign/server_process.h"
#include "tests/linearizability/campaign/workload.h"
#include "tests/linearizability/checker.h"

namespace rdmakv::linearizability {

struct Totals {
  uint64_t rounds = 0;
  uint64_t restarts = 0;  // of the server
  uint64_t kills = 0;     // of client processes
  std::array<uint64_t, fakes::kChaosPoints> kills_at = {};
  Report report;
  uint64_t linked_seen = 0;
  uint64_t linked_before = 0;  // when the last round ended; of the present server
  uint64_t full = 0;           // refused for want of space; of the present server
  double check_seconds = 0;
};

class Round {
 public:
  Round(const Workload& workload, ServerProcess& server, Totals& totals, uint64_t number);

  // How long at most, ns. False: a finding, or something went wrong; stderr says what, and the
  // histories stay where they are.
  bool run(uint64_t most_ns, bool with_restart);

 private:
  struct Process {
    pid_t pid = -1;
    uint64_t kill_at = 0;
    int kill_point = -1;
    std::atomic<uint32_t>* killed_at = nullptr;
  };
  bool start(uint32_t index);
  bool reap(uint32_t index, bool again);
  bool restart_server();
  bool supervise(uint64_t most_ns, bool with_restart);
  bool end_processes(bool fine);
  bool check();
  bool audit_server();
  int client_process(uint32_t index, uint64_t seed, uint32_t first_client);
  void choose_death(Process& process);

  const Workload& workload_;
  ServerProcess& server_;
  Totals& totals_;
  const uint64_t number_;
  fakes::Dice dice_;
  std::vector<Process> processes_;
  std::vector<std::string> files_;
  std::vector<Record> restarts_;
  std::atomic<uint32_t>* stop_;
  std::atomic<uint64_t>* begun_;
};

}  // namespace rdmakv::linearizability
