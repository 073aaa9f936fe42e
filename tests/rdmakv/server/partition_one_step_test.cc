// From clients that only look at memory, and change it, a transaction is one step too.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "protocol/kv_hash.h"
#include "protocol/kv_transaction.h"
#include "tests/rdmakv/server/transaction_fixture.h"

namespace rdmakv::server {
namespace {

// What a reader finds without asking the server.
enum class Seen : uint8_t { kValue, kMissing, kAsks };
struct View {
  Seen seen = Seen::kAsks;
  std::string value;
};

View look(const CasBox& box, std::string_view key) {
  const auto* buckets = reinterpret_cast<const wire::Bucket*>(box.index_memory.data);
  const wire::KeyPlace place =
      wire::key_place(box.partition->hash_of(key),
                      static_cast<uint32_t>(box.index_memory.size / sizeof(wire::Bucket)));
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

TEST(PartitionTransactionTest, ReadersOfMemorySeeAllKeysFlushedOrNone) {
  CasBox box;
  Watcher::States states;
  for (int i = 0; i < 50; ++i) {
    const std::string key = "k" + std::to_string(i);
    box.put(key, "1");
    states[key] = {"1", ""};
  }
  box.make("of-the-class", "1");
  states["of-the-class"] = {"1", ""};
  states["k0"] = {"1", "2"};
  states["before"] = {"", ""};
  states["after"] = {"", "2"};
  Commands commands;
  commands.put("before", "passing").put("k0", "passing");
  commands.add({.opcode = Opcode::kClear}).put("k0", "2").put("after", "2");
  commands.add({.opcode = Opcode::kCount});
  Watcher watcher(box, states);
  const std::vector<One> replies = run(box, commands, "before");
  ASSERT_EQ(replies.size(), 6u);
  EXPECT_EQ(replies[2].number, 52u);
  EXPECT_EQ(replies[5].number, 2u);
  EXPECT_GT(watcher.looks(), 150);
  EXPECT_EQ(look(box, "k1").seen, Seen::kMissing);
  EXPECT_EQ(look(box, "of-the-class").seen, Seen::kMissing);
  EXPECT_EQ(look(box, "after").value, "2");
  EXPECT_TRUE(box.consistent());
}

TEST(PartitionTransactionTest, ReadersOfMemorySeeCommandsOnSeveralKeysInOneStep) {
  CasBox box;
  box.put("from", "1");
  box.make("to", "3");
  box.make("source", "1");
  box.put("copy", "3");
  box.put("combined", "3");
  wire::TransactionBuilder inner;
  wire::RequestHeader absent, put;
  absent.opcode = Opcode::kInspect;
  absent.condition = Condition::kIfAbsent;
  put.opcode = Opcode::kPut;
  inner.add(absent, "set", {});
  inner.add(put, "set", std::as_bytes(std::span("2", 1)));
  inner.add(put, "too", std::as_bytes(std::span("2", 1)));
  const auto message = inner.finish();
  Commands commands;
  commands.add({.opcode = Opcode::kRename, .key = "from", .value = "to"});
  commands.add({.opcode = Opcode::kCopy, .key = "source", .value = "copy"});
  const std::string_view names[] = {"source", "to"};
  const std::string sources = wire::encode_combine(wire::BitOperation::kOr, names);
  commands.add({.opcode = Opcode::kCombine, .key = "combined", .value = sources});
  commands.add({.opcode = Opcode::kTransaction,
                .key = "set",
                .value = {reinterpret_cast<const char*>(message.data()), message.size()}});
  Watcher watcher(box, {{"from", {"1", ""}},
                        {"to", {"3", "1"}},
                        {"source", {"1", "1"}},
                        {"copy", {"3", "1"}},
                        {"combined", {"3", "1"}},
                        {"set", {"", "2"}},
                        {"too", {"", "2"}}});
  for (const One& one : run(box, commands, "from")) EXPECT_EQ(one.status, ReplyStatus::kOk);
  EXPECT_GT(watcher.looks(), 30);
  for (const char* key : {"to", "copy", "combined"}) EXPECT_EQ(look(box, key).value, "1") << key;
  for (const char* key : {"set", "too"}) EXPECT_EQ(look(box, key).value, "2") << key;
  EXPECT_EQ(look(box, "from").seen, Seen::kMissing);
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

}  // namespace
}  // namespace rdmakv::server
