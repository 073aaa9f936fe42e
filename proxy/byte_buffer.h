// Bytes that grow at the end and go at the front; without any it holds no memory.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>

namespace rdmakv::proxy {

class ByteBuffer {
 public:
  char* data() const { return data_.get(); }
  size_t size() const { return size_; }
  size_t capacity() const { return capacity_; }
  bool empty() const { return size_ == 0; }
  std::string_view view() const { return {data_.get(), size_}; }

  // At least `bytes` writable behind the end; grows by doubling.
  char* room(size_t bytes) {
    if (capacity_ - size_ < bytes) {
      size_t capacity = capacity_ < kSmallest ? kSmallest : 2 * capacity_;
      while (capacity - size_ < bytes) capacity *= 2;
      auto larger = std::make_unique_for_overwrite<char[]>(capacity);
      if (size_ > 0) std::memcpy(larger.get(), data_.get(), size_);
      data_ = std::move(larger);
      capacity_ = capacity;
    }
    return data_.get() + size_;
  }
  void added(size_t bytes) { size_ += bytes; }
  // `bytes` lie elsewhere.
  void append(std::string_view bytes) {
    if (bytes.empty()) return;
    std::memcpy(room(bytes.size()), bytes.data(), bytes.size());
    added(bytes.size());
  }

  // Becomes `bytes`, which may lie within it.
  void assign(std::string_view bytes) {
    if (bytes.empty()) return clear();
    if (data_ != nullptr && bytes.data() >= data_.get() && bytes.data() < data_.get() + capacity_) {
      std::memmove(data_.get(), bytes.data(), bytes.size());
    } else {
      size_ = 0;
      std::memcpy(room(bytes.size()), bytes.data(), bytes.size());
    }
    size_ = bytes.size();
  }
  // A small buffer is kept for the next time; release() gives it back too.
  void clear() {
    size_ = 0;
    if (capacity_ > kKept) release();
  }
  void release() {
    data_.reset();
    size_ = capacity_ = 0;
  }

 private:
  static constexpr size_t kSmallest = 512;
  static constexpr size_t kKept = size_t{16} * 1024;

  std::unique_ptr<char[]> data_;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace rdmakv::proxy
