#include "protocol/hash_stripes.h"

#include <cassert>

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#define RDMAKV_AVX2 __attribute__((target("avx2")))

namespace rdmakv::wire {
namespace {

constexpr size_t kCacheLine = 64;
constexpr size_t kBlockBytes = kStripesPerBlock * kStripeBytes;
constexpr size_t kPieceStripes = 16 * kStripesPerBlock;
constexpr size_t kScrambleAt = 192 - kStripeBytes;  // in the secret
constexpr uint32_t kPrime = 0x9E3779B1U;

RDMAKV_AVX2 inline __m256i load_vector(const void* at) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(at));
}

RDMAKV_AVX2 inline __m256i add_stripe(__m256i sums, __m256i data, __m256i secret) {
  const __m256i keyed = _mm256_xor_si256(data, secret);
  const __m256i upper = _mm256_shuffle_epi32(keyed, _MM_SHUFFLE(0, 3, 0, 1));
  const __m256i swapped = _mm256_shuffle_epi32(data, _MM_SHUFFLE(1, 0, 3, 2));
  return _mm256_add_epi64(_mm256_mul_epu32(keyed, upper), _mm256_add_epi64(sums, swapped));
}

RDMAKV_AVX2 inline __m256i scrambled(__m256i sums, __m256i secret) {
  const __m256i prime = _mm256_set1_epi32(static_cast<int>(kPrime));
  const __m256i folded = _mm256_xor_si256(sums, _mm256_srli_epi64(sums, 47));
  const __m256i keyed = _mm256_xor_si256(folded, secret);
  const __m256i upper = _mm256_shuffle_epi32(keyed, _MM_SHUFFLE(0, 3, 0, 1));
  const __m256i high = _mm256_slli_epi64(_mm256_mul_epu32(upper, prime), 32);
  return _mm256_add_epi64(_mm256_mul_epu32(keyed, prime), high);
}

// Up to the end of the block at most. What is hashed is stored at `to`, if that is not null.
template <bool kCopies>
RDMAKV_AVX2 void add_run(StripeSums& state, std::byte* to, const std::byte* from, size_t stripes) {
  __m256i low = load_vector(state.sums);
  __m256i high = load_vector(state.sums + 4);
  const unsigned char* secret = state.secret + 8 * state.stripe;
  for (size_t i = 0; i < stripes; ++i, from += kStripeBytes, secret += 8) {
    const __m256i first = load_vector(from);
    const __m256i second = load_vector(from + 32);
    if constexpr (kCopies) {
      _mm256_store_si256(reinterpret_cast<__m256i*>(to), first);
      _mm256_store_si256(reinterpret_cast<__m256i*>(to + 32), second);
      to += kStripeBytes;
    }
    low = add_stripe(low, first, load_vector(secret));
    high = add_stripe(high, second, load_vector(secret + 32));
  }
  state.stripe += stripes;
  if (state.stripe == kStripesPerBlock) {
    low = scrambled(low, load_vector(state.secret + kScrambleAt));
    high = scrambled(high, load_vector(state.secret + kScrambleAt + 32));
    state.stripe = 0;
  }
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(state.sums), low);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(state.sums + 4), high);
}

// Whole lines of [at, end), past the caches; where the rest begins.
RDMAKV_AVX2 size_t store_lines(std::byte* to, const std::byte* from, size_t at, size_t end) {
  for (; at + kCacheLine <= end; at += kCacheLine) {
    const __m256i first = load_vector(from + at);
    const __m256i second = load_vector(from + at + 32);
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to + at), first);
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to + at + 32), second);
  }
  return at;
}

}  // namespace

bool hash_stripes_available() {
  return __builtin_cpu_supports("avx2");
}

void hash_stripes(StripeSums& state, const std::byte* from, size_t stripes) {
  while (stripes > 0) {
    const size_t run = std::min(stripes, kStripesPerBlock - state.stripe);
    add_run<false>(state, nullptr, from, run);
    from += run * kStripeBytes;
    stripes -= run;
  }
}

// By way of memory in the first cache, since stripes and lines of the target begin at different
// places:
//
//   [ line not whole yet | piece: what was hashed                      ]
//                          stored, as whole lines ...  | a block behind
//
// A line that two pieces share is stored once, as a whole: in two parts, past the caches, it would
// be fetched for each. And what was stored here a moment ago, in other portions, is slow to load.
void copy_stripes(StripeSums& state, std::byte* to, const std::byte* from, size_t stripes) {
  alignas(kCacheLine) std::byte memory[kCacheLine + kPieceStripes * kStripeBytes];
  std::byte* const piece = memory + kCacheLine;
  const size_t before = -reinterpret_cast<uintptr_t>(to) % kCacheLine;  // its first line
  size_t kept = 0;                                                      // bytes not stored yet
  for (bool first = true; stripes > 0; first = false) {
    const size_t count = std::min(stripes, kPieceStripes);
    std::byte* const target = to - kept;
    const std::byte* const source = piece - kept;
    size_t stored = first ? before : 0;
    for (size_t done = 0; done < count;) {
      const size_t run = std::min(count - done, kStripesPerBlock - state.stripe);
      add_run<true>(state, piece + done * kStripeBytes, from + done * kStripeBytes, run);
      done += run;
      const size_t ready = kept + done * kStripeBytes;
      stored = store_lines(target, source, stored,
                           done < count ? ready - std::min(ready, kBlockBytes) : ready);
    }
    if (first) std::memcpy(to, piece, before);
    const size_t bytes = count * kStripeBytes;
    const size_t left = kept + bytes - stored;
    std::memcpy(piece - left, source + stored, left);
    kept = left;
    to += bytes;
    from += bytes;
    stripes -= count;
  }
  std::memcpy(to - kept, piece - kept, kept);
}

}  // namespace rdmakv::wire

#else

namespace rdmakv::wire {

bool hash_stripes_available() {
  return false;
}
void hash_stripes(StripeSums&, const std::byte*, size_t) {
  assert(false);
}
void copy_stripes(StripeSums&, std::byte*, const std::byte*, size_t) {
  assert(false);
}

}  // namespace rdmakv::wire

#endif
