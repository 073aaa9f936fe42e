// Objects used over and over by one worker: taken and given back without touching the heap, as long
// as no more are wanted than ever before. At most `kept` idle ones are held; the rest goes back to
// the heap, so a burst does not stay in memory for ever. Not thread-safe.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

namespace rdmakv::proxy {

template <typename T>
class Pool {
 public:
  explicit Pool(size_t kept) : kept_(kept) { spare_.reserve(kept); }

  // An object in whatever state it was given back; its user resets what matters.
  T* take() {
    ++in_use_;
    if (spare_.empty()) return std::make_unique<T>().release();
    std::unique_ptr<T> object = std::move(spare_.back());
    spare_.pop_back();
    return object.release();
  }
  void give(T* object) {
    --in_use_;
    std::unique_ptr<T> owner(object);
    if (spare_.size() < kept_) spare_.push_back(std::move(owner));
  }
  size_t in_use() const { return in_use_; }

 private:
  size_t kept_;
  size_t in_use_ = 0;
  std::vector<std::unique_ptr<T>> spare_;
};

}  // namespace rdmakv::proxy
