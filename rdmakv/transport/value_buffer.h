// A stretch of the client's registered memory, for values that are not to be copied: the target of
// a server's WRITE or of a READ, the source of a large PUT. Returns to its arena when destroyed;
// one of which there are several parts, with the last of them. Belongs to the client's thread, as
// everything of a Client does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "rdmakv/transport/memory.h"

namespace rdmakv {

class BufferArena;  // rdmakv/transport/buffer_arena.h

class ValueBuffer {
 public:
  ValueBuffer() = default;
  // For the arena: `block` is what it knows the memory by.
  ValueBuffer(BufferArena* arena, uint32_t block, std::byte* data, uint32_t capacity)
      : arena_(arena), data_(data), block_(block), capacity_(capacity) {}
  ValueBuffer(ValueBuffer&& other) noexcept { swap(other); }
  ValueBuffer& operator=(ValueBuffer&& other) noexcept {
    ValueBuffer(std::move(other)).swap(*this);
    return *this;
  }
  ~ValueBuffer() { reset(); }

  explicit operator bool() const { return data_ != nullptr; }
  std::byte* data() const { return data_; }
  uint32_t capacity() const { return capacity_; }
  // Bytes in use, the owner's business.
  uint32_t length() const { return length_; }
  void set_length(uint32_t length) { length_ = length; }
  void reset() {
    if (data_ != nullptr) give_back();
  }

  // A buffer of its own for `bytes` of this one's from `offset` on; the memory is used again when
  // neither is left. Who writes where is up to the owners.
  ValueBuffer part(uint32_t offset, uint32_t bytes) const;
  // Whether others have parts of the same memory.
  bool is_shared() const;

 private:
  void give_back();
  void swap(ValueBuffer& other) noexcept {
    std::swap(arena_, other.arena_);
    std::swap(data_, other.data_);
    std::swap(block_, other.block_);
    std::swap(capacity_, other.capacity_);
    std::swap(length_, other.length_);
  }

  BufferArena* arena_ = nullptr;
  std::byte* data_ = nullptr;
  uint32_t block_ = 0;
  uint32_t capacity_ = 0;
  uint32_t length_ = 0;
};

}  // namespace rdmakv
