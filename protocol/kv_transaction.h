// Several requests that a worker executes in one step: nobody, not even a one-sided reader, sees
// some of them done and others not. Both ends of Opcode::kTransaction; pure code.
//
//   request's value = a message of requests     preconditions first, then commands
//   reply's value   = a message of replies      one per command, none for preconditions;
//                                               nothing at all when there is no command
//
//   precondition = kInspect with kIfVersion, kIfAbsent, kIfPresent or kIfStillAbsent. When one of
//   them is not met
//                  nothing is done: the reply's status says so, its `number` which, and there is no
//                  value.
//   command      = a request as it would be sent alone, without a ticket: may_be_in_transaction().
//                  One that fails (a condition of its own, no space) does not undo the others, as
//                  in Redis. kCount, kClear, kScan and kRandomKey are about this worker's keys, at
//                  their place among the commands; kScan brings as many as it asks for.
//   A command may be a transaction, of preconditions, PUTs and DELETEs, and no further ones. It has
//   one reply and no value: what kept it from taking place, else the first failure among its
//   commands.
//
// All keys belong to the worker that is asked: kWrongWorker otherwise. A message larger than the
// ring takes is uploaded (kUploadBegin, kUploadChunk) and named by its ticket. In replies to
// commands, values of any size follow their headers; `location` is not told.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "protocol/kv_combine.h"
#include "protocol/kv_message.h"
#include "protocol/kv_opcode.h"

namespace rdmakv::wire {

constexpr bool is_precondition(const RequestHeader& request) {
  return request.opcode == Opcode::kInspect && request.condition != Condition::kAlways;
}

// Requests that end when they are answered.
constexpr bool may_be_in_transaction(Opcode opcode) {
  return is(opcode, opcode::kInTransaction);
}

// What a command of a transaction within a transaction may be.
constexpr bool may_be_nested(const RequestHeader& request) {
  return is(request.opcode, opcode::kNested) &&
         (request.flags & (kWantPrevious | kWantIfUnmet)) == 0;
}

// Calls visit(request) for each request of a message, until that returns false. False then, and if
// the message is malformed.
template <typename Visit>
bool for_each_request(std::span<const std::byte> message, Visit&& visit) {
  MessageReader reader(message, kMaxRequestsPerTransaction);
  RequestView request;
  while (reader.next(request)) {
    if (!visit(request)) return false;
  }
  return reader.valid();
}

// Calls visit(key, changes) for each key that a request of a transaction is about, preconditions
// too, until that returns false. False then, and if what names keys is malformed.
template <typename Visit>
bool for_each_key(const RequestView& request, Visit&& visit, bool nested = false) {
  const std::string_view other{reinterpret_cast<const char*>(request.value.data()),
                               request.value.size()};
  if (is(request.header.opcode, opcode::kAllKeys)) return true;
  switch (request.header.opcode) {
    case Opcode::kCopy:
    case Opcode::kRename:
      return visit(request.key, request.header.opcode == Opcode::kRename) && visit(other, true);
    case Opcode::kCombine:
      return visit(request.key, true) &&
             for_each_source(request.value,
                             [&](std::string_view source) { return visit(source, false); });
    case Opcode::kTransaction:
      return !nested && for_each_request(request.value, [&](const RequestView& inner) {
        return for_each_key(inner, visit, true);
      });
    default:
      return visit(request.key, !is(request.header.opcode, opcode::kLooks));
  }
}

// Builds the request's value. Grows as needed and keeps its memory for the next one. Not
// thread-safe.
class TransactionBuilder {
 public:
  TransactionBuilder() { clear(); }
  void clear();
  // The key must have `version`; 0: it must not exist. Before the first command.
  bool require(std::string_view key, uint64_t version);
  // The key must not have existed since a kInspect said so, with this number. Likewise.
  bool require_absent_since(std::string_view key, uint64_t number);
  // key_length and value_length of the header are filled in. False, and nothing has changed: there
  // are kMaxRequestsPerTransaction already.
  bool add(RequestHeader header, std::string_view key, std::span<const std::byte> value);
  bool add_parts(RequestHeader header, std::string_view key, const ValueParts& value);
  uint32_t count() const { return count_; }
  bool empty() const { return count_ == 0; }
  uint64_t bytes() const { return bytes_.size(); }
  // Valid until the next change.
  std::span<const std::byte> finish();

 private:
  std::vector<std::byte> bytes_;
  uint32_t count_ = 0;
};

}  // namespace rdmakv::wire
