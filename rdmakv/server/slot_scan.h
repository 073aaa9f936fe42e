// Which slots of a bucket have a fingerprint: eight comparisons at a time, for the thread that
// writes them.
#pragma once

#include <cstdint>

#include "protocol/kv_layout.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace rdmakv::server {

// The part of a slot that a lookup compares first.
inline constexpr uint32_t kFingerprintMask = 511u << 1;

// Bit i: slot i has it. An empty slot has fingerprint 0, too.
inline uint32_t slots_with(const wire::Bucket& bucket, uint32_t fingerprint) {
#ifdef __SSE2__
  // The fingerprint is in the lower half of each slot: these are put together first.
  const auto lower_halves = [&](int first) {
    const auto* const slots = reinterpret_cast<const float*>(&bucket.slots[first]);
    return _mm_castps_si128(_mm_shuffle_ps(_mm_load_ps(slots), _mm_load_ps(slots + 4), 0x88));
  };
  const __m128i mask = _mm_set1_epi32(static_cast<int>(kFingerprintMask));
  const __m128i wanted = _mm_set1_epi32(static_cast<int>(fingerprint << 1));
  const auto equal = [&](int first) {
    const __m128i same = _mm_cmpeq_epi32(_mm_and_si128(lower_halves(first), mask), wanted);
    return static_cast<uint32_t>(_mm_movemask_ps(_mm_castsi128_ps(same)));
  };
  return equal(0) | equal(4) << 4;
#else
  uint32_t found = 0;
  for (uint32_t i = 0; i < wire::kSlotsPerBucket; ++i) {
    const bool same = (bucket.slots[i] & kFingerprintMask) == fingerprint << 1;
    found |= static_cast<uint32_t>(same) << i;
  }
  return found;
#endif
}

}  // namespace rdmakv::server
