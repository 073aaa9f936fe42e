// Has a cache line fetched that is looked at soon.
#pragma once

namespace rdmakv {

// More than __builtin_prefetch(): that is no effect in the compiler's eyes, so a function that does
// nothing else is pure to GCC, and calls of it are dropped.
[[gnu::always_inline]] inline void fetch_line(const void* address) {
  __builtin_prefetch(address);
#if defined(__GNUC__)
  asm volatile("");
#endif
}

}  // namespace rdmakv
