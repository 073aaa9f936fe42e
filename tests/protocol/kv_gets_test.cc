// The layout of gets that share a request: what is written comes back, and what is malformed is
// read as nothing.
#include "protocol/kv_gets.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace rdmakv::wire {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string written(const ReplyHeader& reply, std::string_view value = {}) {
  std::string bytes(kMostGetResultHead + value.size() + 8, '?');
  bytes.resize(
      write_get_result(reinterpret_cast<std::byte*>(bytes.data()), reply, bytes_of(value)));
  return bytes;
}

ReplyHeader with_value(std::string_view value) {
  ReplyHeader reply;
  reply.flags = kHasValue | kCasClass;
  reply.user_flags = 77;
  reply.version = 5;
  reply.location = kOffsetMask;
  reply.generation = kGenerationMask / 2;
  reply.value_length = static_cast<uint32_t>(value.size());
  return reply;
}

TEST(KvGets, KeysComeBack) {
  std::string request;
  const std::vector<std::string> keys = {"a", "", "sixbyt", "sevenby",
                                         std::string(kMostGetKeyBytes, 'l')};
  for (const std::string& key : keys) {
    const size_t at = request.size();
    request.resize(at + get_bytes(key.size()), '?');
    write_get(reinterpret_cast<std::byte*>(request.data()) + at, key);
  }
  EXPECT_EQ(request.find('?'), std::string::npos) << "no stale memory goes over the wire";
  GetsReader reader(bytes_of(request));
  std::string_view key;
  for (const std::string& expected : keys) {
    ASSERT_TRUE(reader.next(key));
    EXPECT_EQ(key, expected);
  }
  EXPECT_FALSE(reader.next(key));
  EXPECT_TRUE(reader.whole());
}

TEST(KvGets, ResultsComeBack) {
  ReplyHeader missing;
  missing.status = ReplyStatus::kNotFound;
  ReplyHeader expires = with_value("12345678");
  expires.expiry_ms = 1'700'000'000'000;
  ReplyHeader pinned = with_value("");
  pinned.flags = kPinned;
  pinned.expiry_ms = 9;
  pinned.ticket = 1234567;
  pinned.number = 89;
  pinned.value_length = 1 << 20;
  const struct {
    ReplyHeader reply;
    std::string value;
  } all[] = {{missing, ""},
             {with_value("abc"), "abc"},
             {expires, "12345678"},
             {pinned, ""},
             {with_value(""), ""}};
  std::string bytes;
  for (const auto& one : all) {
    bytes += written(one.reply, one.value);
    EXPECT_EQ(bytes.size() % 8, 0u);
  }
  EXPECT_EQ(bytes.find('?'), std::string::npos);
  EXPECT_EQ(written(pinned).size(), kMostGetResultHead);
  EXPECT_EQ(written(expires, "12345678").size(), get_result_bytes(8, true));
  GetResultsReader reader(bytes_of(bytes));
  for (const auto& one : all) {
    ReplyView back;
    ASSERT_TRUE(reader.next(back));
    EXPECT_EQ(std::memcmp(&back.header, &one.reply, sizeof(back.header)), 0);
    EXPECT_EQ(text_of(back.value), one.value);
  }
  EXPECT_TRUE(reader.whole());
}

std::string written_short(const ReplyHeader& reply, std::string_view value = {}) {
  std::string bytes(kMostShortGetHead + value.size() + 8, '?');
  bytes.resize(write_short_get(reinterpret_cast<std::byte*>(bytes.data()), reply, bytes_of(value)));
  return bytes;
}

TEST(KvGets, ShortResultsComeBack) {
  ReplyHeader missing;
  missing.status = ReplyStatus::kNotFound;
  ReplyHeader pinned = with_value("");
  pinned.flags = kPinned;
  pinned.expiry_ms = 9;
  pinned.ticket = 1234567;
  pinned.value_length = 1 << 20;
  std::string bytes = written_short(missing) + written_short(pinned);
  EXPECT_EQ(bytes.size(), kShortGetHead + kMostShortGetHead);
  const std::vector<std::string> values = {"", "1", "12", "123", "1234", std::string(1000, 'v')};
  for (const std::string& value : values) {
    const std::string one = written_short(with_value(value), value);
    EXPECT_EQ(one.size(), short_get_bytes(value.size()));
    EXPECT_LT(one.size(), kShortGetHead + value.size() + 4);
    bytes += one;
  }
  EXPECT_EQ(bytes.find('?'), std::string::npos) << "no stale memory goes over the wire";
  GetResultsReader reader(bytes_of(bytes), true);
  ReplyView back;
  ASSERT_TRUE(reader.next(back));
  EXPECT_EQ(std::memcmp(&back.header, &missing, sizeof(missing)), 0);
  ASSERT_TRUE(reader.next(back));
  EXPECT_EQ(std::memcmp(&back.header, &pinned, sizeof(pinned)), 0);
  for (const std::string& value : values) {
    ASSERT_TRUE(reader.next(back));
    EXPECT_EQ(back.header.status, ReplyStatus::kOk);
    EXPECT_EQ(back.header.flags, kHasValue);
    EXPECT_EQ(back.header.value_length, value.size());
    EXPECT_EQ(back.header.version, 0u);
    EXPECT_EQ(text_of(back.value), value);
  }
  EXPECT_TRUE(reader.whole());
}

