#include "protocol/hashed_copy.h"

#include <gtest/gtest.h>
#include <xxhash.h>

#include <random>
#include <vector>

namespace rdmakv::wire {
namespace {

std::vector<std::byte> random_bytes(size_t length) {
  std::mt19937_64 random(length);
  std::vector<std::byte> bytes(length);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

// Added, then copied in pieces of so many bytes at most, to a place so far behind the beginning of
// a cache line: hash and copy are right, and nothing around it is touched.
void check(size_t added, size_t copied, size_t piece, size_t offset, uint64_t seed) {
  SCOPED_TRACE(testing::Message() << added << " added, " << copied << " copied, by " << piece
                                  << ", at " << offset << ", seed " << seed);
  constexpr size_t kAround = 64;
  constexpr std::byte kMark{0xa5};
  const std::vector<std::byte> input = random_bytes(added + copied);
  std::vector<std::byte> memory(copied + 4 * kAround, kMark);
  const size_t line = -reinterpret_cast<uintptr_t>(memory.data()) % kAround;
  std::byte* const to = memory.data() + line + kAround + offset;
  HashedCopy copy;
  copy.begin(seed);
  if (added > 0) copy.add(input.data(), added);
  for (size_t at = 0; at < copied; at += piece) {
    copy.copy(to + at, input.data() + added + at, std::min(piece, copied - at));
  }
  EXPECT_EQ(copy.end(), XXH3_64bits_withSeed(input.data(), input.size(), seed));
  EXPECT_TRUE(std::equal(to, to + copied, input.data() + added));
  EXPECT_TRUE(std::all_of(memory.data(), to, [](std::byte byte) { return byte == kMark; }));
  EXPECT_TRUE(std::all_of(to + copied, memory.data() + memory.size(),
                          [](std::byte byte) { return byte == kMark; }));
}

TEST(HashedCopyTest, EveryLengthAroundABlock) {
  for (size_t copied = 0; copied <= 2300; ++copied) {
    check(0, copied, copied + 1, 0, 0);
    check(48, copied, copied + 1, 5, 77);
  }
}

TEST(HashedCopyTest, EveryLengthBefore) {
  for (size_t added = 0; added <= 1400; ++added) check(added, 5000, 5000, added % 64, added);
}

TEST(HashedCopyTest, EveryPlaceInALine) {
  for (size_t offset = 0; offset < 64; ++offset) check(40, 40'000, 40'000, offset, 1);
}

TEST(HashedCopyTest, LongInputInPieces) {
  for (const size_t piece : {1000, 1024, 1089, 4096, 16'384, 16'385, 65'536, 100'000, 300'000}) {
    check(0, 300'000, piece, 24, 0);
    check(60, 300'000, piece, 61, 9);
  }
}

}  // namespace
}  // namespace rdmakv::wire
