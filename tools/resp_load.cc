// resp_load: offers a Redis server a fixed rate of commands and says how long they took.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>

#include "tools/open_loop.h"

#ifndef RDMAKV_VERSION
#define RDMAKV_VERSION "development"
#endif

namespace rdmakv {
namespace {

void declare(CLI::App& app, OpenLoopOptions& options, std::string& arrivals) {
  app.add_option("--host", options.host, "Of the server")->capture_default_str();
  app.add_option("-p,--port", options.port, "Of the server")->capture_default_str();
  app.add_option("-c,--connections", options.connections, "Take the commands in turn")
      ->capture_default_str()
      ->check(CLI::Range(1u, 50'000u));
  app.add_option("-r,--rate", options.rate, "Commands due per second")
      ->capture_default_str()
      ->check(CLI::Range(0.001, 1e8));
  app.add_option("--probe", options.probe_rate,
                 "Commands due per second on one more connection, reported apart (probe_...)")
      ->check(CLI::Range(0.0, 1e8));
  app.add_option("--warm-up", options.warm_up, "Seconds at that rate that do not count")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 3600.0));
  app.add_option("--seconds", options.seconds, "Seconds that count")
      ->capture_default_str()
      ->check(CLI::Range(0.001, 86400.0));
  app.add_option("--patience", options.patience, "Seconds to wait for the last replies")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 3600.0));
  app.add_option("--gets", options.get_percent, "Per cent of GETs; the others are SETs")
      ->capture_default_str()
      ->check(CLI::Range(0u, 100u));
  app.add_option("-d,--value", options.value_bytes, "Bytes of a value")
      ->capture_default_str()
      ->check(CLI::Range(0u, 512u << 20));
  app.add_option("--keys", options.keys, "key:000000000000 and on, uniform")
      ->capture_default_str()
      ->check(CLI::Range(uint64_t{1}, uint64_t{1'000'000'000'000}));
  app.add_option("--arrivals", arrivals, "even or poisson")
      ->capture_default_str()
      ->check(CLI::IsMember({"even", "poisson"}));
  app.add_option("--seed", options.seed, "Of the random numbers")->capture_default_str();
  app.set_version_flag("--version", std::string("resp_load " RDMAKV_VERSION));
  app.footer(
      "Prints a name and a number a line; latencies in microseconds, from when a command was due. "
      "'late' is how late the commands were sent: where it is of the order of the latencies, this "
      "program was the limit.");
}

void print(const char* prefix, double offered, const OpenLoopResult& result) {
  const auto line = [prefix](const char* name, double value) {
    std::printf("%s%s %.3f\n", prefix, name, value);
  };
  const auto us = [](const Histogram& histogram, double percent) {
    return static_cast<double>(histogram.percentile(percent)) / 1e3;
  };
  line("offered", offered);
  line("achieved", result.seconds > 0 ? static_cast<double>(result.answered) / result.seconds : 0);
  line("due", static_cast<double>(result.due));
  line("unanswered", static_cast<double>(result.due - result.answered));
  line("mean", result.latency.mean() / 1e3);
  line("p50", us(result.latency, 50));
  line("p99", us(result.latency, 99));
  line("p99.9", us(result.latency, 99.9));
  line("max", us(result.latency, 100));
  line("late_p50", us(result.late, 50));
  line("late_p99", us(result.late, 99));
}

Status run(const OpenLoopOptions& options) {
  OpenLoop loop(options);
  if (Status status = loop.connect(); !status) return status;
  if (Status status = loop.run(); !status) return status;
  print("", options.rate, loop.result());
  if (options.probe_rate > 0) print("probe_", options.probe_rate, loop.probe());
  if (loop.errors() == 0) return Status::ok();
  return {Code::kInvalidArgument,
          std::to_string(loop.errors()) + " error replies, the first: " + loop.first_error()};
}

}  // namespace
}  // namespace rdmakv

int main(int argc, char** argv) {
  try {
    CLI::App app{"resp_load: latencies of a Redis server at a given load", "resp_load"};
    rdmakv::OpenLoopOptions options;
    std::string arrivals = "poisson";
    rdmakv::declare(app, options, arrivals);
    CLI11_PARSE(app, argc, argv);
    options.poisson = arrivals == "poisson";
    const rdmakv::Status status = rdmakv::run(options);
    if (status) return 0;
    std::cerr << "resp_load: " << status.message() << std::endl;
  } catch (const std::exception& error) {
    std::cerr << "resp_load: " << error.what() << std::endl;
  }
  return 1;
}
