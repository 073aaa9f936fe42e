#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "protocol/kv_hash.h"
#include "protocol/kv_transaction.h"
#include "tests/rdmakv/server/cas_fixture.h"

namespace rdmakv::server {
namespace {

using wire::TransactionBuilder;

struct One {  // a reply to a command
  ReplyStatus status = ReplyStatus::kOk;
  uint64_t version = 0;
  uint64_t number = 0;
  bool has_value = false;
  std::string value;
};

class Commands {
 public:
  Commands& require(std::string_view key, uint64_t version) {
    builder_.require(key, version);
    return *this;
  }
  Commands& add(const Ask& ask) {
    wire::RequestHeader header;
    header.opcode = ask.opcode;
    header.condition = ask.condition;
    header.flags = ask.flags;
    header.version = ask.version;
    header.expiry_ms = ask.expiry_ms;
    header.ticket = ask.ticket;
    builder_.add(header, ask.key, std::as_bytes(std::span(ask.value.data(), ask.value.size())));
    return *this;
  }
  Commands& get(std::string_view key) { return add({.opcode = Opcode::kGet, .key = key}); }
  Commands& put(std::string_view key, std::string_view value) {
    return add({.opcode = Opcode::kPut, .key = key, .value = value});
  }
  Commands& swap(std::string_view key, std::string_view value) {
    return add({.opcode = Opcode::kPut, .key = key, .value = value, .flags = wire::kWantPrevious});
  }
  Commands& del(std::string_view key) { return add({.opcode = Opcode::kDelete, .key = key}); }
  std::string message() {
    const auto bytes = builder_.finish();
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

 private:
  TransactionBuilder builder_;
};

template <typename Box>
Told run_message(Box& box, std::string_view key, std::string_view message) {
  return box.ask({.opcode = Opcode::kTransaction, .key = key, .value = message});
}

std::vector<One> replies_of(const Told& told) {
  std::vector<One> replies;
  wire::MessageReader reader(std::as_bytes(std::span(told.value.data(), told.value.size())),
                             wire::kMaxRequestsPerTransaction);
  wire::ReplyView reply;
  while (reader.next(reply)) {
    replies.push_back({reply.header.status,
                       reply.header.version,
                       reply.header.number,
                       (reply.header.flags & wire::kHasValue) != 0,
                       {reinterpret_cast<const char*>(reply.value.data()), reply.value.size()}});
  }
  EXPECT_TRUE(reader.valid()) << reader.error();
  return replies;
}

template <typename Box>
std::vector<One> run(Box& box, Commands& commands, std::string_view key = "a") {
  const Told told = run_message(box, key, commands.message());
  EXPECT_EQ(told.status, ReplyStatus::kOk);
  EXPECT_TRUE(told.has_value);
  return replies_of(told);
}

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
  for (const Opcode opcode : {Opcode::kTransaction, Opcode::kClear, Opcode::kRelease,
                              Opcode::kUploadBegin, Opcode::kUploadCommit, Opcode::kGrants}) {
    Commands commands;
    commands.put("a", "1").add({.opcode = opcode, .key = "a"});
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
  commands.require("a", 0).put("a", "1").swap("b", "22").get("c").del("a").put("c", "333");
  const std::string sound = commands.message();
  int executed = 0;
  for (int round = 0; round < 20'000; ++round) {
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

// ---- from clients that only look at memory, and change it, it is one step too
// --------------------

// What a reader finds without asking the server.
enum class Seen : uint8_t { kValue, kMissing, kAsks };
struct View {
  Seen seen = Seen::kAsks;
  std::string value;
};

View look(const CasBox& box, std::string_view key) {
  const auto* buckets = reinterpret_cast<const wire::Bucket*>(box.index_memory.data);
  const wire::KeyPlace place = wire::key_place(
      wire::hash_key(key), static_cast<uint32_t>(box.index_memory.size / sizeof(wire::Bucket)));
  for (const uint32_t bucket : place.bucket) {
    for (const uint64_t word : buckets[bucket].slots) {
      const auto slot = wire::Slot::decode(word);
      if (slot.offset == 0 || slot.fingerprint != place.fingerprint) continue;
      const wire::EntryView entry = wire::view_entry(box.partition->at(slot.offset));
      if (entry.key != key) continue;
      if (!box.word(slot.offset).live) return {};
      return {Seen::kValue,
              {reinterpret_cast<const char*>(entry.value.data()), entry.value.size()}};
    }
  }
  const bool overflow = wire::Slot::decode(buckets[place.bucket[0]].slots[0]).overflow;
  return {overflow ? Seen::kAsks : Seen::kMissing, {}};
}

// Looks at every key between any two stores.
class Watcher {
 public:
  // What is in memory of each key before and after; "": missing.
  using States = std::map<std::string, std::pair<std::string, std::string>>;
  Watcher(CasBox& box, States states) : box_(box), states_(std::move(states)) {
    box.partition->set_step_hook(
        [](void* self, Partition::Step) { static_cast<Watcher*>(self)->look_around(); }, this);
  }
  ~Watcher() { box_.partition->set_step_hook(nullptr, nullptr); }
  int looks() const { return looks_; }

 private:
  void look_around() {
    ++looks_;
    bool old_seen = false;
    for (const auto& [key, state] : states_) {
      const auto& [before, after] = state;
      const View view = look(box_, key);
      if (view.seen == Seen::kAsks) continue;
      EXPECT_TRUE(view.value == before || view.value == after) << key << "=" << view.value;
      if (before == after) continue;
      if (view.value == before) old_seen = true;
      if (view.value == after) new_seen_ = true;
    }
    EXPECT_FALSE(new_seen_ && old_seen) << "look " << looks_;
  }

  CasBox& box_;
  const States states_;
  bool new_seen_ = false;
  int looks_ = 0;
};

TEST(PartitionTransactionTest, ReadersOfMemorySeeAllOfItOrNothing) {
  CasBox box;
  box.put("changed", "1");
  box.put("changed-twice", "1");
  box.put("deleted", "1");
  box.put("replaced", "1");
  box.put("untouched", "1");
  box.make("of-the-class", "1");
  Commands commands;
  commands.put("changed", "2").put("changed-twice", "passing").put("created", "2");
  commands.del("deleted").del("replaced").put("replaced", "2").put("changed-twice", "2");
  commands.put("short-lived", "passing").del("short-lived").put("of-the-class", "2");
  commands.add({.opcode = Opcode::kPut,
                .key = "untouched",
                .value = "2",
                .condition = Condition::kIfAbsent});
  Watcher watcher(box, {{"changed", {"1", "2"}},
                        {"changed-twice", {"1", "2"}},
                        {"created", {"", "2"}},
                        {"deleted", {"1", ""}},
                        {"replaced", {"1", "2"}},
                        {"short-lived", {"", ""}},
                        {"of-the-class", {"1", "2"}},
                        {"untouched", {"1", "1"}}});
  EXPECT_EQ(run(box, commands, "changed").size(), 11u);
  EXPECT_GT(watcher.looks(), 40);
  for (const char* key : {"changed", "changed-twice", "created", "replaced", "of-the-class"}) {
    EXPECT_EQ(look(box, key).value, "2") << key;
  }
  EXPECT_EQ(look(box, "untouched").value, "1");
  EXPECT_EQ(look(box, "deleted").seen, Seen::kMissing);
  EXPECT_EQ(look(box, "short-lived").seen, Seen::kMissing);
  EXPECT_TRUE(box.consistent());
}

TEST(PartitionTransactionTest, AClientThatIsFirstIsSeenByThePreconditions) {
  CasBox box;
  const CasPlace place = box.make("watched");
  const auto client = box.client();
  Commands commands;
  commands.require("watched", place.version).put("other", "2");
  const wire::Grant grant = box.one_grant(*client);
  // Between the server's look at the key and its own change.
  box.atomics.before = [&] { EXPECT_TRUE(box.cas_by(grant, place, "watched", "client")); };
  const Told told = run_message(box, "watched", commands.message());
  EXPECT_EQ(told.status, ReplyStatus::kVersionMismatch);
  EXPECT_EQ(told.version, place.version + 1);
  EXPECT_EQ(box.get("watched").value, "client");
  EXPECT_EQ(box.get("other").status, ReplyStatus::kNotFound);
  EXPECT_TRUE(box.consistent());
}

// A client that goes on trying to change a watched key, and one that is changed, by ATOMIC.
TEST(PartitionTransactionTest, NoClientChangesAKeyOfItInBetween) {
  CasBox box;
  const CasPlace watched = box.make("watched");
  const CasPlace changed = box.make("changed");
  const auto client = box.client();
  const wire::Grant grants[] = {box.one_grant(*client), box.one_grant(*client)};
  struct Trial {
    CasBox& box;
    const CasPlace &watched, &changed;
    const wire::Grant* grants;
    int tried = 0;
    bool settled = false;
  } trial{box, watched, changed, grants};
  box.partition->set_step_hook(
      [](void* context, Partition::Step step) {
        auto& trial = *static_cast<Trial*>(context);
        trial.settled |= step == Partition::Step::kHidden;
        if (!trial.settled) return;
        ++trial.tried;
        EXPECT_FALSE(trial.box.cas_by(trial.grants[0], trial.watched, "watched", "client"));
        EXPECT_FALSE(trial.box.cas_by(trial.grants[1], trial.changed, "changed", "client"));
      },
      &trial);
  Commands commands;
  commands.require("watched", watched.version).get("changed").put("changed", "2").get("changed");
  const std::vector<One> replies = run(box, commands, "watched");
  box.partition->set_step_hook(nullptr, nullptr);
  EXPECT_GT(trial.tried, 5);
  ASSERT_EQ(replies.size(), 3u);
  EXPECT_EQ(replies[0].version, changed.version);
  EXPECT_EQ(replies[2].value, "2");
  EXPECT_EQ(replies[2].version, changed.version + 1);
  EXPECT_EQ(box.get("watched").version, watched.version);
  // Neither is of the class any more, until the next CAS.
  EXPECT_FALSE(box.in_class("watched"));
  EXPECT_EQ(box.rpc_cas("changed", changed.version + 1, "3").status, ReplyStatus::kOk);
  EXPECT_TRUE(box.in_class("changed"));
  EXPECT_TRUE(box.consistent());
}

TEST(PartitionTransactionTest, ItGivesUpWhenAClientIsFirstAgainAndAgain) {
  CasBox box;
  CasPlace place = box.make("watched");
  const auto client = box.client();
  box.atomics.once = false;
  box.atomics.before = [&] {
    const auto next = box.client_cas(*client, place, "watched", "client");
    ASSERT_TRUE(next);
    place = *next;
  };
  Commands commands;
  commands.put("other", "1").put("watched", "1");
  EXPECT_EQ(run_message(box, "watched", commands.message()).status, ReplyStatus::kTooMany);
  box.atomics.before = nullptr;
  EXPECT_EQ(box.get("watched").value, "client");
  EXPECT_EQ(box.get("other").status, ReplyStatus::kNotFound);
  EXPECT_TRUE(box.consistent());
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

}  // namespace
}  // namespace rdmakv::server
