// For tables of some megabytes that are looked up at random: on pages of 4 KB nearly every look-up
// would miss the TLB. Transparent huge pages, as far as there are any.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <new>

#include "rdmakv/transport/pages.h"

namespace rdmakv {

template <typename T>
struct HugePageAllocator {
  using value_type = T;
  static constexpr size_t kHugePage = size_t{2} << 20;

  HugePageAllocator() = default;
  template <typename U>
  HugePageAllocator(const HugePageAllocator<U>&) {}

  T* allocate(size_t count) {
    const size_t bytes = count * sizeof(T);
    if (bytes < kHugePage) return static_cast<T*>(operator new(bytes, kAlignment));
    void* const memory =
        map_for_huge_pages(mapped(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    size_t huge = 0;
    if (!touch_pages(static_cast<std::byte*>(memory), mapped(bytes), Pages::kTransparent,
                     kSmallPage, &huge)) {
      munmap(memory, mapped(bytes));
      throw std::bad_alloc();
    }
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, size_t count) {
    const size_t bytes = count * sizeof(T);
    if (bytes < kHugePage) return operator delete(memory, kAlignment);
    munmap(memory, mapped(bytes));
  }
  friend bool operator==(const HugePageAllocator&, const HugePageAllocator&) { return true; }

 private:
  static constexpr size_t kSmallPage = 4096;
  static size_t mapped(size_t bytes) { return (bytes + kHugePage - 1) & ~(kHugePage - 1); }
  static constexpr std::align_val_t kAlignment{alignof(T)};
};

}  // namespace rdmakv
