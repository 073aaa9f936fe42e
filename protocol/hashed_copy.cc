#include "protocol/hashed_copy.h"

#define XXH_STATIC_LINKING_ONLY  // for the size of its state
#include <xxhash.h>
#if defined(__x86_64__)
#include <emmintrin.h>
#include <xxh_x86dispatch.h>
#endif

#include <algorithm>
#include <cstring>

#include "protocol/hash_stripes.h"

namespace rdmakv::wire {
namespace {

constexpr size_t kLine = 64;
// From so many bytes on copying and hashing in one pass is worth its beginning and end.
constexpr size_t kWorthFusing = 1024;

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

// What the state keeps as input that was not hashed yet ends within a stripe; with the first bytes
// here it ends with one. And it gets the last 64 to 127 bytes, as if they had been added: so it is
// one that the library can go on with.
void HashedCopy::copy_in_one_pass(std::byte* to, const std::byte* from, size_t length) {
  XXH3_state_t& state = *state_in(state_);
  StripeSums sums{state.acc, state.extSecret != nullptr ? state.extSecret : state.customSecret,
                  state.nbStripesSoFar};
  const size_t buffered = state.bufferedSize;
  const size_t fill = -buffered % kStripeBytes;
  std::byte begin[sizeof(state.buffer) + kStripeBytes];
  std::memcpy(begin, state.buffer, buffered);
  std::memcpy(begin + buffered, from, fill);
  std::memcpy(to, begin + buffered, fill);
  hash_stripes(sums, begin, (buffered + fill) / kStripeBytes);

  const size_t stripes = (length - fill) / kStripeBytes - 1;
  copy_stripes(sums, to + fill, from + fill, stripes);
  const size_t done = fill + stripes * kStripeBytes;
  std::memcpy(state.buffer, from + done, length - done);
  std::memcpy(to + done, state.buffer, length - done);
  state.bufferedSize = static_cast<XXH32_hash_t>(length - done);
  state.totalLen += length;
  state.nbStripesSoFar = sums.stripe;
}

void HashedCopy::copy(std::byte* to, const std::byte* from, size_t length) {
  if (length >= kWorthFusing && hash_stripes_available()) return copy_in_one_pass(to, from, length);
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
