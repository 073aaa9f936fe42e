#include "rdmakv/transport/pages.h"

#include <sys/mman.h>

#include <cerrno>
#include <chrono>
#include <fstream>

#include "rdmakv/transport/huge_page_patience.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

namespace rdmakv {
namespace {

Status touch_small(std::byte* data, size_t bytes, size_t page) {
  if (madvise(data, bytes, MADV_POPULATE_WRITE) == 0) return Status::ok();
  if (errno != EINVAL) return Status::from_errno("touching memory", errno);
  for (size_t at = 0; at < bytes; at += page) {  // before Linux 5.14
    *reinterpret_cast<volatile std::byte*>(data + at) = std::byte{0};
  }
  return Status::ok();
}

// How many bytes from `data` on have been put into huge pages, one after the other, before patience
// ended. A huge page is made of the one small page that has been touched and 511 that have not, so
// nothing is copied.
size_t touch_huge(std::byte* data, size_t bytes) {
  const size_t huge = transparent_huge_page_bytes();
  if (huge == 0 || bytes < huge || reinterpret_cast<uintptr_t>(data) % huge != 0) return 0;
  madvise(data, bytes, MADV_HUGEPAGE);  // so that the first touch may do, where settings allow it
  HugePagePatience patience(bytes);
  size_t made = 0;
  for (size_t at = 0; at + huge <= bytes; at += huge) {
    const auto begin = std::chrono::steady_clock::now();
    if (madvise(data + at, 4096, MADV_POPULATE_WRITE) != 0) break;
    const bool is_huge = madvise(data + at, huge, MADV_COLLAPSE) == 0;
    if (!is_huge && errno == EINVAL) break;  // not here
    if (is_huge) made += huge;
    const std::chrono::nanoseconds taken = std::chrono::steady_clock::now() - begin;
    if (!patience.goes_on(is_huge, static_cast<uint64_t>(taken.count()))) break;
  }
  return made;
}

}  // namespace

size_t transparent_huge_page_bytes() {
  static const size_t bytes = [] {
    std::ifstream file("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size");
    size_t size = 0;
    return file >> size ? size : 0;
  }();
  return bytes;
}

void* map_for_huge_pages(size_t bytes, int protection, int flags, int fd) {
  const size_t huge = transparent_huge_page_bytes();
  if (huge == 0 || bytes < huge) return mmap(nullptr, bytes, protection, flags, fd, 0);
  const size_t room = bytes + huge;
  void* const reserved =
      mmap(nullptr, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) return MAP_FAILED;
  auto* const first = static_cast<std::byte*>(reserved);
  const size_t before = (huge - reinterpret_cast<uintptr_t>(first) % huge) % huge;
  void* const mapped = mmap(first + before, bytes, protection, flags | MAP_FIXED, fd, 0);
  if (mapped == MAP_FAILED) {
    const int error = errno;
    munmap(reserved, room);
    errno = error;
    return MAP_FAILED;
  }
  if (before != 0) munmap(first, before);
  munmap(first + before + bytes, huge - before);
  return mapped;
}

Status touch_pages(std::byte* data, size_t bytes, Pages pages, size_t page, size_t* huge_bytes) {
  *huge_bytes = pages == Pages::kTransparent ? touch_huge(data, bytes) : 0;
  if (*huge_bytes == bytes) return Status::ok();
  return touch_small(data, bytes, page);
}

}  // namespace rdmakv
