// Entries that clients change without the server: whatever the server and a client do to one of
// them at the same time, in every order that an adapter allows.
#include "tests/rdmakv/server/cas_fixture.h"

namespace rdmakv::server {
namespace {

// An adapter whose ATOMICs are atomic among themselves only (IBV_ATOMIC_HCA): each is a read, then
// a write of what it decided, of what was read when it fails; a store by the CPU, or a WRITE, in
// between is overwritten. The server's own go through the same adapter, so behind the one under
// way.
class Adapter {
 public:
  // A client's ATOMIC arrives: the word is read, nothing is written yet.
  void begin(std::atomic_ref<uint64_t> word, uint64_t expected, uint64_t desired) {
    word_.emplace(word);
    const uint64_t found = word.load();
    won_ = found == expected;
    to_write_ = won_ ? desired : found;
  }
  // The rest of it. Whether it won.
  bool finish() {
    if (word_) word_->store(to_write_);
    word_.reset();
    return won_;
  }

 private:
  std::optional<std::atomic_ref<uint64_t>> word_;
  uint64_t to_write_ = 0;
  bool won_ = false;
};

class PartitionCasTest : public testing::Test {
 protected:
  // The client's WRITE, and its ATOMIC as far as the adapter has read the word.
  CasPlace begin_cas(Session& client, const CasPlace& at, std::string_view key,
                     std::string_view value) {
    const wire::Grant grant = box_.one_grant(client);
    box_.write(grant, key, value, at.version + 1);
    box_.atomics.before = [this] { adapter_.finish(); };
    adapter_.begin(box_.first_word(at.offset), FirstWord::make_live(at.generation, true).encode(),
                   FirstWord::make_dead(true, grant.generation, grant.offset).encode());
    return {grant.offset, grant.generation, at.version + 1};
  }
  uint64_t slot_of(std::string_view key) const {
    const Index& index = box_.partition->index();
    return index.at(index.find(box_.partition->hash_of(key), key)).offset;
  }

