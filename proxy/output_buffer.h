// What is to be written to a client: a chain of pieces, each a chunk of copied bytes, a value that
// stays in the registered buffer in which it arrived, or bytes that somebody else keeps.
//
//   OutputChain:  [chunk: "$70000\r\n"] -> [value: 70000 bytes, by reference] -> [chunk: "\r\n..."
//   | room]
//                                                                                       ^ next   ^
//                                                                                       limit
// An empty chain holds no chunk, so an idle connection costs none. One worker's thread.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "protocol/resp_writer.h"
#include "proxy/pool.h"
#include "rdmakv/transport/value_buffer.h"

namespace rdmakv::proxy {

class TlsStream;

// Keeps bytes that pieces refer to, which may become void: a value in a server's memory.
class OutputSource {
 public:
  // Whether they have been as they should until now. Once false it stays false.
  virtual bool holds() = 0;
  // One of its pieces is gone, written or not, or has become a copy. Does not touch the chain.
  virtual void piece_left() = 0;

 protected:
  ~OutputSource() = default;
};

struct OutputPiece {
  OutputPiece* next = nullptr;
  const char* begin = nullptr;  // what is still to be written
  const char* end = nullptr;
  bool is_chunk = false;  // an OutputChunk; else a value
  bool is_gate = false;  // what follows makes it whole: not before the source holds after its write
  OutputSource* source = nullptr;
  ValueBuffer value;
  std::unique_ptr<char[]> copy;  // of the value, once it was moved out of registered memory
};

struct OutputChunk : OutputPiece {
  static constexpr size_t kBytes = 4096 - sizeof(OutputPiece);
  char bytes[kBytes];
};

struct OutputPools {
  Pool<OutputPiece> pieces{1024};
  Pool<OutputChunk> chunks{1024};
};

class OutputChain final : public resp::OutputBuffer {
 public:
  static constexpr size_t kPiecesPerWrite = 64;

  OutputChain() = default;
  explicit OutputChain(OutputPools& pools) : pools_(&pools) {}
  ~OutputChain() override { clear(); }

  // Before first use, when it was not given at construction.
  void attach(OutputPools& pools) { pools_ = &pools; }

  // Adds `bytes`, which lie in `value`, by reference.
  void append_value(ValueBuffer value, std::span<const std::byte> bytes);
  // Adds bytes of `source`, which hears when they are no longer needed. `is_gate`: nothing behind
  // them is written before they have been, and the source still held then.
  void append_from(OutputSource& source, std::span<const std::byte> bytes, bool is_gate);
  // Moves everything from `other`, which is left empty, to the end of this one.
  void splice(OutputChain& other);

  // Not even a chunk without bytes.
  bool holds_nothing() const { return head_ == nullptr; }
  // Bytes not yet written.
  size_t pending() const { return settled_ + unsettled(); }
  bool empty() const { return pending() == 0; }
  // Bytes of registered memory held.
  size_t registered_bytes() const { return registered_; }

  // Gathers what is pending, up to a gate, into one system call on the socket `fd`, as writev
  // would, without SIGPIPE; bytes written, or -1 with errno set: ESTALE if a source does not hold
  // any more.
  ssize_t write_to(int fd);
  // The same over TLS, which takes one run of bytes at a time: pieces are gathered in `scratch`.
  ssize_t write_to(TlsStream& stream, std::span<char> scratch);
  // Copies the first of what is pending, which stays pending; bytes copied, or -1 as above.
  ssize_t gather(std::span<char> scratch);
  // Copies values out of registered memory, so that a client that does not read holds none of it.
  void spill();
  // Copies what lies with sources, so that they need not keep it. False: one does not hold any
  // more.
  bool spill_sources();
  void clear();

 protected:
  void grow(size_t bytes) override;

 private:
  static constexpr size_t kWorthCopying = 1024;

  size_t unsettled() const {
    return open_ != nullptr ? static_cast<size_t>(next() - open_->end) : 0;
  }
  void settle();
  void close_window();
  void link(OutputPiece* piece);
  void append_piece(OutputPiece* piece, std::span<const std::byte> bytes);
  static void copy_out(OutputPiece& piece);
  void drop_front();
  void release(OutputPiece* piece);
  void consume(size_t bytes);

  OutputPools* pools_ = nullptr;
  OutputPiece* head_ = nullptr;
  OutputPiece* tail_ = nullptr;
  size_t sourced_ = 0;           // pieces that lie with a source
  OutputChunk* open_ = nullptr;  // the tail, when it is the chunk that the window is in
  size_t settled_ = 0;           // bytes [begin, end) of all pieces
  size_t registered_ = 0;
};

}  // namespace rdmakv::proxy
