// Several gets in one request, each as if it were a kGet without a landing buffer, executed in
// order: Opcode::kGets. One header, one id and one credit for all of them.
//
//   request's value = [ key length 2 | key | padding to 8 ] ...
//   reply's value   = [ GetResult 24 | expiry 8, if it has one | pin 16, or value | padding to 8 ]
//                     ... one for each, in the same order
//
// Under kValuesOnly, for who wants to know nothing else:
//
//   reply's value   = [ length 30, ShortGet 2 | value | padding to 4 ]   a value, or no such key
//                   | [ 0 30, ShortGet 2 | a result as above ] ...       anything else
//
// which is 4 bytes around a value instead of 24, and nothing about the key that would have to be
// told, or learned.
//
// A value for which the reply has no room is pinned, as one of a kGet that fits no landing buffer.
// Whoever asks for so many that even so not all results would fit (most_gets()) is answered
// kBadRequest, as for a value whose bytes make no sense; then there is no value in the reply.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "protocol/kv_layout.h"
#include "protocol/kv_message.h"

namespace rdmakv::wire {

inline constexpr uint32_t kMostGets = 64;  // in one request
inline constexpr uint32_t kMostGetsBytes = 8 * 1024;
inline constexpr uint32_t kMostGetKeyBytes = 512;

// Padding included.
constexpr uint64_t get_bytes(uint64_t key_length) {
  return padded(sizeof(uint16_t) + key_length);
}

// `to` has get_bytes() bytes. The key is not longer than kMostGetKeyBytes.
inline void write_get(std::byte* to, std::string_view key) {
  const auto length = static_cast<uint16_t>(key.size());
  std::memset(to + get_bytes(key.size()) - 8, 0, 8);  // the padding, whatever there is of it
  std::memcpy(to, &length, sizeof(length));
  if (!key.empty()) std::memcpy(to + sizeof(length), key.data(), key.size());
}

// Reads a request's value key by key; it must be the reader's own copy, since what is checked is
// what is used.
class GetsReader {
 public:
  explicit GetsReader(std::span<const std::byte> value) : rest_(value) {}

  // False at the end, and when the rest is malformed: then !whole().
  bool next(std::string_view& key) {
    uint16_t length = 0;
    if (rest_.size() < sizeof(length)) return false;
    std::memcpy(&length, rest_.data(), sizeof(length));
    const uint64_t bytes = get_bytes(length);
    if (length > kMostGetKeyBytes || bytes > rest_.size()) return false;
    key = {reinterpret_cast<const char*>(rest_.data()) + sizeof(length), length};
    rest_ = rest_.subspan(bytes);
    return true;
  }
  // Everything has been read.
  bool whole() const { return rest_.empty(); }

 private:
  std::span<const std::byte> rest_;
};

#pragma pack(push, 1)

// The same as a ReplyHeader tells of a kGet.
struct GetResult {
  uint32_t value_length = 0;
  ReplyStatus status = ReplyStatus::kOk;
  uint8_t flags = 0;  // of ReplyHeader.flags those of kGet, and kGetExpires
  uint16_t user_flags = 0;
  uint64_t version = 0;
  uint64_t place = 0;  // [ 0 | generation 26 | offset 36 ] of the entry
};
inline constexpr uint8_t kGetExpires = 128;  // the expiry follows: ms since 1970, positive

struct GetPin {
  uint64_t ticket = 0;
  uint64_t number = 0;  // as ReplyHeader.number under kPinned
};

enum class ShortGet : uint8_t {
  kValue = 0,    // of that length
  kMissing = 1,  // no such key
  kOther = 2,    // the result follows
};

#pragma pack(pop)

static_assert(sizeof(GetResult) == 24);

inline constexpr uint64_t kMostGetResultHead =
    sizeof(GetResult) + sizeof(int64_t) + sizeof(GetPin);  // of a result without a value

inline constexpr uint64_t kShortGetHead = sizeof(uint32_t);
inline constexpr uint64_t kMostShortGetHead = kShortGetHead + kMostGetResultHead;  // likewise

// Padding included. `value_length`: of a value that is in the reply.
constexpr uint64_t get_result_bytes(uint64_t value_length, bool expires) {
  return padded(sizeof(GetResult) + (expires ? sizeof(int64_t) : 0) + value_length);
}
constexpr uint64_t short_get_bytes(uint64_t value_length) {
  return (kShortGetHead + value_length + 3) / 4 * 4;
}

// Bytes that the results of a kGets may take where messages have `message_bytes`, and how many gets
// that is room for, whatever comes of them.
constexpr uint64_t get_results_room(uint64_t message_bytes) {
  return inline_room(message_bytes) / 8 * 8;
}
constexpr uint64_t most_gets(uint64_t message_bytes) {
  return std::min<uint64_t>(kMostGets, get_results_room(message_bytes) / kMostShortGetHead);
}

// Writes what a kGet would be answered by `reply`, and returns how many bytes it took: padded, and
// with a value (kHasValue) get_result_bytes(), else kMostGetResultHead at most.
inline uint64_t write_get_result(std::byte* to, const ReplyHeader& reply,
                                 std::span<const std::byte> value) {
  std::byte* const begin = to;
  const auto put = [&to](const void* from, size_t bytes) {
    if (bytes != 0) std::memcpy(to, from, bytes);
    to += bytes;
  };
  GetResult result;
  result.value_length = reply.value_length;
  result.status = reply.status;
  result.flags = reply.flags;
  result.user_flags = reply.user_flags;
  result.version = reply.version;
  result.place =
      uint64_t{reply.generation & kGenerationMask} << kOffsetBits | (reply.location & kOffsetMask);
  if (reply.expiry_ms != 0) result.flags |= kGetExpires;
  put(&result, sizeof(result));
  if (reply.expiry_ms != 0) put(&reply.expiry_ms, sizeof(reply.expiry_ms));
  if ((reply.flags & kPinned) != 0) {
    const GetPin pin{reply.ticket, reply.number};
    put(&pin, sizeof(pin));
  } else if ((reply.flags & kHasValue) != 0) {
    put(value.data(), value.size());
  }
  const auto bytes = static_cast<uint64_t>(to - begin);
  std::memset(to, 0, padded(bytes) - bytes);
  return padded(bytes);
}

// Likewise under kValuesOnly: with a value short_get_bytes(), else kMostShortGetHead at most.
inline uint64_t write_short_get(std::byte* to, const ReplyHeader& reply,
                                std::span<const std::byte> value) {
  const auto put_head = [to](uint64_t length, ShortGet what) {
    const auto head = static_cast<uint32_t>(length << 2 | static_cast<uint64_t>(what));
    std::memcpy(to, &head, sizeof(head));
  };
  if (reply.status == ReplyStatus::kOk && (reply.flags & kHasValue) != 0) {
    const uint64_t bytes = short_get_bytes(value.size());
    std::memset(to + bytes - 4, 0, 4);  // the padding, whatever there is of it
    put_head(value.size(), ShortGet::kValue);
    if (!value.empty()) std::memcpy(to + kShortGetHead, value.data(), value.size());
    return bytes;
  }
  const bool missing = reply.status == ReplyStatus::kNotFound;
  put_head(0, missing ? ShortGet::kMissing : ShortGet::kOther);
  return kShortGetHead + (missing ? 0 : write_get_result(to + kShortGetHead, reply, {}));
}

// Reads a reply's value result by result, each as the reply to a kGet. Trusts nothing in it; what
// is checked are copies, but for the values, which are views.
class GetResultsReader {
 public:
  // `values_only`: they were asked for under kValuesOnly.
  explicit GetResultsReader(std::span<const std::byte> value, bool values_only = false)
      : rest_(value), values_only_(values_only) {}

