#include "protocol/kv_layout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <string>
#include <vector>

namespace rdmakv::wire {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::vector<std::byte> make_entry(const EntryFields& fields, std::string_view key,
                                  std::string_view value) {
  std::vector<std::byte> entry(entry_bytes(key.size(), value.size(), fields.expiry_field));
  write_entry(entry.data(), fields, key, bytes_of(value));
  return entry;
}

TEST(FirstWord, LiveAndDeadComeBack) {
  const FirstWord live = FirstWord::decode(FirstWord::make_live(kGenerationMask, true).encode());
  EXPECT_TRUE(live.live);
  EXPECT_TRUE(live.cas_class);
  EXPECT_EQ(live.generation, kGenerationMask);
  EXPECT_EQ(live.next, 0u);
  const FirstWord dead = FirstWord::decode(FirstWord::make_dead(false, 5, kOffsetMask).encode());
  EXPECT_FALSE(dead.live);
  EXPECT_FALSE(dead.cas_class);
  EXPECT_EQ(dead.generation, 5u);
  EXPECT_EQ(dead.next, kOffsetMask);
}

TEST(FirstWord, DeadWithoutSuccessorIsZero) {
  EXPECT_EQ(FirstWord::make_dead(false, 77, 0).encode(), 0u);
}

TEST(Slot, EveryFieldComesBackAtItsLargest) {
  const Slot slot = Slot::decode(Slot{.offset = kOffsetMask,
                                      .generation_low = 0xfff,
                                      .size_class = 63,
                                      .fingerprint = 511,
                                      .overflow = true}
                                     .encode());
  EXPECT_EQ(slot.offset, kOffsetMask);
  EXPECT_EQ(slot.generation_low, 0xfffu);
  EXPECT_EQ(slot.size_class, 63u);
  EXPECT_EQ(slot.fingerprint, 511u);
  EXPECT_TRUE(slot.overflow);
}

TEST(Slot, FieldsDoNotTouchEachOther) {
  EXPECT_EQ(Slot{.offset = 1}.encode(), uint64_t{1} << 28);
  EXPECT_EQ(Slot{.generation_low = 1}.encode(), uint64_t{1} << 16);
  EXPECT_EQ(Slot{.size_class = 1}.encode(), uint64_t{1} << 10);
  EXPECT_EQ(Slot{.fingerprint = 1}.encode(), 2u);
  EXPECT_EQ(Slot{.overflow = true}.encode(), 1u);
}

TEST(Entry, MetaHoldsTheLargestLengths) {
  const uint64_t meta = make_meta(512u << 20, 64 * 1024, kEntryHasExpiry);
  EXPECT_EQ(meta_value_length(meta), 512u << 20);
  EXPECT_EQ(meta_key_length(meta), 64u * 1024);
  EXPECT_EQ(meta_flags(meta), kEntryHasExpiry);
}

TEST(Entry, ReadsBackWithAndWithoutExpiry) {
  for (const bool expiry : {false, true}) {
    const auto entry = make_entry(
        {.seed = 9, .version = 3, .expiry_field = expiry, .expiry_ms = expiry ? 1234 : 0}, "key",
        "value");
    EntryView view;
    ASSERT_TRUE(verify_entry(entry, 9, "key", view));
    EXPECT_EQ(view.version, 3u);
    EXPECT_EQ(view.expiry_ms, expiry ? 1234 : 0);
    EXPECT_EQ(view.key, "key");
    EXPECT_EQ(view.value.size(), 5u);
    EXPECT_EQ(std::memcmp(view.value.data(), "value", 5), 0);
    EXPECT_EQ(view.value.data() - entry.data(),
              static_cast<ptrdiff_t>(entry_value_offset(3, expiry)));
  }
}

TEST(Entry, EmptyKeyAndValue) {
  const auto entry = make_entry({.seed = 1}, "", "");
  EntryView view;
  EXPECT_TRUE(verify_entry(entry, 1, "", view));
  EXPECT_EQ(entry.size(), kEntryHeaderBytes);
}

TEST(Entry, OtherGenerationOrKeyIsNotAccepted) {
  const auto entry = make_entry({.seed = 9}, "key", "value");
  EntryView view;
  EXPECT_FALSE(verify_entry(entry, 8, "key", view));
  EXPECT_FALSE(verify_entry(entry, 9, "kez", view));
  EXPECT_FALSE(verify_entry(entry, 9, "ke", view));
}

TEST(Entry, AnyWrongByteButTheFirstWordsIsNoticed) {
  for (const size_t length : {5u, 70'000u}) {  // both kinds of checksum
    const std::string value(length, 'v');
    auto entry = make_entry({.seed = 9, .expiry_field = true, .expiry_ms = 77}, "key", value);
    const size_t step = length > 100 ? 997 : 1;
    for (size_t at = 0; at < entry.size(); at += at < 64 ? 1 : step) {
      entry[at] ^= std::byte{0x10};
      EntryView view;
      EXPECT_EQ(verify_entry(entry, 9, "key", view), at < 8) << at;
      entry[at] ^= std::byte{0x10};
    }
  }
}

TEST(Entry, CutEntryIsNotAccepted) {
  const auto entry = make_entry({.seed = 9}, "key", "value");
  EntryView view;
  for (size_t length = 0; length < entry.size(); ++length) {
    // A heap copy of just that size: reading behind it is an error that ASan sees.
    const std::vector<std::byte> cut(entry.begin(), entry.begin() + static_cast<ptrdiff_t>(length));
    EXPECT_FALSE(verify_entry(cut, 9, "key", view)) << length;
  }
}

TEST(Entry, LengthsBeyondTheBytesAreNotFollowed) {
  auto entry = make_entry({.seed = 9}, "key", "value");
  const uint64_t meta = make_meta((1u << 30) - 1, (1u << 17) - 1, ~0u);
  std::memcpy(entry.data() + 24, &meta, sizeof(meta));
  EntryView view;
  EXPECT_FALSE(verify_entry(entry, 9, "key", view));
}

TEST(Entry, AViewGoesByTheLengthsThatWereChecked) {
  std::vector<std::byte> entry = make_entry({.seed = 1, .version = 9}, "key", "value");
  const uint64_t meta = make_meta(5, 3, 0);
  const uint64_t other = make_meta(1u << 29, 60'000, kEntryHasExpiry);
  std::memcpy(entry.data() + offsetof(EntryHeader, meta), &other, sizeof(other));
  const EntryView view = view_entry(entry.data(), meta);
  EXPECT_EQ(view.key, "key");
  EXPECT_EQ(view.value.size(), 5u);
  EXPECT_EQ(view.version, 9u);
  EXPECT_FALSE(view.expiry_field);
}

TEST(Entry, WriteAroundIsTheSameEntry) {
  for (const size_t length : {0u, 100u, 65'490u, 65'493u, 65'494u, 70'000u}) {
    const std::string value(length, 'w');
    const EntryFields fields{.seed = 4, .version = 6, .expiry_field = true, .expiry_ms = 0};
    const auto whole = make_entry(fields, "key", value);
    std::vector<std::byte> around(whole.size());
    std::memcpy(around.data() + entry_value_offset(3, true), value.data(), length);
    // XXH3 of the value as a one-part entry's checksum would have it.
    uint64_t hash = hash_key(value, 0);
    write_entry_around(around.data(), fields, "key", static_cast<uint32_t>(length), hash);
    EXPECT_EQ(whole, around) << length;
  }
}

// Large values are copied and hashed in one go; what reads them knows nothing of that.
TEST(Entry, OfAnySizeAnywhereIsWhole) {
  std::vector<std::byte> memory(140'000);
  std::string value(130'000, '\0');
  for (size_t i = 0; i < value.size(); ++i) value[i] = static_cast<char>(i * 31 + i / 251);
  for (const size_t length :
       {8190u, 8191u, 8192u, 8193u, 8255u, 12'345u, 65'450u, 65'536u, 129'000u}) {
    for (const size_t at : {0u, 16u, 48u}) {
      std::fill(memory.begin(), memory.end(), std::byte{0x55});
      const std::string key(at + length % 64, 'k');
      const EntryFields fields{.seed = 77, .version = 3, .expiry_field = at == 16, .expiry_ms = 5};
      const std::string_view part = std::string_view(value).substr(at, length);
      write_entry(memory.data() + at, fields, key, bytes_of(part));
      const uint64_t whole = entry_bytes(key.size(), length, fields.expiry_field);
      EntryView view;
      ASSERT_TRUE(verify_entry({memory.data() + at, whole}, 77, key, view)) << length << " " << at;
      ASSERT_EQ(std::memcmp(view.value.data(), part.data(), length), 0) << length << " " << at;
      EXPECT_EQ(memory[at + whole], std::byte{0x55}) << "nothing behind it";
    }
  }
}

TEST(SizeClass, RisesInUnitsUpTo14KiB) {
  uint32_t before = 0;
  for (uint32_t c = 0; c < kSlabClasses; ++c) {
    EXPECT_GT(size_class_bytes(c), before);
    EXPECT_EQ(size_class_bytes(c) % kExtentUnit, 0u);
    before = size_class_bytes(c);
  }
  EXPECT_EQ(before, 14336u);
}

TEST(SizeClass, IsTheSmallestThatFits) {
  for (uint32_t bytes = 0; bytes <= 14336; ++bytes) {
    const uint32_t c = size_class_of(bytes);
    ASSERT_LT(c, kSlabClasses);
    ASSERT_GE(size_class_bytes(c), bytes);
    if (c > 0) {
      ASSERT_LT(size_class_bytes(c - 1), bytes);
    }
  }
  EXPECT_EQ(size_class_of(14337), kLargeClass);
  EXPECT_EQ(size_class_of(~uint64_t{0}), kLargeClass);
}

// What is left of an extent behind an entry, at most and with values of a power of two.
TEST(SizeClass, LittleIsLeftUnused) {
  for (uint32_t bytes = 257; bytes <= 14336; ++bytes) {
    const uint32_t unused = size_class_bytes(size_class_of(bytes)) - bytes;
    ASSERT_LT(unused * (bytes <= 8192 ? 8 : 4), bytes) << bytes;
  }
  const auto unused_by = [](uint64_t key, uint32_t value) {
    const uint64_t bytes = entry_bytes(key, value, false);
    return size_class_bytes(size_class_of(bytes)) - bytes;
  };
  for (const uint32_t value : {1024u, 2048u, 4096u, 8192u}) EXPECT_EQ(unused_by(32, value), 0u);
  EXPECT_EQ(unused_by(16, 1024), 0u);
}

TEST(SizeClass, SixteenByteKeyAnd64ByteValueTake112) {
  EXPECT_EQ(size_class_bytes(size_class_of(entry_bytes(16, 64, false))), 112u);
}

TEST(KeyPlace, BucketsAreInRangeAndSpread) {
  constexpr uint32_t kBuckets = 1000;
  std::vector<int> hits(kBuckets);
  int same = 0;
  for (int i = 0; i < 100'000; ++i) {
    const KeyPlace place = key_place(hash_key("key" + std::to_string(i), 0), kBuckets);
    ASSERT_LT(place.bucket[0], kBuckets);
    ASSERT_LT(place.bucket[1], kBuckets);
    ASSERT_LT(place.fingerprint, 512u);
    ++hits[place.bucket[0]];
    ++hits[place.bucket[1]];
    same += place.bucket[0] == place.bucket[1] ? 1 : 0;
  }
  EXPECT_LT(same, 300);
  for (const int count : hits) {
    EXPECT_GT(count, 100);
    EXPECT_LT(count, 320);
  }
}

TEST(KeyPlace, OneBucketIsEnough) {
  const KeyPlace place = key_place(~uint64_t{0}, 1);
  EXPECT_EQ(place.bucket[0], 0u);
  EXPECT_EQ(place.bucket[1], 0u);
}

}  // namespace
}  // namespace rdmakv::wire
