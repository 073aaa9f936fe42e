#include "rdmakv/client/request_table.h"

#include <gtest/gtest.h>

namespace rdmakv {
namespace {

TEST(RequestTable, FindsWhatIsInUse) {
  RequestTable table;
  table.reset(4);
  const uint32_t index = table.take();
  EXPECT_EQ(table.find(table.id(index)), index);
}

TEST(RequestTable, AnIdIsGoodOnce) {
  RequestTable table;
  table.reset(4);
  const uint32_t index = table.take();
  const uint32_t id = table.id(index);
  table.give_back(index);
  EXPECT_EQ(table.find(id), RequestTable::kNone);
  ASSERT_EQ(table.take(), index) << "the slot is used again";
  EXPECT_EQ(table.find(id), RequestTable::kNone);
}

TEST(RequestTable, IdsOfAnEarlierConnectionMeanNothing) {
  RequestTable table;
  table.reset(4);
  const uint32_t id = table.id(table.take());
  table.reset(4);
  table.take();
  EXPECT_EQ(table.find(id), RequestTable::kNone);
}

TEST(RequestTable, AnyIdMayBeAsked) {
  RequestTable table;
  table.reset(4);
  for (int i = 0; i < 4; ++i) table.take();
  for (const uint32_t id : {0u, 5u, 0xffffffffu, RequestTable::kMaxSlots - 1}) {
    EXPECT_EQ(table.find(id), RequestTable::kNone);
  }
}

TEST(RequestTable, IsFullAtItsCapacity) {
  RequestTable table;
  table.reset(2);
  table.take();
  EXPECT_FALSE(table.full());
  const uint32_t second = table.take();
  EXPECT_TRUE(table.full());
  table.give_back(second);
  EXPECT_FALSE(table.full());
}

TEST(RequestTable, KeepsTheOrderOfSending) {
  RequestTable table;
  table.reset(4);
  const uint32_t a = table.take();
  const uint32_t b = table.take();
  const uint32_t c = table.take();
  table.give_back(b);
  EXPECT_EQ(table.oldest(), a);
  EXPECT_EQ(table.slot(a).next, c);
  EXPECT_EQ(table.newest(), c);
  EXPECT_EQ(table.slot(c).next, RequestTable::kNone);
}

}  // namespace
}  // namespace rdmakv
