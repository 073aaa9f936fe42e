// Where a worker's regions lie, as its Welcome said: from offsets and buckets to remote addresses.
// Everything asked of it is checked: offsets come from a peer's memory.
#pragma once

#include <cstdint>

#include "protocol/kv_handshake.h"
#include "protocol/kv_layout.h"
#include "rdmakv/transport/memory.h"

namespace rdmakv {

class RemoteLayout {
 public:
  RemoteLayout() = default;
  explicit RemoteLayout(const wire::Welcome& welcome) : welcome_(welcome) {}

  const wire::Welcome& welcome() const { return welcome_; }
  uint64_t seed() const { return welcome_.seed; }
  uint32_t bucket_count() const { return welcome_.bucket_count; }

  // The memory from `offset` (units) to the end of its region; no bytes: no such place.
  struct Place {
    RemoteAddress address;
    uint64_t bytes = 0;
  };
  Place from(uint64_t offset) const {
    if (offset == 0 || offset > wire::kOffsetMask) return {};
    uint64_t bytes = offset * wire::kExtentUnit;
    for (const wire::RegionGrant* region : {&welcome_.pool, &welcome_.cas, &welcome_.grants}) {
      if (bytes < region->bytes) {
        return {{region->base + bytes, region->key}, region->bytes - bytes};
      }
      bytes -= region->bytes;
    }
    return {};
  }
  RemoteAddress bucket(uint32_t bucket) const {
    return {welcome_.index.base + uint64_t{bucket} * sizeof(wire::Bucket), welcome_.index.key};
  }
  bool has_index() const { return welcome_.index.bytes != 0 && welcome_.bucket_count != 0; }
  bool has_grants() const { return welcome_.grants.bytes != 0; }
  // Whether an extent of the cas class may begin at `offset`, in the grants region.
  bool is_grant(uint64_t offset) const {
    const uint64_t first = (welcome_.pool.bytes + welcome_.cas.bytes) / wire::kExtentUnit;
    if (offset < first) return false;
    const uint64_t bytes = (offset - first) * wire::kExtentUnit;
    return bytes % wire::kCasExtentBytes == 0 && bytes < welcome_.grants.bytes &&
           welcome_.grants.bytes - bytes >= wire::kCasExtentBytes;
  }

 private:
  wire::Welcome welcome_;
};

}  // namespace rdmakv
