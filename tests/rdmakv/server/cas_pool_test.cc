#include "rdmakv/server/cas_pool.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <set>
#include <vector>

#include "rdmakv/server/entry.h"
#include "tests/rdmakv/server/plain_region.h"

namespace rdmakv::server {
namespace {

using Part = CasPool::Part;
using State = CasPool::State;

constexpr uint64_t kFirst = 4096;  // offset of the cas region
constexpr uint64_t kUnits = wire::kCasExtentBytes / wire::kExtentUnit;
constexpr uint32_t kExtents = 16;  // of each region
constexpr uint64_t kMs = 1'000'000;

class CasPoolTest : public testing::Test {
 protected:
  void TearDown() override { EXPECT_TRUE(pool_.consistent()); }
  uint64_t cas_offset(uint64_t n) const { return kFirst + n * kUnits; }
  uint64_t grants_offset(uint64_t n) const { return cas_offset(kExtents + n); }
  uint64_t linked(uint64_t hash = 1) {
    const uint64_t offset = pool_.take();
    pool_.link(offset, hash, 1);
    return offset;
  }

  PlainRegion cas_{kExtents * wire::kCasExtentBytes};
  PlainRegion grants_{kExtents * wire::kCasExtentBytes};
  CasPool pool_{cas_, grants_, kFirst, 77};
};

TEST_F(CasPoolTest, OffsetsAreThoseOfExtentBoundariesOfBothRegions) {
  for (uint64_t n = 0; n < kExtents; ++n) {
    EXPECT_TRUE(pool_.contains(cas_offset(n)));
    EXPECT_EQ(pool_.at(cas_offset(n)), cas_.data() + n * wire::kCasExtentBytes);
    EXPECT_EQ(pool_.part(cas_offset(n)), Part::kCas);
    EXPECT_TRUE(pool_.contains(grants_offset(n)));
    EXPECT_EQ(pool_.at(grants_offset(n)), grants_.data() + n * wire::kCasExtentBytes);
    EXPECT_EQ(pool_.part(grants_offset(n)), Part::kGrants);
    EXPECT_EQ(&pool_.region(grants_offset(n)), &grants_);
  }
  for (const uint64_t wrong : {uint64_t{0}, kFirst - kUnits, kFirst - 1, kFirst + 1,
                               grants_offset(kExtents), wire::kOffsetMask, ~uint64_t{0}}) {
    EXPECT_FALSE(pool_.contains(wrong)) << wrong;
  }
}

TEST_F(CasPoolTest, TakesEachExtentOnceAndSaysWhenThereIsNone) {
  std::set<uint64_t> taken;
  for (uint32_t i = 0; i < kExtents; ++i) {
    const uint64_t offset = pool_.take();
    ASSERT_NE(offset, 0u);
    EXPECT_EQ(pool_.part(offset), Part::kCas);
    EXPECT_EQ(pool_.state(offset), State::kBuilding);
    taken.insert(offset);
  }
  EXPECT_EQ(taken.size(), kExtents);
  EXPECT_EQ(pool_.take(), 0u);
  CasPool::Holder holder;
  EXPECT_NE(pool_.grant(holder), 0u);  // of the other region
  pool_.retire(pool_.granted(holder));
  for (const uint64_t offset : taken) pool_.put_back(offset);
  EXPECT_EQ(pool_.accounting(Part::kCas).free, kExtents);
}

// Clients' ATOMICs may be on their way to them.
TEST_F(CasPoolTest, FirstWordsAreNotTouched) {
  CasPool::Holder holder;
  for (uint32_t i = 0; i < kExtents; ++i) {
    mark_live(cas_.data() + i * wire::kCasExtentBytes, 5);
    mark_live(grants_.data() + i * wire::kCasExtentBytes, 5);
  }
  const auto untouched = [&](uint64_t offset) {
    return load_first_word(pool_.at(offset)).encode() ==
           wire::FirstWord::make_live(5, false).encode();
  };
  for (uint32_t i = 0; i < kExtents; ++i) {
    const uint64_t built = pool_.take(), granted = pool_.grant(holder);
    EXPECT_TRUE(untouched(built));
    EXPECT_TRUE(untouched(granted));
    pool_.put_back(built);
    pool_.retire(granted);
    EXPECT_TRUE(untouched(built));
    EXPECT_TRUE(untouched(granted));
  }
}

TEST_F(CasPoolTest, GenerationRisesByOneWithEachUse) {
  uint64_t now = kMs;
  std::vector<uint32_t> before;
  for (uint32_t n = 0; n < kExtents; ++n) before.push_back(pool_.generation(cas_offset(n)));
  for (uint32_t round = 1; round <= 5; ++round) {
    for (uint32_t i = 0; i < kExtents; ++i) pool_.retire(linked());
    pool_.begin(now += kMs);
    pool_.begin(now += kMs);
    for (uint32_t n = 0; n < kExtents; ++n) {
      EXPECT_EQ(pool_.generation(cas_offset(n)), (before[n] + round) & wire::kGenerationMask);
    }
  }
}

TEST_F(CasPoolTest, GenerationsStartAtRandom) {
  const CasPool other(cas_, grants_, kFirst, 77);
  uint32_t same = 0;
  for (uint32_t n = 0; n < 2 * kExtents; ++n) {
    same += pool_.generation(cas_offset(n)) == other.generation(cas_offset(n)) ? 1 : 0;
  }
  EXPECT_LT(same, 3u);
}

TEST_F(CasPoolTest, WhatNobodySawIsPutBackUnderItsGeneration) {
  const uint64_t offset = pool_.take();
  const uint32_t generation = pool_.generation(offset);
  pool_.put_back(offset);
  EXPECT_EQ(pool_.generation(offset), generation - 1);
  EXPECT_EQ(pool_.accounting(Part::kCas).free, kExtents);
}

TEST_F(CasPoolTest, NoReuseBeforeTheQuarantineHasPassed) {
  pool_.begin(10 * kMs);
  std::vector<uint64_t> all;
  for (uint32_t i = 0; i < kExtents; ++i) all.push_back(linked());
  pool_.retire(all[0]);
  EXPECT_EQ(pool_.state(all[0]), State::kQuarantined);
  pool_.begin(30 * kMs);  // the first reading after it: its quarantine begins here
  EXPECT_EQ(pool_.take(), 0u);
  pool_.begin(30 * kMs + wire::kQuarantineNs - 1);
  pool_.retire(all[1]);
  EXPECT_EQ(pool_.take(), 0u);
  pool_.begin(30 * kMs + wire::kQuarantineNs);
  EXPECT_EQ(pool_.take(), all[0]);
  EXPECT_EQ(pool_.take(), 0u);
  pool_.begin(31 * kMs + wire::kQuarantineNs);
  EXPECT_EQ(pool_.take(), all[1]);
  pool_.put_back(all[0]);
  pool_.put_back(all[1]);
}

TEST_F(CasPoolTest, LinkedOnesAreKeptInTheOrderOfTheirLinking) {
  EXPECT_EQ(pool_.oldest_linked(Part::kCas), 0u);
  const uint64_t a = linked(1), b = linked(2), c = linked(3);
  EXPECT_EQ(pool_.hash(b), 2u);
  EXPECT_EQ(pool_.oldest_linked(Part::kCas), a);
  EXPECT_EQ(pool_.oldest_linked(Part::kGrants), 0u);
  pool_.retire(b);
  pool_.retire(a);
  EXPECT_EQ(pool_.oldest_linked(Part::kCas), c);
  pool_.retire(c);
  EXPECT_EQ(pool_.oldest_linked(Part::kCas), 0u);
}

TEST_F(CasPoolTest, GrantsBelongToTheirHolder) {
  CasPool::Holder one, other;
  const uint64_t a = pool_.grant(one), b = pool_.grant(one), c = pool_.grant(one);
  const uint64_t d = pool_.grant(other);
  EXPECT_EQ(one.count, 3u);
  EXPECT_TRUE(pool_.holds(one, b));
  EXPECT_FALSE(pool_.holds(other, b));
  EXPECT_FALSE(pool_.holds(one, d));
  pool_.link(b, 9, 4);  // from the middle of the list
  EXPECT_FALSE(pool_.holds(one, b));
  EXPECT_EQ(pool_.version(b), 4u);
  EXPECT_EQ(pool_.oldest_linked(Part::kGrants), b);
  EXPECT_EQ(one.count, 2u);
  pool_.retire(c);
  EXPECT_EQ(pool_.granted(one), a);
  pool_.retire(a);
  EXPECT_EQ(pool_.granted(one), 0u);
  EXPECT_EQ(pool_.granted(other), d);
  pool_.retire(d);
  EXPECT_EQ(pool_.accounting(Part::kGrants).granted, 0u);
}

TEST_F(CasPoolTest, PassedOnesAreAListFromTheLastToTheFirst) {
  const uint64_t a = linked(), b = linked(), c = linked();
  const uint64_t last = pool_.pass(c, pool_.pass(a, pool_.pass(b, 0)));
  EXPECT_EQ(last, c);
  EXPECT_EQ(pool_.passed_before(c), a);
  EXPECT_EQ(pool_.passed_before(a), b);
  EXPECT_EQ(pool_.passed_before(b), 0u);
}

TEST_F(CasPoolTest, ReadsOnlyWhatIsSoundUnderItsGenerationAndEpoch) {
  const uint64_t offset = pool_.take();
  std::byte* extent = pool_.at(offset);
  const std::string value(100, 'v');
  const auto build = [&](uint64_t seed) {
    wire::EntryFields fields;
    fields.seed = seed;
    fields.version = 3;
    wire::write_entry(extent, fields, "key", std::as_bytes(std::span(value)));
    mark_live(extent, pool_.generation(offset));
  };
  const uint64_t seed = wire::entry_seed(77, pool_.generation(offset));
  EntryCopy copy;
  EXPECT_FALSE(pool_.read(offset, copy));  // zeroes
  build(seed);
  ASSERT_TRUE(pool_.read(offset, copy));
  EXPECT_EQ(copy.view.key, "key");
  EXPECT_EQ(copy.view.version, 3u);
  EXPECT_EQ(copy.view.value.size(), value.size());
  EXPECT_TRUE(wire::FirstWord::decode(copy.first_word).live);
  for (const uint64_t byte : {8, 16, 24, 32, 35, 100, 134}) {
    build(seed);
    extent[byte] ^= std::byte{1};
    EXPECT_FALSE(pool_.read(offset, copy)) << byte;
  }
  build(wire::entry_seed(78, pool_.generation(offset)));
  EXPECT_FALSE(pool_.read(offset, copy));
  build(wire::entry_seed(77, pool_.generation(offset) + 1));
  EXPECT_FALSE(pool_.read(offset, copy));
  pool_.put_back(offset);
}

// Lengths and flags of every kind: nothing outside the extent is read (a sanitizer would see it).
TEST_F(CasPoolTest, LengthsThatPointOutsideAreNotBelieved) {
  PlainRegion page(4096);
  std::byte* last = page.data() + 4096 - wire::kCasExtentBytes;
  EntryCopy copy;
  const auto sound = [&](uint32_t value_length, uint32_t key_length, uint32_t flags) {
    const uint64_t meta = wire::make_meta(value_length, key_length, flags);
    std::memcpy(last + 24, &meta, sizeof(meta));
    key_equals(last, std::string(key_length, '\0'));
    const uint64_t size = wire::entry_bytes(key_length, value_length, false);
    if (size <= wire::kCasExtentBytes) {
      const uint64_t sum = wire::entry_checksum(last, size, 0, 5);
      std::memcpy(last + 8, &sum, sizeof(sum));
    }
    return copy_entry(last, 5, copy);
  };
  EXPECT_TRUE(sound(480, 0, 0));
  EXPECT_TRUE(sound(0, 480, 0));
  EXPECT_TRUE(sound(0, 0, 0));
  EXPECT_FALSE(sound(481, 0, 0));
  EXPECT_FALSE(sound(240, 241, 0));
  EXPECT_FALSE(sound((1u << 30) - 1, (1u << 17) - 1, 0));
  EXPECT_FALSE(sound(10, 10, wire::kEntryHasExpiry));
  EXPECT_FALSE(sound(10, 10, 2));
}

TEST_F(CasPoolTest, BooksAgreeOverRandomUse) {
  std::mt19937_64 random(std::random_device{}());
  std::vector<uint64_t> building, in_use;
  auto holders = std::make_unique<CasPool::Holder[]>(3);
  const auto pick = [&](std::vector<uint64_t>& from) {
    std::swap(from[random() % from.size()], from.back());
    const uint64_t one = from.back();
    from.pop_back();
    return one;
  };
  uint64_t now = kMs;
  for (int i = 0; i < 20'000; ++i) {
    switch (random() % 7) {
      case 0:
        if (const uint64_t offset = pool_.take()) building.push_back(offset);
        break;
      case 1:
        if (!building.empty()) pool_.put_back(pick(building));
        break;
      case 2:
        if (!building.empty()) {
          in_use.push_back(pick(building));
          pool_.link(in_use.back(), 1, 1);
        }
        break;
      case 3:
        pool_.grant(holders[random() % 3]);
        break;
      case 4: {
        const uint64_t offset = pool_.granted(holders[random() % 3]);
        if (offset == 0) break;
        if (random() % 2 == 0) {
          pool_.retire(offset);
        } else {
          pool_.link(offset, 2, 2);
          in_use.push_back(offset);
        }
        break;
      }
      case 5:
        if (!in_use.empty()) pool_.retire(pick(in_use));
        break;
      default:
        pool_.begin(now += random() % (2 * kMs));
    }
    if (i % 16 == 0) {
      ASSERT_TRUE(pool_.consistent());
    }
    ASSERT_EQ(pool_.accounting(Part::kCas).all(), kExtents);
    ASSERT_EQ(pool_.accounting(Part::kGrants).all(), kExtents);
  }
  for (const uint64_t offset : building) pool_.put_back(offset);
  for (int i = 0; i < 3; ++i) {
    while (holders[i].count > 0) pool_.retire(pool_.granted(holders[i]));
  }
}

}  // namespace
}  // namespace rdmakv::server
