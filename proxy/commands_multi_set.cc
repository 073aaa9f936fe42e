// MSETNX and MSETEX: several keys of one hash slot, set in one step of the worker that owns them,
// or none of them. Keys of several slots are refused: nobody could set them in one step.
//
// One transaction (protocol/kv_transaction.h): what is asked of the keys are its preconditions, a
// PUT for each is its commands.
#include <algorithm>
#include <cstring>
#include <memory>

#include "protocol/kv_hash.h"
#include "protocol/kv_transaction.h"
#include "protocol/resp_parser.h"
#include "proxy/commands.h"
#include "proxy/connection.h"
#include "proxy/error_text.h"
#include "proxy/expiry_option.h"
#include "proxy/value_reply.h"
#include "proxy/worker.h"

namespace rdmakv::proxy::commands {
namespace {

constexpr uint64_t kPieceBytes = uint64_t{256} * 1024;

struct MultiSet {
  Arguments pairs;  // key, value, key, value ...
  Condition condition = Condition::kAlways;
  bool keep_expiry = false;
  int64_t expiry_ms = 0;
};

bool of_one_slot(Arguments pairs) {
  const uint16_t slot = wire::hash_slot(pairs[0]);
  for (size_t i = 2; i < pairs.size(); i += 2) {
    if (wire::hash_slot(pairs[i]) != slot) return false;
  }
  return true;
}

// False: more than a transaction takes.
bool build(const MultiSet& set, wire::TransactionBuilder& builder) {
  wire::RequestHeader require;
  require.opcode = wire::Opcode::kInspect;
  require.condition = set.condition;
  for (size_t i = 0; set.condition != Condition::kAlways && i < set.pairs.size(); i += 2) {
    if (!builder.add(require, set.pairs[i], {})) return false;
  }
  wire::RequestHeader put;
  put.opcode = wire::Opcode::kPut;
  put.expiry_ms = set.expiry_ms;
  if (set.keep_expiry) put.flags = wire::kKeepExpiry;
  for (size_t i = 0; i < set.pairs.size(); i += 2) {
    if (!builder.add(put, set.pairs[i], std::as_bytes(std::span(set.pairs[i + 1])))) return false;
  }
  return true;
}

// 1, or what went wrong with a key (the others are set): there was no room.
void finish_set(Request& request, Code failure) {
  if (failure == Code::kOk) return request.finish_integer(1);
  request.fail(failure);
  request.finish();
}

// The first that is not kOk among the replies, which carry no values.
Code failure_in(std::span<const std::byte> replies) {
  wire::ReplyHeader header;
  for (; replies.size() >= sizeof(header); replies = replies.subspan(sizeof(header))) {
    std::memcpy(&header, replies.data(), sizeof(header));
    if (header.status == wire::ReplyStatus::kNoSpace) return Code::kNoSpace;
    if (header.status == wire::ReplyStatus::kTooLarge) return Code::kTooLarge;
    if (header.status != wire::ReplyStatus::kOk) return Code::kBusy;
  }
  return Code::kOk;
}

void read_replies(Request& request);

// Replies so many that the server keeps them for us: read in pieces of whole replies.
void piece_read(Request& request) {
  Operation& operation = request.operation;
  const std::span<const std::byte> piece{operation.buffer.data(), operation.length};
  const Code failure = operation.code == Code::kOk ? failure_in(piece) : operation.code;
  operation.offset += operation.length;
  operation.buffer.reset();
  if (failure != Code::kOk || operation.offset >= operation.total) {
    request.worker().release_pin(operation.ticket);
    return finish_set(request, failure);
  }
  read_replies(request);
}

void read_replies(Request& request) {
  Operation& operation = request.operation;
  const uint64_t most = kPieceBytes / sizeof(wire::ReplyHeader) * sizeof(wire::ReplyHeader);
  operation.kind = OperationKind::kReadPinned;
  operation.length =
      static_cast<uint32_t>(std::min<uint64_t>(most, operation.total - operation.offset));
  operation.buffer = request.worker().client().allocate(operation.length);
  if (!operation.buffer) {
    request.worker().release_pin(operation.ticket);
    return request.finish_error(
        "ERR the proxy has no memory for the replies; the command has taken effect");
  }
  request.submit(&piece_read);
}

void multi_set_done(Request& request) {
  Operation& operation = request.operation;
  if (operation.code == Code::kConditionNotMet) return request.finish_integer(0);
  if (finish_if_failed(request)) return;
  if (request.in_transaction()) return request.finish_integer(1);  // no replies but this one
  constexpr size_t kHead = sizeof(wire::MessageHeader);
  if (operation.ticket) {
    operation.offset = kHead;
    operation.total = operation.value_length;
    return read_replies(request);
  }
  const std::span<const std::byte> replies = operation.value;
  finish_set(request,
             replies.size() < kHead ? Code::kProtocolError : failure_in(replies.subspan(kHead)));
}

void start(Request& request, const MultiSet& set) {
  if (!of_one_slot(set.pairs)) {
    return request.finish_error("CROSSSLOT Keys in request don't hash to the same slot");
  }
  wire::TransactionBuilder builder;
  if (!build(set, builder)) return request.finish_error("ERR too many keys in one command");
  const std::span<const std::byte> message = builder.finish();
  auto memory = std::make_unique_for_overwrite<std::byte[]>(message.size());
  std::memcpy(memory.get(), message.data(), message.size());
  Operation& operation = request.operation;
  operation.kind = OperationKind::kTransaction;
  request.set_key(set.pairs[0]);
  operation.input = {memory.get(), message.size()};
  request.keep(std::move(memory));
  request.submit(&multi_set_done);
}

}  // namespace

void msetnx(Request& request, Arguments arguments) {
  if (arguments.size() % 2 == 0) {
    return request.finish_error("ERR wrong number of arguments for 'msetnx' command");
  }
  MultiSet set;
  set.pairs = arguments.subspan(1);
  set.condition = Condition::kIfAbsent;
  start(request, set);
}

// MSETEX numkeys key value [key value ...] [NX | XX] [EX ... | KEEPTTL]
void msetex(Request& request, Arguments arguments) {
  const std::optional<int64_t> keys = resp::parse_integer(arguments[1]);
  if (!keys || *keys < 1 || *keys > INT32_MAX) {
    return request.finish_error("ERR invalid numkeys value");
  }
  const size_t end = 2 + 2 * static_cast<size_t>(*keys);
  if (arguments.size() < end) {
    return request.finish_error("ERR wrong number of key-value pairs");
  }
  const std::optional<SetOptions> options =
      parse_set_options(arguments.subspan(end), SetOptions::kConditions | SetOptions::kKeepTtl);
  if (!options) return request.finish_error(kSyntaxError);
  MultiSet set;
  set.pairs = arguments.subspan(2, end - 2);
  if (const ExpiryError error = read_expiry(request, arguments[2], *options, set.expiry_ms);
      error != ExpiryError::kNone) {
    return finish_expiry_error(request, error);
  }
  set.keep_expiry = options->keep_ttl;
  if (options->if_absent) set.condition = Condition::kIfAbsent;
  if (options->if_present) set.condition = Condition::kIfPresent;
  start(request, set);
}

}  // namespace rdmakv::proxy::commands
