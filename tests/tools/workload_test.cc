#include "tools/workload.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>
#include <string>

namespace rdmakv {
namespace {

constexpr uint64_t kDraws = 200'000;

TEST(Zipfian, RanksAreAsFrequentAsTheyShouldBe) {
  const uint64_t items = 1000;
  const double theta = 0.99;
  const Zipfian zipfian(items, theta);
  Random random(7);
  std::map<uint64_t, uint64_t> seen;
  for (uint64_t i = 0; i < kDraws; ++i) ++seen[zipfian.rank(random)];
  EXPECT_LT(seen.rbegin()->first, items);
  double zeta = 0;
  for (uint64_t i = 1; i <= items; ++i) zeta += 1 / std::pow(static_cast<double>(i), theta);
  // The first two ranks are drawn exactly; what lies behind follows a continuous approximation.
  for (const uint64_t rank : {0, 1}) {
    const double expected = kDraws / std::pow(static_cast<double>(rank + 1), theta) / zeta;
    EXPECT_NEAR(static_cast<double>(seen[rank]), expected, expected / 20) << rank;
  }
  EXPECT_GT(seen[1], seen[10]);
  EXPECT_GT(seen[10], seen[100]);
}

TEST(Zipfian, FewItems) {
  for (const uint64_t items : {1, 2, 3}) {
    const Zipfian zipfian(items, 0.99);
    Random random(1);
    std::set<uint64_t> seen;
    for (int i = 0; i < 1000; ++i) seen.insert(zipfian.rank(random));
    EXPECT_EQ(seen.size(), items);
    EXPECT_LT(*seen.rbegin(), items);
  }
}

Workload workload(const char* mix, const Zipfian& zipfian, uint32_t thread = 0) {
  Workload::Options options;
  options.mix = *parse_mix(mix);
  options.keys = options.mix.keys;
  options.items = zipfian.items();
  options.zipfian = &zipfian;
  options.thread = thread;
  options.seed = 3;
  return Workload(options);
}

TEST(Workload, MixesHaveTheirShares) {
  const Zipfian zipfian(100, 0.99);
  const std::map<std::string, std::map<Action, double>> expected = {
      {"A", {{Action::kRead, .5}, {Action::kUpdate, .5}}},
      {"b", {{Action::kRead, .95}, {Action::kUpdate, .05}}},
      {"C", {{Action::kRead, 1}}},
      {"D", {{Action::kRead, .95}, {Action::kInsert, .05}}},
      {"F", {{Action::kRead, .5}, {Action::kReadModifyWrite, .5}}},
      {"W", {{Action::kUpdate, 1}}},
  };
  for (const auto& [name, shares] : expected) {
    Workload stream = workload(name.c_str(), zipfian);
    std::map<Action, uint64_t> seen;
    for (uint64_t i = 0; i < kDraws; ++i) ++seen[stream.next().action];
    EXPECT_EQ(seen.size(), shares.size()) << name;
    for (const auto& [action, share] : shares) {
      EXPECT_NEAR(static_cast<double>(seen[action]) / kDraws, share, 0.01) << name;
    }
  }
  EXPECT_FALSE(parse_mix("E"));
  EXPECT_FALSE(parse_mix(""));
}

// Reads of D name what was there or what this thread has inserted, mostly the latest.
TEST(Workload, LatestFollowsTheInserts) {
  const Zipfian zipfian(1000, 0.99);
  Workload stream = workload("D", zipfian);
  uint64_t newest = 999;
  uint64_t reads = 0, close = 0;
  for (uint64_t i = 0; i < kDraws; ++i) {
    const Workload::Step step = stream.next();
    if (step.action == Action::kInsert) {
      EXPECT_EQ(step.item, newest + 1);
      newest = step.item;
      continue;
    }
    ASSERT_LE(step.item, newest);
    ++reads;
    close += newest - step.item < 100 ? 1 : 0;
  }
  EXPECT_GT(close, reads / 2);
}

TEST(Workload, UniformIsUniform) {
  Workload::Options options;
  options.mix = *parse_mix("C");
  options.keys = KeyChoice::kUniform;
  options.items = 10;
  Workload stream(options);
  std::map<uint64_t, uint64_t> seen;
  for (uint64_t i = 0; i < kDraws; ++i) ++seen[stream.next().item];
  ASSERT_EQ(seen.size(), 10u);
  for (const auto& [item, count] : seen) {
    EXPECT_NEAR(static_cast<double>(count), kDraws / 10.0, kDraws / 200.0) << item;
  }
}

TEST(Workload, KeysAreDistinct) {
  std::set<std::string> keys;
  char key[kKeyBytes];
  for (const uint32_t thread : {0u, 1u, 17u}) {
    for (uint64_t item = 0; item < 20; ++item) {
      write_key(key, 10, thread, item);
      keys.emplace(key, sizeof(key));
    }
  }
  EXPECT_EQ(keys.size(), 10u + 3 * 10u) << "shared ones, and each thread's own";
  write_key(key, 10, 3, 7);
  EXPECT_EQ(std::string(key, sizeof(key)), "user000000000007");
  write_key(key, 10, 3, 17);
  EXPECT_EQ(std::string(key, sizeof(key)), "n003000000000007");
}

TEST(ValueSizes, AreReadAndDrawn) {
  Random random(1);
  EXPECT_EQ(ValueSizes::parse("64")->next(random), 64u);
  const ValueSizes range = *ValueSizes::parse("10-12");
  std::set<uint64_t> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(range.next(random));
  EXPECT_EQ(seen, (std::set<uint64_t>{10, 11, 12}));
  const ValueSizes mixed = *ValueSizes::parse("64:3,1000-2000:1");
  EXPECT_EQ(mixed.largest(), 2000u);
  uint64_t small = 0;
  for (uint64_t i = 0; i < kDraws; ++i) small += mixed.next(random) == 64 ? 1 : 0;
  EXPECT_NEAR(static_cast<double>(small) / kDraws, 0.75, 0.01);
  for (const char* bad : {"", "x", "64:", "64:0", "5-4", "1-2-3", "64,", ",64", "-5", "64:x"}) {
    EXPECT_FALSE(ValueSizes::parse(bad)) << bad;
  }
}

}  // namespace
}  // namespace rdmakv
