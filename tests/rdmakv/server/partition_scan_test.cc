// Scans, random keys, copies and renames of a partition.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <string>

#include "tests/rdmakv/server/cas_fixture.h"
#include "tests/rdmakv/server/partition_fixture.h"

namespace rdmakv::server {
namespace {

// The keys of one reply to kScan.
std::vector<std::string> keys_of(const Told& told) {
  if ((told.reply.flags & wire::kOneKey) != 0) return {told.value};
  std::vector<std::string> keys;
  for (std::string_view rest = told.value; !rest.empty();) {
    uint32_t length = 0;
    std::memcpy(&length, rest.data(), sizeof(length));
    keys.emplace_back(rest.substr(sizeof(length), length));
    rest.remove_prefix(sizeof(length) + length);
  }
  return keys;
}

class ScanTest : public testing::Test {
 protected:
  void TearDown() override {
    EXPECT_TRUE(box_.consistent());
    EXPECT_TRUE(box_.empty_after_clear());
  }
  Told scan(uint64_t cursor, uint64_t wanted) {
    return box_.ask(
        {.opcode = Opcode::kScan, .version = cursor, .expiry_ms = static_cast<int64_t>(wanted)});
  }
  // Times that a whole scan meets each key; `between` is called after each request.
  template <typename Between>
  std::map<std::string, int> scan_all(uint64_t wanted, Between&& between) {
    std::map<std::string, int> met;
    uint64_t cursor = 0;
    do {
      const Told told = scan(cursor, wanted);
      EXPECT_EQ(told.status, ReplyStatus::kOk);
      for (const std::string& key : keys_of(told)) ++met[key];
      cursor = told.reply.cursor;
      between();
    } while (cursor != 0);
    return met;
  }
  std::map<std::string, int> scan_all(uint64_t wanted) {
    return scan_all(wanted, [] {});
  }
  Told copy(Opcode opcode, std::string_view from, std::string_view to,
            Condition condition = Condition::kAlways) {
    return box_.ask({.opcode = opcode, .key = from, .value = to, .condition = condition});
  }
  Told random_key() { return box_.ask({.opcode = Opcode::kRandomKey}); }

