// Registered memory of an RDMA device.
#pragma once

#include <memory>

#include "rdmakv/transport/memory.h"
#include "rdmakv/transport/status.h"
#include "rdmakv/transport/verbs/device.h"
#include "rdmakv/transport/verbs/handles.h"

namespace rdmakv::verbs {

// Keeps its device open. The remote base is the virtual address, and the rights are exactly the
// ones asked for; relaxed ordering is never among them, since readers of remote memory depend on a
// WRITE's bytes being there before those of what was posted behind it.
class VerbsMemoryRegion final : public MemoryRegion {
 public:
  static Result<std::unique_ptr<VerbsMemoryRegion>> allocate(std::shared_ptr<const Device> device,
                                                             const RegionOptions& options);
  ~VerbsMemoryRegion() override;

 private:
  explicit VerbsMemoryRegion(std::shared_ptr<const Device> device) : device_(std::move(device)) {}

  std::shared_ptr<const Device> device_;
  MemoryHandle handle_;
};

}  // namespace rdmakv::verbs