TEST(KvGets, MalformedShortResultsAreNotRead) {
  ReplyView reply;
  const auto refused = [&](std::string_view bytes) {
    GetResultsReader reader(bytes_of(bytes), true);
    return !reader.next(reply) && !reader.whole();
  };
  ReplyHeader pinned = with_value("");
  pinned.flags = kPinned;
  for (const std::string& good :
       {written_short(with_value("12345"), "12345"), written_short(pinned)}) {
    EXPECT_FALSE(refused(good));
    for (size_t length = 1; length < good.size(); ++length) {
      EXPECT_TRUE(refused(std::string(good, 0, length))) << length;
    }
  }
  const auto head = [](uint32_t word) {
    return std::string(reinterpret_cast<const char*>(&word), sizeof(word)) + std::string(60, 'v');
  };
  EXPECT_FALSE(refused(head(60 << 2)));
  EXPECT_TRUE(refused(head(61 << 2))) << "longer than the reply";
  EXPECT_TRUE(refused(head(~uint32_t{3})));
  EXPECT_FALSE(refused(head(1)));
  EXPECT_TRUE(refused(head(1 << 2 | 1))) << "a length of nothing";
  EXPECT_TRUE(refused(head(3)));
  EXPECT_TRUE(refused(head(2)));
  const auto other = [&](const std::string& result) {
    return refused(std::string("\x02\0\0\0", 4) + result);
  };
  EXPECT_FALSE(other(written(pinned)));
  EXPECT_TRUE(other(written(with_value("12345678"), "12345678"))) << "a value at such a length";
  ReplyHeader missing;
  missing.status = ReplyStatus::kNotFound;
  EXPECT_TRUE(other(written(missing))) << "said at such a length";
}

// Whatever is cut off or changed: it is not read, and not one byte beyond is.
TEST(KvGets, MalformedResultsAreNotRead) {
  const std::string good = written(with_value("12345678"), "12345678");
  ReplyView reply;
  for (size_t length = 0; length < good.size(); ++length) {
    const std::vector<std::byte> cut(bytes_of(good).begin(),
                                     bytes_of(good).begin() + static_cast<ptrdiff_t>(length));
    GetResultsReader reader(cut);
    EXPECT_FALSE(reader.next(reply)) << length;
    EXPECT_EQ(reader.whole(), length == 0);
  }
  const auto refused = [&](const GetResult& result) {
    std::string bytes = good;
    std::memcpy(bytes.data(), &result, sizeof(result));
    GetResultsReader reader(bytes_of(bytes));
    return !reader.next(reply) && !reader.whole();
  };
  EXPECT_FALSE(refused({8, ReplyStatus::kOk, kHasValue, 0, 0, 0}));
  EXPECT_TRUE(refused({9, ReplyStatus::kOk, kHasValue, 0, 0, 0})) << "longer than the reply";
  EXPECT_TRUE(refused({0xffffffff, ReplyStatus::kOk, kHasValue, 0, 0, 0}));
  EXPECT_TRUE(refused({8, static_cast<ReplyStatus>(11), kHasValue, 0, 0, 0}));
  EXPECT_TRUE(refused({8, ReplyStatus::kOk, kHasValue | kPinned, 0, 0, 0}));
  EXPECT_TRUE(refused({8, ReplyStatus::kOk, kHasValue | kOneKey, 0, 0, 0}));
  EXPECT_TRUE(refused({8, ReplyStatus::kOk, kHasValue, 0, 0, uint64_t{1} << 62}));
  std::string expires = written(with_value("12345678"), "12345678");
  expires[5] = static_cast<char>(static_cast<uint8_t>(expires[5]) | kGetExpires);
  const int64_t past = -1;
  std::memcpy(expires.data() + sizeof(GetResult), &past, sizeof(past));
  EXPECT_FALSE(GetResultsReader(bytes_of(expires)).next(reply)) << "a negative expiry";
}

TEST(KvGets, MalformedKeysAreNotRead) {
  std::string_view key;
  const auto refused = [&](uint16_t length, size_t bytes) {
    std::vector<std::byte> value(bytes);
    if (bytes >= sizeof(length)) std::memcpy(value.data(), &length, sizeof(length));
    GetsReader reader(value);
    return !reader.next(key) && !reader.whole();
  };
  EXPECT_FALSE(refused(6, 8));
  EXPECT_TRUE(refused(7, 8));
  EXPECT_TRUE(refused(0, 1));
  EXPECT_TRUE(refused(0, 7)) << "the padding is part of it";
  EXPECT_TRUE(refused(kMostGetKeyBytes + 1, 1024));
  EXPECT_TRUE(refused(0xffff, 64));
}

TEST(KvGets, AsManyAsFitWhateverComesOfThem) {
  for (const uint64_t message : {64, 72, 512, 1000, 4608, 1 << 20}) {
    EXPECT_LE(most_gets(message) * kMostShortGetHead, get_results_room(message)) << message;
    EXPECT_LE(most_gets(message) * kMostGetResultHead, get_results_room(message)) << message;
    EXPECT_LE(get_results_room(message), inline_room(message));
  }
  EXPECT_EQ(most_gets(kMessageBytes), kMostGets);
  EXPECT_EQ(most_gets(72), 0u);
}

}  // namespace
}  // namespace rdmakv::wire
