#include "rdmakv/transport/shm/shared_memory.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>

#include "rdmakv/transport/system_memory.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

namespace rdmakv::shm {
namespace {

Result<UniqueFd> make_memfd(const std::string& name, bool huge_pages) {
  const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING | (huge_pages ? MFD_HUGETLB : 0);
  int fd = memfd_create(name.c_str(), flags | MFD_NOEXEC_SEAL);
  if (fd < 0 && errno == EINVAL) fd = memfd_create(name.c_str(), flags);  // before Linux 6.3
  if (fd < 0) return Status::from_errno("memfd_create", errno);
  return UniqueFd(fd);
}

Status no_huge_pages(size_t bytes, size_t page) {
  const size_t pages = bytes / page;
  return {Code::kNoSpace, "not enough huge pages: " + std::to_string(pages) + " of " +
                              std::to_string(page >> 10) +
                              " kB are needed; raise vm.nr_hugepages (sysctl -w vm.nr_hugepages=" +
                              std::to_string(pages) + ")"};
}

}  // namespace

Mapping::~Mapping() {
  if (data_ != nullptr) munmap(data_, size_);
}

Result<SharedMemory> make_shared_memory(const SharedMemoryOptions& options) {
  if (options.bytes == 0) return {Code::kInvalidArgument, options.name + ": no bytes asked for"};
  const bool reserved = options.pages == Pages::kReserved;
  Result<UniqueFd> fd = make_memfd(options.name, reserved);
  if (!fd) {
    if (!reserved) return fd.status();
    return {Code::kNoSpace, "this kernel has no huge pages (" + fd.status().message() + ")"};
  }
  struct stat about {};
  if (fstat(fd->get(), &about) != 0) return Status::from_errno("fstat", errno);
  // hugetlbfs tells the size of its pages as the block size.
  const size_t page =
      reserved ? static_cast<size_t>(about.st_blksize) : static_cast<size_t>(sysconf(_SC_PAGESIZE));
  if (options.bytes > SIZE_MAX - page) return {Code::kNoSpace, options.name + ": too many bytes"};
  const size_t bytes = (options.bytes + page - 1) / page * page;
  if (options.populate && !reserved) {
    const Status enough = check_available_memory(options.name, bytes);
    if (!enough) return enough;
  }
  if (ftruncate(fd->get(), static_cast<off_t>(bytes)) != 0) {
    return Status::from_errno(options.name + ": sizing shared memory", errno);
  }
  void* data = map_for_huge_pages(bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd->get());
  if (data == MAP_FAILED) {
    if (reserved && errno == ENOMEM) return no_huge_pages(bytes, page);
    return Status::from_errno(options.name + ": mapping shared memory", errno);
  }
  SharedMemory memory{std::move(fd).value(), Mapping(static_cast<std::byte*>(data), bytes), 0};
  if (options.populate) {
    const Status touched =
        touch_pages(memory.mapping.data(), bytes, options.pages, page, &memory.huge_bytes);
    if (!touched) return touched;
  }
  const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL |
                    (options.peers_may_write ? 0 : F_SEAL_FUTURE_WRITE);
  if (fcntl(memory.fd.get(), F_ADD_SEALS, seals) != 0) {
    return Status::from_errno(options.name + ": sealing shared memory", errno);
  }
  return memory;
}

Result<size_t> check_peer_memory(int fd, PeerMemory kind) {
  struct statfs filesystem {};
  if (fstatfs(fd, &filesystem) != 0) return Status::from_errno("fstatfs", errno);
  const bool huge = filesystem.f_type == HUGETLBFS_MAGIC;
  if (filesystem.f_type != TMPFS_MAGIC && !huge) {
    return {Code::kProtocolError, "the peer passed something that is not shared memory"};
  }
  const int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) {
    return {Code::kProtocolError, "the peer passed memory that it could shrink at any time"};
  }
  // A hole punched into huge pages may find no page to fill it again, which is SIGBUS as well.
  if (huge && kind != PeerMemory::kAny && (seals & F_SEAL_FUTURE_WRITE) == 0) {
    return {Code::kProtocolError, "the peer passed writable memory in huge pages"};
  }
  struct stat about {};
  if (fstat(fd, &about) != 0) return Status::from_errno("fstat", errno);
  if (about.st_size <= 0) return {Code::kProtocolError, "the peer passed memory of no size"};
  return static_cast<size_t>(about.st_size);
}

Result<Mapping> map_peer_memory(int fd, size_t bytes, bool writable) {
  const int protection = PROT_READ | (writable ? PROT_WRITE : 0);
  void* data = map_for_huge_pages(bytes, protection, MAP_SHARED, fd);
  if (data == MAP_FAILED) return Status::from_errno("mapping the peer's memory", errno);
  return Mapping(static_cast<std::byte*>(data), bytes);
}

void populate_peer_memory(const Mapping& mapping) {
  constexpr size_t kMost = size_t{4} << 30;
  // Before Linux 5.14 it is refused, and they are found by faults.
  madvise(mapping.data(), std::min(mapping.size(), kMost), MADV_POPULATE_READ);
}

Result<std::shared_ptr<const Mapping>> MappingCache::map(int fd, size_t bytes, bool writable,
                                                         bool populate) {
  struct stat about {};
  if (fstat(fd, &about) != 0) return Status::from_errno("fstat", errno);
  const std::lock_guard lock(mutex_);
  std::erase_if(entries_, [](const Entry& entry) { return entry.mapping.expired(); });
  for (const Entry& entry : entries_) {
    if (entry.device != about.st_dev || entry.inode != about.st_ino || entry.writable != writable) {
      continue;
    }
    std::shared_ptr<const Mapping> mapping = entry.mapping.lock();
    if (mapping != nullptr && mapping->size() == bytes) return mapping;
  }
  Result<Mapping> fresh = map_peer_memory(fd, bytes, writable);
  if (!fresh) return fresh.status();
  if (populate) populate_peer_memory(*fresh);
  auto mapping = std::make_shared<const Mapping>(std::move(fresh).value());
  entries_.push_back({about.st_dev, about.st_ino, writable, mapping});
  return mapping;
}

}  // namespace rdmakv::shm
