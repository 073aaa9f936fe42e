#include "proxy/value_stream.h"

#include <algorithm>

#include "proxy/connection.h"
#include "proxy/request.h"
#include "proxy/worker.h"

namespace rdmakv::proxy {

ValueStream::ValueStream(Worker& worker, Request* request, const Ticket& ticket, uint64_t length,
                         Done done, Observe observe)
    : worker_(worker),
      request_(request),
      ticket_(ticket),
      length_(length),
      done_(done),
      observe_(observe) {}

void ValueStream::pump() {
  if (finished_ || request_ == nullptr) return;
  Connection& connection = request_->connection();
  if (may_go_in_place()) emit_in_place();
  while (code_ == Code::kOk && asked_ < length_ && !connection.closed() && !request_->silent() &&
         !connection.output_full()) {
    Piece& piece = pieces_[next_ask_];
    if (piece.busy || !start_piece(piece)) break;
    next_ask_ = (next_ask_ + 1) % kPieces;
  }
  try_end();
}

// Not of a transaction, whose replies wait in memory of their own.
bool ValueStream::may_go_in_place() const {
  return worker_.pinned_memory() != nullptr && observe_ == nullptr && asked_ == emitted_ &&
         outstanding_ == 0 && !request_->silent() && !request_->in_transaction() &&
         !request_->connection().closed();
}

void ValueStream::emit_in_place() {
  Connection& connection = request_->connection();
  OutputChain& output = request_->output();
  const uint64_t body = length_ - std::min<uint64_t>(length_, kTailBytes);
  while (emitted_ < length_ && !connection.closed() && !connection.output_full()) {
    const uint64_t wanted =
        emitted_ < body ? std::min<uint64_t>(kInPlaceBytes, body - emitted_) : length_ - emitted_;
    const std::span<const std::byte> bytes =
        worker_.pinned_memory()->pinned(ticket_, emitted_, wanted);
    if (bytes.empty()) break;  // to be READ, which will tell why it can't be
    if (emitted_ < body) {
      ++in_place_;
      output.append_from(*this, bytes, emitted_ + wanted == body);
    } else {
      output.append({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
      if (!holds()) code_ = Code::kUnavailable;
    }
    asked_ = emitted_ += wanted;
    connection.output_grew();
  }
}

bool ValueStream::holds() {
  return worker_.pinned_memory()->pinned_holds(ticket_);
}

void ValueStream::piece_left() {
  if (--in_place_ == 0 && request_ == nullptr) try_end();
}

bool ValueStream::start_piece(Piece& piece) {
  auto wanted = static_cast<uint32_t>(std::min<uint64_t>(kPieceBytes, length_ - asked_));
  ValueBuffer buffer = worker_.client().allocate(wanted);
  // Registered memory is short: smaller pieces are slower, but go on.
  while (!buffer && wanted > 4096) {
    wanted = std::max<uint32_t>(wanted / 4, 4096);
    buffer = worker_.client().allocate(wanted);
  }
  if (!buffer) {
    worker_.wait_for_arena(request_->connection());
    return false;
  }
  piece.busy = true;
  piece.arrived = false;
  Operation& operation = piece.operation;
  operation = Operation{};
  operation.kind = OperationKind::kReadPinned;
  operation.ticket = ticket_;
  operation.offset = asked_;
  operation.length = wanted;
  operation.buffer = std::move(buffer);
  operation.done = &ValueStream::piece_done;
  operation.context = this;
  asked_ += wanted;
  ++outstanding_;
  worker_.submit(operation);
  return true;
}

void ValueStream::piece_done(Operation& operation) {
  auto& self = *static_cast<ValueStream*>(operation.context);
  --self.outstanding_;
  if (operation.code != Code::kOk && self.code_ == Code::kOk) self.code_ = operation.code;
  for (Piece& piece : self.pieces_) {
    if (&piece.operation == &operation) piece.arrived = true;
  }
  self.emit();
  self.pump();
}

void ValueStream::emit() {
  while (pieces_[next_emit_].busy && pieces_[next_emit_].arrived) {
    Piece& piece = pieces_[next_emit_];
    next_emit_ = (next_emit_ + 1) % kPieces;
    piece.busy = false;
    ValueBuffer buffer = std::move(piece.operation.buffer);
    if (code_ != Code::kOk || request_ == nullptr || request_->connection().closed()) continue;
    const std::span<const std::byte> bytes(buffer.data(), piece.operation.length);
    if (observe_ != nullptr) observe_(*request_, bytes);
    request_->output().append_value(std::move(buffer), bytes);
    emitted_ += piece.operation.length;
    request_->connection().output_grew();
  }
}

bool ValueStream::nobody_reads() const {
  return request_->connection().closed() || request_->silent();
}

void ValueStream::try_end() {
  if (request_ != nullptr && code_ != Code::kOk && !nobody_reads()) {
    request_->connection().close_broken_reply(code_);  // comes back here, by pump()
  }
  if (request_ != nullptr) {
    if (outstanding_ > 0) return;
    if (emitted_ == length_ || code_ != Code::kOk || nobody_reads()) {
      Request& request = *std::exchange(request_, nullptr);
      request.stream = nullptr;
      done_(request);
    }
  }
  if (request_ != nullptr || in_place_ > 0 || released_) return;
  released_ = true;
  if (worker_.shutting_down()) {
    finished_ = true;
    return;
  }
  release_.kind = OperationKind::kRelease;
  release_.ticket = ticket_;
  release_.done = &ValueStream::release_done;
  release_.context = this;
  worker_.submit(release_);
}

void ValueStream::release_done(Operation& operation) {
  auto& self = *static_cast<ValueStream*>(operation.context);
  self.finished_ = true;
  self.worker_.pin_waiters().given_back(self.ticket_.session);
}

}  // namespace rdmakv::proxy
