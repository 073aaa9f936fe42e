// A Report as one line for humans and scripts.
#pragma once

#include <string>

#include "tests/linearizability/checker.h"

namespace rdmakv::linearizability {

// `seconds`: what the check took.
std::string report_line(const Report& report, double seconds);

}  // namespace rdmakv::linearizability
