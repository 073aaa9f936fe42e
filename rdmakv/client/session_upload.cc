// Session: the large PUT (or other operation with a large input) at the head of the queue, as an
// upload.
//
//   kUploadBegin -> ticket;  kUploadChunk x n, kWindow at a time, until all are acknowledged;
//   kUploadCommit, which is the PUT (or kTransaction, kModify): its reply ends the operation
//
// Until the commit is sent nothing has changed at the server, so after a broken connection all of
// it starts again on the next one.
#include <algorithm>

#include "rdmakv/client/operation_message.h"
#include "rdmakv/client/session.h"

namespace rdmakv {
namespace {

constexpr uint32_t kWindow = 4;  // chunks on their way; they share the ring
constexpr uint32_t kChunkAlignment = 64;

}  // namespace

bool Session::needs_upload(const Operation& operation) const {
  const uint64_t length = input_of(operation).size();
  const bool modifies = operation.kind == OperationKind::kModify;
  const uint64_t head = modifies ? sizeof(operation.modify) + operation.comparison.size() : 0;
  if (fits_message(operation.key.size(), head + length)) return false;
  if (length <= wire::kMaxChunk && fits_ring(operation.key.size(), head + length)) return false;
  return length != 0;
}

// So that kWindow chunks fit the ring; where there is hardly a ring, as much as a message holds.
uint32_t Session::chunk_limit(uint64_t key_length) const {
  const uint64_t overhead =
      sizeof(wire::MessageHeader) + wire::request_bytes(key_length, 0) + wire::kRingUnit;
  const uint64_t by_message = endpoint_->options().message_bytes;
  const uint64_t in_message =
      by_message > overhead ? std::min<uint64_t>(by_message - overhead, wire::kLargeValue - 1) : 0;
  const uint64_t in_ring = ring_.bytes() / kWindow;
  uint64_t most = in_message;
  if (in_ring > overhead && in_ring - overhead > in_message) {
    most = std::min<uint64_t>(in_ring - overhead, wire::kMaxChunk);
  }
  return static_cast<uint32_t>(most / kChunkAlignment * kChunkAlignment);
}

// True: the operation has left the queue.
bool Session::pump_upload(Operation& operation) {
  if (upload_.stage != Upload::Stage::kNone && upload_.operation != &operation) {
    return false;  // one before it, that timed out, is still being wound up
  }
  if (upload_.failure != Code::kOk) {
    if (upload_.outstanding > 0) return false;
    const Code failure = upload_.failure;
    queue_.pop_front();
    abandon_upload(true);
    end(operation, failure);
    wind_up_upload();
    return true;
  }
  switch (upload_.stage) {
    case Upload::Stage::kNone:
      return begin_upload(operation);
    case Upload::Stage::kChunks:
      return send_chunks(operation);
    case Upload::Stage::kBegun:
    case Upload::Stage::kOver:
      break;
  }
  return false;
}

bool Session::begin_upload(Operation& operation) {
  const uint64_t total = input_of(operation).size();
  if ((!fits_message(operation.key.size(), 0) && !fits_ring(operation.key.size(), 0)) ||
      chunk_limit(0) == 0) {
    queue_.pop_front();
    end(operation, Code::kTooLarge);
    return true;
  }
  Outgoing out;
  out.header.opcode = wire::Opcode::kUploadBegin;
  out.header.total = total;
  out.key = operation.key;
  out.operation = &operation;
  out.step = RequestStep::kUploadBegin;
  upload_.stage = Upload::Stage::kBegun;
  upload_.operation = &operation;
  upload_.total = total;
  upload_.outstanding = 1;
  if (!send_request(out)) {
    upload_ = {};
  } else if (operation.internal[kUploaded] == 0) {
    operation.internal[kUploaded] = 1;
  }
  return false;
}

bool Session::send_chunks(Operation& operation) {
  const std::span<const std::byte> input = input_of(operation);
  const uint64_t limit = chunk_limit(0);
  while (upload_.sent < upload_.total && upload_.outstanding < kWindow) {
    Outgoing out;
    out.header.opcode = wire::Opcode::kUploadChunk;
    out.header.ticket = upload_.ticket;
    out.header.offset = upload_.sent;
    out.value = input.subspan(upload_.sent, std::min(limit, upload_.total - upload_.sent));
    out.registered = static_cast<bool>(operation.input_buffer);
    out.operation = &operation;
    out.step = RequestStep::kUploadChunk;
    const uint64_t bytes = out.value.size();
    upload_.sent += bytes;
    ++upload_.outstanding;
    if (!send_request(out)) {
      upload_.sent -= bytes;
      --upload_.outstanding;
      return false;
    }
  }
  if (upload_.acknowledged < upload_.total) return false;
  return commit_upload(operation);
}

bool Session::commit_upload(Operation& operation) {
  Outgoing out;
  out.header = header_of(operation);
  if (operation.kind == OperationKind::kPut) out.header.opcode = wire::Opcode::kUploadCommit;
  out.header.ticket = upload_.ticket;
  out.key = operation.key;
  add_operands(operation, out);
  out.operation = &operation;
  out.landing = landing_wish(operation);
  out.stored = upload_.total;
  if (!send_request(out)) return false;
  count_from(operation, now_ns_);
  queue_.pop_front();
  // All of it has been stored; but if the commit turns out not to have been sent, it is wanted
  // again.
  table_.slot(table_.newest()).value = std::move(operation.input_buffer);
  upload_ = {};
  return true;
}

void Session::upload_reply(const RequestSlot& slot, const wire::ReplyHeader& reply) {
  --upload_.outstanding;
  const bool fine = reply.status == wire::ReplyStatus::kOk &&
                    (slot.step != RequestStep::kUploadBegin || reply.ticket != 0);
  if (!fine) {
    upload_.failure =
        reply.status == wire::ReplyStatus::kOk ? Code::kProtocolError : code_of(reply.status);
  }
  if (slot.step == RequestStep::kUploadBegin) {
    if (fine) upload_.ticket = reply.ticket;
    if (upload_.stage == Upload::Stage::kBegun) upload_.stage = Upload::Stage::kChunks;
  } else {
    upload_.acknowledged += slot.bytes;
    note_progress();
  }
}

// The default timeout counts from when the upload got further than ever before.
void Session::note_progress() {
  if (upload_.operation == nullptr) return;
  Operation& operation = *upload_.operation;
  if (upload_.acknowledged < operation.internal[kUploaded]) return;
  operation.internal[kUploaded] = upload_.acknowledged + 1;
  count_from(operation, answered_at_);
}

// The operation ends, or starts again elsewhere, before its upload did.
void Session::abandon_upload(bool operation_goes_on) {
  if (upload_.operation == nullptr) return;
  if (!operation_goes_on) upload_.source = std::move(upload_.operation->input_buffer);
  upload_.operation = nullptr;
  upload_.stage = Upload::Stage::kOver;
  context_.mark_dirty(*this);  // those behind it may go on
}

void Session::wind_up_upload() {
  if (upload_.stage != Upload::Stage::kOver || upload_.outstanding > 0) return;
  if (upload_.ticket != 0) releases_.push_back({wire::Opcode::kUploadAbort, upload_.ticket});
  upload_ = {};
  // Sent by the next pump().
  if (!releases_.empty()) context_.mark_dirty(*this);
}

}  // namespace rdmakv
