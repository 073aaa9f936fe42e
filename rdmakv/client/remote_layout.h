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

  // The bytes from `offset` (units) to the end of its region; 0: no such place.
  uint64_t bytes_from(uint64_t offset) const {
    const Place place = place_of(offset);
    return place.region == nullptr ? 0 : place.region->bytes - place.bytes;
  }
  // Only of an offset for which bytes_from() is not 0.
  RemoteAddress at(uint64_t offset) const {
    const Place place = place_of(offset);
    return {place.region->base + place.bytes, place.region->key};
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
  struct Place {
    const wire::RegionGrant* region = nullptr;
    uint64_t bytes = 0;
  };
  Place place_of(uint64_t offset) const {
    if (offset == 0 || offset > wire::kOffsetMask) return {};
    uint64_t bytes = offset * wire::kExtentUnit;
    for (const wire::RegionGrant* region : {&welcome_.pool, &welcome_.cas, &welcome_.grants}) {
      if (bytes < region->bytes) return {region, bytes};
      bytes -= region->bytes;
    }
    return {};
  }

  wire::Welcome welcome_;
};

}  // namespace rdmakv
