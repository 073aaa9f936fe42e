#include "rdmakv/server/partition.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "rdmakv/transport/authentication.h"
#include "tests/protocol/colliding_keys.h"
#include "tests/rdmakv/server/partition_fixture.h"

namespace rdmakv::server {
namespace {

class PartitionTest : public testing::Test {
 protected:
  // Nothing may be lost in any of these tests.
  void TearDown() override {
    EXPECT_TRUE(box_.consistent());
    EXPECT_TRUE(box_.empty_after_clear());
  }
  PartitionBox box_;
};

// A client whose memory values are taken from, and which may have left while they were.
class Lender final : public PeerMemoryView {
 public:
  const std::byte* peer_memory(RemoteAddress, uint64_t) override { return nullptr; }
  bool peer_memory_holds() override {
    ++asked;
    return holds;
  }
  bool holds = true;
  int asked = 0;
};

TEST_F(PartitionTest, AValueOfAClientThatLeftMeanwhileIsNotStored) {
  Lender lender;
  box_.session->lender = &lender;
  const std::string value(10'000, 'v');
  const Ask put{.opcode = Opcode::kPut, .key = "k", .value = value, .flags = wire::kValueInLanding};
  EXPECT_EQ(box_.ask(put).version, 1u);
  EXPECT_EQ(lender.asked, 1);
  lender.holds = false;
  EXPECT_EQ(box_.ask(put).status, ReplyStatus::kBadRequest);
  EXPECT_EQ(box_.get("k").version, 1u);
  EXPECT_EQ(box_.put("k", "from a message").version, 2u) << "that is whole already";
  box_.session->lender = nullptr;
  EXPECT_EQ(box_.ask(put).status, ReplyStatus::kBadRequest);
}

TEST_F(PartitionTest, PutThenGet) {
  const Told put = box_.put("key", "value");
  EXPECT_EQ(put.status, ReplyStatus::kOk);
  EXPECT_EQ(put.version, 1u);
  const Told got = box_.get("key");
  EXPECT_EQ(got.status, ReplyStatus::kOk);
  EXPECT_EQ(got.value, "value");
  EXPECT_EQ(got.version, 1u);
}

TEST_F(PartitionTest, GetOfNothing) {
  const Told got = box_.get("key");
  EXPECT_EQ(got.status, ReplyStatus::kNotFound);
  EXPECT_EQ(got.version, 0u);
  EXPECT_FALSE(got.has_value);
}

TEST_F(PartitionTest, EmptyKeyAndEmptyValue) {
  EXPECT_EQ(box_.put("", "").status, ReplyStatus::kOk);
  const Told got = box_.get("");
  EXPECT_TRUE(got.has_value);
  EXPECT_EQ(got.value, "");
}

TEST_F(PartitionTest, LongestKey) {
  const std::string key(wire::kMaxKeyBytes, 'k');
  EXPECT_EQ(box_.put(key, "v").status, ReplyStatus::kOk);
  EXPECT_EQ(box_.get(key).value, "v");
  EXPECT_EQ(box_.put(key + "k", "v").status, ReplyStatus::kBadRequest);
}

TEST_F(PartitionTest, EveryChangeRaisesTheVersionByOne) {
  box_.put("key", "a");
  EXPECT_EQ(box_.put("key", "b").version, 2u);
  EXPECT_EQ(box_.expire("key", box_.now_ms() + 1000).version, 3u);
  EXPECT_EQ(box_.expire("key", 0).version, 4u);
  EXPECT_EQ(box_.get("key").version, 4u);
}

TEST_F(PartitionTest, RecreatedKeyStartsAboveEveryVersionItHad) {
  box_.put("key", "a");
  box_.put("key", "b");
  box_.put("key", "c");
  EXPECT_EQ(box_.del("key").status, ReplyStatus::kOk);
  EXPECT_EQ(box_.put("key", "d").version, 4u);
  EXPECT_EQ(box_.cas("key", 1, "e").status, ReplyStatus::kVersionMismatch);
}

TEST_F(PartitionTest, CasWins) {
  box_.put("key", "a");
  const Told told = box_.cas("key", 1, "b");
  EXPECT_EQ(told.status, ReplyStatus::kOk);
  EXPECT_EQ(told.version, 2u);
  EXPECT_EQ(box_.get("key").value, "b");
}

TEST_F(PartitionTest, CasLosesAndTellsTheVersion) {
  box_.put("key", "a");
  box_.put("key", "b");
  const Told told = box_.cas("key", 1, "c");
  EXPECT_EQ(told.status, ReplyStatus::kVersionMismatch);
  EXPECT_EQ(told.version, 2u);
  EXPECT_EQ(box_.get("key").value, "b");
}

TEST_F(PartitionTest, CasOfVersionZeroCreates) {
  EXPECT_EQ(box_.cas("key", 0, "a").version, 1u);
  EXPECT_EQ(box_.cas("key", 0, "b").status, ReplyStatus::kVersionMismatch);
  EXPECT_EQ(box_.get("key").value, "a");
}

TEST_F(PartitionTest, CasOfNothingTellsZero) {
  const Told told = box_.cas("key", 5, "a");
  EXPECT_EQ(told.status, ReplyStatus::kVersionMismatch);
  EXPECT_EQ(told.version, 0u);
}

TEST_F(PartitionTest, PutIfAbsentAndIfPresent) {
  const Ask absent{
      .opcode = Opcode::kPut, .key = "k", .value = "a", .condition = Condition::kIfAbsent};
  const Ask present{
      .opcode = Opcode::kPut, .key = "k", .value = "b", .condition = Condition::kIfPresent};
  EXPECT_EQ(box_.ask(present).status, ReplyStatus::kConditionNotMet);
  EXPECT_EQ(box_.ask(absent).status, ReplyStatus::kOk);
  const Told told = box_.ask(absent);
  EXPECT_EQ(told.status, ReplyStatus::kConditionNotMet);
  EXPECT_EQ(told.version, 1u);
  EXPECT_EQ(box_.ask(present).status, ReplyStatus::kOk);
  EXPECT_EQ(box_.get("k").value, "b");
}

TEST_F(PartitionTest, WantPreviousIsAnsweredWonOrLost) {
  Ask ask{.opcode = Opcode::kPut, .key = "k", .value = "new", .flags = wire::kWantPrevious};
  Told told = box_.ask(ask);
  EXPECT_EQ(told.status, ReplyStatus::kOk);
  EXPECT_FALSE(told.has_value);
  ask.value = "newer";
  told = box_.ask(ask);
  EXPECT_EQ(told.value, "new");
  EXPECT_EQ(told.version, 2u);
  ask.condition = Condition::kIfAbsent;
  told = box_.ask(ask);
  EXPECT_EQ(told.status, ReplyStatus::kConditionNotMet);
  EXPECT_EQ(told.value, "newer");
  told = box_.ask({.opcode = Opcode::kDelete, .key = "k", .flags = wire::kWantPrevious});
  EXPECT_EQ(told.status, ReplyStatus::kOk);
  EXPECT_EQ(told.value, "newer");
  EXPECT_EQ(told.version, 0u);
}

TEST_F(PartitionTest, LargePreviousValueSurvivesUntilItIsSent) {
  const std::string large(100'000, 'x');
  box_.put("k", large);
  wire::RequestHeader header;
  header.opcode = Opcode::kPut;
  header.flags = wire::kWantPrevious;
  header.key_length = 1;
  const Outcome outcome = box_.partition->execute(header, "k", {}, *box_.session);
  ASSERT_TRUE(outcome.pinned);
  box_.clock.pass_ms(50);
  box_.new_batch();
  box_.put("other", std::string(100'000, 'y'));
  EXPECT_EQ(outcome.value.size(), large.size());
  EXPECT_EQ(outcome.value[0], std::byte{'x'});
  box_.partition->slab().unpin(outcome.extent);
}

TEST_F(PartitionTest, LargePreviousValueIsRefusedBeforeTheChangeWhenTicketsAreOut) {
  box_.put("k", std::string(10'000, 'x'));
  for (uint32_t i = 0; i < Pins::kMost; ++i) {
    ASSERT_TRUE(box_.partition->slab().pin(box_.get("k").reply.location));
    box_.session->pins.add(box_.get("k").reply.location);
  }
  const Told told =
      box_.ask({.opcode = Opcode::kPut, .key = "k", .value = "new", .flags = wire::kWantPrevious});
  EXPECT_EQ(told.status, ReplyStatus::kTooMany);
  EXPECT_EQ(box_.get("k").version, 1u);
}

TEST_F(PartitionTest, ReplyTellsWhereTheEntryIs) {
  const Told told = box_.put("key", "value");
  const uint64_t location = told.reply.location;
  ASSERT_NE(location, 0u);
  const std::byte* extent = box_.partition->slab().at(location);
  wire::EntryView view;
  EXPECT_TRUE(wire::verify_entry({extent, wire::entry_bytes(3, 5, false)}, told.reply.generation,
                                 "key", view));
  uint64_t word = 0;
  std::memcpy(&word, extent, sizeof(word));
  EXPECT_TRUE(wire::FirstWord::decode(word).live);
  EXPECT_EQ(wire::FirstWord::decode(word).generation, told.reply.generation);
}

TEST_F(PartitionTest, DeleteUnderAVersion) {
  box_.put("k", "a");
  const Ask wrong{
      .opcode = Opcode::kDelete, .key = "k", .condition = Condition::kIfVersion, .version = 9};
  const Ask right{
      .opcode = Opcode::kDelete, .key = "k", .condition = Condition::kIfVersion, .version = 1};
  EXPECT_EQ(box_.ask(wrong).status, ReplyStatus::kVersionMismatch);
  EXPECT_EQ(box_.ask(wrong).version, 1u);
  EXPECT_EQ(box_.ask(right).status, ReplyStatus::kOk);
  EXPECT_EQ(box_.ask(right).status, ReplyStatus::kNotFound);
}

TEST_F(PartitionTest, InspectTellsAllButTheValue) {
  box_.put("k", "12345", box_.now_ms() + 500);
  const Told told = box_.ask({.opcode = Opcode::kInspect, .key = "k"});
  EXPECT_EQ(told.status, ReplyStatus::kOk);
  EXPECT_EQ(told.reply.value_length, 5u);
  EXPECT_EQ(told.expiry_ms, box_.now_ms() + 500);
  EXPECT_FALSE(told.has_value);
}

TEST_F(PartitionTest, CountAndClear) {
  for (int i = 0; i < 100; ++i) box_.put("k" + std::to_string(i), "v");
  EXPECT_EQ(box_.ask({.opcode = Opcode::kCount}).number, 100u);
  EXPECT_EQ(box_.ask({.opcode = Opcode::kClear}).number, 100u);
  EXPECT_EQ(box_.ask({.opcode = Opcode::kCount}).number, 0u);
  EXPECT_EQ(box_.put("k0", "v").version, 2u);
}

// Each piece goes on where the last one ended. A key of the fixture that is stored in between may
// go or stay; one that is there from the beginning goes.
TEST_F(PartitionTest, ClearInPieces) {
  for (int i = 0; i < 1000; ++i) box_.put("k" + std::to_string(i), "v");
  uint64_t cursor = 0, removed = 0, pieces = 0;
  do {
    const Told told = box_.ask({.opcode = Opcode::kClear, .version = cursor, .wanted = 50});
    ASSERT_EQ(told.status, ReplyStatus::kOk);
    EXPECT_LE(told.number, 50u + wire::kSlotsPerBucket);
    removed += told.number;
    cursor = told.version;
    ++pieces;
    EXPECT_EQ(box_.ask({.opcode = Opcode::kCount}).number, 1000 - removed);
  } while (cursor != 0);
  EXPECT_EQ(removed, 1000u);
  EXPECT_GE(pieces, 1000 / (50u + wire::kSlotsPerBucket));
  EXPECT_EQ(box_.ask({.opcode = Opcode::kClear, .version = ~uint64_t{0}, .wanted = 50}).version,
            0u);
}

// ---- room ----

TEST_F(PartitionTest, FullPoolRefusesAndKeepsEverything) {
  const std::string value(3000, 'v');
  int stored = 0;
  Told told;
  while ((told = box_.put("k" + std::to_string(stored), value)).status == ReplyStatus::kOk)
    ++stored;
  EXPECT_EQ(told.status, ReplyStatus::kNoSpace);
  EXPECT_GT(stored, 1000);
  const Told overwrite = box_.put("k0", value + "longer");
  EXPECT_EQ(overwrite.status, ReplyStatus::kNoSpace);
  EXPECT_EQ(overwrite.version, 1u);
  for (int i = 0; i < stored; ++i) ASSERT_EQ(box_.get("k" + std::to_string(i)).value, value);
  box_.del("k1");
  EXPECT_EQ(box_.put("another", value).status, ReplyStatus::kOk);  // waits for the quarantine
  EXPECT_GT(box_.clock.waited_ns(), 0u);
}

TEST_F(PartitionTest, FullIndexRefusesAndKeepsEverything) {
  PartitionBox box(4 << 20, 4096);  // 512 slots
  int stored = 0;
  while (box.put("k" + std::to_string(stored), "v").status == ReplyStatus::kOk) ++stored;
  EXPECT_GT(stored, 400);
  EXPECT_LE(stored, 512 + 16);
  for (int i = 0; i < stored; ++i) ASSERT_EQ(box.get("k" + std::to_string(i)).value, "v");
  EXPECT_EQ(box.put("k0", "w").status, ReplyStatus::kOk);  // a key that has its slot can change
  EXPECT_TRUE(box.consistent());
  EXPECT_TRUE(box.empty_after_clear());
}

TEST(Partition, KeysOfOneHashUnderAnotherSeedFillNoBucket) {
  const std::vector<std::string> keys = wire::colliding_keys(0, 64);
  for (const uint64_t seed : {uint64_t{0}, random_u64()}) {
    PartitionBox box(4 << 20, 256 << 10, 0, 1, seed);
    for (const std::string& key : keys) ASSERT_EQ(box.put(key, "v").status, ReplyStatus::kOk);
    EXPECT_EQ(box.partition->index().stashed(),
              seed == 0 ? keys.size() - 2 * wire::kSlotsPerBucket : 0u);
    for (const std::string& key : keys) EXPECT_EQ(box.get(key).value, "v");
    EXPECT_TRUE(box.consistent());
  }
}

TEST_F(PartitionTest, ValueLargerThanThePoolIsTooLarge) {
  EXPECT_EQ(box_.put("k", std::string(5 << 20, 'x')).status, ReplyStatus::kTooLarge);
  wire::RequestHeader header;
  header.opcode = Opcode::kUploadBegin;
  header.key_length = 1;
  header.total = wire::kMaxValueBytes + 1;
  EXPECT_EQ(box_.partition->execute(header, "k", {}, *box_.session).reply.status,
            ReplyStatus::kTooLarge);
}

TEST_F(PartitionTest, LargestValueFits) {
  const std::string value(box_.partition->max_value_bytes(), 'x');
  EXPECT_EQ(box_.put("k", value).status, ReplyStatus::kOk);
  EXPECT_EQ(box_.get("k").value, value);
}

// ---- who and what is asked ----

TEST(Partition, ForeignKeyIsRefused) {
  PartitionBox box(1 << 20, 4096, 0, 2);
  int mine = 0;
  for (int i = 0; i < 100; ++i) {
    const std::string key = "k" + std::to_string(i);
    const bool owned = wire::worker_of_slot(wire::hash_slot(key), 2) == 0;
    EXPECT_EQ(box.put(key, "v").status, owned ? ReplyStatus::kOk : ReplyStatus::kWrongWorker);
    mine += owned ? 1 : 0;
  }
  EXPECT_GT(mine, 10);
  EXPECT_LT(mine, 90);
}

TEST_F(PartitionTest, RequestsThatMakeNoSense) {
  const auto status = [&](const Ask& ask) { return box_.ask(ask).status; };
  using O = Opcode;
  using C = Condition;
  constexpr auto kBad = ReplyStatus::kBadRequest;
  EXPECT_EQ(status({.opcode = O::kGet, .key = "k", .value = "v"}), kBad);
  EXPECT_EQ(status({.opcode = O::kGet, .key = "k", .condition = C::kIfAbsent}), kBad);
  EXPECT_EQ(status({.opcode = O::kGet, .key = "k", .flags = wire::kWantPrevious}), kBad);
  EXPECT_EQ(status({.opcode = O::kPut, .key = "k", .condition = C::kIfLater}), kBad);
  EXPECT_EQ(status({.opcode = O::kDelete, .key = "k", .condition = C::kIfAbsent}), kBad);
  EXPECT_EQ(status({.opcode = O::kDelete, .key = "k", .flags = wire::kKeepExpiry}), kBad);
  EXPECT_EQ(status({.opcode = O::kExpire, .key = "k", .condition = C::kIfAbsent}), kBad);
  EXPECT_EQ(status({.opcode = O::kExpire, .key = "k", .condition = C::kIfLater}), kBad);
  EXPECT_EQ(status({.opcode = O::kCount, .key = "k"}), kBad);
  EXPECT_EQ(status({.opcode = O::kClear, .condition = C::kIfAbsent}), kBad);
  EXPECT_EQ(status({.opcode = O::kPut, .key = "k", .expiry_ms = 5, .flags = wire::kKeepExpiry}),
            kBad);
  EXPECT_EQ(status({.opcode = O::kRelease, .ticket = 12345}), ReplyStatus::kNoSuchTicket);
  EXPECT_EQ(status({.opcode = O::kPing}), ReplyStatus::kOk);
}

TEST_F(PartitionTest, StatsAreLinesOfNameAndNumber) {
  box_.put("k", "v");
  const std::string text = box_.ask({.opcode = Opcode::kStats}).value;
  EXPECT_NE(text.find("keys 1\n"), std::string::npos);
  EXPECT_NE(text.find("requests_put 1\n"), std::string::npos);
  EXPECT_LT(text.size(), 4000u);
}

// ---- order of stores ----

struct Watcher {
  PartitionBox* box;
  uint64_t old_offset = 0;
  std::string trace;

  void on(Partition::Step step) {
    const auto place = box->partition->index().find(box->partition->hash_of("k"), "k");
    const uint64_t slot = place ? box->partition->index().at(place).offset : 0;
    const auto word = [&](uint64_t offset) {
      uint64_t bits = 0;
      std::memcpy(&bits, box->partition->slab().at(offset), sizeof(bits));
      return wire::FirstWord::decode(bits);
    };
    const wire::FirstWord old = word(old_offset);
    switch (step) {
      case Partition::Step::kBuilt:
        trace += "built";
        break;
      case Partition::Step::kLive:
        trace += " live";
        break;
      case Partition::Step::kDead:
        trace += " dead";
        break;
      case Partition::Step::kFlipped:
        trace += " flipped";
        break;
      default:
        break;
    }
    trace += old.live ? "(old live" : old.next != 0 ? "(old dead, named" : "(old dead";
    if (!old.live && old.next != 0) {
      const wire::FirstWord next = word(old.next);
      trace += next.live && next.generation == old.generation ? " live" : " wrong";
    }
    trace += slot == old_offset ? ", slot old)" : slot == 0 ? ", slot empty)" : ", slot new)";
  }
};

TEST_F(PartitionTest, UpdateIsLiveThenDeadThenFlip) {
  const Told before = box_.put("k", "a");
  Watcher watcher{&box_, before.reply.location, {}};
  box_.partition->set_step_hook(
      [](void* self, Partition::Step step) { static_cast<Watcher*>(self)->on(step); }, &watcher);
  box_.clock.pass_ms(5);
  box_.put("k", "b");
  EXPECT_EQ(watcher.trace,
            "built(old live, slot old) live(old live, slot old)"
            " dead(old dead, named live, slot old) flipped(old dead, named live, slot new)");
  box_.partition->set_step_hook(nullptr, nullptr);
}

TEST_F(PartitionTest, RemovalIsDeadThenEmpty) {
  const Told before = box_.put("k", "a");
  Watcher watcher{&box_, before.reply.location, {}};
  box_.partition->set_step_hook(
      [](void* self, Partition::Step step) { static_cast<Watcher*>(self)->on(step); }, &watcher);
  box_.del("k");
  EXPECT_EQ(watcher.trace,
            "built(old live, slot old) live(old live, slot old)"
            " dead(old dead, slot old) flipped(old dead, slot empty)");
  box_.partition->set_step_hook(nullptr, nullptr);
}

TEST_F(PartitionTest, OldEntryLeadsToTheNewOneUntilItsPlaceIsReused) {
  const Told a = box_.put("k", "a");
  const Told b = box_.put("k", "b");
  box_.clock.pass_ms(100);
  box_.new_batch();
  uint64_t bits = 0;
  std::memcpy(&bits, box_.partition->slab().at(a.reply.location), 8);
  const auto word = wire::FirstWord::decode(bits);
  EXPECT_FALSE(word.live);
  EXPECT_EQ(word.next, b.reply.location);
  EXPECT_EQ(word.generation, b.reply.generation);
}

}  // namespace
}  // namespace rdmakv::server
