// kCount and kClear: one question to every worker of every server, and the sum of the answers.
//
// Each worker gets a part: an Operation of the same kind, which waits in its session's queue like
// any other, so a kClear comes after what was submitted before it, on every session. While a
// server's number of workers is not known, one part stands for all of them (kEveryWorker); Client
// splits it. A part of a kClear that goes piece by piece is asked again and again, each time from
// where the last piece ended. Gathers and parts are kept and used again.
#pragma once

#include <deque>
#include <functional>
#include <utility>

#include "rdmakv/client/operation_queue.h"

namespace rdmakv {

inline constexpr uint64_t kEveryWorker = ~uint64_t{0};

class Gather {
 public:
  // `ended`: the whole is done, with code and number set. `next_piece`: `part` has its place to go
  // on at, and is to be asked again.
  using Ended = void (*)(void* context, Gather& gather);
  using NextPiece = void (*)(void* context, Operation& part);
  Gather(Ended ended, NextPiece next_piece, void* context)
      : ended_(ended), next_piece_(next_piece), context_(context) {}
  Gather(const Gather&) = delete;
  Gather& operator=(const Gather&) = delete;

  // Hold until all parts are made, so that the whole does not end before.
  void start(Operation& whole) {
    whole_ = &whole;
    whole.code = Code::kOk;
    whole.number = 0;
    used_ = 0;
    missing_ = 1;
  }
  void parts_made() { ended_part(Code::kOk, 0, 0); }

  // A part for `worker` of `server`; stays where it is until the whole has ended.
  Operation& add_part(uint16_t server, uint64_t worker) {
    if (used_ == parts_.size()) parts_.emplace_back();
    Operation& part = parts_[used_++];
    part = Operation{};
    part.kind = whole_->kind;
    part.server = server;
    if (part.kind == OperationKind::kClear) part.length = whole_->length;
    part.internal[kDeadline] = whole_->internal[kDeadline];
    part.internal[kAllowed] = whole_->internal[kAllowed];
    part.internal[kUnderWay] = 1;
    part.internal[kGather] = worker;
    part.context = this;
    part.done = [](Operation& done) { static_cast<Gather*>(done.context)->part_answered(done); };
    ++missing_;
    return part;
  }
  Operation& whole() { return *whole_; }

 private:
  void part_answered(Operation& part) {
    // Of a kClear the reply's cursor, which shares its place with the version.
    if (part.code != Code::kOk || part.length == 0 || part.version == 0) {
      return ended_part(part.code, part.number, part.server);
    }
    whole_->number += std::exchange(part.number, 0);
    part.offset = std::exchange(part.version, 0);
    next_piece_(context_, part);
  }

  void ended_part(Code code, uint64_t number, uint16_t server) {
    if (code != Code::kOk && whole_->code == Code::kOk) {
      whole_->code = code;
      whole_->server = server;
    }
    whole_->number += number;
    if (--missing_ == 0) ended_(context_, *this);
  }

  Ended ended_;
  NextPiece next_piece_;
  void* context_;
  Operation* whole_ = nullptr;
  std::deque<Operation> parts_;
  size_t used_ = 0;
  size_t missing_ = 0;
};

}  // namespace rdmakv