  PartitionBox box_;
};

TEST_F(ScanTest, NothingThere) {
  const Told told = scan(0, 10);
  EXPECT_EQ(told.status, ReplyStatus::kOk);
  EXPECT_EQ(told.value, "");
  EXPECT_EQ(told.reply.cursor, 0u);
  EXPECT_EQ(random_key().status, ReplyStatus::kNotFound);
}

TEST_F(ScanTest, MeetsEachKeyOnceWhateverIsAskedFor) {
  std::set<std::string> all;
  for (int i = 0; i < 5000; ++i) all.insert("key:" + std::to_string(i));
  for (const std::string& key : all) box_.put(key, "v");
  for (const uint64_t wanted : {1, 7, 10, 1000, 1'000'000}) {
    const std::map<std::string, int> met = scan_all(wanted);
    EXPECT_EQ(met.size(), all.size()) << wanted;
    for (const auto& [key, times] : met) {
      EXPECT_EQ(times, 1) << key;
      EXPECT_TRUE(all.contains(key));
    }
  }
}

TEST_F(ScanTest, StopsSoonBehindWhatWasWanted) {
  for (int i = 0; i < 1000; ++i) box_.put("key:" + std::to_string(i), "v");
  EXPECT_LT(keys_of(scan(0, 10)).size(), 10 + wire::kSlotsPerBucket);
  EXPECT_GE(keys_of(scan(0, 10)).size(), 10u);
}

// Redis's guarantee: what is there all the time is met, whatever else comes and goes, and whatever
// becomes of its value, its expiry and its class.
TEST_F(ScanTest, WhatStaysIsMetWhileKeysChange) {
  std::mt19937_64 random(1);
  PartitionBox small(4 << 20, 64 << 10);  // so that keys go to the stash, too
  for (int i = 0; i < 5500; ++i) small.put("stays:" + std::to_string(i), "v");
  for (int i = 0; i < 2000; ++i) small.put("goes:" + std::to_string(i), "v");
  ASSERT_GT(small.partition->index().stashed(), 0u);
  std::map<std::string, int> met;
  uint64_t cursor = 0;
  do {
    const Told told = small.ask({.opcode = Opcode::kScan, .version = cursor, .expiry_ms = 20});
    for (const std::string& key : keys_of(told)) ++met[key];
    cursor = told.reply.cursor;
    for (int i = 0; i < 30; ++i) {
      const std::string number = std::to_string(random() % 2000);
      small.del("goes:" + number);
      small.put("goes:" + std::to_string(random() % 2000), "w");
      small.put("stays:" + number, std::string(random() % 300, 'x'));
      small.expire("stays:" + number, small.now_ms() + 1'000'000);
    }
  } while (cursor != 0);
  for (int i = 0; i < 5500; ++i) EXPECT_EQ(met["stays:" + std::to_string(i)], 1) << i;
  EXPECT_TRUE(small.consistent());
}

TEST_F(ScanTest, KeysTooLongForAMessageComeAlone) {
  std::set<std::string> all = {"short",
                               std::string(4090, 'a'),
                               std::string(4091, 'b'),
                               std::string(4096, 'c'),
                               std::string(wire::kMaxKeyBytes, 'd'),
                               ""};
  for (const std::string& key : all) box_.put(key, "v");
  const std::map<std::string, int> met = scan_all(100);
  EXPECT_EQ(met.size(), all.size());
  for (const auto& [key, times] : met) EXPECT_EQ(times, 1) << key.size();
  EXPECT_EQ(box_.partition->slab().accounting().pinned_extents, 0u);
}

TEST_F(ScanTest, AKeyThatCannotBePinnedIsNotPassedOver) {
  std::vector<uint64_t> pinned;
  for (int i = 0; i < 64; ++i) {
    const std::string key = "key:" + std::to_string(i);
    box_.put(key, "v");
    pinned.push_back(box_.get(key).reply.location);
    ASSERT_TRUE(box_.partition->slab().pin(pinned.back()));
  }
  const std::string long_key(5000, 'k');
  box_.put(long_key, "v");
  uint64_t cursor = 0;
  Told told;
  do {
    told = scan(cursor, 1);
    if (told.status == ReplyStatus::kOk) cursor = told.reply.cursor;
  } while (told.status == ReplyStatus::kOk && cursor != 0);
  EXPECT_EQ(told.status, ReplyStatus::kTooMany);
  for (const uint64_t extent : pinned) box_.partition->slab().unpin(extent);
  bool met = false;
  do {
    told = scan(cursor, 1);
    for (const std::string& key : keys_of(told)) met |= key == long_key;
    cursor = told.reply.cursor;
  } while (!met && cursor != 0);
  EXPECT_TRUE(met);
}

TEST_F(ScanTest, ExpiredKeysAreNotMet) {
  box_.put("gone", "v", box_.now_ms() + 5);
  box_.put("stays", "v", box_.now_ms() + 5000);
  box_.clock.pass_ms(10);
  EXPECT_EQ(scan_all(10), (std::map<std::string, int>{{"stays", 1}}));
  EXPECT_EQ(random_key().value, "stays");
  EXPECT_EQ(box_.ask({.opcode = Opcode::kCount}).number, 2u - (box_.partition->counters().expired));
}

TEST_F(ScanTest, HostileCursors) {
  box_.put("key", "v");
  EXPECT_EQ(scan(0, 0).status, ReplyStatus::kBadRequest);
  for (const uint64_t cursor : {~uint64_t{0}, uint64_t{1} << 40, uint64_t{0xffffffff} * 8}) {
    const Told told = scan(cursor, 10);
    EXPECT_EQ(told.status, ReplyStatus::kOk);
    EXPECT_EQ(told.reply.cursor, 0u);
    EXPECT_EQ(told.value, "");
  }
}

TEST_F(ScanTest, EachKeyIsAsLikelyAsTheOthers) {
  std::map<std::string, int> met;
  for (int i = 0; i < 20; ++i) met["key:" + std::to_string(i)] = 0;
  for (const auto& [key, times] : met) box_.put(key, "v");
  constexpr int kTries = 20'000;
  for (int i = 0; i < kTries; ++i) {
    const Told told = random_key();
    ASSERT_EQ(told.status, ReplyStatus::kOk);
    ASSERT_EQ(told.reply.cursor, 20u);
    ++met.at(told.value);
  }
  // Ten standard deviations of a binomial with p = 1/20.
  for (const auto& [key, times] : met) EXPECT_NEAR(times, kTries / 20, 310) << key;
}

TEST_F(ScanTest, CopyTakesValueAndExpiry) {
  const int64_t expiry = box_.now_ms() + 5000;
  box_.put("a", "value", expiry);
  box_.put("b", "other");
  EXPECT_EQ(copy(Opcode::kCopy, "a", "b", Condition::kIfAbsent).status,
            ReplyStatus::kConditionNotMet);
  EXPECT_EQ(box_.get("b").value, "other");
  const Told told = copy(Opcode::kCopy, "a", "b");
  EXPECT_EQ(told.status, ReplyStatus::kOk);
  EXPECT_EQ(told.version, 2u);
  EXPECT_EQ(told.reply.location, 0u);  // would be taken for that of "a"
  EXPECT_EQ(box_.get("b").value, "value");
  EXPECT_EQ(box_.get("b").expiry_ms, expiry);
  EXPECT_EQ(box_.get("a").value, "value");
  EXPECT_EQ(copy(Opcode::kCopy, "a", "c", Condition::kIfAbsent).status, ReplyStatus::kOk);
  EXPECT_EQ(box_.get("c").value, "value");
}

TEST_F(ScanTest, RenameRemovesTheOld) {
  for (const size_t size : {0, 10, 5000, 300'000}) {
    const std::string value(size, 'v');
    box_.put("a", value);
    box_.put("b", "other");
    const uint64_t before = box_.get("b").version;
    EXPECT_EQ(copy(Opcode::kRename, "a", "b", Condition::kIfAbsent).status,
              ReplyStatus::kConditionNotMet);
    EXPECT_EQ(box_.get("a").value, value);
    EXPECT_EQ(copy(Opcode::kRename, "a", "b").status, ReplyStatus::kOk);
    EXPECT_EQ(box_.get("a").status, ReplyStatus::kNotFound);
    EXPECT_EQ(box_.get("b").value, value);
    EXPECT_GT(box_.get("b").version, before);
    EXPECT_EQ(copy(Opcode::kRename, "a", "b").status, ReplyStatus::kNotFound);
    EXPECT_EQ(box_.get("b").value, value);
  }
}

TEST_F(ScanTest, WhatCannotBeCopied) {
  box_.put("a", "v");
  EXPECT_EQ(copy(Opcode::kRename, "a", "a").status, ReplyStatus::kBadRequest);
  EXPECT_EQ(copy(Opcode::kCopy, "a", std::string(wire::kMaxKeyBytes + 1, 'k')).status,
            ReplyStatus::kBadRequest);
  EXPECT_EQ(copy(Opcode::kCopy, "a", "b", Condition::kIfNoExpiry).status, ReplyStatus::kBadRequest);
  PartitionBox one(4 << 20, 256 << 10, 0, 2);
  const auto of_worker = [](uint32_t worker) {
    for (int i = 0;; ++i) {
      std::string key = "key" + std::to_string(i);
      if (wire::worker_of_slot(wire::hash_slot(key), 2) == worker) return key;
    }
  };
  one.put(of_worker(0), "v");
  EXPECT_EQ(one.ask({.opcode = Opcode::kRename, .key = of_worker(0), .value = of_worker(1)}).status,
            ReplyStatus::kWrongWorker);
}

TEST_F(ScanTest, ACopyThatFindsNoRoomChangesNothing) {
  PartitionBox small(1 << 20);
  const std::string large(600'000, 'v');
  ASSERT_EQ(small.put("a", large).status, ReplyStatus::kOk);
  EXPECT_EQ(small.ask({.opcode = Opcode::kRename, .key = "a", .value = "b"}).status,
            ReplyStatus::kNoSpace);
  EXPECT_EQ(small.get("a").value, large);
  EXPECT_EQ(small.get("b").status, ReplyStatus::kNotFound);
  EXPECT_TRUE(small.consistent());
}

// ---- keys that clients change without the server ------------------------------------------------

class CasScanTest : public testing::Test {
 protected:
  void TearDown() override { EXPECT_TRUE(box_.partition->consistent(0)); }
  CasBox box_;
};

TEST_F(CasScanTest, KeysOfTheClassAreMet) {
  box_.make("cas");
  const Told told = box_.ask({.opcode = Opcode::kScan, .expiry_ms = 10});
  EXPECT_EQ(keys_of(told), (std::vector<std::string>{"cas"}));
}

TEST_F(CasScanTest, RenameOfAndOntoKeysOfTheClass) {
  box_.make("a", "of a");
  box_.make("b", "of b");
  EXPECT_EQ(box_.ask({.opcode = Opcode::kCopy, .key = "a", .value = "b"}).status, ReplyStatus::kOk);
  EXPECT_EQ(box_.get("b").value, "of a");
  EXPECT_EQ(box_.get("a").value, "of a");
  box_.make("b", "of b");
  EXPECT_EQ(box_.ask({.opcode = Opcode::kRename, .key = "a", .value = "b"}).status,
            ReplyStatus::kOk);
  EXPECT_EQ(box_.get("b").value, "of a");
  EXPECT_EQ(box_.get("a").status, ReplyStatus::kNotFound);
}

}  // namespace
}  // namespace rdmakv::server
