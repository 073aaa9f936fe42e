#include "tools/count_text.h"

#include <gtest/gtest.h>

namespace rdmakv {
namespace {

TEST(CountText, PerOperation) {
  ClientCounters counts;
  EXPECT_EQ(per_operation_row(counts), "   0.000   0.000   0.000   0.000") << "of no operation";
  counts.operations = 4;
  counts.verbs.reads = 3;
  counts.verbs.sends = 1;
  counts.verbs.doorbells = 2;
  counts.verbs.completions = 1;
  counts.round_trips = 6;
  EXPECT_EQ(per_operation_row(counts), "   1.000   0.500   0.250   1.500");
  EXPECT_EQ(per_operation_head().size(), per_operation_row(counts).size());
}

TEST(CountText, HowItWent) {
  ClientCounters counts;
  EXPECT_EQ(how_it_went(counts), "");
  counts.direct.cached = 990;
  counts.requests = 10;
  EXPECT_EQ(how_it_went(counts), "cached 990, request 10");
  counts.direct.detours[static_cast<size_t>(Detour::kTorn)] = 7;
  counts.direct.detours[static_cast<size_t>(Detour::kReused)] = 3;
  EXPECT_EQ(how_it_went(counts), "cached 990, request 10; detours: reused 3, torn 7");
}

}  // namespace
}  // namespace rdmakv
