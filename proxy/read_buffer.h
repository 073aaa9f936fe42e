// Where the connections of a worker read what their clients send, one after the other. Of what is
// left when a connection is done, nothing is needed; but values that go to a server may stay where
// they were received:
//
//   plain    [rest | read .....]        what is parsed: memory of our own
//   block    [value | header, value | header, valu~~~ | next read ...]       registered memory
//             '-- part, until its PUT is done --'      ^ used
//
// A block is read into by connections whose last read brought such values. Whom we are connected to
// can write to registered memory at any time, so nothing there is looked at: what is around the
// values is copied to be parsed (Connection::consume()).
//
// One worker's thread.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "rdmakv/transport/value_buffer.h"

namespace rdmakv {
class Client;
}

namespace rdmakv::proxy {

class ReadBuffer {
 public:
  static constexpr size_t kReadBytes = size_t{64} * 1024;

  ReadBuffer();

  // A rest of at most kReadBytes, and as much read behind it. The same memory always.
  char* plain() const { return plain_.get(); }
  // Room for kReadBytes in the block, good until the next call, or null: there is no registered
  // memory to be had.
  char* registered(Client& client);
  // A value that begins at `at`, in what was read there, and some of which may still be to come;
  // empty: it does not fit the block.
  ValueBuffer keep(const char* at, size_t bytes);
  // Gives the block back when no value lies there. For the end of a turn.
  void tidy();
  void release() { block_.reset(); }

 private:
  static constexpr size_t kBlockBytes = size_t{256} * 1024;

  const std::unique_ptr<char[]> plain_;
  ValueBuffer block_;
  size_t used_ = 0;
};

}  // namespace rdmakv::proxy
