#include "tests/linearizability/report_line.h"

#include <cstdio>

namespace rdmakv::linearizability {

std::string report_line(const Report& report, double seconds) {
  static constexpr const char* kNames[kPaths] = {"untold",    "rpc",        "read",
                                                 "forwarded", "index read", "atomic"};
  std::string paths;
  for (int i = 0; i < kPaths; ++i) {
    if (report.by_path[i] == 0) continue;
    paths += paths.empty() ? "" : ", ";
    paths += std::string(kNames[i]) + " " + std::to_string(report.by_path[i]);
  }
  char text[600];
  std::snprintf(text, sizeof(text),
                "operations checked: %llu on %llu keys (%.2f M/s); of unknown outcome: %llu, of "
                "those seen: %llu; without an answer: %llu; expires: %llu; unchecked: %llu; paths: "
                "%s; corrupt: "
                "%llu; undecided: %llu; violations: %llu",
                static_cast<unsigned long long>(report.operations),
                static_cast<unsigned long long>(report.keys),
                seconds > 0 ? static_cast<double>(report.operations) / seconds / 1e6 : 0.0,
                static_cast<unsigned long long>(report.unknown),
                static_cast<unsigned long long>(report.unknown_seen),
                static_cast<unsigned long long>(report.void_ones),
                static_cast<unsigned long long>(report.redated),
                static_cast<unsigned long long>(report.unchecked),
                paths.empty() ? "none" : paths.c_str(),
                static_cast<unsigned long long>(report.corrupt),
                static_cast<unsigned long long>(report.undecided()),
                static_cast<unsigned long long>(report.violations()));
  return text;
}

}  // namespace rdmakv::linearizability
