#include "rdmakv/server/bit_functions.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace rdmakv::server {
namespace {

using wire::FieldOperation;
using wire::FieldResult;
// Results of signed and unsigned fields in one type that overflows for neither: two 64-bit numbers
// added.
__extension__ using Wide = __int128;

uint8_t byte_at(Bytes bytes, uint64_t at) {
  return static_cast<uint8_t>(bytes[at]);
}

// The bits of a byte from `from` to before `to`, counted from the most significant one.
uint8_t mask_of(uint64_t from, uint64_t to) {
  return static_cast<uint8_t>((0xffu >> from) & ~(0xffull >> to));
}

uint64_t read_field(Bytes bytes, uint64_t offset, uint32_t bits) {
  uint64_t value = 0;
  for (uint32_t i = 0; i < bits; ++i) {
    value = value << 1 | static_cast<uint64_t>(bit_at(bytes, offset + i));
  }
  return value;
}

void write_field(std::span<std::byte> bytes, uint64_t offset, uint32_t bits, uint64_t value) {
  for (uint32_t i = 0; i < bits; ++i) {
    set_bit(bytes, offset + i, (value >> (bits - 1 - i) & 1) != 0);
  }
}

// The number that these bits are.
Wide decode(uint64_t raw, const FieldOperation& operation) {
  const bool negative = operation.is_signed != 0 && (raw >> (operation.bits - 1) & 1) != 0;
  return static_cast<Wide>(raw) - (negative ? Wide{1} << operation.bits : 0);
}

Wide least_of(const FieldOperation& operation) {
  return operation.is_signed != 0 ? -(Wide{1} << (operation.bits - 1)) : 0;
}

Wide most_of(const FieldOperation& operation) {
  return (Wide{1} << (operation.bits - operation.is_signed)) - 1;
}

FieldResult result_of(Wide number) {
  return {static_cast<int64_t>(number), 0};
}

// What a SET of an unsigned field means by a negative number: the same 64 bits, unsigned.
Wide wanted_of(const FieldOperation& operation) {
  return operation.is_signed != 0 ? static_cast<Wide>(operation.number)
                                  : static_cast<Wide>(static_cast<uint64_t>(operation.number));
}

}  // namespace

bool bit_at(Bytes bytes, uint64_t bit) {
  return bit / 8 < bytes.size() && (byte_at(bytes, bit / 8) >> (7 - bit % 8) & 1) != 0;
}

void set_bit(std::span<std::byte> bytes, uint64_t bit, bool on) {
  const auto mask = static_cast<std::byte>(0x80u >> (bit % 8));
  std::byte& byte = bytes[bit / 8];
  byte = on ? byte | mask : byte & ~mask;
}

uint64_t count_bits(Bytes bytes, uint64_t first, uint64_t count) {
  if (count == 0) return 0;
  const uint64_t end = first + count;
  uint64_t at = first / 8;
  const uint64_t last = (end - 1) / 8;
  const auto part = [bytes](uint64_t byte, uint64_t from, uint64_t to) {
    const auto bits = static_cast<uint8_t>(byte_at(bytes, byte) & mask_of(from, to));
    return static_cast<uint64_t>(std::popcount(bits));
  };
  if (at == last) return part(at, first % 8, (end - 1) % 8 + 1);
  uint64_t total = part(at++, first % 8, 8) + part(last, 0, (end - 1) % 8 + 1);
  for (; at + 8 <= last; at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, sizeof(word));
    total += static_cast<uint64_t>(std::popcount(word));
  }
  for (; at < last; ++at) total += part(at, 0, 8);
  return total;
}

uint64_t find_bit(Bytes bytes, uint64_t first, uint64_t count, bool on) {
  const uint64_t end = first + count;
  const uint8_t none = on ? 0 : 0xff;
  for (uint64_t at = first; at < end;) {
    if (at % 8 != 0 || byte_at(bytes, at / 8) != none) {
      if (bit_at(bytes, at) == on) return at;
      ++at;
      continue;
    }
    at += 8;
    uint64_t word = 0;
    const uint64_t all = on ? 0 : ~uint64_t{0};
    while (at + 64 <= end) {
      std::memcpy(&word, bytes.data() + at / 8, sizeof(word));
      if (word != all) break;
      at += 64;
    }
  }
  return kNoBit;
}

FieldResult get_field(const FieldOperation& operation, Bytes bytes) {
  return result_of(decode(read_field(bytes, operation.offset, operation.bits), operation));
}

FieldResult execute_field(const FieldOperation& operation, std::span<std::byte> bytes,
                          bool& changed) {
  if (operation.kind == FieldOperation::Kind::kGet) return get_field(operation, bytes);
  const bool adds = operation.kind == FieldOperation::Kind::kIncrement;
  const uint64_t before = read_field(bytes, operation.offset, operation.bits);
  const Wide old = decode(before, operation);
  Wide now = adds ? old + operation.number : wanted_of(operation);
  const Wide least = least_of(operation);
  const Wide most = most_of(operation);
  if (now < least || now > most) {
    if (operation.overflow == FieldOperation::Overflow::kFail) return {0, 1};
    if (operation.overflow == FieldOperation::Overflow::kSaturate) {
      // As Redis, which asks first whether the difference is negative, in 64 bits: what is to be
      // set so far below that it overflows becomes the most, too.
      const bool wraps = !adds && operation.is_signed && most - now > INT64_MAX;
      now = wraps ? most : std::clamp(now, least, most);
    }
  }
  const uint64_t mask = operation.bits == 64 ? ~uint64_t{0} : (uint64_t{1} << operation.bits) - 1;
  const uint64_t after = static_cast<uint64_t>(now) & mask;
  write_field(bytes, operation.offset, operation.bits, after);
  changed = changed || after != before;
  return result_of(adds ? decode(after, operation) : old);
}

}  // namespace rdmakv::server
