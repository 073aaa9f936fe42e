// history_check FILE...: are the histories in these files, taken together, linearizable?
//
// Exit status: 0 yes; 1 no, each violation is explained; 2 bad usage or no history; 3 undecided.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <iostream>

#include "tests/linearizability/checker.h"
#include "tests/linearizability/explanation.h"
#include "tests/linearizability/report_line.h"

namespace rdmakv::linearizability {
namespace {

struct Arguments {
  std::vector<std::string> files;
  uint64_t late_ms = 0;
  uint32_t threads = 1;
  uint32_t explain = 3;
};

int run(const Arguments& arguments) {
  History history;
  Status status = Status::ok();
  for (const std::string& file : arguments.files) {
    if (status) status = history.add_file(file);
  }
  const auto start = std::chrono::steady_clock::now();
  if (status) status = history.prepare();
  if (!status) {
    std::cerr << "history_check: " << status.message() << std::endl;
    return 2;
  }
  KeyLimits limits;
  if (arguments.late_ms > 0) limits.late_ns = arguments.late_ms * 1'000'000;
  const Report report = check(history, limits, arguments.threads);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  for (size_t i = 0; i < report.findings.size() && i < arguments.explain; ++i) {
    std::cout << explain(history, report.findings[i], limits) << "\n";
  }
  if (report.findings.size() > arguments.explain) {
    std::cout << "... and " << report.findings.size() - arguments.explain << " more\n\n";
  }
  std::cout << report_line(report, took.count()) << std::endl;
  if (report.violations() > 0) return 1;
  return report.undecided() > 0 ? 3 : 0;
}

}  // namespace
}  // namespace rdmakv::linearizability

int main(int argc, char** argv) {
  using namespace rdmakv::linearizability;
  CLI::App app{
      "Checks whether recorded histories are linearizable (per key: a register with versions)",
      "history_check"};
  Arguments arguments;
  app.add_option("files", arguments.files, "Histories, as written by HistoryWriter")->required();
  app.add_option("--late-ms", arguments.late_ms,
                 "An entry may be seen for so long after its deadline, not longer (default: for "
                 "ever)");
  app.add_option("--threads", arguments.threads, "Keys are spread over so many threads")
      ->check(CLI::Range(1u, 64u))
      ->capture_default_str();
  app.add_option("--explain", arguments.explain, "Violations to explain")->capture_default_str();
  app.footer("Exit status: 0 linearizable, 1 not, 2 bad usage or no history, 3 undecided.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return run(arguments);
}
