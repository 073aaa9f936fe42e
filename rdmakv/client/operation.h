// One operation of the asynchronous client: what is asked, and what came of it.
//
// The caller owns the Operation. From Client::submit() until `done` is called it stays where it is
// and the caller leaves it alone; then it may be read, changed and submitted again. Submitting
// allocates nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "protocol/kv_message.h"
#include "rdmakv/transport/status.h"
#include "rdmakv/transport/value_buffer.h"

namespace rdmakv {

enum class OperationKind : uint8_t {
  kGet,
  kInspect,
  kPut,
  kDelete,
  kExpire,
  kModify,    // `function` of the value, in one step at the server (protocol/kv_modify.h)
  kEvaluate,  // likewise, but nothing changes
  // For every worker of every server at once, `number` is the sum. A kClear with a `length` removes
  // about so many keys at a time, so that workers serve others in between; what the same client
  // submits after it may then come before its end.
  kCount,
  kClear,
  // Values larger than one wants to hold in one piece (see Client):
  kReadPinned,  // bytes of a pinned value into `buffer`
  kRelease,
  kUploadBegin,
  kUploadChunk,
  kUploadCommit,
  kUploadAbort,
  // Several operations in one step of one worker, that of `key`: `input` is a message of requests,
  // `value` becomes the message of replies (protocol/kv_transaction.h has both); it may be pinned
  // as a GET's. kVersionMismatch, kConditionNotMet: nothing was done, because of precondition
  // `number`. kWrongWorker: nothing either,
  // because not all keys are of that worker.
  kTransaction,
  kPing,
  kStats,  // of one worker of one server: `server`, `worker`
  // Of one worker too. Keys, from place `offset` of its index on: at most `length` of them ->
  // `value` as the wire has it (for_each_scanned_key()), `number` where to go on, 0: at the end.
  // kInvalidArgument: there is no such worker. `destination` has kMaxKeyBytes.
  kScan,
  kRandomKey,  // likewise -> `value` is the key, `number` how many keys this worker has
  // The key `input` gets the value and the expiry of `key`, under the condition on it; kRename
  // removes `key`, in the same step. kWrongWorker: they are not on one worker.
  kCopy,
  kRename,
  // The key gets what the values of the keys named by `input` make together (kv_combine.h),
  // `number` bytes. kWrongWorker: they are not all on one worker.
  kCombine,
};

// What a kScan or a kRandomKey brings is lent as with kGet, or goes to the destination.
constexpr bool brings_keys(OperationKind kind) {
  return kind == OperationKind::kScan || kind == OperationKind::kRandomKey;
}

using Condition = wire::Condition;

// The way an operation was answered.
enum class ReadPath : uint8_t {
  kRequest,    // by the server
  kCached,     // one READ at a location known before
  kForwarded,  // that led on to a newer entry
  kIndexed,    // READ of the buckets, then of the entry (or there was none)
  kSwapped,    // a CAS by ATOMIC
};

// Names a value that the server keeps in place for us, or an upload under way. Valid on one
// connection: when it breaks, operations on it end with kUnavailable (an upload) or kUnknownOutcome
// (its commit).
struct Ticket {
  uint64_t id = 0;       // 0: none
  uint32_t session = 0;  // which connection, and which incarnation of it
  uint32_t generation = 0;
  uint64_t location = 0;  // pins: where the value begins in the worker's pool, bytes from its base
  explicit operator bool() const { return id != 0; }
};

struct Operation {
  using Done = void (*)(Operation& operation);

