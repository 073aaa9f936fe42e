#include "rdmakv/server/index.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace rdmakv::server {
namespace {

// Entries of 64 bytes with a key of up to 16 bytes, one after the other.
class IndexTest : public testing::Test {
 protected:
  static constexpr uint32_t kBuckets = 512;
  static constexpr uint32_t kSlots = kBuckets * wire::kSlotsPerBucket;

  IndexTest()
      : buckets_(kBuckets),
        pool_((kSlots * 2) * 64),
        entries_(pool_.data()),
        index_(std::as_writable_bytes(std::span(buckets_)), entries_, kSlots / 32) {}

  // Offset of a new entry for the key.
  uint64_t entry(const std::string& key) {
    const uint64_t offset = next_;
    next_ += 4;
    wire::write_entry(pool_.data() + offset * 16, {}, key, {});
    return offset;
  }
  bool insert(const std::string& key) {
    const uint64_t hash = wire::hash_key(key, 0);
    const Index::Place place = index_.vacancy(hash);
    if (!place) return false;
    wire::Slot slot;
    slot.offset = entry(key);
    index_.insert(place, hash, slot);
    return true;
  }
  Index::Place find(const std::string& key) { return index_.find(wire::hash_key(key, 0), key); }

  std::vector<wire::Bucket> buckets_;
  std::vector<std::byte> pool_;
  EntryMemory entries_;
  Index index_;
  uint64_t next_ = 4;
};

TEST_F(IndexTest, FindsWhatWasInserted) {
  EXPECT_FALSE(find("a"));
  ASSERT_TRUE(insert("a"));
  ASSERT_TRUE(find("a"));
  EXPECT_FALSE(find("b"));
  index_.remove(find("a"));
  EXPECT_FALSE(find("a"));
  EXPECT_EQ(index_.size(), 0u);
}

// A place that was named before is believed only as far as it is true now.
TEST_F(IndexTest, ALikelyPlaceMayHaveBecomeWrong) {
  ASSERT_TRUE(insert("a"));
  ASSERT_TRUE(insert("b"));
  const uint64_t hash = wire::hash_key("a", 0);
  Index::Place likely = Index::nowhere();
  const auto name = [&](Index::Place place, uint64_t) { likely = place; };
  index_.visit_candidates(hash, name);
  const auto is_found = [&](Index::Place by) {
    const Index::Place place = index_.find(hash, "a", by);
    return place && index_.at(place).offset == index_.at(find("a")).offset;
  };
  EXPECT_TRUE(is_found(likely));
  EXPECT_TRUE(is_found(Index::nowhere()));
  EXPECT_TRUE(is_found(find("b"))) << "another key's";
  wire::Slot slot;
  slot.offset = entry("a");
  index_.replace(likely, slot);
  EXPECT_EQ(index_.at(index_.find(hash, "a", likely)).offset, slot.offset) << "the newer entry";
  index_.remove(likely);
  EXPECT_FALSE(index_.find(hash, "a", likely)) << "nothing is there";
  slot.offset = entry("c");
  index_.insert(likely, hash, slot);
  EXPECT_FALSE(index_.find(hash, "a", likely)) << "another key's now";
}

TEST_F(IndexTest, SlotTellsFingerprintAndPlace) {
  ASSERT_TRUE(insert("key"));
  const wire::KeyPlace place = wire::key_place(wire::hash_key("key", 0), kBuckets);
  bool seen = false;
  for (const uint64_t word : buckets_[place.bucket[0]].slots) {
    const auto slot = wire::Slot::decode(word);
    seen |= slot.offset == 4 && slot.fingerprint == place.fingerprint;
  }
  for (const uint64_t word : buckets_[place.bucket[1]].slots) {
    const auto slot = wire::Slot::decode(word);
    seen |= slot.offset == 4 && slot.fingerprint == place.fingerprint;
  }
  EXPECT_TRUE(seen);
}

TEST_F(IndexTest, ReplaceKeepsTheSlotsPlace) {
  ASSERT_TRUE(insert("key"));
  const Index::Place before = find("key");
  wire::Slot slot;
  slot.offset = entry("key");
  index_.replace(before, slot);
  const Index::Place after = find("key");
  EXPECT_EQ(before.bucket, after.bucket);
  EXPECT_EQ(before.slot, after.slot);
  EXPECT_EQ(index_.at(after).offset, slot.offset);
}

TEST_F(IndexTest, FillsUpAlmostWhollyBeforeItRefuses) {
  uint32_t keys = 0;
  while (insert("k" + std::to_string(keys))) ++keys;
  EXPECT_GT(keys, kSlots * 90 / 100);
  EXPECT_TRUE(index_.consistent());
  for (uint32_t i = 0; i < keys; ++i) ASSERT_TRUE(find("k" + std::to_string(i)));
  RecordProperty("load_at_first_refusal_percent", static_cast<int>(keys * 100 / kSlots));
}

TEST_F(IndexTest, StashedKeysAreAnnouncedByTheOverflowBit) {
  uint32_t keys = 0;
  while (index_.stashed() == 0) ASSERT_TRUE(insert("k" + std::to_string(keys++)));
  const std::string stashed = "k" + std::to_string(keys - 1);
  const uint32_t home = wire::key_place(wire::hash_key(stashed, 0), kBuckets).bucket[0];
  for (const uint64_t word : buckets_[home].slots) EXPECT_TRUE(wire::Slot::decode(word).overflow);
  ASSERT_TRUE(find(stashed));
  index_.remove(find(stashed));
  for (const uint64_t word : buckets_[home].slots) EXPECT_FALSE(wire::Slot::decode(word).overflow);
}

TEST_F(IndexTest, EmptyFirstSlotKeepsTheOverflowBit) {
  uint32_t keys = 0;
  while (index_.stashed() == 0) ASSERT_TRUE(insert("k" + std::to_string(keys++)));
  const std::string stashed = "k" + std::to_string(keys - 1);
  const uint32_t home = wire::key_place(wire::hash_key(stashed, 0), kBuckets).bucket[0];
  for (uint32_t i = 0; i + 1 < keys; ++i) {
    const Index::Place place = find("k" + std::to_string(i));
    if (place.bucket == home && place.slot != Index::Place::kStash) index_.remove(place);
  }
  EXPECT_EQ(buckets_[home].slots[0], 1u);
  for (uint32_t i = 1; i < wire::kSlotsPerBucket; ++i) EXPECT_EQ(buckets_[home].slots[i], 0u);
  EXPECT_TRUE(find(stashed));
  EXPECT_TRUE(index_.consistent());
}

TEST_F(IndexTest, VisitSeesEveryKeyOnceAndMayRemove) {
  uint32_t keys = 0;
  while (insert("k" + std::to_string(keys))) ++keys;
  std::map<uint64_t, int> seen;
  for (uint32_t step = 0; step < index_.steps(); ++step) {
    index_.visit(step, [&](Index::Place place, wire::Slot slot) {
      ++seen[slot.offset];
      index_.remove(place);
    });
  }
  EXPECT_EQ(seen.size(), keys);
  EXPECT_EQ(index_.size(), 0u);
  EXPECT_EQ(index_.stashed(), 0u);
  EXPECT_TRUE(index_.consistent());
  for (const wire::Bucket& bucket : buckets_) {
    for (const uint64_t word : bucket.slots) ASSERT_EQ(word, 0u);
  }
}

TEST_F(IndexTest, AgreesWithAMapWhenFull) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  std::map<std::string, uint64_t> model;
  for (uint32_t i = 0; i < kSlots * 3 / 2; ++i) {
    const std::string key = "k" + std::to_string(random() % (kSlots * 5 / 4));
    if (random() % 4 == 0) {
      const Index::Place place = find(key);
      ASSERT_EQ(static_cast<bool>(place), model.contains(key));
      if (place) index_.remove(place);
      model.erase(key);
    } else if (!model.contains(key) && insert(key)) {
      model[key] = next_ - 4;
    }
  }
  EXPECT_TRUE(index_.consistent());
  EXPECT_EQ(index_.size(), model.size());
  for (const auto& [key, offset] : model) {
    const Index::Place place = find(key);
    ASSERT_TRUE(place);
    ASSERT_EQ(index_.at(place).offset, offset);
  }
}

}  // namespace
}  // namespace rdmakv::server
