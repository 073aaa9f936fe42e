// ClientCounters as a list of names and numbers: for printing, for sums over threads, and for what
// happened between two moments. The one list of them; a new counter is added here as well.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "rdmakv/client/client.h"

namespace rdmakv {

inline constexpr size_t kCounterNames = 31 + kDetours;

struct NamedCounter {
  std::string name;  // lower case and underscores; a detour's begins with "detour_"
  uint64_t value = 0;
};
using NamedCounters = std::array<NamedCounter, kCounterNames>;

// In the order in which they are shown. Allocates: not for the datapath.
NamedCounters named_counters(const ClientCounters& counters);

ClientCounters& operator+=(ClientCounters& to, const ClientCounters& more);
// What happened from `before` to `after`, two readings of one client.
ClientCounters operator-(const ClientCounters& after, const ClientCounters& before);

// All work requests, of whatever kind.
inline uint64_t work_requests(const EndpointCounters& verbs) {
  return verbs.sends + verbs.writes + verbs.reads + verbs.atomics;
}
uint64_t detours(const DirectCounters& direct);

// What one operation cost, on average; 0 when there was none.
struct CostPerOperation {
  double work_requests = 0, doorbells = 0, completions = 0, round_trips = 0;
};
CostPerOperation per_operation(const ClientCounters& counters);

}  // namespace rdmakv
