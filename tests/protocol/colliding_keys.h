// Keys of one hash, by whoever knows the seed: what a user could make if hash_key() had none.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace rdmakv::wire {

// `count` keys of 32 bytes that all have one hash under `seed`. XXH3 multiplies the first 8 bytes,
// after an exclusive or with its secret's first word plus the seed, by what it makes of the next 8;
// the former is 0 here, so the latter count for nothing. Source: the xxHash specification, "XXH3
// Algorithm (for medium inputs)".
inline std::vector<std::string> colliding_keys(uint64_t seed, uint32_t count) {
  constexpr uint64_t kFirstWord = 0xbe4ba423396cfeb8;
  const uint64_t cancels = kFirstWord + seed;
  std::vector<std::string> keys;
  for (uint64_t i = 0; i < count; ++i) {
    std::string key(32, 'k');
    std::memcpy(key.data(), &cancels, sizeof(cancels));
    std::memcpy(key.data() + sizeof(cancels), &i, sizeof(i));
    keys.push_back(key);
  }
  return keys;
}

}  // namespace rdmakv::wire
