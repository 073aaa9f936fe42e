// XXH3-64 of input that may be long, by the widest vectors that this processor has (those that all
// x86-64 processors have take twice as long as AVX2). Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rdmakv::wire {

uint64_t long_hash(const void* data, size_t bytes, uint64_t seed);

}  // namespace rdmakv::wire
