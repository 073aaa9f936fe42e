// What pages memory lies in. Memory that is looked up at random misses the TLB at nearly every
// look-up when it lies in pages of 4 KB, which costs more than most of the instructions around it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "rdmakv/transport/status.h"

namespace rdmakv {

enum class Pages : uint8_t {
  kSmall,        // the usual size
  kTransparent,  // huge where the kernel finds some for the asking, else the usual size
  kReserved,     // huge, of those that the administrator has set aside (vm.nr_hugepages)
};

// The size of a transparent huge page; 0: this kernel has none.
size_t transparent_huge_page_bytes();

// As mmap() of whole pages, at an address of the kernel's choice; but if a huge page fits in, the
// memory begins where one can.
void* map_for_huge_pages(size_t bytes, int protection, int flags, int fd);

// Touches all pages of memory that has just been mapped, writable: of `page` bytes each if they are
// kReserved. kTransparent: `*huge_bytes` of it came to lie in huge pages. They are asked for with
// MADV_COLLAPSE (Linux 6.1), which needs no setting and no privilege; where it cannot be had,
// or takes too long (huge_page_patience.h), pages of the usual size take their place.
Status touch_pages(std::byte* data, size_t bytes, Pages pages, size_t page, size_t* huge_bytes);

}  // namespace rdmakv
