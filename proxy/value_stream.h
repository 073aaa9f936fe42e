// A value that the server keeps pinned in place, written to a Redis client as fast as that one
// reads. Where READs are loads it is written from where it lies, and the pin is held until that is
// done; else it is READ in pieces, of which a few at a time are in memory. In the end, however it
// ends, the pin is given back.
//
//   from its place:  [header] [piece: 256 KB of the pool] ... [the last piece, a gate] [tail: a
//   copy]
//
// The tail, the last bytes of the value, is written when the pin has turned out to hold after all
// the rest was: so no client ever takes for a value what was not pinned while it was written.
//
// The bulk's header is already out when the pieces come. So when one cannot be had (the connection
// to the server broke), there is no reply left that would be true: the Redis client's connection is
// closed.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "proxy/output_buffer.h"
#include "rdmakv/client/operation.h"

namespace rdmakv::proxy {

class Connection;
class Request;
class Worker;

class ValueStream final : public OutputSource {
 public:
  static constexpr uint32_t kPieceBytes = 256 * 1024;
  static constexpr uint32_t kInPlaceBytes = 256 * 1024;
  static constexpr uint32_t kTailBytes = 16;
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

  // OutputSource
  bool holds() override;
  void piece_left() override;

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
  bool may_go_in_place() const;
  void emit_in_place();
  bool nobody_reads() const;
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
  size_t in_place_ = 0;  // pieces of it in an output
  Code code_ = Code::kOk;
  Done done_;
  Observe observe_;
  Operation release_;
  bool released_ = false;
  bool finished_ = false;
};

}  // namespace rdmakv::proxy
