#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "protocol/kv_hash.h"
#include "protocol/kv_transaction.h"
#include "tests/rdmakv/server/transaction_fixture.h"

namespace rdmakv::server {
namespace {

TEST(PartitionTransactionTest, CommandsAreAnsweredAsIfTheyHadComeAlone) {
  PartitionBox box;
  box.put("b", "old");
  Commands commands;
  commands.put("a", "1").get("a").swap("b", "new").get("b").del("b").get("b").del("b");
  commands.add({.opcode = Opcode::kPut,
                .key = "a",
                .value = "2",
                .condition = Condition::kIfVersion,
                .version = 1});
  commands.add({.opcode = Opcode::kPut,
                .key = "a",
                .value = "3",
                .condition = Condition::kIfVersion,
                .version = 1});
  commands.add({.opcode = Opcode::kExpire, .key = "a", .expiry_ms = box.now_ms() + 1000});
  commands.add({.opcode = Opcode::kInspect, .key = "a"});
  commands.add({.opcode = Opcode::kCount});
  const std::vector<One> replies = run(box, commands);
  ASSERT_EQ(replies.size(), 12u);
  EXPECT_EQ(replies[0].version, 1u);
  EXPECT_EQ(replies[1].value, "1");
  EXPECT_EQ(replies[2].value, "old");
  EXPECT_EQ(replies[3].value, "new");
  EXPECT_EQ(replies[4].status, ReplyStatus::kOk);
  EXPECT_EQ(replies[5].status, ReplyStatus::kNotFound);
  EXPECT_EQ(replies[6].status, ReplyStatus::kNotFound);
  EXPECT_EQ(replies[7].version, 2u);
  EXPECT_EQ(replies[8].status, ReplyStatus::kVersionMismatch);
  EXPECT_EQ(replies[9].version, 3u);
  EXPECT_EQ(replies[10].version, 3u);
  EXPECT_EQ(replies[11].number, 1u);
  EXPECT_EQ(box.get("a").value, "2");
  EXPECT_EQ(box.get("a").expiry_ms, box.now_ms() + 1000);
  EXPECT_EQ(box.get("b").status, ReplyStatus::kNotFound);
  EXPECT_TRUE(box.consistent());
  EXPECT_TRUE(box.empty_after_clear());
}

TEST(PartitionTransactionTest, NothingIsDoneWhenAPreconditionIsNotMet) {
  PartitionBox box;
  const uint64_t version = box.put("a", "1").version;
  {
    Commands commands;
    commands.require("a", version).require("b", 0).put("a", "2").put("b", "2");
    EXPECT_EQ(run(box, commands).size(), 2u);
  }
  Commands commands;
  commands.require("b", box.get("b").version).require("a", version).put("b", "3").del("a");
  const Told told = run_message(box, "a", commands.message());
  EXPECT_EQ(told.status, ReplyStatus::kVersionMismatch);
  EXPECT_EQ(told.version, version + 1);
  EXPECT_EQ(told.number, 1u);
  EXPECT_FALSE(told.has_value);
  EXPECT_EQ(box.get("a").value, "2");
  EXPECT_EQ(box.get("b").value, "2");

  Commands absent;
  absent.require("b", 0).put("a", "4");
  EXPECT_EQ(run_message(box, "a", absent.message()).status, ReplyStatus::kVersionMismatch);
  Commands only;
  only.require("a", version + 1);
  const Told met = run_message(box, "a", only.message());
  EXPECT_EQ(met.status, ReplyStatus::kOk);
  EXPECT_TRUE(met.has_value && met.value.empty());
  EXPECT_TRUE(box.empty_after_clear());
}

TEST(PartitionTransactionTest, AKeyThatHasExpiredSinceHasChanged) {
  PartitionBox box;
  const uint64_t version = box.put("a", "1", box.now_ms() + 5).version;
  Commands commands;
  commands.require("a", version).put("b", "1");
  box.clock.pass_ms(10);
  const Told told = run_message(box, "a", commands.message());
  EXPECT_EQ(told.status, ReplyStatus::kVersionMismatch);
  EXPECT_EQ(told.version, 0u);
  EXPECT_EQ(box.get("b").status, ReplyStatus::kNotFound);
}

TEST(PartitionTransactionTest, AllKeysMustBelongHere) {
  PartitionBox box(4 << 20, 256 << 10, 0, 2);
  std::string mine, other;
  for (int i = 0; mine.empty() || other.empty(); ++i) {
    const std::string key = "k" + std::to_string(i);
    (wire::worker_of_slot(wire::hash_slot(key), 2) == 0 ? mine : other) = key;
  }
  Commands commands, watched;
  commands.put(mine, "1").put(other, "1");
  EXPECT_EQ(run_message(box, mine, commands.message()).status, ReplyStatus::kWrongWorker);
  watched.require(other, 0).put(mine, "1");
  EXPECT_EQ(run_message(box, mine, watched.message()).status, ReplyStatus::kWrongWorker);
  EXPECT_EQ(box.get(mine).status, ReplyStatus::kNotFound);
}

TEST(PartitionTransactionTest, WhatMakesNoSenseIsRefusedAsAWhole) {
  PartitionBox box;
  const auto refused = [&](Commands& commands) {
    EXPECT_EQ(run_message(box, "a", commands.message()).status, ReplyStatus::kBadRequest);
    EXPECT_EQ(box.get("a").status, ReplyStatus::kNotFound);
  };
  for (const Opcode opcode :
       {Opcode::kTransaction, Opcode::kClear, Opcode::kCombine, Opcode::kRelease,
        Opcode::kUploadBegin, Opcode::kUploadCommit, Opcode::kGrants}) {
    Commands commands;
    commands.put("a", "1").add({.opcode = opcode, .key = "a"});
    refused(commands);
  }
  // Within a transaction within a transaction.
  Commands innermost;
  const std::string nested = innermost.put("a", "2").message();
  Commands reads, asks_back, twice;
  for (const std::string& message :
       {reads.get("a").message(), asks_back.swap("a", "2").message(),
        twice.add({.opcode = Opcode::kTransaction, .key = "a", .value = nested}).message(),
        nested.substr(0, nested.size() - 16)}) {
    Commands commands;
    commands.put("a", "1").add({.opcode = Opcode::kTransaction, .key = "a", .value = message});
    refused(commands);
  }
  Commands late, odd_condition, odd_value;
  late.put("a", "1").require("a", 0);
  refused(late);
  odd_condition.put("a", "1").add(
      {.opcode = Opcode::kGet, .key = "a", .condition = Condition::kIfLater});
  refused(odd_condition);
  odd_value.put("a", "1").add({.opcode = Opcode::kGet, .key = "a", .value = "v"});
  refused(odd_value);

  Commands commands;
  std::string message = commands.put("a", "1").put("b", "2").message();
  for (size_t length = 0; length < message.size() - 8; ++length) {
    const Told told = run_message(box, "a", std::string_view(message).substr(0, length));
    EXPECT_EQ(told.status, ReplyStatus::kBadRequest) << length;
  }
  EXPECT_EQ(box.get("a").status, ReplyStatus::kNotFound);
  EXPECT_EQ(run_message(box, "a", std::string(wire::kMaxChunk + 1, 'x')).status,
            ReplyStatus::kTooLarge);
  EXPECT_TRUE(box.empty_after_clear());
}

// A peer may send anything, also as the value of a transaction.
TEST(PartitionTransactionTest, SpoiledMessagesBreakNothing) {
  CasBox box;
  box.make("b");
  std::mt19937 random(7);
  Commands commands;
  Commands inner;
  const std::string nested = inner.require("d", 0).put("d", "1").del("c").message();
  const std::string_view names[] = {"a", "b"};
  const std::string sources = wire::encode_combine(wire::BitOperation::kXor, names);
  commands.require("a", 0).put("a", "1").swap("b", "22").get("c").del("a").put("c", "333");
  commands.add({.opcode = Opcode::kTransaction, .key = "d", .value = nested});
  commands.add({.opcode = Opcode::kCombine, .key = "e", .value = sources});
  commands.add({.opcode = Opcode::kRename, .key = "e", .value = "f"});
  commands.add({.opcode = Opcode::kScan, .expiry_ms = 100}).add({.opcode = Opcode::kRandomKey});
  commands.add({.opcode = Opcode::kClear});
  const std::string sound = commands.message();
  int executed = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string spoiled = sound;
    for (int i = 0; i <= round % 3; ++i) {
      spoiled[random() % spoiled.size()] = static_cast<char>(random());
    }
    const Told told = run_message(box, "a", spoiled);
    if (told.status == ReplyStatus::kOk) {
      ++executed;
      replies_of(told);
    }
    box.pass_ms(1);
  }
  EXPECT_GT(executed, 0);
  EXPECT_TRUE(box.consistent());
  EXPECT_TRUE(box.empty_after_clear());
}

TEST(PartitionTransactionTest, LongRepliesAreKeptInThePoolUntilTheyAreTaken) {
  PartitionBox box;
  const std::string value(50'000, 'v');
  Commands commands;
  commands.put("a", value);
  for (int i = 0; i < 5; ++i) commands.get("a");
  commands.swap("a", "short").get("a");
  const std::vector<One> replies = run(box, commands);
  ASSERT_EQ(replies.size(), 8u);
  for (int i = 1; i <= 6; ++i) EXPECT_EQ(replies[static_cast<size_t>(i)].value, value);
  EXPECT_EQ(replies[7].value, "short");
  Commands many;
  for (int i = 0; i < 2000; ++i) many.put("k" + std::to_string(i), "v");
  EXPECT_EQ(run(box, many).size(), 2000u);
  EXPECT_TRUE(box.consistent());
  EXPECT_TRUE(box.empty_after_clear());
}

// What cannot be told is not done.
TEST(PartitionTransactionTest, ACommandWhoseReplyFindsNoRoomFailsAlone) {
  PartitionBox box(1 << 20, 64 << 10);
  const std::string value(300'000, 'v');
  box.put("a", value);
  Commands commands;
  commands.get("a").get("a").swap("a", "new").put("b", "1").get("b");
  const std::vector<One> replies = run(box, commands);
  ASSERT_EQ(replies.size(), 5u);
  size_t failed = 0;
  for (size_t i = 0; i < 3; ++i) {
    if (replies[i].status == ReplyStatus::kOk) {
      EXPECT_EQ(replies[i].value, value);
    } else {
      ++failed;
    }
  }
  EXPECT_GT(failed, 0u);
  EXPECT_NE(replies[2].status, ReplyStatus::kOk);
  EXPECT_EQ(replies[4].value, "1");
  EXPECT_EQ(box.get("a").value, value);
  EXPECT_TRUE(box.empty_after_clear());
}

TEST(PartitionTransactionTest, ALongOneIsUploaded) {
  PartitionBox box;
  const std::string value(200'000, 'v');
  Commands commands;
  const std::string message = commands.put("a", value).put("b", value).get("b").message();
  const Told begun = box.ask({.opcode = Opcode::kUploadBegin,
                              .key = "a",
                              .expiry_ms = static_cast<int64_t>(message.size())});
  ASSERT_EQ(begun.status, ReplyStatus::kOk);
  EXPECT_EQ(box.ask({.opcode = Opcode::kTransaction, .key = "a", .ticket = 12345}).status,
            ReplyStatus::kNoSuchTicket);
  for (size_t at = 0; at < message.size(); at += wire::kMaxChunk) {
    const auto chunk = std::string_view(message).substr(at, wire::kMaxChunk);
    ASSERT_EQ(box.ask({.opcode = Opcode::kUploadChunk,
                       .value = chunk,
                       .expiry_ms = static_cast<int64_t>(at),
                       .ticket = begun.ticket})
                  .status,
              ReplyStatus::kOk);
  }
  const Told told = box.ask({.opcode = Opcode::kTransaction, .key = "a", .ticket = begun.ticket});
  ASSERT_EQ(told.status, ReplyStatus::kOk);
  const std::vector<One> replies = replies_of(told);
  ASSERT_EQ(replies.size(), 3u);
  EXPECT_EQ(replies[2].value, value);
  EXPECT_EQ(box.get("a").value, value);
  EXPECT_TRUE(box.empty_after_clear());
}

TEST(PartitionTransactionTest, KeysInTheStashAreFoundAndRemoved) {
  PartitionBox box(4 << 20, 16 << 10);
  Commands make, remove;
  uint64_t keys = 0;
  for (int i = 0; i < 2000; ++i) {
    make.put("k" + std::to_string(i), "v");
    remove.del("k" + std::to_string(i));
  }
  for (const One& one : run(box, make)) keys += one.status == ReplyStatus::kOk ? 1 : 0;
  EXPECT_EQ(keys, box.partition->index().size());
  EXPECT_GT(box.partition->index().stashed(), 0u);
  EXPECT_TRUE(box.consistent());
  for (const One& one : run(box, remove)) keys -= one.status == ReplyStatus::kOk ? 1 : 0;
  EXPECT_EQ(keys, 0u);
  EXPECT_EQ(box.partition->index().stashed(), 0u);
  EXPECT_TRUE(box.consistent());
  EXPECT_TRUE(box.empty_after_clear());
}

TEST(PartitionTransactionTest, CommandsOnSeveralKeysAndOnAll) {
  PartitionBox box;
  for (int i = 0; i < 3000; ++i) box.put("key number " + std::to_string(i), "v");
  Commands first, second;
  const std::string set = first.require("a", 0).put("a", "1").put("b", "1").message();
  const std::string again = second.require("c", 0).require("b", 0).put("c", "2").message();
  Commands commands;
  commands.add({.opcode = Opcode::kTransaction, .key = "a", .value = set});
  commands.add({.opcode = Opcode::kTransaction, .key = "a", .value = again});
  commands.add({.opcode = Opcode::kRename, .key = "a", .value = "c"});
  commands.add({.opcode = Opcode::kRename, .key = "a", .value = "c"});
  commands.add(
      {.opcode = Opcode::kCopy, .key = "c", .value = "b", .condition = Condition::kIfAbsent});
  commands.add({.opcode = Opcode::kScan, .expiry_ms = 100'000});  // so many are wanted
  commands.add({.opcode = Opcode::kScan, .expiry_ms = 10});
  commands.add({.opcode = Opcode::kClear}).add({.opcode = Opcode::kRandomKey});
  commands.put("only", "1").add({.opcode = Opcode::kRandomKey});
  commands.add({.opcode = Opcode::kScan, .expiry_ms = 10});
  const std::vector<One> replies = run(box, commands);
  ASSERT_EQ(replies.size(), 12u);
  const ReplyStatus expected[] = {ReplyStatus::kOk, ReplyStatus::kVersionMismatch, ReplyStatus::kOk,
                                  ReplyStatus::kNotFound, ReplyStatus::kConditionNotMet};
  for (size_t i = 0; i < std::size(expected); ++i) EXPECT_EQ(replies[i].status, expected[i]) << i;
  uint64_t bytes = 0;
  for (int i = 0; i < 3000; ++i) bytes += 4 + 11 + std::to_string(i).size();
  EXPECT_EQ(replies[5].value.size(), bytes + 2 * 5);
  EXPECT_EQ(replies[5].version, 0u);  // the end
  EXPECT_NE(replies[6].version, 0u);
  EXPECT_LT(replies[6].value.size(), 1000u);
  EXPECT_EQ(replies[7].number, 3002u);
  EXPECT_EQ(replies[8].status, ReplyStatus::kNotFound);
  EXPECT_EQ(replies[10].value, "only");
  EXPECT_EQ(replies[11].value.substr(4), "only");
  EXPECT_TRUE(box.consistent());
  EXPECT_TRUE(box.empty_after_clear());
}

// ---- a key that was watched when it did not exist
// --------------------------------------------------------------------

constexpr wire::Condition kIfStillAbsent = wire::Condition::kIfStillAbsent;

template <typename Box>
uint64_t watch_missing(Box& box, std::string_view key) {
  const Told told = box.ask({.opcode = Opcode::kInspect, .key = key});
  EXPECT_EQ(told.status, ReplyStatus::kNotFound);
  return told.number;
}

template <typename Box>
ReplyStatus status_if_absent_since(Box& box, std::string_view key, uint64_t number) {
  Commands commands;
  commands.require_absent_since(key, number).put("other", "1");
  return run_message(box, key, commands.message()).status;
}

TEST(PartitionTransactionTest, AMissingKeyThatCameAndWentHasChanged) {
  PartitionBox box;
  box.put("other", "0");
  const auto expire = [&](int64_t expiry_ms) {
    return box.ask({.opcode = Opcode::kExpire, .key = "w", .expiry_ms = expiry_ms});
  };
  const std::function<void()> ways_to_go[] = {
      [&] { box.ask({.opcode = Opcode::kDelete, .key = "w"}); },
      [&] { expire(1); },
      [&] { box.clock.pass_ms(10); },
      [&] { box.ask({.opcode = Opcode::kRename, .key = "w", .value = "elsewhere"}); },
      [&] { box.ask({.opcode = Opcode::kClear}); },
  };
  for (const auto& go : ways_to_go) {
    const uint64_t number = watch_missing(box, "w");
    EXPECT_EQ(status_if_absent_since(box, "w", number), ReplyStatus::kOk);
    box.put("w", "1", box.now_ms() + 5);
    EXPECT_EQ(status_if_absent_since(box, "w", number), ReplyStatus::kVersionMismatch);
    go();
    EXPECT_EQ(status_if_absent_since(box, "w", number), ReplyStatus::kVersionMismatch);
    EXPECT_EQ(status_if_absent_since(box, "w", watch_missing(box, "w")), ReplyStatus::kOk);
  }
  // It never was there to be seen, and yet it was set.
  const uint64_t number = watch_missing(box, "w");
  box.put("w", "1", 1);
  EXPECT_EQ(status_if_absent_since(box, "w", number), ReplyStatus::kVersionMismatch);
  EXPECT_TRUE(box.empty_after_clear());
}

TEST(PartitionTransactionTest, OtherKeysThatGoSpoilAWatchedAbsenceRarely) {
  PartitionBox box;
  const uint64_t number = watch_missing(box, "w");
  constexpr uint64_t kOthers = RemovalCounts::kCounters / 4;
  uint64_t spoiled = 0;
  for (uint64_t i = 0; i < kOthers && spoiled == 0; ++i) {
    const std::string key = "k" + std::to_string(i);
    box.put(key, "v");
    box.ask({.opcode = Opcode::kDelete, .key = key});
    const bool shared = box.partition->hash_of(key) % RemovalCounts::kCounters ==
                        box.partition->hash_of("w") % RemovalCounts::kCounters;
    spoiled += shared ? 1 : 0;
    const auto expected = shared ? ReplyStatus::kVersionMismatch : ReplyStatus::kOk;
    ASSERT_EQ(status_if_absent_since(box, "w", number), expected) << key;
  }
  // What another start of the server told means nothing.
  EXPECT_NE(watch_missing(box, "w"), watch_missing(*std::make_unique<PartitionBox>(), "w"));
}

TEST(PartitionTransactionTest, AKeyThatAClientSpoiledHasGone) {
  CasBox box;
  const uint64_t number = watch_missing(box, "w");
  const CasPlace place = box.make("w");
  const uint64_t nonsense = FirstWord::make_dead(true, 1, 0).encode();
  std::memcpy(box.partition->at(place.offset), &nonsense, sizeof(nonsense));
  EXPECT_EQ(box.get("w").status, ReplyStatus::kNotFound);
  EXPECT_EQ(box.partition->counters().broken_chains, 1u);
  EXPECT_EQ(status_if_absent_since(box, "w", number), ReplyStatus::kVersionMismatch);
}

// Only as a precondition, and only of kInspect.
TEST(PartitionTransactionTest, NoCommandTakesTheConditionOfAbsence) {
  PartitionBox box;
  for (const Opcode opcode : {Opcode::kPut, Opcode::kGet, Opcode::kDelete, Opcode::kInspect}) {
    EXPECT_EQ(box.ask({.opcode = opcode, .key = "a", .condition = kIfStillAbsent}).status,
              ReplyStatus::kBadRequest);
  }
}

}  // namespace
}  // namespace rdmakv::server
