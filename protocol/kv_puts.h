// Several plain puts in one request, each as if it were a kPut without a condition, executed in
// order and each for itself: Opcode::kPuts. One header, one id and one credit for all of them.
//
//   request's value = [ PutHeader 8 | expiry 8, if it has one | key | value | padding to 8 ] ...
//   reply's value   = one PutResult (8 bytes) for each, in the same order
//
// A value whose bytes make no sense is answered kBadRequest, without a value, and nothing was
// stored.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "protocol/kv_message.h"

namespace rdmakv::wire {

inline constexpr uint32_t kMostPuts = 64;  // in one request
inline constexpr uint32_t kMostPutsBytes = 16 * 1024;
inline constexpr uint32_t kMostPutKeyBytes = 0xffff;

#pragma pack(push, 1)

struct PutHeader {
  uint32_t value_length = 0;
  uint16_t key_length = 0;
  uint16_t flags = 0;  // kPutExpires
};
inline constexpr uint16_t kPutExpires = 1;  // the expiry follows: ms since 1970, positive

#pragma pack(pop)

static_assert(sizeof(PutHeader) == 8);

struct PutView {
  std::string_view key;
  std::span<const std::byte> value;
  int64_t expiry_ms = 0;  // 0: none
};

// Padding included.
constexpr uint64_t put_bytes(uint64_t key_length, uint64_t value_length, bool expires) {
  return padded(sizeof(PutHeader) + (expires ? sizeof(int64_t) : 0) + key_length + value_length);
}

// `to` has put_bytes() bytes. The key is not longer than kMostPutKeyBytes.
inline void write_put(std::byte* to, const PutView& put) {
  const bool expires = put.expiry_ms != 0;
  const uint64_t bytes = put_bytes(put.key.size(), put.value.size(), expires);
  std::memset(to + bytes - 8, 0, 8);  // the padding, whatever there is of it
  PutHeader header;
  header.value_length = static_cast<uint32_t>(put.value.size());
  header.key_length = static_cast<uint16_t>(put.key.size());
  header.flags = expires ? kPutExpires : 0;
  std::memcpy(to, &header, sizeof(header));
  to += sizeof(header);
  if (expires) {
    std::memcpy(to, &put.expiry_ms, sizeof(put.expiry_ms));
    to += sizeof(put.expiry_ms);
  }
  if (!put.key.empty()) std::memcpy(to, put.key.data(), put.key.size());
  if (!put.value.empty()) std::memcpy(to + put.key.size(), put.value.data(), put.value.size());
}

// Reads a request's value piece by piece; it must be the reader's own copy, since what is checked
// is what is used.
class PutsReader {
 public:
  explicit PutsReader(std::span<const std::byte> value) : rest_(value) {}

  // False at the end, and when the rest is malformed: then !whole().
  bool next(PutView& put) {
    PutHeader header;
    if (rest_.size() < sizeof(header)) return false;
    std::memcpy(&header, rest_.data(), sizeof(header));
    if ((header.flags & ~kPutExpires) != 0) return false;
    const bool expires = header.flags != 0;
    const uint64_t bytes = put_bytes(header.key_length, header.value_length, expires);
    if (bytes > rest_.size()) return false;
    const std::byte* at = rest_.data() + sizeof(header);
    put.expiry_ms = 0;
    if (expires) {
      std::memcpy(&put.expiry_ms, at, sizeof(put.expiry_ms));
      if (put.expiry_ms <= 0) return false;
      at += sizeof(put.expiry_ms);
    }
    put.key = {reinterpret_cast<const char*>(at), header.key_length};
    put.value = {at + header.key_length, header.value_length};
    rest_ = rest_.subspan(bytes);
    return true;
  }
  // Everything has been read.
  bool whole() const { return rest_.empty(); }

 private:
  std::span<const std::byte> rest_;
};

// What came of one of them.
//   kOk:        [ 0 | cas class 1 | generation 26 | offset 36 ]   where the key's entry lies
//                                                                 (kv_layout.h); 0: nowhere
//   otherwise:  [ 1 | 0 ... | status 8 ]
struct PutResult {
  ReplyStatus status = ReplyStatus::kOk;
  bool cas_class = false;
  uint32_t generation = 0;
  uint64_t offset = 0;

  constexpr uint64_t encode() const {
    if (status != ReplyStatus::kOk) return uint64_t{1} << 63 | static_cast<uint64_t>(status);
    return uint64_t{cas_class} << 62 | (uint64_t{generation} & ((1u << 26) - 1)) << 36 |
           (offset & ((uint64_t{1} << 36) - 1));
  }
  static constexpr PutResult decode(uint64_t word) {
    if (word >> 63 != 0) return {static_cast<ReplyStatus>(word & 0xff), false, 0, 0};
    return {ReplyStatus::kOk, (word >> 62 & 1) != 0,
            static_cast<uint32_t>(word >> 36) & ((1u << 26) - 1), word & ((uint64_t{1} << 36) - 1)};
  }
};

}  // namespace rdmakv::wire
