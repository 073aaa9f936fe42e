#include "protocol/hashed_copy.h"

#define XXH_STATIC_LINKING_ONLY  // for the size of its state
#include <xxhash.h>
#if defined(__x86_64__)
#include <emmintrin.h>
#include <xxh_x86dispatch.h>
#endif

#include <algorithm>
#include <cstring>

namespace rdmakv::wire {
namespace {

constexpr size_t kLine = 64;

XXH3_state_t* state_in(std::byte* memory) {
  return reinterpret_cast<XXH3_state_t*>(memory);
}

// Whole cache lines are stored past the caches, what is around them is not.
void store(std::byte* to, const std::byte* from, size_t length) {
#if defined(__x86_64__)
  const size_t before = std::min(length, -reinterpret_cast<uintptr_t>(to) % kLine);
  std::memcpy(to, from, before);
  size_t at = before;
  for (; at + kLine <= length; at += kLine) {
    for (size_t i = 0; i < kLine; i += sizeof(__m128i)) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + at + i));
      _mm_stream_si128(reinterpret_cast<__m128i*>(to + at + i), bytes);
    }
  }
  std::memcpy(to + at, from + at, length - at);
#else
  std::memcpy(to, from, length);
#endif
}

}  // namespace

void HashedCopy::begin(uint64_t seed) {
  static_assert(sizeof(XXH3_state_t) <= sizeof(state_) && alignof(XXH3_state_t) <= kLine);
  XXH3_INITSTATE(state_in(state_));  // reset reads two fields of it first
  XXH3_64bits_reset_withSeed(state_in(state_), seed);
}

void HashedCopy::add(const std::byte* bytes, size_t length) {
  XXH3_64bits_update(state_in(state_), bytes, length);
}

void HashedCopy::copy(std::byte* to, const std::byte* from, size_t length) {
  alignas(kLine) std::byte piece[kPiece];
  while (length > 0) {
    // So that pieces but the first begin with a line.
    const size_t most = kPiece - reinterpret_cast<uintptr_t>(to) % kLine;
    const size_t bytes = std::min(length, most);
    std::memcpy(piece, from, bytes);
    add(piece, bytes);
    store(to, piece, bytes);
    to += bytes;
    from += bytes;
    length -= bytes;
  }
}

void HashedCopy::fence() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

uint64_t HashedCopy::end() {
  fence();
  return XXH3_64bits_digest(state_in(state_));
}

}  // namespace rdmakv::wire
