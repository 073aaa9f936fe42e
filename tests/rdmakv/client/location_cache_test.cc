#include "rdmakv/client/location_cache.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <string>

namespace rdmakv {
namespace {

constexpr uint64_t kQuarterNs = wire::kMostPointerAgeNs / 4;

uint64_t hash(uint64_t number) {
  return number * 0x9e3779b97f4a7c15ull;
}

// Of this process, those that asked for huge pages.
int huge_mappings() {
  std::ifstream maps("/proc/self/smaps");
  int count = 0;
  for (std::string line; std::getline(maps, line);) {
    count += line.starts_with("VmFlags:") && line.find(" hg") != std::string::npos;
  }
  return count;
}

TEST(LocationCache, ALargeOneAsksForHugePages) {
  if (!std::filesystem::exists("/sys/kernel/mm/transparent_hugepage")) {
    GTEST_SKIP() << "this system has none";
  }
  const int before = huge_mappings();
  LocationCache cache(4 << 20);
  EXPECT_GT(huge_mappings(), before);
  EXPECT_EQ(cache.capacity(), (size_t{4} << 20) / 16);
}

TEST(LocationCache, FindsWhatItLearned) {
  LocationCache cache(4096);
  cache.begin(1);
  cache.learn(hash(1), 3, {wire::kOffsetMask, wire::kGenerationMask, 1u << 30});
  CachedLocation found;
  ASSERT_TRUE(cache.find(hash(1), 3, found));
  EXPECT_EQ(found.offset, wire::kOffsetMask);
  EXPECT_EQ(found.generation, wire::kGenerationMask);
  EXPECT_EQ(found.length, 1u << 30);
  EXPECT_FALSE(cache.find(hash(2), 3, found));
  EXPECT_FALSE(cache.find(hash(1), 4, found));  // another session's
}

TEST(LocationCache, TheNewestCounts) {
  LocationCache cache(4096);
  cache.begin(1);
  cache.learn(hash(1), 0, {10, 1, 50});
  cache.learn(hash(1), 0, {20, 2, 60});
  CachedLocation found;
  ASSERT_TRUE(cache.find(hash(1), 0, found));
  EXPECT_EQ(found.offset, 20u);
  EXPECT_EQ(cache.size(), 1u);
  cache.forget(hash(1), 0);
  EXPECT_FALSE(cache.find(hash(1), 0, found));
}

TEST(LocationCache, IsBounded) {
  LocationCache cache(64 * 1024);
  cache.begin(1);
  for (uint64_t i = 1; i <= 100'000; ++i) cache.learn(hash(i), 0, {i, 1, 50});
  EXPECT_EQ(cache.capacity(), 4096u);
  EXPECT_LE(cache.size(), cache.capacity());
  EXPECT_GT(cache.size(), cache.capacity() / 2);
  EXPECT_GT(cache.counters().evictions, 90'000u);
}

TEST(LocationCache, OfNoBytesLearnsNothing) {
  LocationCache cache(0);
  cache.begin(1);
  cache.learn(hash(1), 0, {10, 1, 50});
  CachedLocation found;
  EXPECT_FALSE(cache.find(hash(1), 0, found));
}

TEST(LocationCache, ForgetsASessionAndNoOther) {
  LocationCache cache(64 * 1024);
  cache.begin(1);
  for (uint64_t i = 1; i <= 100; ++i) cache.learn(hash(i), i % 2, {i, 1, 50});
  cache.forget_session(1);
  EXPECT_EQ(cache.size(), 50u);
  CachedLocation found;
  EXPECT_TRUE(cache.find(hash(2), 0, found));
}

// Rule 10: a location older than the most pointer age is never given out, however the time passes.
TEST(LocationCache, NeverGivesOutAnOldLocation) {
  std::mt19937_64 random(7);
  LocationCache cache(64 * 1024);
  std::vector<uint64_t> learned_at(200);
  uint64_t now = 5;
  for (int step = 0; step < 20'000; ++step) {
    now +=
        random() % 10 == 0 ? random() % (3 * wire::kMostPointerAgeNs) : random() % kQuarterNs / 8;
    cache.begin(now);
    const uint64_t key = 1 + random() % 199;
    CachedLocation found;
    if (cache.find(hash(key), 0, found)) {
      ASSERT_LE(now - learned_at[key], wire::kMostPointerAgeNs);
    } else {
      cache.learn(hash(key), 0, {key, 1, 50});
      learned_at[key] = now;
    }
  }
  EXPECT_GT(cache.counters().hits, 1000u);
  EXPECT_GT(cache.counters().aged, 1000u);
}

}  // namespace
}  // namespace rdmakv
