#include "rdmakv/server/pins.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <vector>

namespace rdmakv::server {
namespace {

TEST(PinsTest, TicketsAreGivenAndReleasedInAnyOrderAndMeanNothingAfterwards) {
  constexpr uint64_t kBytes = 4 << 20;
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(PageHeap::kPageBytes, kBytes));
  {
    Slab slab({memory, kBytes}, Pins::kMost);
    slab.begin(1'000'000'000);
    const uint64_t offset = slab.allocate(100).offset;
    Pins pins(slab);
    std::mt19937 random(1);
    std::vector<uint64_t> open;
    for (int round = 0; round < 20'000; ++round) {
      // Long stretches of growth and of shrinking, so that it is full and empty at times.
      if ((round / 3'000) % 2 == 0 ? !pins.full() : open.empty()) {
        ASSERT_TRUE(slab.pin(offset));
        const uint64_t ticket = pins.add(offset);
        ASSERT_NE(ticket, 0u);
        ASSERT_EQ(std::count(open.begin(), open.end(), ticket), 0);
        open.push_back(ticket);
      } else if (!open.empty()) {
        std::swap(open[random() % open.size()], open.back());
        ASSERT_TRUE(pins.release(open.back()));
        ASSERT_FALSE(pins.release(open.back()));
        open.pop_back();
      }
      ASSERT_EQ(pins.open(), open.size());
      ASSERT_EQ(pins.full(), open.size() == Pins::kMost);
    }
    EXPECT_FALSE(pins.release(0));
    pins.release_all();
    EXPECT_EQ(pins.open(), 0u);
    for (const uint64_t ticket : open) EXPECT_FALSE(pins.release(ticket));
  }
  std::free(memory);
}

}  // namespace
}  // namespace rdmakv::server
