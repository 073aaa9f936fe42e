// The inner loop of XXH3-64 for long input (Yann Collet, xxHash 0.8; its result is fixed since
// then), with a copy in it: each byte is loaded once, hashed from the register and stored. The
// library hashes only what lies in memory, so a copy and a hash by it are two passes, which do not
// overlap.
//
//   input   [stripe 64 B][stripe] ... 16 of them are a block; after each block the sums are
//           scrambled
//   sums    8 of 64 bits, to which each stripe is added under 64 bytes of the secret, which move on
//           by 8 with each stripe
//
// With AVX2, which hash_stripes_available() asks the processor for; there is no other variant.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rdmakv::wire {

constexpr size_t kStripeBytes = 64;
constexpr size_t kStripesPerBlock = 16;

// An XXH3-64 under way. Sums and secret (192 bytes) lie in the library's state.
struct StripeSums {
  uint64_t* sums;  // 8, aligned to 32 bytes
  const unsigned char* secret;
  size_t stripe;  // of the present block
};

bool hash_stripes_available();

// At least one byte of input comes after the last stripe: the last one of all is the library's.
void hash_stripes(StripeSums& state, const std::byte* from, size_t stripes);
// The same for bytes that are copied. Others may change them meanwhile: what is hashed is what is
// stored. Stores pass the caches by: they may not be where they are to be before a store fence.
void copy_stripes(StripeSums& state, std::byte* to, const std::byte* from, size_t stripes);

}  // namespace rdmakv::wire