  // False at the end, and when the rest is malformed: then !whole().
  bool next(ReplyView& reply) { return values_only_ ? next_short(reply) : next_full(reply); }
  // Everything has been read.
  bool whole() const { return rest_.empty(); }

 private:
  bool next_short(ReplyView& reply) {
    uint32_t head = 0;
    std::span<const std::byte> rest = rest_;
    if (!take(rest, &head, sizeof(head))) return false;
    const uint64_t length = head >> 2;
    const auto what = static_cast<ShortGet>(head & 3);
    if (what == ShortGet::kValue) {
      const uint64_t bytes = short_get_bytes(length);
      if (bytes > rest_.size()) return false;
      reply.header = {};
      reply.header.flags = kHasValue;
      reply.header.value_length = static_cast<uint32_t>(length);
      reply.value = rest.first(length);
      rest_ = rest_.subspan(bytes);
      return true;
    }
    if (length != 0 || what > ShortGet::kOther) return false;
    if (what == ShortGet::kMissing) {
      reply.header = {};
      reply.header.status = ReplyStatus::kNotFound;
      reply.value = {};
      rest_ = rest;
      return true;
    }
    GetResultsReader full(rest);
    const bool other = full.next_full(reply) && (reply.header.flags & kHasValue) == 0 &&
                       reply.header.status != ReplyStatus::kNotFound;
    if (!other) return false;
    rest_ = full.rest_;
    return true;
  }

  bool next_full(ReplyView& reply) {
    GetResult result;
    std::span<const std::byte> rest = rest_;
    if (!take(rest, &result, sizeof(result))) return false;
    constexpr uint8_t kKnown = kHasValue | kPinned | kExpiryField | kCasClass;
    const bool pinned = (result.flags & kPinned) != 0;
    const bool has_value = (result.flags & kHasValue) != 0;
    if (result.status > ReplyStatus::kRefused || (pinned && has_value) ||
        (result.flags & ~(kKnown | kGetExpires)) != 0 || result.place >> kPlaceBits != 0) {
      return false;
    }
    reply.header = {};
    reply.header.status = result.status;
    reply.header.flags = result.flags & kKnown;
    reply.header.user_flags = result.user_flags;
    reply.header.version = result.version;
    reply.header.location = result.place & kOffsetMask;
    reply.header.generation = static_cast<uint32_t>(result.place >> kOffsetBits);
    reply.header.value_length = result.value_length;
    int64_t expiry_ms = 0;
    if ((result.flags & kGetExpires) != 0 &&
        (!take(rest, &expiry_ms, sizeof(expiry_ms)) || expiry_ms <= 0)) {
      return false;
    }
    reply.header.expiry_ms = expiry_ms;
    GetPin pin;
    if (pinned && !take(rest, &pin, sizeof(pin))) return false;
    reply.header.ticket = pin.ticket;
    reply.header.number = pin.number;
    const uint64_t length = has_value ? result.value_length : 0;
    if (length > rest.size()) return false;
    reply.value = rest.first(length);
    const uint64_t bytes = padded(rest_.size() - rest.size() + length);
    if (bytes > rest_.size()) return false;
    rest_ = rest_.subspan(bytes);
    return true;
  }
  static constexpr uint32_t kPlaceBits = kGenerationBits + kOffsetBits;
  static bool take(std::span<const std::byte>& from, void* out, size_t bytes) {
    if (from.size() < bytes) return false;
    std::memcpy(out, from.data(), bytes);
    from = from.subspan(bytes);
    return true;
  }

  std::span<const std::byte> rest_;
  bool values_only_;
};

}  // namespace rdmakv::wire
