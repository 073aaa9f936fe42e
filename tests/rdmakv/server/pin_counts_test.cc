#include "rdmakv/server/pin_counts.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace rdmakv::server {
namespace {

using Unpinned = PinCounts::Unpinned;

TEST(PinCounts, CountsPinsOfOneExtent) {
  PinCounts pins(4);
  EXPECT_TRUE(pins.pin(7));
  EXPECT_TRUE(pins.pin(7));
  EXPECT_EQ(pins.pinned(), 1u);
  EXPECT_EQ(pins.unpin(7), Unpinned::kStillPinned);
  EXPECT_EQ(pins.unpin(7), Unpinned::kFree);
  EXPECT_EQ(pins.pinned(), 0u);
}

TEST(PinCounts, LastUnpinTellsOfDoom) {
  PinCounts pins(4);
  EXPECT_FALSE(pins.doom(7));
  EXPECT_TRUE(pins.pin(7));
  EXPECT_TRUE(pins.pin(7));
  EXPECT_TRUE(pins.doom(7));
  EXPECT_EQ(pins.unpin(7), Unpinned::kStillPinned);
  EXPECT_EQ(pins.unpin(7), Unpinned::kFreeAndDoomed);
  EXPECT_TRUE(pins.pin(7));
  EXPECT_EQ(pins.unpin(7), Unpinned::kFree);  // doom does not stick
}

TEST(PinCounts, RefusesOneTooMany) {
  PinCounts pins(2);
  EXPECT_TRUE(pins.pin(1));
  EXPECT_TRUE(pins.pin(2));
  EXPECT_FALSE(pins.pin(3));
  EXPECT_TRUE(pins.pin(2));
}

TEST(PinCounts, AgreesWithAMap) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  PinCounts pins(64);
  std::map<uint64_t, int> model;
  for (int i = 0; i < 100000; ++i) {
    const uint64_t offset = 1 + random() % 100;
    if (random() % 2 == 0) {
      const bool fits = model.contains(offset) || model.size() < 64;
      ASSERT_EQ(pins.pin(offset), fits);
      if (fits) ++model[offset];
    } else if (model.contains(offset)) {
      const bool last = --model[offset] == 0;
      ASSERT_EQ(pins.unpin(offset), last ? Unpinned::kFree : Unpinned::kStillPinned);
      if (last) model.erase(offset);
    }
    ASSERT_EQ(pins.pinned(), model.size());
  }
}

}  // namespace
}  // namespace rdmakv::server
