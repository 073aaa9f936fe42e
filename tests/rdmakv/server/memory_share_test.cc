#include "rdmakv/server/memory_share.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rdmakv::server {
namespace {

using testing::HasSubstr;

constexpr uint64_t kWhole = 1000ull << 20;

TEST(MemoryShare, IsAPercentageOrMegabytes) {
  EXPECT_EQ(*parse_memory_share("64", kWhole), 64ull << 20);
  EXPECT_EQ(*parse_memory_share("0.5", kWhole), 1ull << 19);
  EXPECT_EQ(*parse_memory_share("5%", kWhole), 50ull << 20);
  EXPECT_EQ(*parse_memory_share("0.8%", kWhole), 8ull << 20);
}

TEST(MemoryShare, SaysWhatIsWrong) {
  const auto error = [](const char* text) {
    const Result<uint64_t> share = parse_memory_share(text, kWhole);
    EXPECT_FALSE(share) << text;
    return share ? std::string() : share.status().message();
  };
  for (const char* text : {"", "%", "x", "5 %", "5%%", "64MB", "1e3", "nan", "inf", "0x10"}) {
    EXPECT_THAT(error(text), HasSubstr("neither a percentage")) << text;
  }
  EXPECT_THAT(error("0"), HasSubstr("not more than 0"));
  EXPECT_THAT(error("-1%"), HasSubstr("not more than 0"));
  EXPECT_THAT(error("100%"), HasSubstr("all of the memory"));
  EXPECT_THAT(error("1000"), HasSubstr("all of the memory"));
}

}  // namespace
}  // namespace rdmakv::server
