// protocol_model small|full|list
// protocol_model SCENARIO [RULE]      one scenario, perhaps without a rule; prints the way there
//
// Runs the model of the protocol of remote memory (docs/model.md) through all that can happen. Exit
// status 1: something went otherwise than expected.
#include <cstdio>
#include <cstring>
#include <ctime>

#include "tests/model/explorer.h"
#include "tests/model/scenarios.h"

namespace rdmakv::model {
namespace {

constexpr uint64_t kMostNodes = 400'000'000;

const Scenario* find_scenario(const char* name) {
  for (const Scenario& scenario : scenarios()) {
    if (std::strcmp(scenario.name, name) == 0) return &scenario;
  }
  return nullptr;
}

std::optional<Rule> find_rule(const char* name) {
  for (size_t i = 0; i < static_cast<size_t>(Rule::kCount); ++i) {
    if (std::strcmp(rule_name(static_cast<Rule>(i)), name) == 0) return static_cast<Rule>(i);
  }
  return {};
}

double seconds_since(std::clock_t began) {
  return static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC;
}

struct Totals {
  uint64_t nodes = 0;
  int cases = 0;
  int unexpected = 0;
};

// True: as expected.
bool run(const Scenario& scenario, std::optional<Rule> without, bool show_path, Totals& totals) {
  Setup setup = scenario.setup;
  if (without) setup.broken.set(static_cast<size_t>(*without));
  Protocol protocol(setup);
  const std::clock_t began = std::clock();
  const Explored told = explore(protocol, kMostNodes);
  const bool expected = without ? !told.wrong.empty() : told.complete;
  const std::string verdict = !told.wrong.empty() ? "VIOLATION: " + told.wrong
                              : told.complete     ? "right"
                                                  : "given up: too many states";
  std::printf("%-16s %-24s %11llu states %4u steps %7.1f s  %s%s\n", scenario.name,
              without ? (std::string("without ") + rule_name(*without)).c_str() : "",
              static_cast<unsigned long long>(told.nodes),
              told.path.empty() ? told.depth : static_cast<uint32_t>(told.path.size()),
              seconds_since(began), verdict.c_str(), expected ? "" : "  <- NOT EXPECTED");
  if (show_path || !expected) {
    for (size_t i = 0; i < told.path.size(); ++i) {
      std::printf("  %2zu  %s\n", i + 1, told.path[i].c_str());
    }
  }
  std::fflush(stdout);
  totals.nodes += told.nodes;
  ++totals.cases;
  totals.unexpected += expected ? 0 : 1;
  return expected;
}

int run_all(bool full) {
  Totals totals;
  const std::clock_t began = std::clock();
  for (const Case& one : cases()) {
    if (one.small || full) run(*find_scenario(one.scenario), one.without, false, totals);
  }
  std::printf("%d cases, %llu states, %.1f s of CPU; %d not as expected\n", totals.cases,
              static_cast<unsigned long long>(totals.nodes), seconds_since(began),
              totals.unexpected);
  return totals.unexpected == 0 ? 0 : 1;
}

int list() {
  for (const Scenario& scenario : scenarios()) {
    std::printf("%-16s %s\n", scenario.name, scenario.what);
  }
  std::printf("\nrules:");
  for (size_t i = 0; i < static_cast<size_t>(Rule::kCount); ++i) {
    std::printf(" %s", rule_name(static_cast<Rule>(i)));
  }
  std::printf("\n");
  return 0;
}

int run_one(const char* name, const char* rule) {
  const Scenario* scenario = find_scenario(name);
  if (scenario == nullptr) {
    std::fprintf(stderr, "protocol_model: there is no scenario '%s' (see: list)\n", name);
    return 2;
  }
  std::optional<Rule> without;
  if (rule != nullptr && !(without = find_rule(rule))) {
    std::fprintf(stderr, "protocol_model: there is no rule '%s' (see: list)\n", rule);
    return 2;
  }
  Totals totals;
  return run(*scenario, without, true, totals) ? 0 : 1;
}

int main(int count, char** arguments) {
  if (count < 2 || count > 3) {
    std::fprintf(stderr,
                 "usage: protocol_model small|full|list\n"
                 "       protocol_model SCENARIO [RULE]\n");
    return 2;
  }
  const std::string what = arguments[1];
  if (what == "small" || what == "full") return run_all(what == "full");
  if (what == "list") return list();
  return run_one(arguments[1], count > 2 ? arguments[2] : nullptr);
}

}  // namespace
}  // namespace rdmakv::model

int main(int count, char** arguments) {
  return rdmakv::model::main(count, arguments);
}
