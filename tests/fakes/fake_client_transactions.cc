// FakeClient: what is about several keys.
#include <algorithm>
#include <cstring>
#include <utility>

#include "protocol/kv_combine.h"
#include "protocol/kv_transaction.h"
#include "tests/fakes/fake_client.h"

namespace rdmakv::fakes {
namespace {

std::string_view text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

void FakeClient::transact(Operation& operation, Ended& ended) {
  if (pins_.size() >= options_.most_pins) {
    operation.code = Code::kBusy;
    return;
  }
  wire::MessageReader reader(operation.input, wire::kMaxRequestsPerTransaction);
  wire::RequestView request;
  wire::MessageHeader header;
  header.kind = wire::MessageKind::kReplies;
  std::string replies(sizeof(header), '\0');
  for (uint64_t number = 0; reader.next(request); ++number) {
    if (!run_part(request, operation, number, replies)) return;
    if (!wire::is_precondition(request.header)) ++header.count;
  }
  if (!reader.valid()) {
    operation.code = Code::kInvalidArgument;
    return;
  }
  std::memcpy(replies.data(), &header, sizeof(header));
  lend(operation, header.count == 0 ? std::string() : replies, ended);
}

// False: a precondition that is not met.
bool FakeClient::run_part(const wire::RequestView& request, Operation& whole, uint64_t number,
                          std::string& replies) {
  const wire::RequestHeader& header = request.header;
  Operation part;
  part.condition = header.condition;
  part.keep_expiry = (header.flags & wire::kKeepExpiry) != 0;
  part.want_previous = (header.flags & wire::kWantPrevious) != 0;
  part.key = request.key;
  part.expected_version = header.version;
  part.expiry_ms = header.expiry_ms;
  part.input = request.value;
  if (wire::is_precondition(header)) {
    whole.code = check(part, find(part.key));
    whole.number = number;
    return whole.code == Code::kOk;
  }
  switch (header.opcode) {
    case wire::Opcode::kTransaction:
      part.kind = OperationKind::kTransaction;
      break;
    case wire::Opcode::kClear:
      part.kind = OperationKind::kClear;
      break;
    case wire::Opcode::kScan:
      part.kind = OperationKind::kScan;
      part.offset = header.cursor;
      part.length = static_cast<uint32_t>(header.wanted);
      break;
    case wire::Opcode::kRandomKey:
      part.kind = OperationKind::kRandomKey;
      break;
    case wire::Opcode::kCopy:
      part.kind = OperationKind::kCopy;
      break;
    case wire::Opcode::kRename:
      part.kind = OperationKind::kRename;
      break;
    case wire::Opcode::kCombine:
      part.kind = OperationKind::kCombine;
      break;
    case wire::Opcode::kGet:
      part.kind = OperationKind::kGet;
      break;
    case wire::Opcode::kInspect:
      part.kind = OperationKind::kInspect;
      break;
    case wire::Opcode::kPut:
      part.kind = OperationKind::kPut;
      break;
    case wire::Opcode::kDelete:
      part.kind = OperationKind::kDelete;
      break;
    case wire::Opcode::kExpire:
      part.kind = OperationKind::kExpire;
      break;
    case wire::Opcode::kModify:
    case wire::Opcode::kEvaluate:
      take_function(request, part);
      break;
    default:
      part.kind = OperationKind::kCount;
      break;
  }
  Ended ended;
  execute(part, ended);
  std::string value = part.buffer ? std::string(text(part.value)) : ended.lent;
  if (part.ticket) {
    value = pins_[part.ticket.id];
    pins_.erase(part.ticket.id);
  }
  const bool tells_value = part.kind == OperationKind::kGet || brings_keys(part.kind) ||
                           part.function == wire::Function::kRange ||
                           part.function == wire::Function::kGetFields ||
                           part.function == wire::Function::kSetFields ||
                           part.function == wire::Function::kIncrementFloat;
  const bool has_value = part.has_previous || (tells_value && part.code == Code::kOk);
  wire::ReplyHeader reply;
  constexpr std::pair<Code, wire::ReplyStatus> kStatus[] = {
      {Code::kOk, wire::ReplyStatus::kOk},
      {Code::kNotFound, wire::ReplyStatus::kNotFound},
      {Code::kVersionMismatch, wire::ReplyStatus::kVersionMismatch},
      {Code::kConditionNotMet, wire::ReplyStatus::kConditionNotMet},
      {Code::kInapplicable, wire::ReplyStatus::kRefused}};
  for (const auto& [code, status] : kStatus) {
    if (code == part.code) reply.status = status;
  }
  reply.flags = has_value ? wire::kHasValue : 0;
  reply.version = brings_keys(part.kind) ? part.number : part.version;
  reply.expiry_ms = part.expiry;
  reply.number =
      part.code == Code::kInapplicable ? static_cast<uint64_t>(part.refusal) : part.number;
  reply.value_length = static_cast<uint32_t>(has_value ? value.size() : part.value_length);
  replies.append(reinterpret_cast<const char*>(&reply), sizeof(reply));
  if (has_value) replies.append(value);
  replies.resize(wire::padded(replies.size()), '\0');
  return true;
}

// The place in the index is the number in the map's order, so it holds while no key comes or goes.
void FakeClient::scan(Operation& operation, Ended& ended) {
  if (operation.server != 0 || operation.worker != 0) {
    operation.code = Code::kInvalidArgument;
    return;
  }
  uint64_t at = 0;
  for (const auto& [key, entry] : store) {
    if (at >= operation.offset + operation.length) break;
    if (at++ < operation.offset) continue;
    const auto length = static_cast<uint32_t>(key.size());
    ended.lent.append(reinterpret_cast<const char*>(&length), sizeof(length)).append(key);
  }
  operation.number = at < store.size() ? at : 0;
}

void FakeClient::copy(Operation& operation) {
  const std::string to(text(operation.input));
  if (different_workers) {
    operation.code = Code::kWrongWorker;
    return;
  }
  const Entry* from = find(operation.key);
  if (from == nullptr) {
    operation.code = Code::kNotFound;
    return;
  }
  operation.code = check(operation, find(to));
  if (operation.code != Code::kOk) return;
  Entry copied = *from;
  const Entry* old = find(to);
  copied.version = (old != nullptr ? old->version : version_floor_) + 1;
  store[to] = copied;
  if (operation.kind == OperationKind::kRename) erase_key(operation.key);
  operation.version = copied.version;
}

void FakeClient::combine(Operation& operation) {
  if (different_workers) {
    operation.code = Code::kWrongWorker;
    return;
  }
  std::vector<std::string> values;
  wire::for_each_source(operation.input, [&](std::string_view source) {
    const Entry* entry = find(source);
    values.push_back(entry == nullptr ? std::string() : entry->value);
    return true;
  });
  const auto how = static_cast<wire::BitOperation>(operation.input[0]);
  for (const std::string& value : values)
    operation.number = std::max(operation.number, value.size());
  std::string result = values.front();
  result.resize(operation.number);
  const auto bytes = std::as_writable_bytes(std::span(result));
  if (how == wire::BitOperation::kNot) wire::combine_bits(how, bytes, {});
  for (size_t i = 1; i < values.size(); ++i) {
    wire::combine_bits(how, bytes, std::as_bytes(std::span(values[i])));
  }
  const bool existed = find(operation.key) != nullptr;
  if (result.empty()) {
    if (existed) erase_key(operation.key);
    return;
  }
  Entry& entry = store[std::string(operation.key)];
  if (!existed) entry.version = version_floor_;
  entry.value = result;
  entry.expiry = 0;
  entry.user_flags = 0;
  operation.version = ++entry.version;
}

}  // namespace rdmakv::fakes
