#include "rdmakv/transport/shm/shm_region.h"

#include <atomic>

#include "rdmakv/transport/authentication.h"

namespace rdmakv::shm {
namespace {

// Keys are unique in this process and do not follow one another visibly: a counter from a random
// start, scrambled by a bijection (the finalizer of MurmurHash3).
uint32_t next_key() {
  static std::atomic<uint32_t> counter{static_cast<uint32_t>(random_u64())};
  uint32_t key = 0;
  while (key == 0) {
    key = counter.fetch_add(1, std::memory_order_relaxed);
    key = (key ^ (key >> 16)) * 0x85ebca6bu;
    key = (key ^ (key >> 13)) * 0xc2b2ae35u;
    key ^= key >> 16;
  }
  return key;
}

}  // namespace

Result<std::unique_ptr<ShmRegion>> ShmRegion::allocate(const RegionOptions& options) {
  SharedMemoryOptions memory;
  memory.name = "rdmakv:" + options.name.substr(0, 200);
  memory.bytes = options.bytes;
  memory.pages = options.pages;
  memory.populate = true;
  memory.peers_may_write = allows(options.remote_access, RemoteAccess::kWrite) ||
                           allows(options.remote_access, RemoteAccess::kAtomic);
  Result<SharedMemory> made = make_shared_memory(memory);
  if (!made) return made.status();
  return std::unique_ptr<ShmRegion>(new ShmRegion(std::move(made).value(), options));
}

ShmRegion::ShmRegion(SharedMemory memory, const RegionOptions& options)
    : memory_(std::move(memory)), remote_access_(options.remote_access) {
  data_ = memory_.mapping.data();
  size_ = memory_.mapping.size();
  pages_ = options.pages;
  huge_bytes_ = memory_.huge_bytes;
  remote_key_ = next_key();
  local_key_ = remote_key_;
  remote_base_ = 0;
}

}  // namespace rdmakv::shm
