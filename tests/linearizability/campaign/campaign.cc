// campaign: clients of every kind against a server, by every path and with every accident, for as
// long as one likes; what they saw is recorded and checked to be linearizable.
//
// Exit status: 0 nothing found; 1 a finding, which stderr explains; 2 bad usage or surroundings.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "rdmakv/client/clock.h"
#include "tests/linearizability/campaign/round.h"
#include "tests/linearizability/report_line.h"

namespace rdmakv::linearizability {
namespace {

struct Arguments {
  double minutes = 1;
  uint64_t operations = 0;
  uint64_t kills = 0;
  std::string transport = "shm";
  bool calm = false;
  bool short_lives = false;
  bool pressure = false;
  uint32_t restart_percent = 30;
  Workload workload;
  ServerSetup server;
};

void declare(CLI::App& app, Arguments& arguments) {
  Workload& workload = arguments.workload;
  app.add_option("--minutes", arguments.minutes, "For how long")->capture_default_str();
  app.add_option("--operations", arguments.operations, "Ends when so many were checked");
  app.add_option("--kills", arguments.kills, "Ends when so many client processes were killed");
  app.add_option("--seed", workload.seed, "Of the dice")->capture_default_str();
  app.add_option("--processes", workload.processes, "Client processes")
      ->check(CLI::Range(1u, 64u))
      ->capture_default_str();
  app.add_option("--threads", workload.threads, "Clients of each process")->capture_default_str();
  app.add_option("--window", workload.window, "Operations that a client has under way")
      ->capture_default_str();
  app.add_option("--keys", workload.keys, "Keys of a round")->capture_default_str();
  app.add_option("--round", workload.round_operations, "Operations of a round")
      ->capture_default_str();
  app.add_option("--large", workload.mix.large_per_mille, "Values of more than 4 KB, per mille")
      ->capture_default_str();
  app.add_flag("--calm", arguments.calm, "No chaos: no delays, cuts, kills");
  app.add_flag("--short-lives", arguments.short_lives,
               "Every client process is killed soon, most of them beside or within a CAS");
  app.add_flag("--pressure", arguments.pressure,
               "More is stored than the pool holds: it is full all the time");
  app.add_option("--expires", workload.mix.expires, "Percent of the operations that are EXPIREs")
      ->capture_default_str();
  app.add_option("--pairs", workload.mix.pairs, "Percent of the operations that concern the pair")
      ->capture_default_str();
  app.add_option("--restarts", arguments.restart_percent,
                 "Percent of the rounds in which the server is killed and started again")
      ->capture_default_str();
  app.add_option("--late-ms", workload.late_ns, "An entry may be seen for so long after its expiry")
      ->transform([](std::string text) { return text + "000000"; });
  app.add_option("--directory", workload.directory,
                 "Where the histories go (default: one of its own under /dev/shm)");
  app.add_option("--transport", arguments.transport, "shm or rdma")
      ->check(CLI::IsMember({"shm", "rdma"}));
  app.add_option("--address", arguments.server.host, "RDMA: of the server");
  app.add_option("--server-device", arguments.server.device, "RDMA device of the server");
  app.add_option("--client-device", workload.client_device, "RDMA device of the clients");
  app.add_option("--cas-memory", arguments.server.cas_kb, "Of the server, in KB")
      ->capture_default_str();
  app.add_option("--workers", arguments.server.workers, "Of the server")->capture_default_str();
  app.add_option("--memory", arguments.server.memory_mb, "Of the server, in MB")
      ->capture_default_str();
}

void set_chaos(Arguments& arguments) {
  fakes::ChaosOptions& chaos = arguments.workload.chaos;
  chaos = {};
  if (arguments.calm) {
    arguments.workload.killed_percent = 0;
    return;
  }
  chaos.delayed_per_mille = 20;
  chaos.longest_delay_ns = 300'000;
  chaos.mtu = 1024;
  chaos.repeated_per_mille = 60;
  chaos.cut_per_million = 15;
  arguments.server.pauses_per_million = 3000;
}

void set_short_lives(Workload& workload) {
  workload.killed_percent = 100;
  workload.longest_life_bits = 10;
  workload.client_operations = 400;
  workload.swappers = true;
  workload.threads = 1;
  workload.keys = 4;
  workload.arena_bytes = 2 << 20;
  workload.mix.huge_per_mille = 0;
  workload.mix.hot = 40;
}

// The keys' values take more than the smallest server has: changes are refused, and what is freed
// is used again as soon as its quarantine allows. No pairs: of a transaction one half might be
// refused.
void set_pressure(Arguments& arguments) {
  arguments.server.memory_mb = 18;
  arguments.restart_percent = 0;
  Workload& workload = arguments.workload;
  workload.keys = 200;
  workload.mix.puts = 36;
  workload.mix.deletes = 8;
  workload.mix.pairs = 0;
  workload.mix.hot = 20;
  workload.mix.large_per_mille = 300;
  workload.mix.huge_per_mille = 120;
}

void tell(const Totals& totals, double seconds) {
  std::printf(
      "%.0f s, %lu rounds, %lu client processes killed, %lu server restarts, %lu entries "
      "linked by clients\n  %s\n",
      seconds, static_cast<unsigned long>(totals.rounds), static_cast<unsigned long>(totals.kills),
      static_cast<unsigned long>(totals.restarts), static_cast<unsigned long>(totals.linked_seen),
      report_line(totals.report, totals.check_seconds).c_str());
  std::fflush(stdout);
}

void tell_kills(const Totals& totals) {
  if (totals.kills == 0) return;
  std::string text;
  for (uint32_t i = 0; i < fakes::kChaosPoints; ++i) {
    if (totals.kills_at[i] == 0) continue;
    text += std::string(text.empty() ? "" : ", ") +
            fakes::chaos_point_name(static_cast<fakes::ChaosPoint>(i)) + " " +
            std::to_string(totals.kills_at[i]);
  }
  std::printf("  killed at: %s\n", text.c_str());
}

int run(Arguments& arguments) {
  Workload& workload = arguments.workload;
  set_chaos(arguments);
  if (arguments.short_lives) set_short_lives(workload);
  if (arguments.pressure) set_pressure(arguments);
  workload.transport = arguments.transport == "shm" ? Transport::kShm : Transport::kRdma;
  arguments.server.transport = workload.transport;
  std::string own_directory;
  if (workload.directory.empty()) {
    char name[] = "/dev/shm/rdmakv-campaign-XXXXXX";
    if (mkdtemp(name) == nullptr) {
      std::perror("mkdtemp");
      return 2;
    }
    workload.directory = own_directory = name;
  }
  arguments.server.log = workload.directory + "/server.log";
  ServerProcess server(arguments.server);
  if (Status status = server.start(); !status) {
    std::fprintf(stderr, "campaign: %s\n", status.to_string().c_str());
    return 2;
  }
  workload.server = {arguments.server.host, server.port(), false};
  std::printf("seed %lu, server of %u workers, histories in %s\n",
              static_cast<unsigned long>(workload.seed), arguments.server.workers,
              workload.directory.c_str());
  std::fflush(stdout);
  const uint64_t start = steady_ns();
  const auto seconds = [&] { return static_cast<double>(steady_ns() - start) / 1e9; };
  Totals totals;
  fakes::Dice dice(workload.seed);
  double told = 0;
  bool fine = true;
  while (fine && seconds() < arguments.minutes * 60 &&
         (arguments.operations == 0 || totals.report.operations < arguments.operations) &&
         (arguments.kills == 0 || totals.kills < arguments.kills)) {
    const double left = arguments.minutes * 60 - seconds();
    Round round(workload, server, totals, totals.rounds);
    fine = round.run(static_cast<uint64_t>(left * 1e9), dice.percent(arguments.restart_percent));
    if (seconds() - told > 30) {
      told = seconds();
      tell(totals, told);
    }
  }
  if (fine && totals.kills < arguments.kills) {
    std::fprintf(stderr, "campaign: only %lu processes were killed in %.1f minutes\n",
                 static_cast<unsigned long>(totals.kills), arguments.minutes);
    fine = false;
  }
  if (fine && totals.report.operations == 0) {
    std::fprintf(stderr, "campaign: in %.1f minutes nothing was checked\n", arguments.minutes);
    fine = false;
  }
  tell(totals, seconds());
  tell_kills(totals);
  if (arguments.pressure) {
    std::printf("  refused for want of space: %lu\n", static_cast<unsigned long>(totals.full));
    if (fine && totals.full == 0) {
      std::fprintf(stderr, "campaign: the pool was never full\n");
      fine = false;
    }
  }
  if (fine && !own_directory.empty()) std::filesystem::remove_all(own_directory);
  return fine ? 0 : 1;
}

}  // namespace
}  // namespace rdmakv::linearizability

int main(int argc, char** argv) {
  using namespace rdmakv::linearizability;
  CLI::App app{"Records what clients see of a server under stress, and checks it", "campaign"};
  Arguments arguments;
  declare(app, arguments);
  app.footer("Exit status: 0 nothing found, 1 a finding, 2 bad usage.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return run(arguments);
}
