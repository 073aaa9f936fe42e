// A value too large for one registered buffer on its way from a Redis client's socket to a server:
// cut into chunks, of which a few at a time are in memory.
//
//   kUploadBegin -> kUploadChunk... -> kUploadCommit (the command's own operation), or kUploadAbort
//
// The socket fills one chunk while others are sent; when all are busy the connection is not read.
// The object belongs to its worker and goes by itself: after commit() or abandon(), when its
// operations are done.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "rdmakv/client/client.h"
#include "rdmakv/client/operation.h"

namespace rdmakv::proxy {

class Connection;
class Request;
class Worker;

class Upload {
 public:
  static constexpr size_t kChunks = 3;

  static uint32_t chunk_bytes(const Client& client);

  Upload(Worker& worker, Connection& connection, std::string_view key, uint64_t total);
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;

  // Reserves the value's place at the server.
  void begin();

  // Room for the next bytes; empty when all chunks are busy or there is no registered memory for
  // now (the connection hears of it when that changes). After a failure: `trash`, the rest is
  // dropped.
  std::span<std::byte> space(std::span<std::byte> trash);
  void advance(size_t bytes);
  bool waits_for_arena() const { return waits_for_arena_; }

  // The command is complete and `request`.operation filled in (but for the ticket): submits it, a
  // kPut as the commit, as soon as every chunk has arrived. After a failure its code becomes the
  // request's.
  void commit(Request& request, void (*then)(Request&));
  // Nobody wants it any more: aborts.
  void abandon();

  bool finished() const { return finished_; }

 private:
  struct Chunk {
    enum class State : uint8_t { kFree, kFilling, kReady, kSent };
    Operation operation;
    ValueBuffer buffer;
    uint32_t length = 0;  // to be filled
    uint64_t offset = 0;
    State state = State::kFree;
  };

  static void begin_done(Operation& operation);
  static void chunk_done(Operation& operation);
  static void abort_done(Operation& operation);
  void fail(Code code);
  void send_ready();
  void progress();
  void try_commit();
  void try_abort();

  Worker& worker_;
  Connection* connection_;  // null once it does not care any more
  std::string key_;
  const uint64_t total_;
  const uint32_t chunk_bytes_;
  uint64_t cut_ = 0;  // bytes for which there was a chunk
  Ticket ticket_;
  Code code_ = Code::kOk;
  Operation control_;                  // begin, abort
  std::array<Chunk, kChunks> chunks_;  // used in turn
  size_t fill_index_ = 0;              // the chunk being filled, or the next to be
  size_t send_index_ = 0;              // the next to be sent
  int outstanding_ = 0;
  Request* commit_ = nullptr;
  void (*then_)(Request&) = nullptr;
  bool waits_for_arena_ = false;
  bool abandoned_ = false;
  bool finished_ = false;
};

}  // namespace rdmakv::proxy
