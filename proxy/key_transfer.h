// The value, expiry and flags of one key to another key that is on another worker, in one direction
// and in steps, since no server can do both:
//
//   GET with version -> PUT (an upload, piece by piece, if it is large) -> DELETE if the version is
//   still that one; else all of it again
//
// Not atomic: others may see both keys, and if it breaks off in the middle both stay. Nothing is
// lost: what is deleted is what was stored under the new name. At most one piece of a large value
// is in memory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/request.h"
#include "rdmakv/client/operation.h"

namespace rdmakv::proxy {

class KeyTransfer : public Request::State {
 public:
  static constexpr uint32_t kPieceBytes = 256 * 1024;
  // A key that changes again and again while it is renamed.
  static constexpr int kMostAttempts = 64;

  // `condition`: on `to`. `moves`: `from` is removed. `then` runs when it is over, with the
  // request's operation.code: kOk, kNotFound (there is no `from`), kConditionNotMet, kBusy
  // (kMostAttempts), or a failure.
  KeyTransfer(Request& request, std::string_view from, std::string_view to, Condition condition,
              bool moves, Request::Continuation then);

  void start();

 private:
  template <void (KeyTransfer::*step)()>
  void submit(OperationKind kind, std::string_view key);
  Operation& operation() { return request_.operation; }
  bool failed();
  void got();
  void store(OperationKind kind);
  void upload_begun();
  void next_piece();
  void piece_read();
  void piece_sent();
  void stored();
  void removed();
  void upload_aborted();
  void abort_upload(Code code);
  void give_pin_back();
  void end(Code code);

  Request& request_;
  const std::string from_, to_;
  Condition condition_;
  uint64_t expected_version_ = 0;
  const bool moves_;
  const Request::Continuation then_;

  uint64_t version_ = 0;  // of `from`, as it was read
  int64_t expiry_ms_ = 0;
  uint16_t user_flags_ = 0;
  std::string value_;    // that was short
  ValueBuffer buffer_;   // what holds a longer one, or a piece
  uint64_t length_ = 0;  // of one that is pinned
  uint64_t offset_ = 0;  // of the next piece
  Ticket pin_, upload_;
  int attempts_ = 0;
  Code failure_ = Code::kOk;
};

}  // namespace rdmakv::proxy
