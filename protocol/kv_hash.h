// Where a key lives: its Redis Cluster hash slot (which server, which worker) and its 64-bit hash
// (which buckets, which fingerprint). Pure functions.
#pragma once

#include <cstdint>
#include <string_view>

namespace rdmakv::wire {

inline constexpr uint32_t kHashSlots = 16384;

// CRC16 (CCITT, XMODEM) of the key or, when the key has a non-empty {tag}, of the first tag, modulo
// 16384. Source: Redis Cluster specification, "Key distribution model" and "Hash tags".
uint16_t hash_slot(std::string_view key);

// XXH3-64 of the key. Where users choose the keys, the seed must be one that they do not know: XXH3
// multiplies pairs of words of the key after an exclusive or with words that are public under seed
// 0, so whoever makes one of a pair 0 has the other one free, and keys of one hash at will. Under a
// seed these words are the public ones plus or minus the seed, whatever the length of the key.
uint64_t hash_key(std::string_view key, uint64_t seed);

// Worker of `workers` that owns a hash slot within its server: equal, contiguous stretches of
// slots.
constexpr uint32_t worker_of_slot(uint16_t slot, uint32_t workers) {
  return static_cast<uint32_t>(slot) * workers / kHashSlots;
}

}  // namespace rdmakv::wire
