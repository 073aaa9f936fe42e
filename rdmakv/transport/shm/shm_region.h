// Registered memory of the shm fabric: a memfd, passed to those peers it is exposed to.
#pragma once

#include <memory>

#include "rdmakv/transport/memory.h"
#include "rdmakv/transport/shm/shared_memory.h"
#include "rdmakv/transport/status.h"

namespace rdmakv::shm {

class ShmRegion final : public MemoryRegion {
 public:
  static Result<std::unique_ptr<ShmRegion>> allocate(const RegionOptions& options);

  int fd() const { return memory_.fd.get(); }
  RemoteAccess remote_access() const { return remote_access_; }

 private:
  ShmRegion(SharedMemory memory, const RegionOptions& options);

  SharedMemory memory_;
  RemoteAccess remote_access_;
};

}  // namespace rdmakv::shm
