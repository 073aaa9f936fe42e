#include "rdmakv/client/cas_table.h"

#include <gtest/gtest.h>

namespace rdmakv {
namespace {

constexpr Pointer kFirst{10, 1, wire::kGenerationMask};
constexpr Pointer kSecond{20, 2, wire::kGenerationMask};

TEST(CasTable, RemembersTheNewestEntry) {
  CasTable table;
  EXPECT_EQ(table.find(1, "key", 0), nullptr);
  table.reset();
  EXPECT_EQ(table.find(1, "key", 0), nullptr);
  table.learn(1, "key", kFirst, 5, 0);
  table.learn(1, "key", kSecond, 6, 0);
  ASSERT_NE(table.find(1, "key", 0), nullptr);
  EXPECT_EQ(table.find(1, "key", 0)->pointer.offset, 20u);
  EXPECT_EQ(table.find(1, "key", 0)->version, 6u);
  table.forget(1);
  EXPECT_EQ(table.find(1, "key", 0), nullptr);
}

// An ATOMIC for one of them would link the other's entry behind its own.
TEST(CasTable, TellsKeysOfOneHashApart) {
  CasTable table;
  table.reset();
  table.learn(1, "one", kFirst, 5, 0);
  EXPECT_EQ(table.find(1, "other", 0), nullptr);
  table.learn(1, "other", kSecond, 7, 0);
  EXPECT_EQ(table.find(1, "one", 0), nullptr);
  ASSERT_NE(table.find(1, "other", 0), nullptr);
  EXPECT_EQ(table.find(1, "other", 0)->pointer.offset, 20u);
}

// Generations repeat: an old pointer may lead to another key's live entry.
TEST(CasTable, NeverGivesOutAnOldPointer) {
  CasTable table;
  table.reset();
  table.learn(1, "key", kFirst, 5, 1000);
  EXPECT_NE(table.find(1, "key", 1000 + wire::kMostPointerAgeNs - 1), nullptr);
  EXPECT_EQ(table.find(1, "key", 1000 + wire::kMostPointerAgeNs), nullptr);
  table.learn(1, "key", kFirst, 5, 2000);
  EXPECT_NE(table.find(1, "key", 1000 + wire::kMostPointerAgeNs), nullptr);
}

TEST(CasTable, PausesDoubleAndEndWithAWin) {
  CasTable table;
  table.reset();
  uint64_t last = 0;
  for (int i = 0; i < 40; ++i) {
    table.learn(1, "key", kFirst, 5, 0);
    table.lost(1, 1000);
    table.learn(1, "key", kFirst, 5, 0);
    const uint64_t until = table.find(1, "key", 0)->by_request_until_ns;
    EXPECT_GE(until, last);
    EXPECT_LE(until, 1000 + CasTable::kLongestPauseNs);
    last = until;
  }
  EXPECT_EQ(last, 1000 + CasTable::kLongestPauseNs);
  table.won(1);
  table.lost(1, 0);
  table.learn(1, "key", kFirst, 5, 0);
  EXPECT_EQ(table.find(1, "key", 0)->by_request_until_ns, CasTable::kFirstPauseNs);
}

}  // namespace
}  // namespace rdmakv