  CasBox box_;
  Adapter adapter_;
};

// Rule 5. The adapter has read the word for a client's ATOMIC when the server stores a PUT. By an
// ATOMIC of the same adapter the server comes second, and sees the client's entry; by a store of
// the CPU the PUT, acknowledged, would vanish under what the adapter writes.
TEST_F(PartitionCasTest, APutBesideAnAtomicUnderWayIsNotLost) {
  const CasPlace first = box_.make("key");
  const auto client = box_.client();
  begin_cas(*client, first, "key", "client");
  const Told put = box_.put("key", "server");
  const bool won = adapter_.finish();
  ASSERT_EQ(put.status, ReplyStatus::kOk);
  EXPECT_TRUE(won);
  EXPECT_EQ(put.version, first.version + 2);  // behind the client's
  EXPECT_FALSE(box_.word(first.offset).live);
  const Told got = box_.get("key");
  EXPECT_EQ(got.value, "server");
  EXPECT_EQ(got.version, put.version);
  EXPECT_TRUE(box_.consistent());
}

// A client's ATOMIC is late: the key is gone, and its extent is used again for another key's entry
// while the adapter is at it. It fails, and what it stores is what it has read.
TEST_F(PartitionCasTest, ANewEntryBesideALateAtomicUnderWayIsNotLost) {
  CasBox box(8 * wire::kCasExtentBytes);
  const CasPlace late = box.make("gone");
  box.del("gone");
  for (int i = 0; i < 2; ++i) box.pass_ms(2);
  for (int i = 1; i < 8; ++i) box.make("other" + std::to_string(i));
  box.atomics.before = [&] { adapter_.finish(); };
  adapter_.begin(box.first_word(late.offset), FirstWord::make_live(late.generation, true).encode(),
                 FirstWord::make_dead(true, 1, late.offset).encode());
  const CasPlace made = box.make("key", "value");
  ASSERT_EQ(made.offset, late.offset);
  EXPECT_FALSE(adapter_.finish());
  EXPECT_TRUE(box.word(made.offset).live);
  // Nobody else asks the word of an entry that a slot leads to.
  const auto client = box.client();
  EXPECT_TRUE(box.client_cas(*client, made, "key", "after"));
  EXPECT_EQ(box.get("key").value, "after");
  EXPECT_EQ(box.counters().broken_chains, 0u);
}

// The same with an extent that is granted again: before the server grants it, or when the client
// that has it builds its entry there.
TEST_F(PartitionCasTest, AGrantBesideALateAtomicUnderWayCanBeUsed) {
  for (const bool granted_before : {false, true}) {
    CasBox box(8 * wire::kCasExtentBytes, 8 * wire::kCasExtentBytes);
    const auto client = box.client();
    const auto late = box.client_cas(*client, box.make("gone"), "gone", "linked");
    ASSERT_TRUE(late);
    box.del("gone");
    for (int i = 0; i < 2; ++i) box.pass_ms(2);
    const CasPlace key = box.make("key");
    const auto begin = [&] {
      box.atomics.before = [&] { adapter_.finish(); };
      adapter_.begin(box.first_word(late->offset),
                     FirstWord::make_live(late->generation, true).encode(),
                     FirstWord::make_dead(true, 1, late->offset).encode());
    };
    for (int i = 1; i < 8; ++i) box.one_grant(*client);
    if (!granted_before) begin();
    const wire::Grant grant = box.one_grant(*client);
    ASSERT_EQ(grant.offset, late->offset);
    if (granted_before) begin();
    box.write(grant, "key", "value", key.version + 1);
    EXPECT_FALSE(adapter_.finish());
    EXPECT_TRUE(box.link(key, grant));
    EXPECT_EQ(box.get("key").value, "value");
    EXPECT_EQ(box.counters().broken_chains, 0u);
  }
}

// Words that are live under generations that nobody was told of, and atomics that do not work.
TEST_F(PartitionCasTest, AGrantIsLiveBeforeItIsGiven) {
  auto client = box_.client();
  for (const wire::Grant& grant : box_.ask_grants(*client, 8)) {
    EXPECT_EQ(box_.first_word(grant.offset).load(),
              FirstWord::make_live(grant.generation, true).encode());
  }
  const uint32_t granted = box_.grants_count().granted;
  box_.atomics.code = Code::kSystemError;
  EXPECT_TRUE(box_.ask_grants(*client, 8).empty());
  EXPECT_EQ(box_.grants_count().granted, granted);
  EXPECT_TRUE(box_.consistent());
  client.reset();
  EXPECT_TRUE(box_.empty_after_clear());
}

TEST_F(PartitionCasTest, ACasByRequestBesideAnAtomicUnderWayLoses) {
  const CasPlace first = box_.make("key");
  const auto client = box_.client();
  begin_cas(*client, first, "key", "client");
  const Told told = box_.rpc_cas("key", first.version, "server");
  EXPECT_TRUE(adapter_.finish());
  EXPECT_EQ(told.status, ReplyStatus::kVersionMismatch);
  EXPECT_EQ(told.version, first.version + 1);
  EXPECT_EQ(box_.get("key").value, "client");
}

TEST_F(PartitionCasTest, ADeleteBesideAnAtomicUnderWayTakesTheNewEntry) {
  const CasPlace first = box_.make("key");
  const auto client = box_.client();
  begin_cas(*client, first, "key", "client");
  const Told told = box_.del("key");
  EXPECT_TRUE(adapter_.finish());
  EXPECT_EQ(told.status, ReplyStatus::kOk);
  EXPECT_EQ(box_.get("key").status, ReplyStatus::kNotFound);
  // Above every version that the key had, the client's too.
  EXPECT_GT(box_.put("key", "again").version, first.version + 1);
}

// A client replaces the server's new entry between the server's swap and its flip of the slot.
TEST_F(PartitionCasTest, TheSlotGoesToTheTailThatIsThereNow) {
  const CasPlace first = box_.make("key");
  const auto client = box_.client();
  const wire::Grant grant = box_.one_grant(*client);
  bool linked = false;
  box_.atomics.after = [&] {
    const FirstWord word = box_.word(first.offset);
    if (word.live || std::exchange(linked, true)) return;
    const CasPlace built{word.next, word.generation, first.version + 1};
    ASSERT_TRUE(box_.cas_by(grant, built, "key", "client"));
  };
  ASSERT_EQ(box_.put("key", "server").status, ReplyStatus::kOk);
  ASSERT_TRUE(linked);
  EXPECT_EQ(slot_of("key"), grant.offset);
  EXPECT_EQ(box_.get("key").value, "client");
  EXPECT_TRUE(box_.consistent());
}

// The walk that retires what a client left behind has moved the slot past it: nothing that is used
// again is ever led to.
TEST_F(PartitionCasTest, NoSlotLeadsToWhatAWalkRetired) {
  const CasPlace first = box_.make("key");
  const auto client = box_.client();
  const auto second = box_.client_cas(*client, first, "key", "second");
  ASSERT_TRUE(second);
  EXPECT_EQ(box_.get("key").value, "second");  // walks
  EXPECT_EQ(slot_of("key"), second->offset);
  EXPECT_EQ(box_.state(first.offset), CasPool::State::kQuarantined);
  box_.pass_ms(2);
  for (int i = 0; i < 200; ++i) {
    ASSERT_EQ(box_.get("key").value, "second") << i;
    box_.make("other" + std::to_string(i));
    box_.pass_ms(2);
  }
  EXPECT_EQ(box_.counters().broken_chains, 0u);
}

// Rule 6. A client goes without having said that it linked its extent.
TEST_F(PartitionCasTest, WhatAGoneClientLinkedStays) {
  const CasPlace first = box_.make("key");
  auto client = box_.client();
  const auto second = box_.client_cas(*client, first, "key", "second");
  const auto third = box_.client_cas(*client, *second, "key", "third");
  ASSERT_TRUE(third);
  const wire::Grant unused = box_.one_grant(*client);
  const wire::Grant written = box_.one_grant(*client);
  box_.write(written, "key", "never linked", third->version + 1);
  client.reset();
  EXPECT_EQ(box_.state(third->offset), CasPool::State::kLinked);
  EXPECT_EQ(box_.state(second->offset), CasPool::State::kQuarantined);
  EXPECT_EQ(box_.state(unused.offset), CasPool::State::kQuarantined);
  EXPECT_EQ(box_.state(written.offset), CasPool::State::kQuarantined);
  EXPECT_EQ(box_.grants_count().granted, 0u);
  EXPECT_EQ(box_.get("key").value, "third");
  EXPECT_EQ(box_.counters().broken_chains, 0u);
  EXPECT_TRUE(box_.empty_after_clear());
}

// Its ATOMIC took place, and its entry was replaced before anybody asked.
TEST_F(PartitionCasTest, WhatAGoneClientLinkedMayBeSupersededAlready) {
  const CasPlace first = box_.make("key");
  auto one = box_.client();
  const auto other = box_.client();
  const auto second = box_.client_cas(*one, first, "key", "second");
  ASSERT_TRUE(second);
  const auto third = box_.client_cas(*other, *second, "key", "third");
  ASSERT_TRUE(third);
  one.reset();
  EXPECT_EQ(box_.get("key").value, "third");
  EXPECT_EQ(box_.state(second->offset), CasPool::State::kQuarantined);
  EXPECT_EQ(box_.counters().broken_chains, 0u);
}

}  // namespace
}  // namespace rdmakv::server