  // ---- asked ----
  OperationKind kind = OperationKind::kGet;
  Condition condition = Condition::kAlways;
  bool keep_expiry = false;       // kPut, kUploadCommit
  bool want_previous = false;     // kPut, kDelete, kExpire, kModify, kUploadCommit: `value` becomes
                                  // the value before
  bool want_if_unmet = false;     // kPut, kUploadCommit: likewise, if the condition was not met
  bool elsewhere = false;         // kCount, kClear: not of the worker that has `key`
  std::string_view key;           // bytes stay valid until done
  uint64_t expected_version = 0;  // Condition::kIfVersion; 0: the key must not exist
  // kTransaction: that of the server which its preconditions are about. A server that has started
  // anew since is not asked: kVersionMismatch, `number` 0. 0: whatever server there is. kInspect
  // tells it.
  uint64_t epoch = 0;
  int64_t expiry_ms = 0;     // kPut, kExpire, kModify, kUploadCommit: ms since 1970; 0: none
  uint64_t deadline_ns = 0;  // steady clock; 0: by the client's default timeout
  // The value to put (or chunk to upload): either any memory, which stays valid until done and is
  // copied once, or a registered buffer, which the client takes and sends without a copy.
  // kModify, kEvaluate: what the function works with besides its operands.
  std::span<const std::byte> input;
  ValueBuffer input_buffer;  // used if not empty: its first input_buffer.length() bytes
  // kGet: where the value is to be copied, of any size. Without it (data() null) the value is lent:
  // see `value`. Too small: kTooLarge, `value_length` tells the need.
  std::span<std::byte> destination;
  // About the largest value that is to be lent in registered memory; a larger one stays at the
  // server, pinned, as one does for which there is no memory. Below wire::kLargeValue: none that
  // does not come inside a message.
  uint32_t lend_most = UINT32_MAX;
  uint64_t offset = 0;  // kReadPinned, kUploadChunk, kScan
  uint32_t length = 0;  // kReadPinned: how many bytes; kScan: how many keys; kClear: at a time
  uint64_t total = 0;   // kUploadBegin: bytes of the whole value
  Ticket ticket;        // kReadPinned, kRelease, kUpload..., kModify if its input was uploaded;
                        // result of kUploadBegin, and of whatever brings a value, when the value is
                        // pinned: value_length > 0, value empty. Release it. After kBusy `session`
                        // names the connection that has too many pins; there is none to release.
  // kPing, kStats, kScan, kRandomKey: which. Otherwise told: the server that the operation went to;
  // of kCount and kClear, the first that failed.
  uint16_t server = 0, worker = 0;
  wire::Function function = wire::Function::kNone;
  wire::ModifyOperands modify;      // kModify; its comparison_length is filled in by the client
  wire::EvaluateOperands evaluate;  // kEvaluate
  std::string_view comparison;  // kModify: with what modify.comparison compares; stays till done

  Done done = nullptr;      // called from Client::poll(), never from submit()
  void* context = nullptr;  // the caller's

  // ---- came of it (valid from done on) ----
  Code code = Code::kOk;
  uint64_t version = 0;       // of the key now; 0: no such key
  int64_t expiry = 0;         // of the key now, ms since 1970; 0: none (kInspect, kGet, kExpire)
  uint64_t value_length = 0;  // of the value meant, also when it is pinned or did not fit
  // kCount, kClear, kCombine, kTransaction, kScan, kRandomKey; kModify, kEvaluate: what the
  // function says
  uint64_t number = 0;
  bool one_key = false;                          // kScan: `value` is one key and nothing else
  wire::Refusal refusal = wire::Refusal::kNone;  // with Code::kInapplicable
  uint16_t user_flags = 0;                       // of the key now
  bool has_previous = false;                     // want_previous: there was one
  ReadPath path = ReadPath::kRequest;
  std::span<const std::byte>
      value;  // the bytes lent: valid during done(), or as long as `buffer` is kept
  ValueBuffer
      buffer;  // holds `value` if it arrived in a registered buffer; the caller may move it away

  // ---- the client's own, while the operation is under way ----
  Operation* next = nullptr;
  uint64_t internal[8] = {};
};

// Calls visit(std::string_view) for each key that a kScan brought. False: `value` is malformed.
template <typename Visit>
bool for_each_scanned_key(const Operation& scan, Visit&& visit) {
  std::string_view rest(reinterpret_cast<const char*>(scan.value.data()), scan.value.size());
  if (scan.one_key) {
    visit(rest);
    return true;
  }
  while (!rest.empty()) {
    uint32_t length = 0;
    if (rest.size() < sizeof(length)) return false;
    std::memcpy(&length, rest.data(), sizeof(length));
    rest.remove_prefix(sizeof(length));
    if (rest.size() < length) return false;
    visit(rest.substr(0, length));
    rest.remove_prefix(length);
  }
  return true;
}

}  // namespace rdmakv
