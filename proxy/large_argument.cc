#include "proxy/large_argument.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "proxy/upload.h"

namespace rdmakv::proxy {
namespace {

// The heap follows what arrives, not what was announced.
constexpr uint64_t kFirstHeapBytes = uint64_t{64} * 1024;

}  // namespace

LargeArgument LargeArgument::registered(size_t index, uint64_t length, ValueBuffer buffer) {
  LargeArgument argument(Kind::kRegistered, index, length);
  argument.buffer_ = std::move(buffer);
  return argument;
}

LargeArgument LargeArgument::received(size_t index, uint64_t length, ValueBuffer buffer) {
  LargeArgument argument = registered(index, length, std::move(buffer));
  argument.in_read_buffer_ = true;
  return argument;
}

LargeArgument LargeArgument::uploaded(size_t index, uint64_t length, Upload& upload) {
  LargeArgument argument(Kind::kUpload, index, length);
  argument.upload_ = &upload;
  return argument;
}

LargeArgument LargeArgument::on_heap(size_t index, uint64_t length) {
  return {Kind::kHeap, index, length};
}

LargeArgument LargeArgument::discarded(size_t index, uint64_t length) {
  return {Kind::kDiscarded, index, length};
}

void LargeArgument::grow_heap() {
  if (filled_ < heap_capacity_) return;
  const uint64_t capacity = std::min(length_, std::max(kFirstHeapBytes, 2 * heap_capacity_));
  auto larger = std::make_unique_for_overwrite<std::byte[]>(capacity);
  if (filled_ > 0) std::memcpy(larger.get(), heap_.get(), filled_);
  heap_ = std::move(larger);
  heap_capacity_ = capacity;
}

std::span<std::byte> LargeArgument::space(std::span<std::byte> trash) {
  const uint64_t left = missing();
  switch (kind_) {
    case Kind::kRegistered:
      return {buffer_.data() + filled_, left};
    case Kind::kUpload: {
      const std::span<std::byte> room = upload_->space(trash);
      return room.first(std::min<uint64_t>(room.size(), left));
    }
    case Kind::kHeap:
      if (left == 0) return {};
      grow_heap();
      return {heap_.get() + filled_, heap_capacity_ - filled_};
    case Kind::kDiscarded:
      return trash.first(std::min<uint64_t>(trash.size(), left));
  }
  return {};
}

void LargeArgument::advance(size_t bytes) {
  assert(bytes <= missing());
  filled_ += bytes;
  if (kind_ == Kind::kUpload) upload_->advance(bytes);
}

bool LargeArgument::waits_for_arena() const {
  return upload_ != nullptr && upload_->waits_for_arena();
}

std::string_view LargeArgument::view() const {
  assert(complete());
  const std::byte* data = kind_ == Kind::kRegistered ? buffer_.data() : heap_.get();
  if (data == nullptr) return {};
  return {reinterpret_cast<const char*>(data), static_cast<size_t>(length_)};
}

void LargeArgument::spill() {
  if (kind_ != Kind::kRegistered) return;
  kind_ = Kind::kHeap;
  heap_capacity_ = std::min(length_, std::max(kFirstHeapBytes, filled_));
  heap_ = std::make_unique_for_overwrite<std::byte[]>(heap_capacity_);
  std::memcpy(heap_.get(), buffer_.data(), filled_);
  buffer_.reset();
}

void LargeArgument::abandon() {
  if (upload_ != nullptr) take_upload()->abandon();
  buffer_.reset();
  heap_.reset();
}

}  // namespace rdmakv::proxy
