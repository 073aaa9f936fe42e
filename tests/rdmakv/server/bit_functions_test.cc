// Bits and fields against a slow model that looks at one bit at a time.
#include "rdmakv/server/bit_functions.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace rdmakv::server {
namespace {

using wire::FieldOperation;

std::vector<std::byte> random_bytes(std::mt19937& random, size_t size, int kind) {
  std::vector<std::byte> bytes(size);
  for (std::byte& byte : bytes) {
    byte = kind == 0 ? std::byte{0} : kind == 1 ? std::byte{0xff} : std::byte(random() & 0xff);
  }
  return bytes;
}

TEST(BitFunctions, CountingAndFindingAgreeWithOneBitAtATime) {
  std::mt19937 random(20);
  for (int i = 0; i < 3000; ++i) {
    std::vector<std::byte> bytes = random_bytes(random, 1 + random() % 40, i % 3);
    const uint64_t bits = bytes.size() * 8;
    if (i % 5 == 0) set_bit(bytes, random() % bits, i % 2 == 0);
    const uint64_t first = random() % bits;
    const uint64_t count = random() % (bits - first + 1);
    uint64_t ones = 0;
    uint64_t found[2] = {kNoBit, kNoBit};
    for (uint64_t at = first; at < first + count; ++at) {
      const bool on = (static_cast<uint8_t>(bytes[at / 8]) >> (7 - at % 8) & 1) != 0;
      ones += on ? 1 : 0;
      if (found[on ? 1 : 0] == kNoBit) found[on ? 1 : 0] = at;
    }
    ASSERT_EQ(count_bits(bytes, first, count), ones) << first << " " << count;
    ASSERT_EQ(find_bit(bytes, first, count, true), found[1]) << first << " " << count;
    ASSERT_EQ(find_bit(bytes, first, count, false), found[0]) << first << " " << count;
  }
}

TEST(BitFunctions, BitsBeyondTheEndAreZero) {
  const std::vector<std::byte> bytes(2, std::byte{0xff});
  EXPECT_TRUE(bit_at(bytes, 15));
  EXPECT_FALSE(bit_at(bytes, 16));
  EXPECT_FALSE(bit_at(bytes, ~uint64_t{0}));
}

FieldOperation field(FieldOperation::Kind kind, bool is_signed, uint8_t bits, uint64_t offset,
                     int64_t number = 0,
                     FieldOperation::Overflow overflow = FieldOperation::Overflow::kWrap) {
  FieldOperation operation;
  operation.kind = kind;
  operation.is_signed = is_signed ? 1 : 0;
  operation.bits = bits;
  operation.offset = offset;
  operation.number = number;
  operation.overflow = overflow;
  return operation;
}

TEST(BitFunctions, AFieldHoldsWhatWasSetWhereverItLies) {
  std::mt19937 random(21);
  for (int i = 0; i < 2000; ++i) {
    std::vector<std::byte> bytes = random_bytes(random, 12, 2);
    const std::vector<std::byte> before = bytes;
    const bool is_signed = random() % 2 == 0;
    const auto bits = static_cast<uint8_t>(1 + random() % (is_signed ? 64 : 63));
    const uint64_t offset = random() % (96 - bits + 1);
    const uint64_t mask = bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
    uint64_t raw = (uint64_t{random()} << 32 | random()) & mask;
    auto number = static_cast<int64_t>(raw);
    if (is_signed && bits < 64 && (raw >> (bits - 1) & 1) != 0) {
      number = static_cast<int64_t>(raw | ~mask);
    }
    bool changed = false;
    execute_field(field(FieldOperation::Kind::kSet, is_signed, bits, offset, number), bytes,
                  changed);
    ASSERT_EQ(get_field(field(FieldOperation::Kind::kGet, is_signed, bits, offset), bytes).number,
              number);
    ASSERT_EQ(changed, bytes != before);
    for (uint64_t at = 0; at < 96; ++at) {
      if (at >= offset && at < offset + bits) continue;
      ASSERT_EQ(bit_at(bytes, at), bit_at(before, at));
    }
  }
}

struct OverflowCase {
  bool is_signed;
  uint8_t bits;
  int64_t start, number;
  FieldOperation::Overflow overflow;
  int64_t result;
  bool failed;
};

TEST(BitFunctions, Overflow) {
  using O = FieldOperation::Overflow;
  const OverflowCase cases[] = {
      {false, 2, 3, 1, O::kWrap, 0, false},
      {false, 2, 3, 1, O::kSaturate, 3, false},
      {false, 2, 3, 1, O::kFail, 0, true},
      {false, 8, 0, -1, O::kWrap, 255, false},
      {false, 8, 0, -1, O::kSaturate, 0, false},
      {true, 8, 127, 1, O::kWrap, -128, false},
      {true, 8, 127, 1, O::kSaturate, 127, false},
      {true, 8, -128, -1, O::kSaturate, -128, false},
      {true, 8, -128, -1, O::kWrap, 127, false},
      {true, 64, INT64_MAX, 1, O::kWrap, INT64_MIN, false},
      {true, 64, INT64_MAX, INT64_MAX, O::kSaturate, INT64_MAX, false},
      {true, 64, INT64_MIN, INT64_MIN, O::kWrap, 0, false},
      {true, 64, INT64_MIN, -1, O::kFail, 0, true},
      {false, 63, INT64_MAX, 1, O::kWrap, 0, false},
      {true, 1, 0, 1, O::kWrap, -1, false},
  };
  for (const OverflowCase& c : cases) {
    std::vector<std::byte> bytes(8);
    bool changed = false;
    execute_field(field(FieldOperation::Kind::kSet, c.is_signed, c.bits, 0, c.start), bytes,
                  changed);
    const wire::FieldResult result = execute_field(
        field(FieldOperation::Kind::kIncrement, c.is_signed, c.bits, 0, c.number, c.overflow),
        bytes, changed);
    EXPECT_EQ(result.failed != 0, c.failed) << c.start << "+" << c.number;
    EXPECT_EQ(result.number, c.result) << c.start << "+" << c.number;
    const int64_t now =
        get_field(field(FieldOperation::Kind::kGet, c.is_signed, c.bits, 0), bytes).number;
    EXPECT_EQ(now, c.failed ? c.start : c.result);
  }
}

// What redis-server 7.0 makes of numbers that are further below than 64 bits can tell.
TEST(BitFunctions, SettingFarBelowSaturatesAsInRedis) {
  for (const auto& [number, result] : {std::pair<int64_t, int64_t>{INT64_MIN, 127},
                                       {INT64_MIN + 127, 127},
                                       {INT64_MIN + 128, -128},
                                       {-129, -128}}) {
    std::vector<std::byte> bytes(8);
    bool changed = false;
    execute_field(
        field(FieldOperation::Kind::kSet, true, 8, 0, number, FieldOperation::Overflow::kSaturate),
        bytes, changed);
    EXPECT_EQ(get_field(field(FieldOperation::Kind::kGet, true, 8, 0), bytes).number, result)
        << number;
  }
}

}  // namespace
}  // namespace rdmakv::server
