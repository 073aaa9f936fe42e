#include "rdmakv/transport/shm/peer_regions.h"

#include <algorithm>
#include <string>

namespace rdmakv::shm {
namespace {

constexpr uint32_t kAllRights =
    static_cast<uint32_t>(RemoteAccess::kRead | RemoteAccess::kWrite | RemoteAccess::kAtomic);

bool writes(RemoteAccess rights) {
  return allows(rights, RemoteAccess::kWrite) || allows(rights, RemoteAccess::kAtomic);
}

}  // namespace

Status PeerRegions::add(const RegionFrame& frame, UniqueFd fd) {
  if (regions_.size() == kMaxRegionsPerPeer) {
    return {Code::kProtocolError, "the peer exposed too many regions"};
  }
  if (frame.rights == 0 || (frame.rights & ~kAllRights) != 0 || frame.reserved != 0) {
    return {Code::kProtocolError, "the peer exposed a region with rights that make no sense"};
  }
  if (knows(frame.key)) return {Code::kProtocolError, "the peer exposed two regions by one key"};
  Region region;
  region.key = frame.key;
  region.rights = static_cast<RemoteAccess>(frame.rights);
  region.bytes = frame.bytes;
  region.fd = std::move(fd);
  regions_.push_back(std::move(region));
  return Status::ok();
}

Status PeerRegions::map(Region& region) {
  Result<size_t> bytes = check_peer_memory(region.fd.get(), kind_);
  if (!bytes) return bytes.status();
  if (*bytes != region.bytes) {
    return {Code::kProtocolError, "the peer exposed a region of another size than it says"};
  }
  // What a client reads of its server is the whole store.
  const bool populate = kind_ == PeerMemory::kAny && !writes(region.rights);
  Result<std::shared_ptr<const Mapping>> mapping =
      cache_->map(region.fd.get(), *bytes, writes(region.rights), populate);
  if (!mapping) return mapping.status();
  region.mapping = std::move(mapping).value();
  region.data = region.mapping->data();
  region.fd.reset();
  return Status::ok();
}

Result<std::byte*> PeerRegions::resolve(RemoteAddress at, uint64_t length, RemoteAccess access) {
  const auto region = std::find_if(regions_.begin(), regions_.end(),
                                   [&](const Region& r) { return r.key == at.key; });
  if (region == regions_.end()) {
    return {Code::kInvalidArgument,
            "remote access error: the peer exposed no region by key " + std::to_string(at.key)};
  }
  if (!allows(region->rights, access)) {
    return {Code::kInvalidArgument, "remote access error: the region does not allow it"};
  }
  if (at.address > region->bytes || length > region->bytes - at.address) {
    return {Code::kInvalidArgument, "remote access error: outside of the region"};
  }
  if (region->data == nullptr) {
    Status mapped = map(*region);
    if (!mapped) return mapped;
  }
  return region->data + at.address;
}

}  // namespace rdmakv::shm
