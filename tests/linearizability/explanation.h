// Says to a human what is wrong with a history: the operation that fits nowhere, what the key could
// have been when it began, the operations that ran at the same time (without those that the
// contradiction does not need), and earlier ones that it has to do with.
#pragma once

#include <string>

#include "tests/linearizability/checker.h"

namespace rdmakv::linearizability {

// Several lines of text. Goes through the whole history again.
std::string explain(const History& history, const Finding& finding, const KeyLimits& limits);

// "PUT 3:17 (64 B) -> version 5".
std::string describe(const Record& record);

}  // namespace rdmakv::linearizability
