#include "rdmakv/client/operation_message.h"

#include "rdmakv/client/operation_queue.h"

namespace rdmakv {
namespace {

wire::Opcode opcode_of(OperationKind kind) {
  switch (kind) {
    case OperationKind::kGet:
      return wire::Opcode::kGet;
    case OperationKind::kInspect:
      return wire::Opcode::kInspect;
    case OperationKind::kPut:
      return wire::Opcode::kPut;
    case OperationKind::kDelete:
      return wire::Opcode::kDelete;
    case OperationKind::kExpire:
      return wire::Opcode::kExpire;
    case OperationKind::kModify:
      return wire::Opcode::kModify;
    case OperationKind::kEvaluate:
      return wire::Opcode::kEvaluate;
    case OperationKind::kCount:
      return wire::Opcode::kCount;
    case OperationKind::kClear:
      return wire::Opcode::kClear;
    case OperationKind::kRelease:
      return wire::Opcode::kRelease;
    case OperationKind::kUploadBegin:
      return wire::Opcode::kUploadBegin;
    case OperationKind::kUploadChunk:
      return wire::Opcode::kUploadChunk;
    case OperationKind::kUploadCommit:
      return wire::Opcode::kUploadCommit;
    case OperationKind::kUploadAbort:
      return wire::Opcode::kUploadAbort;
    case OperationKind::kStats:
      return wire::Opcode::kStats;
    case OperationKind::kTransaction:
      return wire::Opcode::kTransaction;
    case OperationKind::kScan:
      return wire::Opcode::kScan;
    case OperationKind::kRandomKey:
      return wire::Opcode::kRandomKey;
    case OperationKind::kCopy:
      return wire::Opcode::kCopy;
    case OperationKind::kRename:
      return wire::Opcode::kRename;
    case OperationKind::kCombine:
      return wire::Opcode::kCombine;
    case OperationKind::kReadPinned:  // never sent
    case OperationKind::kPing:
      break;
  }
  return wire::Opcode::kPing;
}

}  // namespace

bool has_function(OperationKind kind) {
  return kind == OperationKind::kModify || kind == OperationKind::kEvaluate;
}

wire::ValueParts value_parts(Operation& operation) {
  wire::ValueParts parts;
  if (operation.kind == OperationKind::kModify) {
    operation.modify.comparison_length = static_cast<uint32_t>(operation.comparison.size());
    parts.operands = std::as_bytes(std::span(&operation.modify, 1));
    parts.comparison = operation.comparison;
  } else if (operation.kind == OperationKind::kEvaluate) {
    parts.operands = std::as_bytes(std::span(&operation.evaluate, 1));
  }
  parts.rest = input_of(operation);
  return parts;
}

wire::RequestHeader request_of(const Operation& operation) {
  wire::RequestHeader header;
  header.opcode = opcode_of(operation.kind);
  header.condition = operation.condition;
  if (operation.keep_expiry) header.flags |= wire::kKeepExpiry;
  if (operation.want_previous) header.flags |= wire::kWantPrevious;
  if (operation.want_if_unmet) header.flags |= wire::kWantIfUnmet;
  if (has_function(operation.kind)) header.function = operation.function;
  header.version = operation.expected_version;
  header.expiry_ms = operation.expiry_ms;
  if (operation.kind == OperationKind::kUploadBegin) header.total = operation.total;
  if (operation.kind == OperationKind::kUploadChunk) header.offset = operation.offset;
  if (operation.kind == OperationKind::kScan || operation.kind == OperationKind::kClear) {
    header.cursor = operation.offset;
    header.wanted = operation.length;
  }
  return header;
}

Code code_of(wire::ReplyStatus status) {
  switch (status) {
    case wire::ReplyStatus::kOk:
      return Code::kOk;
    case wire::ReplyStatus::kNotFound:
      return Code::kNotFound;
    case wire::ReplyStatus::kVersionMismatch:
      return Code::kVersionMismatch;
    case wire::ReplyStatus::kConditionNotMet:
      return Code::kConditionNotMet;
    case wire::ReplyStatus::kNoSpace:
      return Code::kNoSpace;
    case wire::ReplyStatus::kTooLarge:
      return Code::kTooLarge;
    case wire::ReplyStatus::kBadRequest:
      return Code::kInvalidArgument;
    case wire::ReplyStatus::kWrongWorker:
      return Code::kWrongWorker;
    case wire::ReplyStatus::kNoSuchTicket:
      return Code::kInvalidArgument;
    case wire::ReplyStatus::kTooMany:
      return Code::kBusy;
    case wire::ReplyStatus::kRefused:
      return Code::kInapplicable;
  }
  return Code::kProtocolError;
}

void take_header(Operation& operation, const wire::ReplyHeader& header) {
  const bool brings_value = (header.flags & (wire::kHasValue | wire::kPinned)) != 0;
  operation.code = code_of(header.status);
  operation.version = header.version;
  operation.expiry = header.expiry_ms;
  operation.number = brings_keys(operation.kind) ? header.cursor : header.number;
  operation.one_key = (header.flags & wire::kOneKey) != 0;
  operation.user_flags = header.user_flags;
  if (operation.code == Code::kInapplicable) {
    operation.refusal = static_cast<wire::Refusal>(header.number);
  }
  const bool tells_length =
      operation.kind == OperationKind::kInspect || operation.kind == OperationKind::kModify;
  operation.value_length = brings_value || tells_length ? header.value_length : 0;
  operation.has_previous = (operation.want_previous || operation.want_if_unmet) && brings_value;
  operation.input_buffer.reset();
}

void take_reply(Operation& operation, const wire::ReplyView& reply) {
  take_header(operation, reply.header);
  operation.ticket = {};
  operation.value = reply.value;
}

}  // namespace rdmakv
