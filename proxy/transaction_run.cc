#include "proxy/transaction_run.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#include "protocol/kv_hash.h"
#include "proxy/command_log.h"
#include "proxy/connection.h"
#include "proxy/error_text.h"
#include "proxy/value_stream.h"
#include "proxy/worker.h"
#include "rdmakv/client/operation_message.h"

namespace rdmakv::proxy {
namespace {

constexpr std::string_view kNullArray = "-";
constexpr std::string_view kCrossSlot = "CROSSSLOT Keys in request don't hash to the same slot";
constexpr std::string_view kTooLong =
    "EXECABORT Transaction discarded because of: watched keys and keys of commands are more than "
    "65535";
static_assert(wire::kMaxRequestsPerTransaction == 65535);

// What is asked about keys, one or all, has its place in the step. The rest is the proxy's own
// business, and is done if the step was.
bool is_about_keys(const Command& command) {
  return command.first_key != 0 || (command.categories & acl::kKeyspace) != 0;
}

// Operations on the keys of a worker as a whole, or of all.
bool is_about_all(OperationKind kind) {
  return kind == OperationKind::kCount || kind == OperationKind::kClear || brings_keys(kind);
}

}  // namespace

void TransactionRun::start(Request& exec, Transaction& transaction) {
  exec.run = std::make_unique<TransactionRun>(exec, transaction);
  TransactionRun& run = *exec.run;
  if (!run.must_learn_workers()) return run.collect();
  run.operation_.kind = OperationKind::kCount;
  run.operation_.done = &TransactionRun::workers_learnt;
  run.operation_.context = &run;
  exec.worker().submit(run.operation_);
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

// Where keys are is not known before every server was asked for the first time.
bool TransactionRun::must_learn_workers() const {
  const Client& client = exec_.worker().client();
  const bool about_all = std::any_of(commands_.begin(), commands_.end(), [](const auto& queued) {
    return is_about_keys(*queued.command) && queued.command->first_key == 0;
  });
  if (!about_all || client.has_one_worker()) return false;
  const std::vector<ServerState> servers = client.servers();
  return std::any_of(servers.begin(), servers.end(),
                     [](const ServerState& server) { return server.workers == 0; });
}

// A server that could not be asked fails its share later.
void TransactionRun::workers_learnt(Operation& operation) {
  auto& self = *static_cast<TransactionRun*>(operation.context);
  operation = Operation{};
  self.exec_.worker().shutting_down() ? self.discard() : self.collect();
}

// Of the keys it is about, which all have to be on one worker.
void TransactionRun::find_first_key() {
  if (!watched_.empty()) return note_key(watched_.begin()->first);
  for (const QueuedCommand& queued : commands_) {
    const std::vector<std::string_view> arguments(queued.arguments.begin(), queued.arguments.end());
    const std::vector<size_t> keys = key_positions(*queued.command, arguments);
    if (!keys.empty()) return note_key(arguments[keys.front()]);
  }
}

bool TransactionRun::takes_place_at(uint16_t server, uint16_t worker) const {
  const Client& client = exec_.worker().client();
  return client.has_one_worker() ||
         (first_key_known_ && client.is_with(first_key_, server, worker));
}

void TransactionRun::collect() {
  find_first_key();
  for (const auto& [key, watched] : watched_) {
    note_key(key);
    too_long_ |= watched.version != 0 ? !builder_.require(key, watched.version)
                                      : !builder_.require_absent_since(key, watched.removals);
  }
  for (size_t i = 0; i < commands_.size(); ++i) {
    if (is_about_keys(*commands_[i].command)) run_command(i);
  }
  if (apart_) return fail(std::string(kCrossSlot));
  if (too_long_) return fail(std::string(kTooLong));
  if (builder_.empty()) return answer({});
  if (!watched_.empty()) operation_.epoch = watched_.begin()->second.epoch;
  for (const auto& [key, watched] : watched_) {
    if (watched.epoch != operation_.epoch) return fail(std::string(kNullArray));
  }
  submit();
}

void TransactionRun::run_command(size_t number) {
  const QueuedCommand& queued = commands_[number];
  const std::vector<std::string_view> arguments(queued.arguments.begin(), queued.arguments.end());
  // Not even begun: all that it issues would have to be kept until it turns out.
  constexpr size_t kMost = wire::kMaxRequestsPerTransaction;
  too_long_ |= arguments.size() > kMost && key_positions(*queued.command, arguments).size() > kMost;
  if (too_long_) return;
  Request& request = exec_.connection().new_part(exec_, number, *queued.command, arguments);
  requests_[number] = &request;
  if (permitted(request, arguments)) queued.command->handler(request, arguments);
}

// The user's rights may have changed since the command was queued.
bool TransactionRun::permitted(Request& request, Arguments arguments) {
  Connection& connection = exec_.connection();
  const AclVerdict verdict = connection.user()->check(request.command(), arguments);
  if (verdict.kind == AclVerdict::kAllowed) return true;
  connection.log_denial(request, verdict, arguments);
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

void TransactionRun::note_keys(Operation& operation) {
  wire::RequestView request;
  request.header = request_of(operation);
  request.key = operation.key;
  request.value = value_parts(operation).rest;
  wire::for_each_key(request, [this](std::string_view key, bool) {
    note_key(key);
    return true;
  });
}

void TransactionRun::capture(const Request& part, Operation& operation) {
  const size_t command = part.part_number();
  if (discarding_) return end(operation, Code::kCancelled);
  if (phase_ == Phase::kCollect && belongs_to_step(operation)) {
    if (encode(operation)) return captured_.push_back({command, &operation});
  } else if (is_about_all(operation.kind)) {
    if (phase_ == Phase::kAnswer && turn_begun_ && turn_ == command) {
      return exec_.worker().submit(operation);
    }
    return deferred_.push_back({command, &operation});
  } else if (phase_ == Phase::kAnswer && operation.key.empty()) {
    return exec_.worker().submit(operation);  // questions about the servers, such as INFO's
  }
  end(operation, Code::kRefused);
}

bool TransactionRun::belongs_to_step(const Operation& operation) const {
  switch (operation.kind) {
    case OperationKind::kCount:
    case OperationKind::kClear:
      return first_key_known_ || exec_.worker().client().has_one_worker();
    case OperationKind::kScan:
    case OperationKind::kRandomKey:
      return takes_place_at(operation.server, operation.worker);
    default:
      return true;
  }
}

bool TransactionRun::encode(Operation& operation) {
  const wire::RequestHeader header = request_of(operation);
  if (!wire::may_be_in_transaction(header.opcode)) return false;
  if (!is_about_all(operation.kind)) note_keys(operation);
  if (!builder_.add_parts(header, operation.key, value_parts(operation))) {
    too_long_ = true;
    return false;
  }
  const bool has_rest =
      operation.kind == OperationKind::kCount || operation.kind == OperationKind::kClear;
  if (has_rest && !exec_.worker().client().has_one_worker()) {
    rests_.emplace_back();
    rests_.back().run = this;
    rests_.back().whole = &operation;
  }
  return true;
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
    case Code::kBusy:
      if (wait_for_pin()) return;
      return fail(error_of(operation_.code));
    default:
      return fail(error_of(operation_.code));
  }
  const bool is_pinned = operation_.ticket && operation_.value.empty();
  if (!is_pinned) return answer(operation_.value);
  long_reply_bytes_ = operation_.value_length;
  long_reply_ = std::make_unique_for_overwrite<std::byte[]>(long_reply_bytes_);
  fetch();
}

// Nothing took place, because the server had no pin to spare for a long reply. Since EXEC runs
// alone, nothing that would be done before it was issued behind it.
bool TransactionRun::wait_for_pin() {
  Connection& connection = exec_.connection();
  if (connection.closed() || exec_.worker().shutting_down()) return false;
  PinWaiter& waiter = exec_.pin_waiter;
  waiter.connection = &connection;
  waiter.session = std::exchange(operation_.ticket, {}).session;
  waiter.context = this;
  waiter.again = [](void* context) {
    auto& self = *static_cast<TransactionRun*>(context);
    self.exec_.worker().submit(self.operation_);
  };
  waiter.give_up = [](void* context) {
    auto& self = *static_cast<TransactionRun*>(context);
    self.fail(self.error_of(Code::kBusy));
  };
  exec_.worker().pin_waiters().wait(waiter);
  return true;
}

std::string TransactionRun::error_of(Code code) const {
  std::string text = error_text(code, true, exec_.worker().client(), operation_.server);
  // Whether it took place is not known.
  if (code == Code::kTimeout || code == Code::kUnknownOutcome) return text;
  return "EXECABORT Transaction discarded because of: " +
         text.substr(std::min(text.find(' ') + 1, text.size()));
}

// One piece after the other.
void TransactionRun::fetch() {
  const auto wanted = static_cast<uint32_t>(
      std::min<uint64_t>(ValueStream::kPieceBytes, long_reply_bytes_ - fetched_));
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
  advancing_ = true;  // not before every command has what the step brought
  wire::MessageReader reader(replies, wire::kMaxRequestsPerTransaction);
  wire::ReplyView reply;
  for (const Deferred& one : std::exchange(captured_, {})) {
    // The client has checked the message as a whole only.
    if (!reader.next(reply)) {
      one.operation->code = Code::kProtocolError;
    } else {
      take_reply(*one.operation, reply);
    }
    end_captured(one);
  }
  end_refused();
  std::stable_sort(deferred_.begin(), deferred_.end(),
                   [](const Deferred& a, const Deferred& b) { return a.command < b.command; });
  advancing_ = false;
  advance();
}

// Its share in the step is done; the rest of it, if there is one, waits for its turn.
void TransactionRun::end_captured(const Deferred& captured) {
  Operation& whole = *captured.operation;
  const bool has_rest = next_rest_ < rests_.size() && rests_[next_rest_].whole == &whole;
  if (!has_rest) return whole.done(whole);
  Rest& rest = rests_[next_rest_++];
  if (whole.code != Code::kOk) return whole.done(whole);
  rest.operation.kind = whole.kind;
  rest.operation.length = whole.length;
  rest.operation.elsewhere = true;
  rest.operation.key = first_key_;
  rest.operation.done = &TransactionRun::rest_done;
  rest.operation.context = &rest;
  deferred_.push_back({captured.command, &rest.operation});
}

void TransactionRun::rest_done(Operation& operation) {
  Operation& whole = *static_cast<Rest*>(operation.context)->whole;
  whole.number += operation.number;
  whole.code = operation.code;
  whole.server = operation.server;
  whole.done(whole);
}

// Completes the commands in their order, each when those before are complete.
void TransactionRun::advance() {
  if (exec_.worker().shutting_down()) return discard();
  advancing_ = true;
  for (; turn_ < commands_.size(); ++turn_, turn_begun_ = false) {
    if (!turn_begun_) begin_turn();
    end_refused();
    if (!requests_[turn_]->is_finished()) break;
  }
  advancing_ = false;
  if (turn_ == commands_.size()) finish();
}

void TransactionRun::begin_turn() {
  turn_begun_ = true;
  show(*commands_[turn_].command, commands_[turn_].arguments);
  if (requests_[turn_] == nullptr) return run_command(turn_);
  while (next_deferred_ < deferred_.size() && deferred_[next_deferred_].command == turn_) {
    exec_.worker().submit(*deferred_[next_deferred_++].operation);
  }
}

// Ends it without its having been done, as soon as whoever has just submitted it has returned.
void TransactionRun::end(Operation& operation, Code code) {
  operation.code = code;
  refused_.push_back(&operation);
}

void TransactionRun::show(const Command& command, const std::vector<std::string>& arguments) {
  exec_.connection().show_command(
      command, std::vector<std::string_view>(arguments.begin(), arguments.end()));
}

void TransactionRun::end_refused() {
  while (!refused_.empty()) {
    Operation* operation = refused_.back();
    refused_.pop_back();
    operation->done(*operation);
  }
}

// Nothing took place.
void TransactionRun::fail(std::string reply) {
  phase_ = Phase::kAnswer;
  failure_ = std::move(reply);
  discard();
}

// Ends what has begun without having been done, and begins nothing any more.
void TransactionRun::discard() {
  discarding_ = true;
  advancing_ = true;
  for (const Deferred& one : std::exchange(captured_, {})) end(*one.operation, Code::kCancelled);
  for (; next_deferred_ < deferred_.size(); ++next_deferred_) {
    end(*deferred_[next_deferred_].operation, Code::kCancelled);
  }
  end_refused();
  advancing_ = false;
  finish_if_discarded();
}

void TransactionRun::command_finished() {
  ++finished_;
  if (phase_ != Phase::kAnswer || advancing_) return;
  discarding_ ? finish_if_discarded() : advance();
}

void TransactionRun::finish_if_discarded() {
  size_t begun = 0;
  for (const Request* request : requests_) begun += request != nullptr ? 1 : 0;
  if (finished_ == begun) finish();
}

// The last that is done here: the request may be gone afterwards, and this with it.
void TransactionRun::finish() {
  Request& exec = exec_;
  const std::string_view exec_arguments[] = {exec.command().called};
  if (failure_ == kNullArray) {
    exec.reply().null_array();
  } else if (!failure_.empty()) {
    if (!exec.worker().shutting_down()) exec.error(failure_);
  } else if (!discarding_) {
    exec.reply().array(commands_.size());
    for (Request* request : requests_) request->move_reply_to(exec.output());
  }
  exec.connection().show_command(exec.command(), exec_arguments);
  exec.finish();
}

}  // namespace rdmakv::proxy
