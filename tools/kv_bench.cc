// kv_bench: load on a kv_server by the native client, and what it cost.
#include <CLI/CLI.hpp>
#include <atomic>
#include <barrier>
#include <csignal>
#include <cstdio>
#include <deque>
#include <fstream>
#include <iostream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "rdmakv/client/client_counters.h"
#include "tools/bench_thread.h"
#include "tools/count_text.h"
#include "tools/native_connection.h"

#ifndef RDMAKV_VERSION
#define RDMAKV_VERSION "development"
#endif

namespace rdmakv {
namespace {

constexpr double kTheta = 0.99;  // YCSB's

struct Arguments {
  ConnectArguments connect;
  std::string mix = "C", keys, sizes = "64", arrivals = "even", csv;
  uint64_t items = 100'000, operations = 1'000'000, seed = 1;
  uint64_t location_cache_mb = 0;
  uint32_t threads = 1, depth = 16, prepared = 0, spin_us = 50;
  double rate = 0;
  bool no_load = false, at_once = false, in_runs = false, counters = false;
};

void declare(CLI::App& app, Arguments& arguments) {
  declare_connection(app, arguments.connect);
  app.add_option("--mix", arguments.mix,
                 "YCSB's A (50% updates), B (5% updates), C (reads), D (5% inserts, reads of the "
                 "latest) or F (50% read-modify-writes); or W (updates)")
      ->capture_default_str();
  app.add_option("--keys", arguments.keys,
                 "uniform, zipfian or latest (default: as the mix has it)");
  app.add_option("--items", arguments.items, "Keys that are put before")
      ->capture_default_str()
      ->check(CLI::Range(uint64_t{1}, uint64_t{1'000'000'000'000}));
  app.add_option("--value", arguments.sizes,
                 "Bytes of a value: BYTES, LOW-HIGH, or weighted, as 64:90,1024-4096:10")
      ->capture_default_str();
  app.add_option("--operations", arguments.operations, "Operations, of all threads")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--threads", arguments.threads, "Threads, each with a client of its own")
      ->capture_default_str()
      ->check(CLI::Range(1u, 256u));
  app.add_option("--depth", arguments.depth, "Operations under way at a time, per thread")
      ->capture_default_str()
      ->check(CLI::Range(1u, 4096u));
  app.add_option("--rate", arguments.rate,
                 "Open loop: operations due per second, of all threads; latency counts from when "
                 "they were due. 0: closed loop")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_option("--arrivals", arguments.arrivals, "Open loop: even or poisson")
      ->capture_default_str()
      ->check(CLI::IsMember({"even", "poisson"}));
  app.add_flag("--at-once", arguments.at_once,
               "GETs from shared memory without an operation each, --depth of them together");
  app.add_flag("--in-runs", arguments.in_runs,
               "PUTs without an operation each, --depth of them together, that share requests");
  app.add_option("--prepared", arguments.prepared,
                 "So many operations are drawn before the clock starts, then repeated, so that "
                 "drawing costs nothing; D's inserts are the same keys then")
      ->check(CLI::Range(0u, 1u << 24));
  app.add_option("--spin-us", arguments.spin_us, "A thread polls for so long before it sleeps")
      ->capture_default_str()
      ->check(CLI::Range(0u, 1'000'000u));
  app.add_option("--location-cache", arguments.location_cache_mb,
                 "MB per thread for locations of keys (default: the client's)");
  app.add_option("--seed", arguments.seed, "Of the random numbers")->capture_default_str();
  app.add_flag("--no-load", arguments.no_load, "The keys are there already");
  app.add_flag("--counters", arguments.counters, "All of the client's counters, too");
  app.add_option("--csv", arguments.csv, "Append a line per kind of operation to this file");
  app.set_version_flag("--version", std::string("kv_bench " RDMAKV_VERSION));
}

struct Plan {
  Mix mix;
  KeyChoice keys = KeyChoice::kZipfian;
  ValueSizes sizes;
};

Result<Plan> plan_of(const Arguments& arguments) {
  Plan plan;
  Result<Mix> mix = parse_mix(arguments.mix);
  if (!mix) return mix.status();
  plan.mix = *mix;
  plan.keys = mix->keys;
  if (!arguments.keys.empty()) {
    Result<KeyChoice> keys = parse_key_choice(arguments.keys);
    if (!keys) return keys.status();
    plan.keys = *keys;
  }
  Result<ValueSizes> sizes = ValueSizes::parse(arguments.sizes);
  if (!sizes) return sizes.status();
  if (sizes->largest() > wire::kMaxValueBytes) {
    return {Code::kInvalidArgument, "values have 512 MB at most"};
  }
  plan.sizes = *sizes;
  return plan;
}

BenchThreadOptions thread_options(const Arguments& arguments, const Plan& plan,
                                  const Zipfian* zipfian, uint32_t thread) {
  BenchThreadOptions options;
  options.workload = {plan.mix, plan.keys, arguments.items,
                      zipfian,  thread,    arguments.seed * 1'000'003 + thread};
  options.sizes = &plan.sizes;
  options.depth = arguments.depth;
  options.operations = arguments.operations / arguments.threads +
                       (thread < arguments.operations % arguments.threads ? 1 : 0);
  options.rate = arguments.rate / arguments.threads;
  options.poisson = arguments.arrivals == "poisson";
  options.at_once = arguments.at_once;
  options.in_runs = arguments.in_runs;
  options.prepared = arguments.prepared;
  options.spin_ns = uint64_t{arguments.spin_us} * 1000;
  return options;
}

// All threads load their share, wait for each other, and run.
BenchResult run_threads(const Arguments& arguments, const Plan& plan, const Zipfian* zipfian,
                        std::vector<NativeConnection>& connections) {
  std::deque<BenchThread> benches;
  std::vector<std::thread> threads;
  std::barrier loaded(static_cast<std::ptrdiff_t>(arguments.threads));
  for (uint32_t i = 0; i < arguments.threads; ++i) {
    benches.emplace_back(*connections[i].client, thread_options(arguments, plan, zipfian, i));
  }
  std::atomic<bool> failed{false};
  for (uint32_t i = 0; i < arguments.threads; ++i) {
    threads.emplace_back([&, i] {
      const auto share = [&](uint32_t of) { return arguments.items * of / arguments.threads; };
      if (!arguments.no_load) benches[i].load(share(i), share(i + 1));
      if (benches[i].result().failures > 0) failed = true;
      loaded.arrive_and_wait();
      if (!failed) benches[i].run();
    });
  }
  for (std::thread& thread : threads) thread.join();
  BenchResult all;
  for (BenchThread& bench : benches) all.merge(bench.result());
  return all;
}

double us(const Histogram& histogram, double percent) {
  return static_cast<double>(histogram.percentile(percent)) / 1e3;
}

void print_latencies(const Arguments& arguments, const BenchResult& result) {
  const double seconds = static_cast<double>(result.ended_ns - result.started_ns) / 1e9;
  std::printf("%-8s%12s%12s%10s%10s%10s%10s%10s%10s\n", "", "operations", "op/s", "mean us", "p50",
              "p95", "p99", "p99.9", "max");
  const auto row = [&](const char* name, const Histogram& h) {
    std::printf("%-8s%12llu%12.0f%10.2f%10.2f%10.2f%10.2f%10.2f%10.2f\n", name,
                static_cast<unsigned long long>(h.count()),
                static_cast<double>(h.count()) / seconds, h.mean() / 1e3, us(h, 50), us(h, 95),
                us(h, 99), us(h, 99.9), us(h, 100));
  };
  for (size_t i = 0; i < kActions; ++i) {
    if (result.latency[i].count() == 0) continue;
    row(action_name(static_cast<Action>(i)), result.latency[i]);
    if (arguments.rate > 0) row("  itself", result.service[i]);
  }
}

void print_costs(const Arguments& arguments, const BenchResult& result) {
  const ClientCounters& counts = result.counts;
  std::printf("\nper operation:%s  CPU of the client, us\n", per_operation_head().c_str());
  std::printf("%14s%s  %.3f\n", "", per_operation_row(counts).c_str(),
              static_cast<double>(result.cpu_ns) / 1e3 /
                  static_cast<double>(std::max<uint64_t>(counts.operations, 1)));
  std::printf("went: %s; keys not found %llu\n", how_it_went(counts).c_str(),
              static_cast<unsigned long long>(result.not_found));
  if (!arguments.counters) return;
  for (const NamedCounter& counter : named_counters(counts)) {
    std::printf("  %-24s %llu\n", counter.name.c_str(),
                static_cast<unsigned long long>(counter.value));
  }
}

Status append_csv(const Arguments& arguments, const BenchResult& result) {
  std::ofstream file(arguments.csv, std::ios::app);
  file.seekp(0, std::ios::end);
  if (file.tellp() == 0) {
    file << "mix,items,value,threads,depth,rate,action,operations,seconds,mean_us,p50_us,p95_us,"
            "p99_us,p999_us,max_us,work_requests,doorbells,completions,round_trips,cpu_us\n";
  }
  const ClientCounters& c = result.counts;
  const double all = static_cast<double>(std::max<uint64_t>(c.operations, 1));
  const auto each = [&](uint64_t count) { return static_cast<double>(count) / all; };
  for (size_t i = 0; i < kActions; ++i) {
    const Histogram& h = result.latency[i];
    if (h.count() == 0) continue;
    file << arguments.mix << ',' << arguments.items << ",\"" << arguments.sizes << "\","
         << arguments.threads << ',' << arguments.depth << ',' << arguments.rate << ','
         << action_name(static_cast<Action>(i)) << ',' << h.count() << ','
         << static_cast<double>(result.ended_ns - result.started_ns) / 1e9 << ',' << h.mean() / 1e3
         << ',' << us(h, 50) << ',' << us(h, 95) << ',' << us(h, 99) << ',' << us(h, 99.9) << ','
         << us(h, 100) << ',' << each(work_requests(c.verbs)) << ',' << each(c.verbs.doorbells)
         << ',' << each(c.verbs.completions) << ',' << each(c.round_trips) << ','
         << each(result.cpu_ns) / 1e3 << '\n';
  }
  file.flush();
  if (!file) return {Code::kSystemError, "cannot write to " + arguments.csv};
  return Status::ok();
}

Status run(const Arguments& arguments) {
  Result<Plan> plan = plan_of(arguments);
  if (!plan) return plan.status();
  ClientOptions options;
  if (arguments.location_cache_mb != 0) {
    options.location_cache_bytes = arguments.location_cache_mb << 20;
  }
  std::vector<NativeConnection> connections;
  for (uint32_t i = 0; i < arguments.threads; ++i) {
    Result<NativeConnection> connection = connect_native(arguments.connect, options);
    if (!connection) return connection.status();
    connections.push_back(std::move(*connection));
  }
  std::optional<Zipfian> zipfian;
  if (plan->keys != KeyChoice::kUniform) zipfian.emplace(arguments.items, kTheta);
  std::printf(
      "%s; mix %s, %llu keys, values of %s bytes, %u threads, %u under way each, %s\n",
      connections[0].description.c_str(), arguments.mix.c_str(),
      static_cast<unsigned long long>(arguments.items), arguments.sizes.c_str(), arguments.threads,
      arguments.depth,
      arguments.rate > 0
          ? ("open loop, " + std::to_string(arguments.rate) + "/s " + arguments.arrivals).c_str()
          : "closed loop");
  std::fflush(stdout);
  const BenchResult result =
      run_threads(arguments, *plan, zipfian ? &*zipfian : nullptr, connections);
  if (result.ended_ns != 0) {
    print_latencies(arguments, result);
    print_costs(arguments, result);
  }
  if (result.failures > 0) {
    const ServerState server = connections[0].client->server(result.failed_server);
    return {result.first_failure,
            std::to_string(result.failures) + " operations failed, first: " +
                (result.first_failure == Code::kUnavailable
                     ? server.unreachable_text()
                     : std::string(code_name(result.first_failure)) + ", of " + server.name)};
  }
  return arguments.csv.empty() ? Status::ok() : append_csv(arguments, result);
}

}  // namespace
}  // namespace rdmakv

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  try {
    CLI::App app{"kv_bench: load on a kv_server by native clients, and what it cost", "kv_bench"};
    rdmakv::Arguments arguments;
    rdmakv::declare(app, arguments);
    CLI11_PARSE(app, argc, argv);
    const rdmakv::Status status = rdmakv::run(arguments);
    if (status) return 0;
    std::cerr << "kv_bench: " << status.message() << std::endl;
    return status.code() == rdmakv::Code::kInvalidArgument ? 2 : 1;
  } catch (const std::exception& error) {
    std::cerr << "kv_bench: " << error.what() << std::endl;
    return 1;
  }
}
