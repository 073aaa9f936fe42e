#include "rdmakv/client/entry_judge.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "protocol/kv_message.h"

namespace rdmakv {
namespace {

constexpr uint64_t kSeed = 0x1234567890abcdefull;
constexpr uint32_t kGeneration = 77;
constexpr int64_t kNow = 1000;

class EntryJudge : public testing::Test {
 protected:
  void build(std::string_view key, std::string_view value, int64_t expiry_ms = 0,
             uint64_t seed = kSeed) {
    bytes.resize(wire::entry_bytes(key.size(), value.size(), expiry_ms != 0));
    wire::EntryFields fields;
    fields.seed = wire::entry_seed(seed, kGeneration);
    fields.version = 5;
    fields.expiry_field = expiry_ms != 0;
    fields.expiry_ms = expiry_ms;
    wire::write_entry(bytes.data(), fields, key, std::as_bytes(std::span<const char>(value)));
    set_first_word(wire::FirstWord::make_live(kGeneration, false));
  }
  void set_first_word(const wire::FirstWord& word) {
    const uint64_t encoded = word.encode();
    std::memcpy(bytes.data(), &encoded, sizeof(encoded));
  }
  Judgement judge(std::string_view key = "key", size_t length = ~size_t{0}) {
    const auto read = std::span<const std::byte>(bytes).first(std::min(length, bytes.size()));
    const Judgement told = judge_entry(read, pointer, key, kSeed, kNow);
    std::vector<std::byte> copy(bytes.size());
    PlainValue found;
    const bool plainly = copy_plain_entry(read, pointer, key, kSeed, copy, found);
    EXPECT_EQ(plainly, told.verdict == Verdict::kAccepted && !told.entry.expiry_field &&
                           told.entry.value.size() < wire::kLargeValue &&
                           pointer.generation_mask == wire::kGenerationMask);
    if (plainly) {
      EXPECT_EQ(found.version, told.entry.version);
      EXPECT_TRUE(std::ranges::equal(found.value, told.entry.value));
    }
    return told;
  }

  std::vector<std::byte> bytes;
  Pointer pointer{100, kGeneration, wire::kGenerationMask};
};

TEST_F(EntryJudge, AcceptsASoundEntry) {
  build("key", "value");
  const Judgement told = judge();
  ASSERT_EQ(told.verdict, Verdict::kAccepted);
  EXPECT_EQ(told.entry.version, 5u);
  EXPECT_EQ(told.entry.value.size(), 5u);
  EXPECT_EQ(told.generation, kGeneration);
  EXPECT_FALSE(told.cas_class);
}

TEST_F(EntryJudge, AnotherGenerationIsReuse) {
  build("key", "value");
  pointer.generation = kGeneration + 1;
  EXPECT_EQ(judge().verdict, Verdict::kReused);
}

// A slot tells 12 bits of the generation.
TEST_F(EntryJudge, OnlyTheKnownBitsOfTheGenerationCount) {
  build("key", "value");
  pointer = {100, kGeneration & 0xfff, 0xfff};
  EXPECT_EQ(judge().verdict, Verdict::kAccepted);
  pointer.generation = kGeneration + 4096;
  EXPECT_EQ(judge().verdict, Verdict::kAccepted);
}

// The first word says one generation and the body was written under another: a mix of two entries.
TEST_F(EntryJudge, TheBodyMustBeOfTheFirstWordsGeneration) {
  build("key", "value");
  set_first_word(wire::FirstWord::make_live(kGeneration + 1, false));
  pointer.generation = kGeneration + 1;
  EXPECT_EQ(judge().verdict, Verdict::kTorn);
}

TEST_F(EntryJudge, AnEntryUnderAnotherSeedIsNone) {
  build("key", "value", 0, kSeed + 1);
  EXPECT_EQ(judge().verdict, Verdict::kTorn);
}

TEST_F(EntryJudge, EveryTornByteIsNoticed) {
  build("key", "value", 2000);
  for (size_t at = 8; at < bytes.size(); ++at) {
    bytes[at] ^= std::byte{1};
    EXPECT_NE(judge().verdict, Verdict::kAccepted) << at;
    bytes[at] ^= std::byte{1};
  }
}

TEST_F(EntryJudge, DeadWithASuccessorLeadsThere) {
  build("key", "value");
  set_first_word(wire::FirstWord::make_dead(false, 99, 1234));
  const Judgement told = judge();
  ASSERT_EQ(told.verdict, Verdict::kForward);
  EXPECT_EQ(told.next.offset, 1234u);
  EXPECT_EQ(told.next.generation, 99u);
  EXPECT_EQ(told.next.generation_mask, wire::kGenerationMask);
}

TEST_F(EntryJudge, DeadWithoutASuccessorLeadsNowhere) {
  build("key", "value");
  set_first_word(wire::FirstWord::make_dead(false, 0, 0));
  EXPECT_EQ(judge().verdict, Verdict::kNoEntry);
}

TEST_F(EntryJudge, AnotherKeysEntry) {
  build("kez", "value");
  EXPECT_EQ(judge().verdict, Verdict::kOtherKey);
  build("longer", "value");
  EXPECT_EQ(judge().verdict, Verdict::kOtherKey);
}

TEST_F(EntryJudge, AShorterLookTellsTheLength) {
  build("key", std::string(300, 'v'));
  const Judgement told = judge("key", 100);
  ASSERT_EQ(told.verdict, Verdict::kLonger);
  EXPECT_EQ(told.length, bytes.size());
}

// Rule 8: a reader may say "not expired", nothing else.
TEST_F(EntryJudge, WhatMayHaveExpiredIsNotAccepted) {
  build("key", "value", kNow + 1);
  EXPECT_EQ(judge().verdict, Verdict::kAccepted);
  build("key", "value", kNow);
  EXPECT_EQ(judge().verdict, Verdict::kMayBeExpired);
  build("key", "value", kNow - 1);
  EXPECT_EQ(judge().verdict, Verdict::kMayBeExpired);
}

TEST_F(EntryJudge, TooFewBytesAreNothing) {
  build("key", "value");
  EXPECT_EQ(judge("key", 31).verdict, Verdict::kTorn);
  EXPECT_EQ(judge("key", 0).verdict, Verdict::kTorn);
}

TEST_F(EntryJudge, InPieces) {
  const std::string value(100'000, 'v');
  build("key", value);
  const size_t value_offset = wire::entry_value_offset(3, false);
  std::vector<std::byte> copy(bytes.begin() + value_offset, bytes.end());
  const auto judged = [&] {
    return judge_entry_in_pieces(std::span(bytes).first(value_offset + 10), copy, pointer, "key",
                                 kSeed, kNow)
        .verdict;
  };
  EXPECT_EQ(judged(), Verdict::kAccepted);
  copy[99'999] ^= std::byte{1};
  EXPECT_EQ(judged(), Verdict::kTorn);
  copy[99'999] ^= std::byte{1};
  copy.pop_back();
  EXPECT_EQ(judged(), Verdict::kTorn);
}

}  // namespace
}  // namespace rdmakv
