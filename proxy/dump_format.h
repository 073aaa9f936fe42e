// What DUMP gives out and RESTORE takes for a string, as redis-server 7.0 has it (rdb.c,
// cluster.c):
//
//   type 1: 0 = string | string | RDB version 2 | CRC-64 8 of all before it
//
//   string: length | bytes                            length: 0xxxxxx 6 bits   1xxxxxx + 8: 14 bits
//        or 11000000 + 8, 16, 32 bits of an integer           10000000 + 32 bits, big endian
//        or 11000011 | length | length plain | LZF            10000001 + 64 bits, big endian
//
// Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace rdmakv::proxy {

inline constexpr uint16_t kRdbVersion = 10;  // of Redis 7.0
// Strings that are longer when plain are not taken from a compressed payload.
inline constexpr size_t kMostDecompressed = size_t{512} << 20;

// CRC-64 as Redis has it (Jones's polynomial, reflected, no inversions), continued from `crc`.
uint64_t crc64(uint64_t crc, std::string_view bytes);

// The whole payload of a value: integers, and what LZF makes smaller unless it is not to
// `compress`, as Redis does it.
std::string dump_string(std::string_view value, bool compress = true);

// The payload of a value that is no integer and that LZF makes smaller; empty: it does not.
std::string dump_compressed(std::string_view value);

// That of any other such value in pieces: its head, then the value's bytes, then the footer, for
// which the CRC of head and value is needed.
std::string dump_head(uint64_t value_length);
std::string dump_footer(uint64_t crc);
inline constexpr size_t kDumpFooterBytes = 10;

enum class Restored : uint8_t {
  kOk,
  kWrongChecksum,  // or version
  kBadFormat,      // or not a string
  kTooLarge,       // kMostDecompressed
};
// `value` is a part of `payload`, or of `plain`, which holds what had to be made anew.
Restored restore_string(std::string_view payload, std::string_view& value, std::string& plain);

}  // namespace rdmakv::proxy
