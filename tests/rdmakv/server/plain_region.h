// A MemoryRegion of plain memory, for what needs no Fabric.
#pragma once

#include <cstdlib>
#include <cstring>

#include "rdmakv/transport/memory.h"

namespace rdmakv::server {

class PlainRegion final : public MemoryRegion {
 public:
  explicit PlainRegion(size_t bytes) {
    data_ = static_cast<std::byte*>(std::aligned_alloc(4096, bytes));
    size_ = bytes;
    std::memset(data_, 0, bytes);
  }
  ~PlainRegion() override { std::free(data_); }  // NOLINT
};

}  // namespace rdmakv::server
