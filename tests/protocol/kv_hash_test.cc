#include "protocol/kv_hash.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "tests/protocol/colliding_keys.h"

namespace rdmakv::wire {
namespace {

// From the Redis Cluster specification, and `CLUSTER KEYSLOT` of a real server.
TEST(KvHash, SlotsAreThoseOfRedisCluster) {
  EXPECT_EQ(hash_slot("123456789"), 0x31c3 % kHashSlots);
  EXPECT_EQ(hash_slot("foo"), 12182);
  EXPECT_EQ(hash_slot("bar"), 5061);
  EXPECT_EQ(hash_slot(""), 0);
}

TEST(KvHash, TagAloneDecides) {
  EXPECT_EQ(hash_slot("{user1000}.following"), hash_slot("{user1000}.followers"));
  EXPECT_EQ(hash_slot("{user1000}.following"), hash_slot("user1000"));
  EXPECT_EQ(hash_slot("foo{bar}{zap}"), hash_slot("bar"));
  EXPECT_EQ(hash_slot("foo{{bar}}zap"), hash_slot("{bar"));
}

TEST(KvHash, EmptyOrOpenTagIsNoTag) {
  EXPECT_NE(hash_slot("foo{}{bar}"), hash_slot("bar"));
  EXPECT_NE(hash_slot("{bar"), hash_slot("bar"));
  EXPECT_NE(hash_slot("bar}"), hash_slot("bar"));
  EXPECT_NE(hash_slot("}{bar"), hash_slot("bar"));
}

TEST(KvHash, WorkersOwnEqualContiguousStretches) {
  for (const uint32_t workers : {1u, 2u, 3u, 4u, 7u, 1024u}) {
    std::vector<uint32_t> owned(workers);
    uint32_t before = 0;
    for (uint32_t slot = 0; slot < kHashSlots; ++slot) {
      const uint32_t worker = worker_of_slot(static_cast<uint16_t>(slot), workers);
      ASSERT_LT(worker, workers);
      ASSERT_GE(worker, before);
      before = worker;
      ++owned[worker];
    }
    for (const uint32_t slots : owned) {
      EXPECT_GE(slots, kHashSlots / workers);
      EXPECT_LE(slots, kHashSlots / workers + 1);
    }
  }
}

TEST(KvHash, KeyHashIsXxh3) {
  EXPECT_EQ(hash_key("", 0), 0x2d06800538d394c2ull);  // XXH3-64 of nothing, by its specification
  EXPECT_NE(hash_key("a", 0), hash_key("b", 0));
  EXPECT_NE(hash_key("a", 0), hash_key("a", 1));
}

size_t hashes_of(const std::vector<std::string>& keys, uint64_t seed) {
  std::set<uint64_t> hashes;
  for (const std::string& key : keys) hashes.insert(hash_key(key, seed));
  return hashes.size();
}

TEST(KvHash, OnlyWhoKnowsTheSeedMakesKeysOfOneHash) {
  const uint64_t seeds[] = {0, 1, 0xffffffff, uint64_t{1} << 63, 0x123456789abcdef, ~uint64_t{0}};
  for (const uint64_t known : seeds) {
    const std::vector<std::string> keys = colliding_keys(known, 64);
    for (const uint64_t seed : seeds) {
      EXPECT_EQ(hashes_of(keys, seed), seed == known ? 1u : keys.size()) << known << " " << seed;
    }
  }
}

}  // namespace
}  // namespace rdmakv::wire
