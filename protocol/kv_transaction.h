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
//   command      = a request on one key, as it would be sent alone, without a ticket:
//                  may_be_in_transaction(). One
//                  that fails (a condition of its own, no space) does not undo the others, as in
//                  Redis.
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

#include "protocol/kv_message.h"

namespace rdmakv::wire {

constexpr bool is_precondition(const RequestHeader& request) {
  return request.opcode == Opcode::kInspect && request.condition != Condition::kAlways;
}

// Requests on one key (or none) that end when they are answered.
constexpr bool may_be_in_transaction(Opcode opcode) {
  switch (opcode) {
    case Opcode::kGet:
    case Opcode::kInspect:
    case Opcode::kPut:
    case Opcode::kDelete:
    case Opcode::kExpire:
    case Opcode::kModify:
    case Opcode::kEvaluate:
    case Opcode::kCount:  // of this worker's keys
      return true;
    default:
      return false;
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
