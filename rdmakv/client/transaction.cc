#include "rdmakv/client/transaction.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "protocol/kv_hash.h"
#include "protocol/kv_transaction.h"
#include "rdmakv/client/operation_message.h"

namespace rdmakv {
namespace {

constexpr uint32_t kPieceBytes = 256 * 1024;

void run_to_end(Client& client, Operation& operation) {
  client.submit(operation);
  client.wait(operation);
}

// What an operation brings is lent while its `done` runs only.
void keep(Operation& operation) {
  auto& kept = *static_cast<std::string*>(operation.context);
  if (!operation.value.empty()) {
    kept.assign(reinterpret_cast<const char*>(operation.value.data()), operation.value.size());
  }
}

void append(Operation& operation) {
  static_cast<std::string*>(operation.context)
      ->append(reinterpret_cast<const char*>(operation.value.data()), operation.value.size());
}

// A reply that the server keeps in place for us.
Code fetch(Client& client, const Operation& transaction, std::string& whole) {
  Code code = Code::kOk;
  while (code == Code::kOk && whole.size() < transaction.value_length) {
    Operation piece;
    piece.kind = OperationKind::kReadPinned;
    piece.ticket = transaction.ticket;
    piece.offset = whole.size();
    piece.length = static_cast<uint32_t>(
        std::min<uint64_t>(transaction.value_length - whole.size(), kPieceBytes));
    piece.buffer = client.allocate(piece.length);
    piece.done = &append;
    piece.context = &whole;
    const size_t before = whole.size();
    if (!piece.buffer) {
      code = Code::kBusy;
      break;
    }
    run_to_end(client, piece);
    code = piece.code;
    if (code == Code::kOk && whole.size() == before) code = Code::kProtocolError;
  }
  Operation release;
  release.kind = OperationKind::kRelease;
  release.ticket = transaction.ticket;
  run_to_end(client, release);
  return code;
}

}  // namespace

Code Transaction::watch(Client& client, std::string_view key, uint64_t* version) {
  Operation inspect;
  inspect.kind = OperationKind::kInspect;
  inspect.key = key;
  run_to_end(client, inspect);
  server_ = inspect.server;
  if (inspect.code != Code::kOk && inspect.code != Code::kNotFound) return inspect.code;
  if (version != nullptr) *version = inspect.version;
  requirements_.push_back({std::string(key), inspect.version, true, inspect.number, inspect.epoch});
  return Code::kOk;
}

void Transaction::require(std::string_view key, uint64_t version) {
  requirements_.push_back({std::string(key), version});
}

void Transaction::get(std::string_view key) {
  commands_.push_back({OperationKind::kGet, std::string(key), {}});
}

void Transaction::put(std::string_view key, std::string_view value, int64_t expiry_ms) {
  commands_.push_back({OperationKind::kPut, std::string(key), std::string(value), expiry_ms});
}

void Transaction::erase(std::string_view key) {
  commands_.push_back({OperationKind::kDelete, std::string(key), {}});
}

void Transaction::discard() {
  requirements_.clear();
  commands_.clear();
}

Code Transaction::build(wire::TransactionBuilder& builder, uint64_t& epoch) {
  const std::string& first =
      requirements_.empty() ? commands_.front().key : requirements_.front().key;
  const uint16_t slot = wire::hash_slot(first);
  const auto elsewhere = [slot](const auto& one) { return wire::hash_slot(one.key) != slot; };
  if (std::any_of(requirements_.begin(), requirements_.end(), elsewhere) ||
      std::any_of(commands_.begin(), commands_.end(), elsewhere)) {
    return Code::kWrongWorker;
  }
  bool fits = true;
  for (size_t i = 0; i < requirements_.size(); ++i) {
    const Requirement& one = requirements_[i];
    fits &= one.key.size() <= wire::kMaxKeyBytes;
    fits &= one.watched && one.version == 0 ? builder.require_absent_since(one.key, one.removals)
                                            : builder.require(one.key, one.version);
    if (!one.watched) continue;
    if (epoch != 0 && epoch != one.epoch) {
      unmet_ = i;
      return Code::kVersionMismatch;
    }
    epoch = one.epoch;
  }
  for (const Command& command : commands_) {
    Operation operation;
    operation.kind = command.kind;
    operation.expiry_ms = command.expiry_ms;
    if (command.expiry_ms < 0) return Code::kInvalidArgument;
    fits &= command.key.size() <= wire::kMaxKeyBytes;
    fits &= builder.add(request_of(operation), command.key,
                        std::as_bytes(std::span<const char>(command.value)));
  }
  return fits && builder.bytes() <= wire::kMaxValueBytes ? Code::kOk : Code::kTooLarge;
}

Code Transaction::exec(Client& client) {
  answers_.clear();
  unmet_ = 0;
  const Code code = requirements_.empty() && commands_.empty() ? Code::kOk : run(client);
  discard();
  return code;
}

Code Transaction::run(Client& client) {
  wire::TransactionBuilder builder;
  Operation operation;
  if (const Code code = build(builder, operation.epoch); code != Code::kOk) return code;
  std::string replies;
  operation.kind = OperationKind::kTransaction;
  operation.key = requirements_.empty() ? commands_.front().key : requirements_.front().key;
  operation.input = builder.finish();
  operation.done = &keep;
  operation.context = &replies;
  run_to_end(client, operation);
  server_ = operation.server;
  operation.buffer.reset();
  if (operation.code == Code::kVersionMismatch) unmet_ = operation.number;
  if (operation.code != Code::kOk) return operation.code;
  const bool is_pinned = static_cast<bool>(operation.ticket);
  // It took place; what it brought is lost.
  if (is_pinned && fetch(client, operation, replies) != Code::kOk) return Code::kUnknownOutcome;
  return take_answers(std::as_bytes(std::span<const char>(replies))) ? Code::kOk
                                                                     : Code::kProtocolError;
}

bool Transaction::take_answers(std::span<const std::byte> replies) {
  if (commands_.empty()) return true;
  wire::MessageReader reader(replies, wire::kMaxRequestsPerTransaction);
  wire::ReplyView reply;
  for (const Command& command : commands_) {
    if (!reader.next(reply)) return false;
    Operation operation;
    operation.kind = command.kind;
    rdmakv::take_reply(operation, reply);
    Answer& answer = answers_.emplace_back();
    answer.code = operation.code;
    answer.version = operation.version;
    answer.expiry_ms = operation.expiry;
    answer.server = server_;
    answer.value.assign(reinterpret_cast<const char*>(operation.value.data()),
                        operation.value.size());
  }
  return true;
}

}  // namespace rdmakv
