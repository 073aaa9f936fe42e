// The regions that the peer of one connection has exposed to it: received as descriptors, mapped
// when first used, released with the connection.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "rdmakv/transport/memory.h"
#include "rdmakv/transport/shm/shared_memory.h"
#include "rdmakv/transport/shm/shm_wire.h"
#include "rdmakv/transport/shm/unique_fd.h"
#include "rdmakv/transport/status.h"

namespace rdmakv::shm {

class PeerRegions {
 public:
  // `kind`: which memory is taken from this peer.
  PeerRegions(std::shared_ptr<MappingCache> cache, PeerMemory kind)
      : cache_(std::move(cache)), kind_(kind) {}

  Status add(const RegionFrame& frame, UniqueFd fd);

  bool knows(uint32_t key) const { return find(key) != nullptr; }
  // `length` bytes at `at`, to be used as `access` says; null when the region is not mapped yet,
  // and when the peer exposed no such memory to us: resolve() then tells.
  std::byte* lookup(RemoteAddress at, uint64_t length, RemoteAccess access) const {
    const Region* region = find(at.key);
    const bool good = region != nullptr && region->data != nullptr &&
                      allows(region->rights, access) && at.address <= region->bytes &&
                      length <= region->bytes - at.address;
    return good ? region->data + at.address : nullptr;
  }
  // The same, mapping the region if need be. An error is a remote access error.
  Result<std::byte*> resolve(RemoteAddress at, uint64_t length, RemoteAccess access);

 private:
  struct Region {
    uint32_t key = 0;
    RemoteAccess rights = RemoteAccess::kNone;
    uint64_t bytes = 0;
    std::byte* data = nullptr;  // null: not mapped yet
    UniqueFd fd;                // until mapped
    std::shared_ptr<const Mapping> mapping;
  };
  const Region* find(uint32_t key) const {
    for (const Region& region : regions_) {
      if (region.key == key) return &region;
    }
    return nullptr;
  }
  Status map(Region& region);

  std::shared_ptr<MappingCache> cache_;
  PeerMemory kind_;
  std::vector<Region> regions_;
};

}  // namespace rdmakv::shm
