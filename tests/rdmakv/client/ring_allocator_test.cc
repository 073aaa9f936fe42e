#include "rdmakv/client/ring_allocator.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "protocol/kv_message.h"

namespace rdmakv {
namespace {

constexpr uint64_t kUnit = wire::kRingUnit;

TEST(RingAllocator, HandsOutConsecutiveUnits) {
  RingAllocator ring(16 * kUnit, 8);
  EXPECT_EQ(ring.allocate(1)->offset, 0u);
  EXPECT_EQ(ring.allocate(kUnit + 1)->offset, 1u);
  EXPECT_EQ(ring.allocate(kUnit)->offset, 3u);
  EXPECT_EQ(ring.used_bytes(), 4 * kUnit);
}

TEST(RingAllocator, RefusesWhatDoesNotFit) {
  RingAllocator ring(4 * kUnit, 8);
  EXPECT_FALSE(ring.allocate(5 * kUnit));
  EXPECT_TRUE(ring.allocate(3 * kUnit));
  EXPECT_FALSE(ring.allocate(2 * kUnit));
  EXPECT_TRUE(ring.allocate(kUnit));
  EXPECT_FALSE(ring.allocate(1));
}

TEST(RingAllocator, RefusesMoreStretchesThanItKeeps) {
  RingAllocator ring(64 * kUnit, 2);
  ASSERT_TRUE(ring.allocate(1));
  ASSERT_TRUE(ring.allocate(1));
  EXPECT_FALSE(ring.allocate(1));
}

TEST(RingAllocator, RoomComesBackInOrderOnly) {
  RingAllocator ring(4 * kUnit, 8);
  const auto first = ring.allocate(2 * kUnit);
  const auto second = ring.allocate(2 * kUnit);
  ring.release(second->number);
  EXPECT_FALSE(ring.allocate(kUnit)) << "the oldest stretch still lies before it";
  ring.release(first->number);
  EXPECT_EQ(ring.used_bytes(), 0u);
  EXPECT_TRUE(ring.allocate(4 * kUnit));
}

TEST(RingAllocator, SkipsToTheStartWhenTheEndIsTooShort) {
  RingAllocator ring(10 * kUnit, 8);
  const auto first = ring.allocate(6 * kUnit);
  const auto second = ring.allocate(2 * kUnit);
  ring.release(first->number);
  const auto third = ring.allocate(3 * kUnit);
  ASSERT_TRUE(third);
  EXPECT_EQ(third->offset, 0u);
  EXPECT_EQ(ring.used_bytes(), 7 * kUnit) << "the two units skipped count";
  ring.release(second->number);
  ring.release(third->number);
  EXPECT_EQ(ring.used_bytes(), 0u);
}

TEST(RingAllocator, ASkipNeverOverlapsTheOldest) {
  RingAllocator ring(10 * kUnit, 8);
  const auto first = ring.allocate(4 * kUnit);
  const auto second = ring.allocate(4 * kUnit);
  ring.release(first->number);
  EXPECT_FALSE(ring.allocate(5 * kUnit)) << "4 units are free at the start, 2 at the end";
  ASSERT_TRUE(ring.allocate(4 * kUnit));
  EXPECT_FALSE(ring.allocate(1));
  ring.release(second->number);
}

TEST(RingAllocator, NoRingTakesNothing) {
  RingAllocator none(0, 8);
  EXPECT_FALSE(none.allocate(1));
  RingAllocator empty;
  EXPECT_FALSE(empty.allocate(1));
}

// Against a model that marks every byte.
TEST(RingAllocator, StretchesNeverOverlap) {
  constexpr uint32_t kUnits = 37;
  std::mt19937 random(4711);
  RingAllocator ring(kUnits * kUnit, 12);
  std::vector<int> owner(kUnits, -1);
  struct Live {
    uint32_t offset, units, number;
  };
  std::vector<Live> live;
  int granted = 0;
  for (int step = 0; step < 200'000; ++step) {
    if (random() % 2 == 0) {
      const uint32_t units = 1 + random() % 12;
      const auto stretch = ring.allocate(units * kUnit - random() % kUnit);
      if (!stretch) continue;
      ASSERT_LE(stretch->offset + units, kUnits);
      for (uint32_t unit = 0; unit < units; ++unit) {
        ASSERT_EQ(owner[stretch->offset + unit], -1) << "step " << step;
        owner[stretch->offset + unit] = step;
      }
      live.push_back({stretch->offset, units, stretch->number});
      ++granted;
    } else if (!live.empty()) {
      const size_t which = random() % live.size();
      for (uint32_t unit = 0; unit < live[which].units; ++unit) {
        owner[live[which].offset + unit] = -1;
      }
      ring.release(live[which].number);
      live.erase(live.begin() + static_cast<ptrdiff_t>(which));
    }
  }
  EXPECT_GT(granted, 10'000);
  for (const Live& stretch : live) ring.release(stretch.number);
  EXPECT_EQ(ring.used_bytes(), 0u);
}

}  // namespace
}  // namespace rdmakv
