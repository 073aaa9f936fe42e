#include "rdmakv/server/page_heap.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace rdmakv::server {
namespace {

TEST(PageHeap, HandsOutEveryPageButTheReservedOnes) {
  PageHeap heap(10, 1);
  EXPECT_EQ(heap.usable_pages(), 9u);
  EXPECT_EQ(heap.allocate(9), 1u);
  EXPECT_EQ(heap.free_pages(), 0u);
  EXPECT_EQ(heap.allocate(1), PageHeap::kNone);
}

TEST(PageHeap, RunTooLongIsNone) {
  PageHeap heap(10, 1);
  EXPECT_EQ(heap.allocate(10), PageHeap::kNone);
  EXPECT_EQ(heap.free_pages(), 9u);
}

TEST(PageHeap, JoinsWithBothNeighbours) {
  PageHeap heap(31, 1);
  const uint32_t a = heap.allocate(10);
  const uint32_t b = heap.allocate(10);
  const uint32_t c = heap.allocate(10);
  heap.release(a);
  heap.release(c);
  EXPECT_EQ(heap.allocate(11), PageHeap::kNone);
  heap.release(b);
  EXPECT_TRUE(heap.consistent());
  EXPECT_EQ(heap.allocate(30), 1u);
}

TEST(PageHeap, FindsAnExactFitThatRoundingWouldMiss) {
  PageHeap heap(1 + 100, 1);
  EXPECT_EQ(heap.allocate(99), 1u);  // 99 is no class boundary, the only run has 100
}

TEST(PageHeap, KeepsTagsPerPage) {
  PageHeap heap(100, 1);
  const uint32_t run = heap.allocate(5);
  heap.set_tags(run, 77);
  for (uint32_t i = 0; i < 5; ++i) EXPECT_EQ(heap.tag(run + i), 77u);
  EXPECT_EQ(heap.run_pages(run), 5u);
}

TEST(PageHeap, RandomRunsNeverOverlapAndAllComeBack) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  constexpr uint32_t kPages = 5000;
  PageHeap heap(kPages, 1);
  std::map<uint32_t, uint32_t> runs;
  std::vector<bool> used(kPages);
  uint32_t in_use = 0;
  for (int i = 0; i < 20000; ++i) {
    if (random() % 2 == 0 || runs.empty()) {
      const uint32_t pages = random() % 8 == 0 ? 1 + random() % 700 : 1 + random() % 20;
      const uint32_t first = heap.allocate(pages);
      if (first == PageHeap::kNone) continue;
      for (uint32_t p = first; p < first + pages; ++p) {
        ASSERT_LT(p, kPages);
        ASSERT_FALSE(used[p]);
        used[p] = true;
      }
      heap.set_tags(first, i);
      runs[first] = pages;
      in_use += pages;
    } else {
      auto run = std::next(runs.begin(), static_cast<int>(random() % runs.size()));
      ASSERT_EQ(heap.run_pages(run->first), run->second);
      for (uint32_t p = run->first; p < run->first + run->second; ++p) used[p] = false;
      in_use -= run->second;
      heap.release(run->first);
      runs.erase(run);
    }
    ASSERT_EQ(heap.free_pages(), heap.usable_pages() - in_use);
    if (i % 100 == 0) {
      ASSERT_TRUE(heap.consistent());
    }
  }
  for (const auto& [first, pages] : runs) heap.release(first);
  EXPECT_TRUE(heap.consistent());
  EXPECT_EQ(heap.allocate(kPages - 1), 1u);
}

}  // namespace
}  // namespace rdmakv::server
