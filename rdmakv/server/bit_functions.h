// Bits of strings, as Redis counts them: bit 0 is the most significant of byte 0. Pure functions;
// integers of 1 to 64 bits at any place ("fields") are stored most significant bit first, signed
// ones in two's complement.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "protocol/kv_modify.h"

namespace rdmakv::server {

using Bytes = std::span<const std::byte>;

// False beyond the end.
bool bit_at(Bytes bytes, uint64_t bit);
void set_bit(std::span<std::byte> bytes, uint64_t bit, bool on);  // within `bytes`

// How many bits are 1 in [first, first + count).
uint64_t count_bits(Bytes bytes, uint64_t first, uint64_t count);
inline constexpr uint64_t kNoBit = ~uint64_t{0};
// The first bit in [first, first + count) that is `on`; kNoBit.
uint64_t find_bit(Bytes bytes, uint64_t first, uint64_t count, bool on);

// Executes on `bytes`; beyond their end everything reads as 0. kSet and kIncrement: the field lies
// within `bytes`; `changed` becomes true when they changed. The operation is sound.
wire::FieldResult execute_field(const wire::FieldOperation& operation, std::span<std::byte> bytes,
                                bool& changed);
// Operations that only get.
wire::FieldResult get_field(const wire::FieldOperation& operation, Bytes bytes);

}  // namespace rdmakv::server
