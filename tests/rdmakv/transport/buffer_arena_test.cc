#include "rdmakv/transport/buffer_arena.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <random>
#include <vector>

namespace rdmakv {
namespace {

// Plain memory in the place of a fabric's.
class HeapRegion : public MemoryRegion {
 public:
  explicit HeapRegion(size_t bytes) : memory_(bytes + 4096) {
    void* start = memory_.data();
    size_t space = memory_.size();
    data_ = static_cast<std::byte*>(std::align(4096, bytes, start, space));
    size_ = bytes;
  }

 private:
  std::vector<std::byte> memory_;
};

constexpr uint64_t kMiB = 1 << 20;

std::unique_ptr<MemoryRegion> region(uint64_t bytes) {
  return std::make_unique<HeapRegion>(bytes);
}

TEST(BufferArena, RoundsUpToPowersOfTwoOfPages) {
  BufferArena arena(region(kMiB));
  EXPECT_EQ(arena.allocate(0).capacity(), 4096u);
  EXPECT_EQ(arena.allocate(1).capacity(), 4096u);
  EXPECT_EQ(arena.allocate(4096).capacity(), 4096u);
  EXPECT_EQ(arena.allocate(4097).capacity(), 8192u);
  EXPECT_EQ(arena.allocate(kMiB).capacity(), kMiB);
}

TEST(BufferArena, RefusesMoreThanTheLargest) {
  BufferArena arena(region(4 * kMiB));
  EXPECT_FALSE(arena.allocate(BufferArena::kLargest + 1));
}

TEST(BufferArena, GivesAllAndThenNothing) {
  BufferArena arena(region(2 * kMiB));
  std::vector<ValueBuffer> buffers;
  while (ValueBuffer buffer = arena.allocate(4096)) buffers.push_back(std::move(buffer));
  EXPECT_EQ(buffers.size(), 2 * kMiB / 4096);
  EXPECT_EQ(arena.free_bytes(), 0u);
  buffers.pop_back();
  EXPECT_TRUE(arena.allocate(4096));
}

TEST(BufferArena, MergesBuddiesBackToTheLargest) {
  BufferArena arena(region(kMiB));
  {
    std::vector<ValueBuffer> buffers;
    while (ValueBuffer buffer = arena.allocate(4096)) buffers.push_back(std::move(buffer));
    EXPECT_FALSE(arena.allocate(8192));
  }
  EXPECT_TRUE(arena.allocate(kMiB));
}

TEST(BufferArena, AMovedBufferReturnsOnce) {
  BufferArena arena(region(kMiB));
  ValueBuffer first = arena.allocate(100);
  ValueBuffer second = std::move(first);
  EXPECT_FALSE(first);
  EXPECT_TRUE(second);
  second.reset();
  EXPECT_EQ(arena.free_bytes(), kMiB);
}

TEST(BufferArena, ABufferReturnsWithTheLastOfItsParts) {
  BufferArena arena(region(kMiB));
  ValueBuffer whole = arena.allocate(64 * 1024);
  EXPECT_FALSE(whole.is_shared());
  ValueBuffer first = whole.part(100, 5000);
  ValueBuffer second = first.part(4999, 1);
  EXPECT_EQ(first.data(), whole.data() + 100);
  EXPECT_EQ(first.capacity(), 5000u);
  EXPECT_EQ(second.data(), whole.data() + 5099);
  EXPECT_TRUE(whole.is_shared());
  whole.reset();
  ValueBuffer moved = std::move(second);
  first.reset();
  EXPECT_FALSE(moved.is_shared());
  EXPECT_EQ(arena.free_bytes(), kMiB - 64 * 1024);
  moved.reset();
  EXPECT_EQ(arena.free_bytes(), kMiB);
  EXPECT_TRUE(arena.allocate(kMiB));
}

TEST(BufferArena, BuffersNeverOverlap) {
  BufferArena arena(region(4 * kMiB));
  std::mt19937 random(1);
  struct Held {
    ValueBuffer buffer;
    int mark;
  };
  std::vector<Held> held;
  for (int step = 0; step < 20'000; ++step) {
    if (held.empty() || random() % 2 == 0) {
      const uint32_t bytes = 1 + random() % (1u << (random() % 20));
      if (ValueBuffer buffer = arena.allocate(bytes)) {
        const int mark = static_cast<int>(random() % 256);
        std::memset(buffer.data(), mark, buffer.capacity());
        held.push_back({std::move(buffer), mark});
      }
      continue;
    }
    const size_t victim = random() % held.size();
    const ValueBuffer& buffer = held[victim].buffer;
    for (uint32_t i = 0; i < buffer.capacity(); i += 511) {
      ASSERT_EQ(static_cast<int>(buffer.data()[i]), held[victim].mark);
    }
    std::swap(held[victim], held.back());
    held.pop_back();
  }
  held.clear();
  EXPECT_EQ(arena.free_bytes(), 4 * kMiB);
}

}  // namespace
}  // namespace rdmakv
