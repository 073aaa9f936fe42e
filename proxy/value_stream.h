// A value that the server keeps pinned in place, READ in pieces and written to a Redis client as
// fast as that one reads: a few pieces at a time are in memory. In the end, however it ends, the
// pin is given back.
//
// The bulk's header is already out when the pieces come. So when one cannot be had (the connection
// to the server broke), there is no reply left that would be true: the Redis client's connection is
// closed.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "rdmakv/client/operation.h"

namespace rdmakv::proxy {

class Connection;
class Request;
class Worker;

class ValueStream {
 public:
  static constexpr uint32_t kPieceBytes = 256 * 1024;
  static constexpr size_t kPieces = 2;
  using Done = void (*)(Request& request);
  using Observe = void (*)(Request& request, std::span<const std::byte> piece);

  // `request` is the head of its connection's queue and has written the bulk's header; `done` is
  // called when all of the value is in the output, or when the connection is gone; `observe`, if
  // any, with each piece as it goes there.
  ValueStream(Worker& worker, Request* request, const Ticket& ticket, uint64_t length, Done done,
              Observe observe);
  ValueStream(const ValueStream&) = delete;
  ValueStream& operator=(const ValueStream&) = delete;

  // Reads on as far as the client keeps up. Called when its output has drained, when registered
  // memory may be free again, and when its connection has closed.
  void pump();
  // Without a request: only gives the pin back.
  void give_back() { try_end(); }

  // Of its pin, as Ticket::session.
  uint32_t session() const { return ticket_.session; }
  bool finished() const { return finished_; }

 private:
  struct Piece {
    Operation operation;
    bool busy = false;
    bool arrived = false;
  };

  static void piece_done(Operation& operation);
  static void release_done(Operation& operation);
  bool start_piece(Piece& piece);
  void emit();
  void try_end();

  Worker& worker_;
  Request* request_;  // null once told that it is over
  Ticket ticket_;
  const uint64_t length_;
  uint64_t asked_ = 0;  // bytes for which a READ is under way or done
  uint64_t emitted_ = 0;
  std::array<Piece, kPieces> pieces_;  // used in turn, so emitted in order
  size_t next_ask_ = 0, next_emit_ = 0;
  int outstanding_ = 0;
  Code code_ = Code::kOk;
  Done done_;
  Observe observe_;
  Operation release_;
  bool released_ = false;
  bool finished_ = false;
};

}  // namespace rdmakv::proxy
