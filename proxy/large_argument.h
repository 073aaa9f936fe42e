// A large argument of a command while it comes in, and until the command has used it. Where its
// bytes go is decided by what it is:
//   kRegistered  the value of a SET or the like that fits one registered buffer, or stays where it
//                was read (read_buffer.h): socket -> buffer -> wire
//   kUpload      such a value that does not: streamed to the server in chunks (upload.h)
//   kHeap        any other argument
//   kDiscarded   a value that its client may not store: nobody needs it
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "rdmakv/transport/value_buffer.h"

namespace rdmakv::proxy {

class Upload;

class LargeArgument {
 public:
  enum class Kind : uint8_t { kRegistered, kUpload, kHeap, kDiscarded };

  static LargeArgument registered(size_t index, uint64_t length, ValueBuffer buffer);
  // `buffer` is where the payload begins to lie already, a part of what was read.
  static LargeArgument received(size_t index, uint64_t length, ValueBuffer buffer);
  static LargeArgument uploaded(size_t index, uint64_t length, Upload& upload);
  static LargeArgument on_heap(size_t index, uint64_t length);
  static LargeArgument discarded(size_t index, uint64_t length);

  LargeArgument(LargeArgument&&) = default;
  LargeArgument& operator=(LargeArgument&&) = default;

  Kind kind() const { return kind_; }
  size_t index() const { return index_; }
  uint64_t length() const { return length_; }
  uint64_t missing() const { return length_ - filled_; }
  bool complete() const { return filled_ == length_; }

  bool has_memory() const { return static_cast<bool>(buffer_); }
  bool in_read_buffer() const { return in_read_buffer_; }

  // Where the next bytes go, at most missing(); empty: nowhere for now (an upload waits).
  // `trash` receives what nobody needs any more, as after an upload's failure.
  std::span<std::byte> space(std::span<std::byte> trash);
  void advance(size_t bytes);
  // space() was empty for lack of registered memory.
  bool waits_for_arena() const;

  // The bytes, when complete; not of an upload, and none of a discarded one.
  std::string_view view() const;
  ValueBuffer take_buffer() { return std::move(buffer_); }
  std::unique_ptr<std::byte[]> take_heap() { return std::move(heap_); }
  // The upload, whose fate is now the caller's.
  Upload* take_upload() { return std::exchange(upload_, nullptr); }

  // Moves what has come so far from registered memory to the heap: its client has stopped sending,
  // and others want the room.
  void spill();
  // Its command has to wait: it keeps nothing but its own.
  void detach() {
    if (in_read_buffer_) spill();
  }
  // Gives up: an upload is aborted.
  void abandon();

 private:
  LargeArgument(Kind kind, size_t index, uint64_t length)
      : kind_(kind), index_(index), length_(length) {}
  void grow_heap();

  Kind kind_;
  size_t index_;
  uint64_t length_;
  uint64_t filled_ = 0;
  uint64_t heap_capacity_ = 0;
  bool in_read_buffer_ = false;
  ValueBuffer buffer_;
  std::unique_ptr<std::byte[]> heap_;
  Upload* upload_ = nullptr;
};

}  // namespace rdmakv::proxy
