#include "rdmakv/server/slab.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>
#include <set>

#include "rdmakv/server/entry.h"

namespace rdmakv::server {
namespace {

constexpr uint64_t kPage = PageHeap::kPageBytes;

class SlabTest : public testing::Test {
 protected:
  explicit SlabTest(uint64_t bytes = 4 << 20)
      : memory_(static_cast<std::byte*>(std::aligned_alloc(kPage, bytes))),
        bytes_(bytes),
        slab_({memory_, bytes}, 16) {
    std::memset(memory_, 0xab, bytes);
    slab_.begin(now_ns_);
  }
  ~SlabTest() override { std::free(memory_); }  // NOLINT

  void pass_ns(uint64_t ns) { slab_.begin(now_ns_ += ns); }

  std::byte* memory_;
  uint64_t bytes_;
  Slab slab_;
  uint64_t now_ns_ = 1'000'000'000;
};

TEST_F(SlabTest, OffsetZeroIsNeverAnExtent) {
  std::set<uint64_t> offsets;
  while (const Extent extent = slab_.allocate(100)) {
    EXPECT_NE(extent.offset, 0u);
    EXPECT_TRUE(offsets.insert(extent.offset).second);
  }
  EXPECT_GE(offsets.size() * 112, bytes_ * 98 / 100);
  for (const uint64_t offset : offsets) slab_.free(offset);
  pass_ns(1);
  pass_ns(Slab::kQuarantineNs);
  EXPECT_EQ(slab_.accounting().free_pages, slab_.accounting().usable_pages);
}

TEST_F(SlabTest, EverySizeGetsRoomAndStaysApart) {
  std::map<uint64_t, uint64_t> extents;
  for (uint64_t bytes :
       {1, 32, 48, 49, 112, 113, 256, 257, 2048, 2049, 4096, 16384, 16385, 100000}) {
    const Extent extent = slab_.allocate(bytes);
    ASSERT_TRUE(extent);
    EXPECT_GE(slab_.extent_bytes(extent.offset), bytes);
    EXPECT_EQ(extent.size_class, wire::size_class_of(bytes));
    extents[extent.offset * 16] = slab_.extent_bytes(extent.offset);
  }
  uint64_t end = 0;
  for (const auto& [at, bytes] : extents) {
    EXPECT_GE(at, end);
    end = at + bytes;
  }
  EXPECT_LE(end, bytes_);
}

TEST_F(SlabTest, FirstWordOfANewExtentIsNotLive) {
  const Extent extent = slab_.allocate(100);  // the memory is full of 0xab, whose top bit is set
  EXPECT_FALSE(load_first_word(slab_.at(extent.offset)).live);
}

TEST_F(SlabTest, FreedExtentIsNotReusedWithinTheQuarantine) {
  const Extent extent = slab_.allocate(5000);
  slab_.free(extent.offset);
  pass_ns(1);  // the batch is stamped here
  EXPECT_EQ(slab_.accounting().quarantined_extents, 1u);
  pass_ns(Slab::kQuarantineNs - 1);
  EXPECT_EQ(slab_.accounting().quarantined_extents, 1u);
  EXPECT_NE(slab_.allocate(5000).offset, extent.offset);
  pass_ns(1);
  EXPECT_EQ(slab_.accounting().quarantined_extents, 0u);
  EXPECT_EQ(slab_.allocate(5000).offset, extent.offset);
}

struct Marks final : ReadMarks {
  std::vector<uint64_t> places;
  int asked = 0;
  void collect(std::vector<uint64_t>& into) override {
    ++asked;
    into.insert(into.end(), places.begin(), places.end());
  }
};

TEST_F(SlabTest, WhatIsReadInPlaceStaysInQuarantine) {
  Marks marks;
  slab_.set_marks(marks, 64);
  for (const uint64_t bytes : {uint64_t{5000}, uint64_t{1} << 20}) {
    const Extent read = slab_.allocate(bytes);
    const Extent other = slab_.allocate(bytes);
    const uint64_t quarantined = 2 * slab_.extent_bytes(read.offset);
    std::memset(slab_.at(read.offset) + 16, 0x5a, bytes - 16);
    // Another client marks nonsense, and places within extents.
    marks.places = {~uint64_t{0},     0,          read.offset, 1, read.offset + 1,
                    other.offset + 1, read.offset};
    slab_.free(read.offset);
    slab_.free(other.offset);
    pass_ns(1);
    EXPECT_EQ(slab_.quarantined_bytes(), quarantined);
    for (int i = 0; i < 100; ++i) {
      pass_ns(Slab::kQuarantineNs);
      EXPECT_EQ(slab_.quarantined_bytes(), quarantined / 2);
      EXPECT_TRUE(slab_.consistent());
      const Extent next = slab_.allocate(bytes);
      EXPECT_NE(next.offset, read.offset);
      slab_.free(next.offset);
      pass_ns(Slab::kQuarantineNs);
      pass_ns(Slab::kQuarantineNs);
    }
    for (uint64_t i = 16; i < bytes; ++i) ASSERT_EQ(slab_.at(read.offset)[i], std::byte{0x5a});
    marks.places.clear();
    pass_ns(Slab::kQuarantineNs);
    pass_ns(Slab::kQuarantineNs);
    EXPECT_TRUE(slab_.quarantine_empty());
    EXPECT_TRUE(slab_.consistent());
  }
  EXPECT_EQ(slab_.accounting().free_pages, slab_.accounting().usable_pages);
}

TEST_F(SlabTest, ClientsAreAskedOnlyWhenAQuarantineEnds) {
  Marks marks;
  slab_.set_marks(marks, 64);
  slab_.free(slab_.allocate(100).offset);
  pass_ns(1);
  pass_ns(Slab::kQuarantineNs - 1);
  EXPECT_EQ(marks.asked, 0);
  pass_ns(1);
  EXPECT_EQ(marks.asked, 1);
  pass_ns(Slab::kQuarantineNs);
  EXPECT_EQ(marks.asked, 1);
}

TEST_F(SlabTest, LargeExtentIsQuarantinedToo) {
  const Extent extent = slab_.allocate(1 << 20);
  slab_.free(extent.offset);
  pass_ns(Slab::kQuarantineNs);
  EXPECT_EQ(slab_.accounting().large_pages, 256u);
  pass_ns(Slab::kQuarantineNs);
  EXPECT_EQ(slab_.accounting().large_pages, 0u);
}

TEST_F(SlabTest, BatchIsAsOldAsItsYoungestFree) {
  // The clock is read often; batches that are joined must not shorten anyone's quarantine.
  std::map<uint64_t, uint64_t> freed_at;
  const Extent keep = slab_.allocate(100);
  ASSERT_TRUE(keep);
  for (int i = 0; i < 2000; ++i) {
    const Extent extent = slab_.allocate(100);
    ASSERT_TRUE(extent);
    const auto before = freed_at.find(extent.offset);
    if (before != freed_at.end()) {
      ASSERT_GE(now_ns_ - before->second, Slab::kQuarantineNs);
    }
    freed_at[extent.offset] = now_ns_;
    slab_.free(extent.offset);
    pass_ns(7'000);
  }
}

TEST_F(SlabTest, GenerationRisesWithEachReuseOfAPlace) {
  std::map<uint64_t, uint32_t> generation_at;  // by 16-byte unit: whatever extent covers it
  std::mt19937_64 random(7);
  std::vector<Extent> live;
  int reuses = 0;
  for (int i = 0; i < 3000; ++i) {
    const Extent extent = slab_.allocate(random() % 2 == 0 ? 100 : random() % 40000);
    if (extent) {
      const uint64_t units = slab_.extent_bytes(extent.offset) / 16;
      for (uint64_t unit = extent.offset; unit < extent.offset + units; ++unit) {
        const auto [at, fresh] = generation_at.try_emplace(unit, slab_.generation());
        if (!fresh) {
          ASSERT_GT(slab_.generation(), at->second);
          at->second = slab_.generation();
          ++reuses;
        }
      }
      live.push_back(extent);
    }
    while (!live.empty() && (live.size() > 150 || random() % 2 == 0)) {
      std::swap(live[random() % live.size()], live.back());
      slab_.free(live.back().offset);
      live.pop_back();
    }
    pass_ns(random() % 400'000);
  }
  EXPECT_GT(reuses, 1000);
}

TEST_F(SlabTest, PinnedExtentOutlivesItsFree) {
  const Extent extent = slab_.allocate(5000);
  ASSERT_TRUE(slab_.pin(extent.offset));
  slab_.free(extent.offset);
  pass_ns(1);
  pass_ns(Slab::kQuarantineNs * 10);
  EXPECT_EQ(slab_.accounting().doomed_extents, 1u);
  EXPECT_NE(slab_.allocate(5000).offset, extent.offset);
  slab_.unpin(extent.offset);
  EXPECT_EQ(slab_.accounting().doomed_extents, 0u);
  EXPECT_EQ(slab_.accounting().quarantined_extents, 1u);
  pass_ns(1);
  pass_ns(Slab::kQuarantineNs);
  EXPECT_EQ(slab_.allocate(5000).offset, extent.offset);
}

TEST_F(SlabTest, QuarantineLeavesTheBodyAlone) {
  const Extent extent = slab_.allocate(112);
  std::byte* at = slab_.at(extent.offset);
  std::memset(at + 16, 0x5a, 96);
  mark_dead(at, false, 5, 99);
  slab_.free(extent.offset);
  pass_ns(1);
  for (int i = 16; i < 112; ++i) ASSERT_EQ(at[i], std::byte{0x5a});
  EXPECT_EQ(load_first_word(at).next, 99u);
}

TEST_F(SlabTest, EmptySlabsServeOtherSizes) {
  std::vector<uint64_t> offsets;
  while (const Extent extent = slab_.allocate(100)) offsets.push_back(extent.offset);
  EXPECT_FALSE(slab_.allocate(1 << 20));
  for (const uint64_t offset : offsets) slab_.free(offset);
  pass_ns(1);
  pass_ns(Slab::kQuarantineNs);
  EXPECT_TRUE(slab_.allocate(slab_.largest_bytes()));
}

TEST_F(SlabTest, BooksAgreeUnderARandomLoad) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  std::map<uint64_t, uint64_t> live;  // offset -> pins
  std::map<uint64_t, uint64_t> doomed;
  for (int i = 0; i < 20000; ++i) {
    const auto pick = [&](auto& from) {
      return std::next(from.begin(), static_cast<int>(random() % from.size()));
    };
    switch (random() % 6) {
      case 0:
      case 1: {
        const uint64_t bytes = random() % 50 == 0 ? random() % 600'000 : random() % 3000;
        if (const Extent extent = slab_.allocate(bytes)) {
          ASSERT_FALSE(doomed.contains(extent.offset));
          ASSERT_TRUE(live.emplace(extent.offset, 0).second);
        }
        break;
      }
      case 2:
        if (!live.empty()) {
          const auto at = pick(live);
          if (at->second > 0) doomed.insert(*at);
          slab_.free(at->first);
          live.erase(at);
        }
        break;
      case 3:
        if (!live.empty()) {
          const auto at = pick(live);
          if (slab_.pin(at->first)) ++at->second;
        }
        break;
      case 4: {
        auto& from = random() % 2 == 0 ? live : doomed;
        if (from.empty()) break;
        const auto at = pick(from);
        if (at->second == 0) break;
        slab_.unpin(at->first);
        if (--at->second == 0 && &from == &doomed) doomed.erase(at);
        break;
      }
      default:
        pass_ns(random() % 300'000);
    }
    const SlabAccounting a = slab_.accounting();
    ASSERT_EQ(a.live_extents, live.size());
    ASSERT_EQ(a.doomed_extents, doomed.size());
    if (i % 50 == 0) {
      ASSERT_TRUE(slab_.consistent());
    }
  }
  for (const auto& [offset, pins] : doomed) {
    for (uint64_t i = 0; i < pins; ++i) slab_.unpin(offset);
  }
  for (const auto& [offset, pins] : live) {
    for (uint64_t i = 0; i < pins; ++i) slab_.unpin(offset);
    slab_.free(offset);
  }
  pass_ns(1);
  pass_ns(Slab::kQuarantineNs * 2);
  const SlabAccounting a = slab_.accounting();
  EXPECT_EQ(a.free_pages, a.usable_pages);
  EXPECT_EQ(a.live_bytes + a.quarantined_bytes + a.doomed_bytes, 0u);
  EXPECT_TRUE(slab_.consistent());
}

}  // namespace
}  // namespace rdmakv::server
