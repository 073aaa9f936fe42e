#include "rdmakv/transport/verbs/memory_region.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>

#include "rdmakv/transport/system_memory.h"

namespace rdmakv::verbs {
namespace {

std::string size_text(size_t bytes) {
  return bytes >= (10u << 20) ? std::to_string(bytes >> 20) + " MiB"
                              : std::to_string(bytes >> 10) + " KiB";
}

std::string label(const RegionOptions& options) {
  return options.name.empty() ? "memory" : "'" + options.name + "'";
}

int access_flags(RemoteAccess access) {
  int flags = IBV_ACCESS_LOCAL_WRITE;
  if (allows(access, RemoteAccess::kRead)) flags |= IBV_ACCESS_REMOTE_READ;
  if (allows(access, RemoteAccess::kWrite)) flags |= IBV_ACCESS_REMOTE_WRITE;
  if (allows(access, RemoteAccess::kAtomic)) flags |= IBV_ACCESS_REMOTE_ATOMIC;
  return flags;
}

Status mapping_failed(const RegionOptions& options, size_t bytes, int error) {
  if (options.pages == Pages::kReserved && error == ENOMEM) {
    return {Code::kNoSpace, "no huge pages for " + size_text(bytes) + " of " + label(options) +
                                ": raise sysctl vm.nr_hugepages"};
  }
  return {error == ENOMEM ? Code::kNoSpace : Code::kSystemError,
          Status::from_errno("cannot map " + size_text(bytes) + " for " + label(options), error)
              .message()};
}

Status registration_failed(const RegionOptions& options, size_t bytes, int error) {
  const std::string what = "cannot register " + size_text(bytes) + " of " + label(options);
  rlimit limit = {};
  if ((error == ENOMEM || error == EPERM) && getrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
      limit.rlim_cur != RLIM_INFINITY) {
    return {Code::kNoSpace, what + ": the limit of locked memory is " + size_text(limit.rlim_cur) +
                                "; raise it (ulimit -l, or LimitMEMLOCK= in a service file)"};
  }
  return {error == ENOMEM ? Code::kNoSpace : Code::kSystemError,
          Status::from_errno(what, error).message()};
}

}  // namespace

Result<std::unique_ptr<VerbsMemoryRegion>> VerbsMemoryRegion::allocate(
    std::shared_ptr<const Device> device, const RegionOptions& options) {
  if (options.bytes == 0) return {Code::kInvalidArgument, "a memory region of 0 bytes"};
  const bool reserved = options.pages == Pages::kReserved;
  const size_t page = reserved ? huge_page_bytes() : static_cast<size_t>(getpagesize());
  if (page == 0) return {Code::kNoSpace, "this machine has no huge pages"};
  if (options.bytes > SIZE_MAX - page) {
    return {Code::kInvalidArgument, "a memory region beyond the address space"};
  }
  const size_t bytes = (options.bytes + page - 1) / page * page;
  if (!reserved) {
    const Status enough = check_available_memory(label(options), bytes);
    if (!enough) return enough;
  }

  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | (reserved ? MAP_HUGETLB : 0);
  void* memory = map_for_huge_pages(bytes, PROT_READ | PROT_WRITE, flags, -1);
  if (memory == MAP_FAILED) return mapping_failed(options, bytes, errno);

  std::unique_ptr<VerbsMemoryRegion> region(new VerbsMemoryRegion(std::move(device)));  // NOLINT
  region->data_ = static_cast<std::byte*>(memory);
  region->size_ = bytes;
  region->pages_ = options.pages;
#ifdef PR_SET_VMA_ANON_NAME
  // A name in /proc/PID/maps, on kernels that keep them; nothing depends on it.
  if (!options.name.empty()) {
    prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, memory, bytes, options.name.c_str());
  }
#endif
  // A child of fork() must not share these pages copy-on-write: the device would go on with the
  // pages of whichever of the two did not write first.
  if (madvise(memory, bytes, MADV_DONTFORK) != 0) {
    return Status::from_errno("cannot keep " + label(options) + " from child processes", errno);
  }
  // Before the registration, which would touch them one by one.
  if (Status touched = touch_pages(region->data_, bytes, options.pages, page, &region->huge_bytes_);
      !touched) {
    return {touched.code(), label(options) + ": " + touched.message()};
  }
  region->handle_.reset(ibv_reg_mr(region->device_->protection_domain(), memory, bytes,
                                   access_flags(options.remote_access)));
  if (!region->handle_) return registration_failed(options, bytes, errno);
  region->local_key_ = region->handle_->lkey;
  region->remote_key_ = region->handle_->rkey;
  region->remote_base_ = reinterpret_cast<uint64_t>(memory);
  return region;
}

VerbsMemoryRegion::~VerbsMemoryRegion() {
  handle_.reset();
  if (data_ != nullptr) munmap(data_, size_);
}

}  // namespace rdmakv::verbs
