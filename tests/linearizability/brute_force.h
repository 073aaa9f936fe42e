// The definition of linearizability, tried out: is there an order of the operations of one key that
// respects real time and that a sequential register could have gone through? Exponential, for
// histories of a dozen operations; shares no code with the checker that it is there to check.
#pragma once

#include <span>

#include "tests/linearizability/history_record.h"

namespace rdmakv::linearizability {

// `records` are of one key (and restarts), in any order. `late_ns` as in versioned_register.h.
bool linearizable_by_brute_force(std::span<const Record> records, uint64_t late_ns = kNever);

}  // namespace rdmakv::linearizability
