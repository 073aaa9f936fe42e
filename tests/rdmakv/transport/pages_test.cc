#include "rdmakv/transport/pages.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <string>

#include "rdmakv/transport/huge_page_patience.h"

namespace rdmakv {
namespace {

constexpr size_t kBytes = 16 << 20;
constexpr size_t kSmallPage = 4096;

// What /proc/self/smaps says of the mapping that begins at `data`, in bytes.
size_t smaps(const std::byte* data, const std::string& what) {
  std::ifstream maps("/proc/self/smaps");
  bool here = false;
  for (std::string line; std::getline(maps, line);) {
    uint64_t begin = 0;
    const auto parsed = std::from_chars(line.data(), line.data() + line.size(), begin, 16);
    if (parsed.ec == std::errc() && *parsed.ptr == '-') {
      here = begin == reinterpret_cast<uint64_t>(data);
    }
    if (here && line.starts_with(what + ":"))
      return std::stoull(line.substr(what.size() + 1)) << 10;
  }
  return 0;
}

class PagesTest : public testing::TestWithParam<bool> {
 protected:
  bool shared() const { return GetParam(); }
  void SetUp() override {
    if (shared()) {
      fd_ = memfd_create("pages_test", MFD_CLOEXEC);
      ASSERT_EQ(ftruncate(fd_, kBytes), 0);
    }
    data_ = map();
    ASSERT_NE(data_, MAP_FAILED);
  }
  void TearDown() override {
    munmap(data_, kBytes);
    if (fd_ >= 0) close(fd_);
  }
  std::byte* map() {
    const int flags = shared() ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
    return static_cast<std::byte*>(map_for_huge_pages(kBytes, PROT_READ | PROT_WRITE, flags, fd_));
  }
  size_t in_huge_pages(const std::byte* data) const {
    return smaps(data, shared() ? "ShmemPmdMapped" : "AnonHugePages");
  }
  int fd_ = -1;
  std::byte* data_ = nullptr;
};

// Whether there are any is the machine's business, and how many the moment's; what is said of them
// is ours.
TEST_P(PagesTest, AreCountedAsTheKernelCountsThem) {
  size_t huge = 1;
  ASSERT_TRUE(touch_pages(data_, kBytes, Pages::kTransparent, kSmallPage, &huge));
  EXPECT_EQ(huge, in_huge_pages(data_));
  EXPECT_EQ(smaps(data_, "Rss"), kBytes);
  EXPECT_TRUE(std::all_of(data_, data_ + kBytes, [](std::byte b) { return b == std::byte{0}; }));
}

TEST_P(PagesTest, OfTheUsualSizeWhenAskedFor) {
  size_t huge = 1;
  ASSERT_TRUE(touch_pages(data_, kBytes, Pages::kSmall, kSmallPage, &huge));
  EXPECT_EQ(huge, 0u);
  EXPECT_EQ(smaps(data_, "Rss"), kBytes);
}

TEST_P(PagesTest, MemoryBeginsWhereAHugePageCan) {
  const size_t page = transparent_huge_page_bytes();
  if (page == 0) GTEST_SKIP() << "this kernel has none";
  EXPECT_EQ(reinterpret_cast<uintptr_t>(data_) % page, 0u);
}

class SharedPagesTest : public PagesTest {};

TEST_P(SharedPagesTest, AnotherMappingOfThemIsHugeToo) {
  size_t huge = 0;
  ASSERT_TRUE(touch_pages(data_, kBytes, Pages::kTransparent, kSmallPage, &huge));
  std::byte* const other = map();
  ASSERT_NE(other, MAP_FAILED);
  for (size_t at = 0; at < kBytes; at += kSmallPage) {
    EXPECT_EQ(static_cast<int>(*const_cast<volatile std::byte*>(other + at)), 0);
  }
  EXPECT_EQ(in_huge_pages(other), huge);
  munmap(other, kBytes);
}

INSTANTIATE_TEST_SUITE_P(Memory, SharedPagesTest, testing::Values(true));
INSTANTIATE_TEST_SUITE_P(Memory, PagesTest, testing::Bool(), [](const auto& shared) {
  return std::string(shared.param ? "Shared" : "Private");
});

// ---- how long they are asked for ---------------------------------------------------------------

constexpr uint64_t kMs = 1'000'000;

TEST(HugePagePatience, LastsWhereEverythingIsSlow) {
  HugePagePatience patience(size_t{12} << 30);
  for (int i = 0; i < 6144; ++i) ASSERT_TRUE(patience.goes_on(true, (1 + i % 3) * 20 * kMs));
}

TEST(HugePagePatience, EndsWhenTheKernelMovesMuchForThem) {
  HugePagePatience patience(size_t{12} << 30);
  ASSERT_TRUE(patience.goes_on(true, kMs));
  uint64_t ms = 0;
  while (patience.goes_on(true, 13 * kMs)) ASSERT_LT(ms += 13, 20'000u);
  EXPECT_GE(ms, 13'000u);
  EXPECT_LT(ms, 13'000u * 13 / 10 + 30);
  // Nor does it begin anew.
  EXPECT_FALSE(patience.goes_on(true, kMs));
}

TEST(HugePagePatience, OneThatTakesForEverIsTheLast) {
  HugePagePatience patience(size_t{1} << 30);
  ASSERT_TRUE(patience.goes_on(true, kMs));
  EXPECT_FALSE(patience.goes_on(true, 10'000 * kMs));
}

TEST(HugePagePatience, EndsWhenSomeAreRefusedInARow) {
  HugePagePatience patience(size_t{1} << 30);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(patience.goes_on(i % 8 == 7, 0));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(patience.goes_on(false, 0));
  EXPECT_FALSE(patience.goes_on(false, 0));
}

TEST(HugePagePatience, WhatIsRefusedIsAllLost) {
  HugePagePatience patience(size_t{1} << 30);
  int refused = 0;
  for (; patience.goes_on(refused % 2 == 1, refused % 2 == 0 ? 10 * kMs : kMs); ++refused) {
    ASSERT_LT(refused, 1000);
  }
  EXPECT_EQ(refused, 398);  // half of them 10 ms: 2 s
}

TEST(SmallMappings, AreLeftToTheKernel) {
  void* const data =
      map_for_huge_pages(kSmallPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  ASSERT_NE(data, MAP_FAILED);
  size_t huge = 1;
  EXPECT_TRUE(touch_pages(static_cast<std::byte*>(data), kSmallPage, Pages::kTransparent,
                          kSmallPage, &huge));
  EXPECT_EQ(huge, 0u);
  munmap(data, kSmallPage);
}

}  // namespace
}  // namespace rdmakv
