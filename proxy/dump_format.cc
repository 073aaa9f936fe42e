#include "proxy/dump_format.h"

#include <liblzf/lzf.h>

#include <array>
#include <cstring>
#include <memory>

#include "protocol/resp_parser.h"

namespace rdmakv::proxy {
namespace {

constexpr uint64_t kPolynomial = 0x95ac9329ac4bc9b5;  // ad93d23594c935a9 reflected
constexpr size_t kLongestInteger = 11;                // "-2147483648"
constexpr size_t kWorthCompressing = 20;

enum Length : uint8_t { k6Bits = 0, k14Bits = 1, kLong = 2, kSpecial = 3 };
constexpr uint8_t k32Bits = 0x80, k64Bits = 0x81;
enum Special : uint8_t { kInt8 = 0, kInt16 = 1, kInt32 = 2, kLzf = 3 };

// Eight tables, for eight bytes a step (Kounavis and Berry, "Novel table lookup-based algorithms
// for high-performance CRC generation", 2008).
using CrcTables = std::array<std::array<uint64_t, 256>, 8>;
constexpr CrcTables make_tables() {
  CrcTables tables{};
  for (uint64_t n = 0; n < 256; ++n) {
    uint64_t crc = n;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    tables[0][n] = crc;
  }
  for (size_t k = 1; k < 8; ++k) {
    for (size_t n = 0; n < 256; ++n) {
      tables[k][n] = (tables[k - 1][n] >> 8) ^ tables[0][tables[k - 1][n] & 0xff];
    }
  }
  return tables;
}
constexpr CrcTables kTables = make_tables();

template <typename Integer>
void append_raw(std::string& to, Integer value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void append_length(std::string& to, uint64_t length) {
  if (length < 64) {
    to.push_back(static_cast<char>(length));
  } else if (length < 16384) {
    to.push_back(static_cast<char>(0x40 | (length >> 8)));
    to.push_back(static_cast<char>(length));
  } else if (length <= UINT32_MAX) {
    to.push_back(static_cast<char>(k32Bits));
    append_raw(to, __builtin_bswap32(static_cast<uint32_t>(length)));
  } else {
    to.push_back(static_cast<char>(k64Bits));
    append_raw(to, __builtin_bswap64(length));
  }
}

void append_special(std::string& to, Special kind) {
  to.push_back(static_cast<char>((kSpecial << 6) | kind));
}

// False: it is not an integer of at most 32 bits, written the one way.
bool append_integer(std::string& to, std::string_view value) {
  if (value.size() > kLongestInteger) return false;
  const std::optional<int64_t> number = resp::parse_integer(value);
  if (!number) return false;
  if (*number >= INT8_MIN && *number <= INT8_MAX) {
    append_special(to, kInt8);
    append_raw(to, static_cast<int8_t>(*number));
  } else if (*number >= INT16_MIN && *number <= INT16_MAX) {
    append_special(to, kInt16);
    append_raw(to, static_cast<int16_t>(*number));
  } else if (*number >= INT32_MIN && *number <= INT32_MAX) {
    append_special(to, kInt32);
    append_raw(to, static_cast<int32_t>(*number));
  } else {
    return false;
  }
  return true;
}

// False: it does not get smaller by at least four bytes.
bool append_compressed(std::string& to, std::string_view value) {
  if (value.size() <= kWorthCompressing || value.size() > UINT32_MAX) return false;
  const size_t room = value.size() - 4;
  const auto packed = std::make_unique_for_overwrite<char[]>(room + 1);
  const unsigned bytes = lzf_compress(value.data(), static_cast<unsigned>(value.size()),
                                      packed.get(), static_cast<unsigned>(room));
  if (bytes == 0) return false;
  append_special(to, kLzf);
  append_length(to, bytes);
  append_length(to, value.size());
  to.append(packed.get(), bytes);
  return true;
}

class PayloadReader {
 public:
  explicit PayloadReader(std::string_view bytes) : rest_(bytes) {}

  bool take(size_t bytes, std::string_view& out) {
    if (rest_.size() < bytes) return false;
    out = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return true;
  }
  template <typename Integer>
  bool take_raw(Integer& out) {
    std::string_view bytes;
    if (!take(sizeof(out), bytes)) return false;
    std::memcpy(&out, bytes.data(), sizeof(out));
    return true;
  }
  // A length, or under `special` the kind of what follows.
  bool take_length(uint64_t& length, bool& special) {
    uint8_t first = 0, second = 0;
    if (!take_raw(first)) return false;
    special = (first >> 6) == kSpecial;
    length = first & 0x3f;
    switch (first >> 6) {
      case k14Bits:
        if (!take_raw(second)) return false;
        length = (length << 8) | second;
        return true;
      case kLong: {
        uint32_t narrow = 0;
        if (first == k32Bits && take_raw(narrow)) {
          length = __builtin_bswap32(narrow);
          return true;
        }
        if (first != k64Bits || !take_raw(length)) return false;
        length = __builtin_bswap64(length);
        return true;
      }
      default:
        return true;
    }
  }

 private:
  std::string_view rest_;
};

template <typename Integer>
bool take_integer(PayloadReader& reader, std::string& plain) {
  Integer number = 0;
  if (!reader.take_raw(number)) return false;
  plain = std::to_string(number);
  return true;
}

// Whether `packed` is well-formed and gives `length` bytes. Takes a small part of the time that
// decompressing does, and no memory: what only claims to be long costs no more than its bytes.
//
//   literals        000nnnnn | n + 1 bytes
//   back reference  nnnooooo | oooooooo            n + 2 bytes, n = 1..6, from o + 1 before
//                   111ooooo | nnnnnnnn | oooooooo n + 9 bytes
bool gives(std::string_view packed, uint64_t length) {
  const auto byte = [&](size_t at) { return static_cast<uint8_t>(packed[at]); };
  constexpr unsigned kLongest = 7;
  uint64_t given = 0;
  for (size_t at = 0; at < packed.size();) {
    const unsigned control = byte(at++);
    if (control < 32) {
      at += control + 1;
      if (at > packed.size()) return false;
      given += control + 1;
      continue;
    }
    unsigned run = control >> 5;
    const size_t more = run == kLongest ? 2 : 1;
    if (packed.size() - at < more) return false;
    if (run == kLongest) run += byte(at);
    at += more;
    if (((control & 31) << 8 | byte(at - 1)) + 1 > given) return false;
    given += run + 2;
  }
  return given == length;
}

Restored take_compressed(PayloadReader& reader, std::string& plain) {
  uint64_t packed_length = 0, length = 0;
  bool special = false;
  std::string_view packed;
  if (!reader.take_length(packed_length, special) || special ||
      !reader.take_length(length, special) || special || !reader.take(packed_length, packed) ||
      length == 0 || !gives(packed, length)) {
    return Restored::kBadFormat;
  }
  if (length > kMostDecompressed) return Restored::kTooLarge;
  plain.resize(length);
  const unsigned bytes = lzf_decompress(packed.data(), static_cast<unsigned>(packed.size()),
                                        plain.data(), static_cast<unsigned>(length));
  return bytes == length ? Restored::kOk : Restored::kBadFormat;
}

Restored take_special(PayloadReader& reader, uint64_t kind, std::string& plain) {
  switch (kind) {
    case kInt8:
      return take_integer<int8_t>(reader, plain) ? Restored::kOk : Restored::kBadFormat;
    case kInt16:
      return take_integer<int16_t>(reader, plain) ? Restored::kOk : Restored::kBadFormat;
    case kInt32:
      return take_integer<int32_t>(reader, plain) ? Restored::kOk : Restored::kBadFormat;
    case kLzf:
      return take_compressed(reader, plain);
    default:
      return Restored::kBadFormat;
  }
}

}  // namespace

uint64_t crc64(uint64_t crc, std::string_view bytes) {
  size_t i = 0;
  for (; bytes.size() - i >= 8; i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, sizeof(word));
    word ^= crc;
    crc = 0;
    for (size_t k = 0; k < 8; ++k) crc ^= kTables[7 - k][(word >> (8 * k)) & 0xff];
  }
  for (; i < bytes.size(); ++i) {
    crc = (crc >> 8) ^ kTables[0][(crc ^ static_cast<uint8_t>(bytes[i])) & 0xff];
  }
  return crc;
}

std::string dump_string(std::string_view value, bool compress) {
  std::string payload(1, '\0');
  if (!append_integer(payload, value) && !(compress && append_compressed(payload, value))) {
    append_length(payload, value.size());
    payload.append(value);
  }
  return payload.append(dump_footer(crc64(0, payload)));
}

std::string dump_compressed(std::string_view value) {
  std::string payload(1, '\0');
  if (!append_compressed(payload, value)) return {};
  return payload.append(dump_footer(crc64(0, payload)));
}

std::string dump_head(uint64_t value_length) {
  std::string head(1, '\0');
  append_length(head, value_length);
  return head;
}

std::string dump_footer(uint64_t crc) {
  std::string footer;
  append_raw(footer, kRdbVersion);
  append_raw(footer, crc64(crc, footer));
  return footer;
}

Restored restore_string(std::string_view payload, std::string_view& value, std::string& plain) {
  if (payload.size() < kDumpFooterBytes) return Restored::kWrongChecksum;
  uint16_t version = 0;
  uint64_t crc = 0;
  std::memcpy(&version, payload.data() + payload.size() - kDumpFooterBytes, sizeof(version));
  std::memcpy(&crc, payload.data() + payload.size() - sizeof(crc), sizeof(crc));
  if (version > kRdbVersion || crc64(0, payload.substr(0, payload.size() - sizeof(crc))) != crc) {
    return Restored::kWrongChecksum;
  }
  PayloadReader reader(payload.substr(0, payload.size() - kDumpFooterBytes));
  uint8_t type = 0;
  uint64_t length = 0;
  bool special = false;
  if (!reader.take_raw(type) || type != 0 || !reader.take_length(length, special)) {
    return Restored::kBadFormat;
  }
  if (!special) return reader.take(length, value) ? Restored::kOk : Restored::kBadFormat;
  const Restored restored = take_special(reader, length, plain);
  value = plain;
  return restored;
}

}  // namespace rdmakv::proxy
