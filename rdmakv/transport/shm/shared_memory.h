// Memory shared between two processes: memfds, how they are sealed, and how a peer's is checked
// before it is mapped.
//
// Who may write is settled by seals, not by descriptor modes: a descriptor opened O_RDONLY can be
// opened again for writing through /proc by any process of the same user, whereas
// F_SEAL_FUTURE_WRITE, set once the owner has its own mapping, leaves nobody else a way to map the
// memory writable.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "rdmakv/transport/full_fence.h"
#include "rdmakv/transport/pages.h"
#include "rdmakv/transport/shm/unique_fd.h"
#include "rdmakv/transport/status.h"

namespace rdmakv::shm {

class Mapping {
 public:
  Mapping() = default;
  Mapping(std::byte* data, size_t size) : data_(data), size_(size) {}
  Mapping(Mapping&& other) noexcept { swap(other); }
  Mapping& operator=(Mapping&& other) noexcept {
    Mapping(std::move(other)).swap(*this);
    return *this;
  }
  ~Mapping();

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  explicit operator bool() const { return data_ != nullptr; }

 private:
  void swap(Mapping& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

struct SharedMemoryOptions {
  std::string name;  // shown in /proc/PID/maps
  size_t bytes = 0;  // rounded up to whole pages
  Pages pages = Pages::kSmall;
  bool populate = false;  // touch every page now; without it none is transparent
  bool peers_may_write = false;
};

struct SharedMemory {
  UniqueFd fd;
  Mapping mapping;
  size_t huge_bytes = 0;  // in transparent huge pages
};

// Makes zero-filled memory, maps it writable and seals its size. kNoSpace, with what to do about
// it, when the machine has not enough memory or huge pages.
Result<SharedMemory> make_shared_memory(const SharedMemoryOptions& options);

enum class PeerMemory : uint8_t {
  kSmallPages,  // ordinary memory only
  kAny,         // also huge pages
};
// Whether the memory behind a peer's `fd` can be mapped without risk to this process: a memfd whose
// size can never shrink (touching a page beyond the end is SIGBUS). Returns its size.
Result<size_t> check_peer_memory(int fd, PeerMemory kind);
Result<Mapping> map_peer_memory(int fd, size_t bytes, bool writable);
// Has the pages at the beginning of what its owner has touched already mapped here too, so that
// they are not found one fault after the other: 4 GB at most, which takes 0.2 s. Of a peer that is
// trusted to have touched them: pages that are missing are made.
void populate_peer_memory(const Mapping& mapping);

// Mappings of peers' regions, so that the connections of one process share one mapping (and its
// page tables) of a region that several of them were given. Thread-safe. A mapping goes when the
// last connection drops it.
class MappingCache {
 public:
  // `populate`: as populate_peer_memory().
  Result<std::shared_ptr<const Mapping>> map(int fd, size_t bytes, bool writable,
                                             bool populate = false);

 private:
  struct Entry {
    uint64_t device = 0;
    uint64_t inode = 0;
    bool writable = false;
    std::weak_ptr<const Mapping> mapping;
  };
  std::mutex mutex_;
  std::vector<Entry> entries_;  // guarded by mutex_
};

// Earlier loads before later loads.
inline void load_fence() {
#ifdef __SANITIZE_THREAD__
  full_fence();
#else
  std::atomic_thread_fence(std::memory_order_acquire);
#endif
}

}  // namespace rdmakv::shm
