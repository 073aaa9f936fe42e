// Random histories of a correct register, for tests and for measuring the checker: clients whose
// operations overlap in time, some of them killed, entries that expire, servers that restart.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/linearizability/history_record.h"

namespace rdmakv::linearizability {

struct Simulation {
  uint64_t seed = 1;
  uint32_t clients = 4;
  uint32_t operations = 10;  // of each client
  uint32_t keys = 1;
  uint32_t hot_percent = 0;  // of the operations go to key 0
  // Percent of the operations.
  uint32_t puts = 25, deletes = 10, cas = 20, expires = 0;  // the rest are GETs
  uint32_t unknown = 0;
  uint32_t expiring = 0;                                // of PUT and CAS
  uint32_t empty = 5;                                   // of PUT and CAS: a value of zero length
  uint32_t restarts = 0;                                // a number
  uint32_t longest_pause = 10, longest_operation = 20;  // units of time
  uint32_t largest_gap = 3;                             // of versions, when a key is created anew
  uint64_t late_ns = 50;  // an expired entry is seen for so long at most
};

// One vector per client, and one for the restarts at the end.
std::vector<std::vector<Record>> simulate(const Simulation& options);

}  // namespace rdmakv::linearizability
