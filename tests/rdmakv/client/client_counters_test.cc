#include "rdmakv/client/client_counters.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>

namespace rdmakv {
namespace {

// Every 64-bit word of it another number.
ClientCounters numbered(uint64_t first, uint64_t step) {
  uint64_t words[kCounterNames];
  for (size_t i = 0; i < kCounterNames; ++i) words[i] = first + i * step;
  ClientCounters counters;
  static_assert(sizeof(words) == sizeof(counters));
  std::memcpy(&counters, words, sizeof(counters));
  return counters;
}

TEST(ClientCounters, EachHasANameOfItsOwn) {
  std::set<std::string> names;
  std::set<uint64_t> values;
  for (const NamedCounter& counter : named_counters(numbered(100, 1))) {
    names.insert(counter.name);
    values.insert(counter.value);
  }
  EXPECT_EQ(names.size(), kCounterNames);
  EXPECT_EQ(values.size(), kCounterNames) << "a counter is listed twice";
  EXPECT_TRUE(names.contains("detour_torn"));
  EXPECT_TRUE(names.contains("round_trips"));
}

TEST(ClientCounters, SumsAndDifferences) {
  ClientCounters sum = numbered(1, 3);
  sum += numbered(10, 5);
  const ClientCounters wanted = numbered(11, 8);
  EXPECT_EQ(std::memcmp(&sum, &wanted, sizeof(sum)), 0);
  const ClientCounters rest = sum - numbered(10, 5);
  const ClientCounters first = numbered(1, 3);
  EXPECT_EQ(std::memcmp(&rest, &first, sizeof(rest)), 0);
}

TEST(ClientCounters, Totals) {
  EndpointCounters verbs;
  verbs.sends = 1, verbs.writes = 20, verbs.reads = 300, verbs.atomics = 4000;
  EXPECT_EQ(work_requests(verbs), 4321u);
  DirectCounters direct;
  direct.detours[0] = 5, direct.detours[kDetours - 1] = 70;
  EXPECT_EQ(detours(direct), 75u);
}

TEST(ClientCounters, CostsOfAnOperation) {
  ClientCounters counters;
  EXPECT_EQ(per_operation(counters).work_requests, 0);
  counters.operations = 4;
  counters.verbs.reads = 5, counters.verbs.sends = 1;
  counters.verbs.doorbells = 4, counters.verbs.completions = 3;
  counters.round_trips = 2;
  const CostPerOperation cost = per_operation(counters);
  EXPECT_EQ(cost.work_requests, 1.5);
  EXPECT_EQ(cost.doorbells, 1);
  EXPECT_EQ(cost.completions, 0.75);
  EXPECT_EQ(cost.round_trips, 0.5);
}

}  // namespace
}  // namespace rdmakv
