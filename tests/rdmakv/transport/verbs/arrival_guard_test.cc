// READs and ATOMICs that are reported as done without their data.
#include "rdmakv/transport/verbs/arrival_guard.h"

#include <gtest/gtest.h>

namespace rdmakv::verbs {
namespace {

struct Buffer {
  alignas(8) std::byte bytes[64] = {};
  LocalBuffer first(uint32_t length) { return {bytes, length, 0}; }
};

TEST(ArrivalGuard, MissesWhatHasNotCome) {
  const ArrivalGuard guard(0x0123456789abcdef);
  Buffer buffer;
  const std::byte* watched = guard.watch(buffer.first(40));
  EXPECT_TRUE(guard.missing(watched));
  // The first packet is not all of it.
  std::memset(buffer.bytes, 1, 32);
  EXPECT_TRUE(guard.missing(watched));
  std::memset(buffer.bytes, 1, 40);
  EXPECT_FALSE(guard.missing(watched));
}

// The same data as last time is data, too.
TEST(ArrivalGuard, SeesWhatWasThereBeforeComeAgain) {
  const ArrivalGuard guard(0x0123456789abcdef);
  Buffer buffer;
  const Buffer before = buffer;
  const std::byte* watched = guard.watch(buffer.first(8));
  EXPECT_TRUE(guard.missing(watched));
  std::memcpy(buffer.bytes, before.bytes, 8);
  EXPECT_FALSE(guard.missing(watched));
}

TEST(ArrivalGuard, LeavesAloneWhatItDoesNotWatch) {
  Buffer buffer;
  const Buffer before = buffer;
  EXPECT_FALSE(ArrivalGuard().missing(ArrivalGuard().watch(buffer.first(64))));
  const ArrivalGuard guard(1);
  for (const uint32_t length : {0u, 1u, 7u}) {
    EXPECT_FALSE(guard.missing(guard.watch(buffer.first(length))));
  }
  EXPECT_EQ(std::memcmp(buffer.bytes, before.bytes, sizeof(buffer.bytes)), 0);
  // Nothing beside the end.
  guard.watch(buffer.first(48));
  EXPECT_EQ(std::memcmp(buffer.bytes, before.bytes, 40), 0);
  EXPECT_EQ(std::memcmp(buffer.bytes + 48, before.bytes + 48, 16), 0);
}

}  // namespace
}  // namespace rdmakv::verbs
