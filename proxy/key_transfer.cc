#include "proxy/key_transfer.h"

#include <algorithm>
#include <utility>

#include "proxy/worker.h"

namespace rdmakv::proxy {

KeyTransfer::KeyTransfer(Request& request, std::string_view from, std::string_view to,
                         Condition condition, bool moves, Request::Continuation then)
    : request_(request), from_(from), to_(to), condition_(condition), moves_(moves), then_(then) {}

// `step` runs when the operation is done. What it brought is in request_.operation until the next.
template <void (KeyTransfer::*step)()>
void KeyTransfer::submit(OperationKind kind, std::string_view key) {
  operation().kind = kind;
  operation().key = key;
  request_.submit([](Request& request) { (static_cast<KeyTransfer&>(*request.state).*step)(); });
}

void KeyTransfer::start() {
  ++attempts_;
  operation() = Operation{};
  submit<&KeyTransfer::got>(OperationKind::kGet, from_);
}

// Ends the transfer if the operation that is done failed.
bool KeyTransfer::failed() {
  if (operation().code == Code::kOk) return false;
  end(operation().code);
  return true;
}

void KeyTransfer::got() {
  if (failed()) return;
  version_ = operation().version;
  expiry_ms_ = operation().expiry;
  user_flags_ = operation().user_flags;
  pin_ = operation().ticket;
  length_ = operation().value_length;
  if (pin_) {
    operation() = Operation{};
    operation().total = length_;
    return submit<&KeyTransfer::upload_begun>(OperationKind::kUploadBegin, to_);
  }
  std::span<const std::byte> value = operation().value;
  buffer_ = std::move(operation().buffer);
  if (!buffer_) {
    value_.assign(reinterpret_cast<const char*>(value.data()), value.size());
    value = std::as_bytes(std::span(value_));
  }
  operation() = Operation{};
  operation().input = value;
  store(OperationKind::kPut);
}

// The value is in the operation; `kind` would store it without the flags that Tair's commands gave
// it.
void KeyTransfer::store(OperationKind kind) {
  operation().condition = condition_;
  operation().expected_version = expected_version_;
  operation().expiry_ms = expiry_ms_;
  if (user_flags_ != 0) {
    kind = OperationKind::kModify;
    operation().function = wire::Function::kReplace;
    operation().modify.flags = wire::kSetUserFlags;
    operation().modify.user_flags = user_flags_;
  }
  submit<&KeyTransfer::stored>(kind, to_);
}

// ---- a value that is pinned --------------------------------------------------------------------

void KeyTransfer::upload_begun() {
  if (operation().code != Code::kOk) return end(operation().code);
  upload_ = operation().ticket;
  offset_ = 0;
  next_piece();
}

void KeyTransfer::next_piece() {
  operation() = Operation{};
  if (offset_ == length_) {
    operation().ticket = std::exchange(upload_, {});
    operation().total = length_;
    return store(OperationKind::kUploadCommit);
  }
  operation().ticket = pin_;
  operation().offset = offset_;
  const uint32_t most = std::min(kPieceBytes, request_.worker().client().max_single_put());
  operation().length = static_cast<uint32_t>(std::min<uint64_t>(most, length_ - offset_));
  submit<&KeyTransfer::piece_read>(OperationKind::kReadPinned, from_);
}

void KeyTransfer::piece_read() {
  if (operation().code != Code::kOk) return abort_upload(operation().code);
  ValueBuffer piece = std::move(operation().buffer);
  const uint32_t length = operation().length;
  operation() = Operation{};
  operation().ticket = upload_;
  operation().offset = offset_;
  operation().input_buffer = std::move(piece);
  offset_ += length;
  submit<&KeyTransfer::piece_sent>(OperationKind::kUploadChunk, to_);
}

void KeyTransfer::piece_sent() {
  if (operation().code != Code::kOk) return abort_upload(operation().code);
  next_piece();
}

void KeyTransfer::abort_upload(Code code) {
  failure_ = code;
  operation() = Operation{};
  operation().ticket = std::exchange(upload_, {});
  submit<&KeyTransfer::upload_aborted>(OperationKind::kUploadAbort, to_);
}

void KeyTransfer::upload_aborted() {
  end(failure_);
}

void KeyTransfer::give_pin_back() {
  if (pin_) request_.worker().release_pin(std::exchange(pin_, {}));
}

// ---- the end -----------------------------------------------------------------------------------

void KeyTransfer::stored() {
  buffer_.reset();
  give_pin_back();
  const Code code = operation().code;
  // Of a later attempt: somebody has stored something else since. That came after our renaming, and
  // so did what then became of `from`.
  if (code == Code::kVersionMismatch) return end(Code::kOk);
  if (code != Code::kOk || !moves_) return end(code);
  if (condition_ != Condition::kAlways) {
    condition_ = Condition::kIfVersion;
    expected_version_ = operation().version;
  }
  operation() = Operation{};
  operation().condition = Condition::kIfVersion;
  operation().expected_version = version_;
  submit<&KeyTransfer::removed>(OperationKind::kDelete, from_);
}

void KeyTransfer::removed() {
  const Code code = operation().code;
  if (code == Code::kVersionMismatch && attempts_ < kMostAttempts) return start();
  // Not found: it has been removed by somebody else, after it was renamed.
  if (code == Code::kNotFound) return end(Code::kOk);
  end(code == Code::kVersionMismatch ? Code::kBusy : code);
}

void KeyTransfer::end(Code code) {
  give_pin_back();
  buffer_.reset();
  operation().code = code;
  then_(request_);
}

}  // namespace rdmakv::proxy
