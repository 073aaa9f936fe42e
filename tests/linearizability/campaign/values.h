// Values that name their writer, so that a GET tells which write it saw, and whether it saw all of
// it and nothing else.
//
//    0        8        16
//    | value  | key    | words made of the value's id and their place ...
//    | id     | id     |
//
// The empty value names nobody: id kEmptyValue. Every other one has kSmallestValue bytes at least.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace rdmakv::linearizability {

inline constexpr size_t kSmallestValue = 16;

void write_value(std::span<std::byte> value, uint64_t id, uint64_t key);
// The id; false: no writer wrote these bytes under this key.
bool read_value(std::span<const std::byte> value, uint64_t key, uint64_t& id);

}  // namespace rdmakv::linearizability
