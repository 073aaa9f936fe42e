// kCombine: BITOP of keys of one worker.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocol/kv_combine.h"
#include "protocol/kv_hash.h"
#include "tests/rdmakv/server/cas_fixture.h"

namespace rdmakv::server {
namespace {

using wire::BitOperation;

template <typename Box>
Told combine(Box& box, BitOperation operation, std::string_view to,
             const std::vector<std::string_view>& sources) {
  const std::string value = wire::encode_combine(operation, sources);
  return box.ask({.opcode = Opcode::kCombine, .key = to, .value = value});
}

TEST(PartitionCombineTest, ShorterValuesAndMissingKeysReadAsZeros) {
  PartitionBox box;
  box.put("a", "\x0f\xff\x11", box.now_ms() + 1000);
  box.put("b", "\x3c");
  EXPECT_EQ(combine(box, BitOperation::kAnd, "r", {"a", "b"}).number, 3u);
  EXPECT_EQ(box.get("r").value, std::string("\x0c\0\0", 3));
  combine(box, BitOperation::kOr, "r", {"b", "a", "none"});
  EXPECT_EQ(box.get("r").value, "\x3f\xff\x11");
  combine(box, BitOperation::kXor, "r", {"a", "b", "a"});
  EXPECT_EQ(box.get("r").value, std::string("\x3c\0\0", 3));
  // Onto itself; the expiry goes.
  const uint64_t version = box.get("a").version;
  EXPECT_EQ(combine(box, BitOperation::kNot, "a", {"a"}).version, version + 1);
  EXPECT_EQ(box.get("a").value, std::string("\xf0\0\xee", 3));
  EXPECT_EQ(box.get("a").expiry_ms, 0);
  // Nothing of nothing: the key is removed.
  EXPECT_EQ(combine(box, BitOperation::kOr, "a", {"none", "neither"}).number, 0u);
  EXPECT_EQ(box.get("a").status, ReplyStatus::kNotFound);
  EXPECT_EQ(combine(box, BitOperation::kNot, "a", {"none"}).status, ReplyStatus::kOk);
  EXPECT_TRUE(box.empty_after_clear());
}

TEST(PartitionCombineTest, LargeValuesAndThoseOfTheCasClass) {
  CasBox box;
  box.make("of-the-class", "\x01");
  box.put("large", std::string(100'000, '\x02'));
  EXPECT_EQ(combine(box, BitOperation::kOr, "of-the-class", {"large", "of-the-class"}).number,
            100'000u);
  EXPECT_EQ(box.get("of-the-class").value, "\x03" + std::string(99'999, '\x02'));
  EXPECT_TRUE(box.consistent());
  EXPECT_TRUE(box.empty_after_clear());
}

TEST(PartitionCombineTest, WhatMakesNoSenseChangesNothing) {
  PartitionBox box;
  box.put("a", "1");
  const std::string_view one[] = {"a"};
  const std::string sound = wire::encode_combine(BitOperation::kOr, one);
  const std::string no_operation = "\x05" + sound.substr(1);
  const std::string_view two[] = {"a", "a"};
  for (const std::string& value :
       {std::string(), no_operation, sound.substr(0, 1), sound.substr(0, 3),
        sound.substr(0, sound.size() - 1), wire::encode_combine(BitOperation::kNot, two)}) {
    EXPECT_EQ(box.ask({.opcode = Opcode::kCombine, .key = "r", .value = value}).status,
              ReplyStatus::kBadRequest);
  }
  EXPECT_EQ(box.get("r").status, ReplyStatus::kNotFound);
}

TEST(PartitionCombineTest, AllKeysMustBelongHere) {
  PartitionBox box(4 << 20, 256 << 10, 0, 2);
  std::string mine, other;
  for (int i = 0; mine.empty() || other.empty(); ++i) {
    const std::string key = "k" + std::to_string(i);
    (wire::worker_of_slot(wire::hash_slot(key), 2) == 0 ? mine : other) = key;
  }
  EXPECT_EQ(combine(box, BitOperation::kOr, mine, {mine, other}).status, ReplyStatus::kWrongWorker);
}

TEST(PartitionCombineTest, NoRoomChangesNothing) {
  PartitionBox box(1 << 20, 64 << 10);
  const std::string value(600'000, 'v');
  box.put("a", value);
  EXPECT_EQ(combine(box, BitOperation::kNot, "b", {"a"}).status, ReplyStatus::kNoSpace);
  EXPECT_EQ(box.get("b").status, ReplyStatus::kNotFound);
  EXPECT_EQ(box.get("a").value, value);
  EXPECT_TRUE(box.empty_after_clear());
}

}  // namespace
}  // namespace rdmakv::server
