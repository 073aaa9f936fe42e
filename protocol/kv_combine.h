// Opcode::kCombine: what the values of several keys make together, byte by byte (Redis's BITOP).
// Both ends of it; pure code.
//
//   value = u8 BitOperation | u32 length, key | u32 length, key | ...     nothing is aligned
//
// At least one key, and of kNot exactly one. A key that does not exist, and what lies beyond the
// end of a value, reads as zeros.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace rdmakv::wire {

enum class BitOperation : uint8_t { kAnd = 1, kOr = 2, kXor = 3, kNot = 4 };

// Calls visit(key) for each source until that returns false. False then, and if the value is
// malformed, which may be found only after some were visited.
template <typename Visit>
bool for_each_source(std::span<const std::byte> value, Visit&& visit) {
  if (value.empty()) return false;
  const auto operation = static_cast<BitOperation>(value[0]);
  if (operation < BitOperation::kAnd || operation > BitOperation::kNot) return false;
  std::string_view rest(reinterpret_cast<const char*>(value.data()) + 1, value.size() - 1);
  size_t keys = 0;
  for (; !rest.empty(); ++keys) {
    uint32_t length = 0;
    if (rest.size() < sizeof(length)) return false;
    std::memcpy(&length, rest.data(), sizeof(length));
    rest.remove_prefix(sizeof(length));
    if (rest.size() < length || !visit(rest.substr(0, length))) return false;
    rest.remove_prefix(length);
  }
  return operation == BitOperation::kNot ? keys == 1 : keys > 0;
}

std::string encode_combine(BitOperation operation, std::span<const std::string_view> keys);

// What was made so far, `to`, with one more value; kNot: of `to` alone. `from` may be shorter.
void combine_bits(BitOperation operation, std::span<std::byte> to, std::span<const std::byte> from);

}  // namespace rdmakv::wire
