#include "tools/count_text.h"

#include <cstdio>
#include <string_view>

#include "rdmakv/client/client_counters.h"

namespace rdmakv {
namespace {

void append(std::string& text, std::string_view name, uint64_t count) {
  if (count == 0) return;
  if (!text.empty()) text += ", ";
  text.append(name).append(" ").append(std::to_string(count));
}

}  // namespace

std::string per_operation_head() {
  char text[64];
  std::snprintf(text, sizeof(text), "%8s%8s%8s%8s", "wr/op", "db/op", "cq/op", "rt/op");
  return text;
}

std::string per_operation_row(const ClientCounters& counts) {
  const CostPerOperation cost = per_operation(counts);
  char text[64];
  std::snprintf(text, sizeof(text), "%8.3f%8.3f%8.3f%8.3f", cost.work_requests, cost.doorbells,
                cost.completions, cost.round_trips);
  return text;
}

std::string how_it_went(const ClientCounters& counts) {
  std::string ways;
  append(ways, "cached", counts.direct.cached);
  append(ways, "forwarded", counts.direct.forwarded);
  append(ways, "indexed", counts.direct.indexed);
  append(ways, "not found", counts.direct.not_found);
  append(ways, "swap won", counts.cas.swaps_won);
  append(ways, "swap lost", counts.cas.swaps_lost);
  append(ways, "request", counts.requests);
  std::string why;
  for (size_t i = 0; i < kDetours; ++i) {
    append(why, detour_name(static_cast<Detour>(i)), counts.direct.detours[i]);
  }
  append(why, "contended", counts.cas.contended);
  if (why.empty()) return ways;
  return ways + "; detours: " + why;
}

}  // namespace rdmakv
