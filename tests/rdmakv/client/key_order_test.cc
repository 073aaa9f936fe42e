#include "rdmakv/client/key_order.h"

#include <gtest/gtest.h>

namespace rdmakv {
namespace {

TEST(KeyOrder, NoReadBesideARequest) {
  KeyOrder order;
  order.request_begins(7);
  EXPECT_FALSE(order.may_read(7));
  EXPECT_TRUE(order.may_read(8));
  order.request_ends(7);
  EXPECT_TRUE(order.may_read(7));
}

// As many puts of one key as go on all credits there can be.
TEST(KeyOrder, NoReadBesideAGreatManyRequests) {
  constexpr uint32_t kMost = 4096 * 64;
  KeyOrder order;
  for (uint32_t i = 0; i < kMost; ++i) {
    order.request_begins(7);
    ASSERT_FALSE(order.may_read(7)) << i;
  }
  for (uint32_t i = 0; i < kMost; ++i) order.request_ends(7);
  EXPECT_TRUE(order.may_read(7));
}

TEST(KeyOrder, NoRequestBesideARead) {
  KeyOrder order;
  order.read_begins(7);
  EXPECT_FALSE(order.may_ask(7));
  EXPECT_FALSE(order.may_swap(7));
  EXPECT_TRUE(order.may_ask(8));
  order.read_ends(7);
  EXPECT_TRUE(order.may_ask(7));
}

TEST(KeyOrder, NothingBesideAnAtomic) {
  KeyOrder order;
  order.atomic_begins(7);
  EXPECT_FALSE(order.may_read(7));
  EXPECT_FALSE(order.may_ask(7));
  EXPECT_FALSE(order.may_swap(7));
  order.atomic_ends(7);
  EXPECT_TRUE(order.may_swap(7));
}

TEST(KeyOrder, AClearStandsAlone) {
  KeyOrder order;
  order.read_begins(7);
  EXPECT_FALSE(order.may_clear());
  order.read_ends(7);
  EXPECT_TRUE(order.may_clear());
  order.clear_begins();
  EXPECT_FALSE(order.may_read(8));
  order.clear_ends();
  EXPECT_TRUE(order.may_read(8));
}

TEST(KeyOrder, AReadBehindADetourFollowsIt) {
  KeyOrder order;
  const uint64_t first = order.read_begins(7);
  const uint64_t second = order.read_begins(7);
  const uint64_t third = order.read_begins(7);
  order.read_detours(7, second);
  order.read_ends(7);
  EXPECT_FALSE(order.read_fell_behind(7, first, 9)) << "it waits for this one";
  order.read_ends(7);
  EXPECT_TRUE(order.read_fell_behind(7, third, 9));
  order.read_ends(7);
  const uint64_t fourth = order.read_begins(7);
  EXPECT_FALSE(order.read_fell_behind(7, fourth, 9));
}

TEST(KeyOrder, ReadsTogetherDoNotGoBackwards) {
  KeyOrder order;
  const uint64_t first = order.read_begins(7);
  const uint64_t second = order.read_begins(7);
  EXPECT_FALSE(order.read_fell_behind(7, first, 9));
  order.read_ends(7);
  EXPECT_TRUE(order.read_fell_behind(7, second, 8));
  order.read_ends(7);
  // One that begins when all have ended may find what it finds.
  const uint64_t third = order.read_begins(7);
  EXPECT_FALSE(order.read_fell_behind(7, third, 8));
}

}  // namespace
}  // namespace rdmakv
