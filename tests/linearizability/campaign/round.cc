#include "tests/linearizability/campaign/round.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "rdmakv/client/clock.h"
#include "tests/linearizability/campaign/child.h"
#include "tests/linearizability/campaign/witness.h"
#include "tests/linearizability/explanation.h"
#include "tests/linearizability/history_file.h"
#include "tests/linearizability/report_line.h"

namespace rdmakv::linearizability {
namespace {

constexpr uint64_t kPatienceNs = 180'000'000'000;  // for processes to end
constexpr uint64_t kKillPatienceNs = 20'000'000'000;
constexpr size_t kExplained = 3;

// What the processes of a round share with us. One for all rounds.
struct Shared {
  std::atomic<uint32_t> stop;
  std::atomic<uint64_t> begun;
  std::atomic<uint32_t> killed_at[64];
};
Shared& shared_with_children() {
  static Shared* const kShared = shared<Shared>();
  return *kShared;
}

// Numbers of clients name their values, so they are never used twice.
uint32_t next_client = 0;

void nap() {
  const timespec pause{0, 2'000'000};
  nanosleep(&pause, nullptr);
}

}  // namespace

Round::Round(const Workload& workload, ServerProcess& server, Totals& totals, uint64_t number)
    : workload_(workload),
      server_(server),
      totals_(totals),
      number_(number),
      dice_(workload.seed * 1'000'003 + number),
      processes_(workload.processes),
      stop_(&shared_with_children().stop),
      begun_(&shared_with_children().begun) {}

bool Round::run(uint64_t most_ns, bool with_restart) {
  stop_->store(0);
  begun_->store(0);
  for (uint32_t i = 0; i < workload_.processes; ++i) {
    processes_[i].killed_at = &shared_with_children().killed_at[i];
    if (!start(i)) return false;
  }
  const bool well = supervise(most_ns, with_restart);
  const bool fine = check() && well && audit_server();
  ++totals_.rounds;
  if (!fine) {
    std::fprintf(stderr, "campaign: the histories are %s/r%lu.*\n", workload_.directory.c_str(),
                 static_cast<unsigned long>(number_));
    return false;
  }
  for (const std::string& file : files_) unlink(file.c_str());
  return true;
}

// ---- processes ---------------------------------------------------------------------------------

void Round::choose_death(Process& process) {
  process.kill_at = 0;
  process.kill_point = -1;
  if (!dice_.percent(workload_.killed_percent)) return;
  if (dice_.percent(50)) {
    const uint64_t bits = 4 + dice_.below(workload_.longest_life_bits - 3);
    process.kill_at = 1 + dice_.below(uint64_t{1} << bits);
  } else {
    process.kill_point = static_cast<int>(dice_.below(fakes::kChaosPoints));
    process.kill_at = 1 + dice_.below(uint64_t{1} << dice_.below(8));
  }
}

bool Round::start(uint32_t index) {
  Process& process = processes_[index];
  choose_death(process);
  process.killed_at->store(0);
  const uint64_t seed = dice_.next();
  const uint32_t first_client = next_client;
  next_client += workload_.threads;
  for (uint32_t i = 0; i < workload_.threads; ++i) {
    files_.push_back(workload_.directory + "/r" + std::to_string(number_) + ".client" +
                     std::to_string(first_client + i));
  }
  Result<pid_t> child = start_child([&] { return client_process(index, seed, first_client); });
  if (!child) {
    std::fprintf(stderr, "campaign: %s\n", child.status().to_string().c_str());
    return false;
  }
  process.pid = *child;
  return true;
}

int Round::client_process(uint32_t index, uint64_t seed, uint32_t first_client) {
  become_witness();
  const Process& process = processes_[index];
  std::vector<std::thread> threads;
  std::atomic<int> worst{0};
  std::vector<ClientRun> runs(workload_.threads);
  for (uint32_t i = 0; i < workload_.threads; ++i) {
    ClientRun& run = runs[i];
    run.workload = &workload_;
    run.number = first_client + i;
    run.seed = seed + i;
    run.first_key = 1 + number_ * (workload_.keys + 1);
    run.operations =
        workload_.client_operations != 0 ? workload_.client_operations : workload_.round_operations;
    run.kill_at = i == seed % workload_.threads ? process.kill_at : 0;
    run.kill_point = process.kill_point;
    run.history = files_[files_.size() - workload_.threads + i];
    run.stop = stop_;
    run.killed_at = process.killed_at;
    run.begun = begun_;
    threads.emplace_back([&run, &worst] {
      if (const int status = run_client(run); status != 0) worst.store(status);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return worst.load();
}

// Sees whether the process has ended. False: in a way that it should not have.
bool Round::reap(uint32_t index, bool again) {
  Process& process = processes_[index];
  int status = 0;
  if (process.pid < 0 || waitpid(process.pid, &status, WNOHANG) != process.pid) return true;
  process.pid = -1;
  const uint32_t point = process.killed_at->load();
  if (was_killed(status) && point != 0) {
    ++totals_.kills;
    ++totals_.kills_at[point - 1];
    return !again || start(index);
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return !again || start(index);
  std::fprintf(stderr, "campaign: a client process ended with %s\n", how_it_ended(status).c_str());
  return false;
}

bool Round::restart_server() {
  Record record;
  record.kind = Kind::kRestart;
  record.invoke_ns = monotonic_ns();
  server_.kill();
  const Status status = server_.start();
  record.return_ns = monotonic_ns();
  record.outcome = Outcome::kOk;
  restarts_.push_back(record);
  ++totals_.restarts;
  if (!status) std::fprintf(stderr, "campaign: %s\n", status.to_string().c_str());
  return status.is_ok();
}

bool Round::supervise(uint64_t most_ns, bool with_restart) {
  const uint64_t end = steady_ns() + most_ns;
  const uint64_t restart_after = dice_.below(workload_.round_operations);
  bool fine = true;
  while (fine && steady_ns() < end && begun_->load() < workload_.round_operations) {
    for (uint32_t i = 0; i < workload_.processes; ++i) fine &= reap(i, true);
    if (Status status = server_.check(); !status) {
      std::fprintf(stderr, "campaign: %s\n", status.to_string().c_str());
      fine = false;
    }
    if (with_restart && begun_->load() >= restart_after) {
      with_restart = false;
      fine &= restart_server();
    }
    nap();
  }
  stop_->store(1);
  return end_processes(fine);
}

// Waits for those that are left. One that does not end is a finding, and is asked what it is at.
bool Round::end_processes(bool fine) {
  const uint64_t patience = steady_ns() + kPatienceNs;
  for (uint32_t i = 0; i < workload_.processes; ++i) {
    while (fine && processes_[i].pid >= 0) {
      fine &= reap(i, false);
      if (processes_[i].pid >= 0 && steady_ns() > patience) {
        std::fprintf(stderr, "campaign: client process %d does not end\n", processes_[i].pid);
        question(processes_[i].pid);
        question(processes_[i].pid);  // what still moves?
        fine = false;
      }
      nap();
    }
  }
  for (Process& process : processes_) {
    if (process.pid < 0) continue;
    if (!end_child(process.pid, kKillPatienceNs)) {
      std::fprintf(stderr, "campaign: SIGKILL does not end client process %d either\n",
                   process.pid);
      question(process.pid);
    }
    process.pid = -1;
  }
  return fine;
}

// ---- judgement ---------------------------------------------------------------------------------

bool Round::check() {
  const auto start = std::chrono::steady_clock::now();
  History history;
  for (const std::string& file : files_) {
    if (access(file.c_str(), F_OK) != 0) continue;  // killed before it began
    if (Status status = history.add_file(file); !status) {
      // Killed while it was made.
      if (status.code() == Code::kInvalidArgument) continue;
      std::fprintf(stderr, "campaign: %s\n", status.to_string().c_str());
      return false;
    }
  }
  history.add(restarts_, ~uint32_t{0});
  if (Status status = history.prepare(); !status) {
    std::fprintf(stderr, "campaign: %s\n", status.to_string().c_str());
    return false;
  }
  KeyLimits limits;
  if (workload_.late_ns != 0) limits.late_ns = workload_.late_ns;
  const Report report = linearizability::check(history, limits);
  totals_.report.add(report);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  totals_.check_seconds += took.count();
  for (size_t i = 0; i < report.findings.size() && i < kExplained; ++i) {
    std::fprintf(stderr, "%s\n", explain(history, report.findings[i], limits).c_str());
  }
  return report.violations() == 0;
}

bool Round::audit_server() {
  auto* result = shared<AuditResult>();
  Result<pid_t> child = start_child([&] { return audit(workload_, *result); });
  int status = 0;
  if (child) waitpid(*child, &status, 0);
  const bool fine = child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (fine) {
    // The server counts from its start.
    const bool same_server = result->seen >= totals_.linked_before;
    totals_.linked_seen += result->seen - (same_server ? totals_.linked_before : 0);
    totals_.linked_before = result->seen;
    totals_.full = result->full;
  } else {
    std::fprintf(stderr, "campaign: the audit failed (%s)\n", how_it_ended(status).c_str());
  }
  munmap(result, sizeof(*result));
  return fine;
}

}  // namespace rdmakv::linearizability
