#include "proxy/transaction_run.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#include "protocol/kv_hash.h"
#include "proxy/command_log.h"
#include "proxy/connection.h"
#include "proxy/error_text.h"
#include "proxy/worker.h"
#include "rdmakv/client/operation_message.h"

namespace rdmakv::proxy {
namespace {

constexpr uint32_t kPieceBytes = 256 * 1024;
constexpr std::string_view kNullArray = "-";
constexpr std::string_view kCrossSlot = "CROSSSLOT Keys in request don't hash to the same slot";

// What is asked about keys, one or all, has its place in the step. The rest is the proxy's own
// business, and is done if the step was.
bool belongs_to_step(const Command& command) {
  return command.first_key != 0 || (command.categories & acl::kKeyspace) != 0;
}

}  // namespace

void TransactionRun::start(Request& exec, Transaction& transaction) {
  exec.run = std::make_unique<TransactionRun>(exec, transaction);
  exec.run->collect();
}

TransactionRun::TransactionRun(Request& exec, Transaction& transaction)
    : exec_(exec),
      commands_(std::move(transaction.commands())),
      requests_(commands_.size(), nullptr),
      watched_(std::move(transaction.watched())) {}

TransactionRun::~TransactionRun() {
  for (Request* request : requests_) {
    if (request != nullptr) exec_.worker().release(*request);
  }
}

// ---- collect -----------------------------------------------------------------------------------

void TransactionRun::collect() {
  for (const WatchedKey& one : watched_) {
    note_key(one.key);
    if (one.version != 0) {
      builder_.require(one.key, one.version);
    } else {
      builder_.require_absent_since(one.key, one.removals);
    }
  }
  for (size_t i = 0; i < commands_.size(); ++i) {
    if (belongs_to_step(*commands_[i].command)) run_command(i);
  }
  if (apart_) return fail(std::string(kCrossSlot));
  if (builder_.empty()) return answer({});
  submit();
}

void TransactionRun::run_command(size_t number) {
  const QueuedCommand& queued = commands_[number];
  const std::vector<std::string_view> arguments(queued.arguments.begin(), queued.arguments.end());
  Request& request = exec_.connection().new_part(exec_, *queued.command, arguments);
  requests_[number] = &request;
  if (permitted(request, arguments)) queued.command->handler(request, arguments);
}

// The user's rights may have changed since the command was queued.
bool TransactionRun::permitted(Request& request, Arguments arguments) {
  const AclVerdict verdict = exec_.connection().user()->check(request.command(), arguments);
  if (verdict.kind == AclVerdict::kAllowed) return true;
  request.text =
      "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC "
      "call. This command is no longer allowed for the following reason: ";
  request.text += verdict.kind == AclVerdict::kKeyDenied
                      ? "no permission to touch the specified keys"
                      : "no permission to execute the command or subcommand";
  request.finish_error(request.text);
  return false;
}

void TransactionRun::note_key(std::string_view key) {
  if (first_key_known_) {
    apart_ |= !exec_.worker().go_together(first_key_, key);
  } else {
    first_key_ = key;
    first_key_known_ = true;
  }
}

void TransactionRun::capture(Operation& operation) {
  if (phase_ == Phase::kCollect && encode(operation)) {
    captured_.push_back(&operation);
    return;
  }
  // Questions about the servers as a whole, such as INFO's.
  if (phase_ == Phase::kAnswer && operation.key.empty() &&
      operation.kind != OperationKind::kClear) {
    return exec_.worker().submit(operation);
  }
  refused_.push_back(&operation);
}

bool TransactionRun::encode(Operation& operation) {
  const wire::RequestHeader header = request_of(operation);
  if (!wire::may_be_in_transaction(header.opcode)) return false;
  if (operation.kind == OperationKind::kCount) {
    if (!exec_.worker().client().has_one_worker()) return false;
  } else {
    note_key(operation.key);
  }
  return builder_.add_parts(header, operation.key, value_parts(operation));
}

// ---- step --------------------------------------------------------------------------------------

void TransactionRun::submit() {
  phase_ = Phase::kStep;
  operation_.kind = OperationKind::kTransaction;
  operation_.key = first_key_;
  operation_.input = builder_.finish();
  operation_.done = &TransactionRun::step_done;
  operation_.context = this;
  exec_.worker().submit(operation_);
}

void TransactionRun::step_done(Operation& operation) {
  static_cast<TransactionRun*>(operation.context)->ended();
}

void TransactionRun::ended() {
  switch (operation_.code) {
    case Code::kOk:
      break;
    case Code::kVersionMismatch:
    case Code::kConditionNotMet:
      return fail(std::string(kNullArray));
    case Code::kWrongWorker:
      return fail(std::string(kCrossSlot));
    default:
      return fail(error_of(operation_.code));
  }
  const bool is_pinned = operation_.ticket && operation_.value.empty();
  if (!is_pinned) return answer(operation_.value);
  long_reply_bytes_ = operation_.value_length;
  long_reply_ = std::make_unique_for_overwrite<std::byte[]>(long_reply_bytes_);
  fetch();
}

std::string TransactionRun::error_of(Code code) const {
  const std::string text = error_text(code, true, exec_.worker().client(), operation_.server);
  // Whether it took place is not known.
  if (code == Code::kTimeout || code == Code::kUnknownOutcome) return text;
  return "EXECABORT Transaction discarded because of: " +
         text.substr(std::min(text.find(' ') + 1, text.size()));
}

// One piece after the other.
void TransactionRun::fetch() {
  const auto wanted =
      static_cast<uint32_t>(std::min<uint64_t>(kPieceBytes, long_reply_bytes_ - fetched_));
  ValueBuffer buffer = exec_.worker().client().allocate(wanted);
  if (!buffer && wanted > 4096) buffer = exec_.worker().client().allocate(4096);
  if (!buffer) return exec_.worker().wait_for_arena(exec_.connection());
  piece_ = Operation{};
  piece_.kind = OperationKind::kReadPinned;
  piece_.ticket = operation_.ticket;
  piece_.offset = fetched_;
  piece_.length = std::min(wanted, buffer.capacity());
  piece_.buffer = std::move(buffer);
  piece_.done = &TransactionRun::piece_done;
  piece_.context = this;
  fetching_ = true;
  exec_.worker().submit(piece_);
}

void TransactionRun::piece_done(Operation& operation) {
  auto& self = *static_cast<TransactionRun*>(operation.context);
  self.fetching_ = false;
  if (operation.code != Code::kOk) {
    operation.buffer.reset();
    self.exec_.worker().release_pin(self.operation_.ticket);
    return self.fail("ERR the transaction took place, but its replies were lost: " +
                     std::string(code_name(operation.code)));
  }
  std::memcpy(self.long_reply_.get() + self.fetched_, operation.buffer.data(), operation.length);
  operation.buffer.reset();
  self.fetched_ += operation.length;
  if (self.fetched_ < self.long_reply_bytes_) return self.fetch();
  self.exec_.worker().release_pin(self.operation_.ticket);
  self.answer({self.long_reply_.get(), self.long_reply_bytes_});
}

void TransactionRun::go_on() {
  if (long_reply_ != nullptr && !fetching_ && fetched_ < long_reply_bytes_) fetch();
}

// ---- answer ------------------------------------------------------------------------------------

void TransactionRun::answer(std::span<const std::byte> replies) {
  phase_ = Phase::kAnswer;
  wire::MessageReader reader(replies, wire::kMaxRequestsPerTransaction);
  wire::ReplyView reply;
  for (Operation* operation : captured_) {
    // The client has checked the message as a whole only.
    if (!reader.next(reply)) {
      operation->code = Code::kProtocolError;
    } else {
      take_reply(*operation, reply);
    }
    operation->done(*operation);
  }
  captured_.clear();
  for (size_t i = 0; i < commands_.size(); ++i) {
    show(*commands_[i].command, commands_[i].arguments);
    if (requests_[i] == nullptr) run_command(i);
    end_refused();
  }
  answered_ = true;
  finish_if_done();
}

void TransactionRun::show(const Command& command, const std::vector<std::string>& arguments) {
  exec_.connection().show_command(
      command, std::vector<std::string_view>(arguments.begin(), arguments.end()));
}

void TransactionRun::end_refused() {
  while (!refused_.empty()) {
    Operation* operation = refused_.back();
    refused_.pop_back();
    operation->code = Code::kRefused;
    operation->done(*operation);
  }
}

// Nothing took place.
void TransactionRun::fail(std::string reply) {
  phase_ = Phase::kAnswer;
  failure_ = std::move(reply);
  discarding_ = true;
  for (Operation* operation : std::exchange(captured_, {})) {
    operation->code = Code::kCancelled;
    operation->done(*operation);
  }
  end_refused();
  answered_ = true;
  finish_if_done();
}

void TransactionRun::command_finished() {
  ++finished_;
  if (answered_) finish_if_done();
}

// The last that is done here: the request may be gone afterwards, and this with it.
void TransactionRun::finish_if_done() {
  size_t begun = 0;
  for (const Request* request : requests_) begun += request != nullptr ? 1 : 0;
  if (finished_ < begun) return;
  Request& exec = exec_;
  const std::string_view exec_arguments[] = {exec.command().called};
  if (failure_ == kNullArray) {
    exec.reply().null_array();
  } else if (!failure_.empty()) {
    if (!exec.worker().shutting_down()) exec.error(failure_);
  } else {
    exec.reply().array(commands_.size());
    for (Request* request : requests_) request->move_reply_to(exec.output());
  }
  exec.connection().show_command(exec.command(), exec_arguments);
  exec.finish();
}

}  // namespace rdmakv::proxy
