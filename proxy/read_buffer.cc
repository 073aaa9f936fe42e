#include "proxy/read_buffer.h"

#include <algorithm>
#include <cassert>

#include "rdmakv/client/client.h"

namespace rdmakv::proxy {

ReadBuffer::ReadBuffer() : plain_(std::make_unique_for_overwrite<char[]>(2 * kReadBytes)) {}

char* ReadBuffer::registered(Client& client) {
  if (block_ && !block_.is_shared()) used_ = 0;
  if (!block_ || block_.capacity() - used_ < kReadBytes) {
    block_ = client.allocate(kBlockBytes);
    used_ = 0;
    if (!block_) return nullptr;
  }
  return reinterpret_cast<char*>(block_.data()) + used_;
}

ValueBuffer ReadBuffer::keep(const char* at, size_t bytes) {
  constexpr size_t kLine = 64;
  const auto offset = static_cast<size_t>(reinterpret_cast<const std::byte*>(at) - block_.data());
  assert(block_ && offset <= block_.capacity());
  if (bytes > block_.capacity() - offset) return {};
  used_ = std::max(used_, (offset + bytes + kLine - 1) / kLine * kLine);
  return block_.part(static_cast<uint32_t>(offset), static_cast<uint32_t>(bytes));
}

void ReadBuffer::tidy() {
  if (block_ && !block_.is_shared()) block_.reset();
}

}  // namespace rdmakv::proxy
