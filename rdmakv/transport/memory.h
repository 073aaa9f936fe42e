// Registered memory: what verbs may touch, here and from a peer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "rdmakv/transport/pages.h"

namespace rdmakv {

// What a connected peer may do with a region. Local use is always allowed.
enum class RemoteAccess : uint8_t { kNone = 0, kRead = 1, kWrite = 2, kAtomic = 4 };
constexpr RemoteAccess operator|(RemoteAccess a, RemoteAccess b) {
  return static_cast<RemoteAccess>(static_cast<uint8_t>(a) | static_cast<uint8_t>(b));
}
constexpr bool allows(RemoteAccess granted, RemoteAccess wanted) {
  return (static_cast<uint8_t>(granted) & static_cast<uint8_t>(wanted)) ==
         static_cast<uint8_t>(wanted);
}

struct RegionOptions {
  size_t bytes = 0;  // rounded up to whole pages
  RemoteAccess remote_access = RemoteAccess::kNone;
  // kReserved: kNoSpace/kSystemError when there are none; the caller decides whether to go on with
  // others.
  Pages pages = Pages::kTransparent;
  std::string name;  // for messages and /proc/PID/maps
};

// Memory that a Fabric allocated and registered once; zero-filled and already touched. Owned by
// whoever allocated it; must be destroyed before its Fabric and after every Endpoint that uses it.
class MemoryRegion {
 public:
  virtual ~MemoryRegion() = default;
  MemoryRegion(const MemoryRegion&) = delete;
  MemoryRegion& operator=(const MemoryRegion&) = delete;

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  std::span<std::byte> bytes() const { return {data_, size_}; }
  Pages pages() const { return pages_; }
  size_t huge_bytes() const { return huge_bytes_; }  // in transparent huge pages
  uint32_t local_key() const { return local_key_; }
  // What a peer names this region by, and the address at which it starts in the peer's eyes.
  uint32_t remote_key() const { return remote_key_; }
  uint64_t remote_base() const { return remote_base_; }

 protected:
  MemoryRegion() = default;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
  Pages pages_ = Pages::kTransparent;
  size_t huge_bytes_ = 0;
  uint32_t local_key_ = 0;
  uint32_t remote_key_ = 0;
  uint64_t remote_base_ = 0;
};

// A piece of local registered memory, for a gather list or as the target of a READ.
struct LocalBuffer {
  std::byte* address = nullptr;
  uint32_t length = 0;
  uint32_t local_key = 0;
};

// A place in a peer's registered memory.
struct RemoteAddress {
  uint64_t address = 0;
  uint32_t key = 0;
};

}  // namespace rdmakv
