// Transactions: MULTI, EXEC, DISCARD, WATCH, UNWATCH. How commands are queued is connection.cc's
// business, how they are executed transaction_run.h's.
#include "proxy/commands.h"
#include "proxy/connection.h"
#include "proxy/transaction_run.h"
#include "proxy/worker.h"

namespace rdmakv::proxy::commands {
namespace {

// request.number: keys whose versions are still asked for.
void watched_one(Operation& operation) {
  auto& request = *static_cast<Request*>(operation.context);
  const Code code = operation.code;
  if (code == Code::kOk || code == Code::kNotFound) {
    for (WatchedKey& one : request.connection().transaction()->watched()) {
      if (&one.operation != &operation) continue;
      one.version = operation.version;
      one.removals = operation.number;
      one.epoch = operation.epoch;
      one.known = true;
    }
  } else {
    request.flag = true;
    request.operation.code = code;
    request.operation.server = operation.server;
  }
  if (--request.number > 0) return;
  if (!request.flag) return request.finish_ok();
  request.connection().transaction()->spoil();
  request.fail(request.operation.code);
  request.finish();
}

}  // namespace

void multi(Request& request, Arguments) {
  Transaction& transaction = request.connection().begin_transaction();
  if (transaction.open()) return request.finish_error("ERR MULTI calls can not be nested");
  transaction.begin();
  request.finish_ok();
}

void exec(Request& request, Arguments arguments) {
  Transaction* transaction = request.connection().transaction();
  if (transaction == nullptr || !transaction->open()) {
    request.connection().show_command(request.command(), arguments);
    return request.finish_error("ERR EXEC without MULTI");
  }
  const std::unique_ptr<Transaction> ended = request.connection().end_transaction();
  if (ended->spoiled()) {
    request.connection().show_command(request.command(), arguments);
    return request.finish_error("EXECABORT Transaction discarded because of previous errors.");
  }
  if (ended->changed()) {
    request.connection().show_command(request.command(), arguments);
    request.reply().null_array();
    return request.finish();
  }
  TransactionRun::start(request, *ended);
}

void discard(Request& request, Arguments) {
  const Transaction* transaction = request.connection().transaction();
  if (transaction == nullptr || !transaction->open()) {
    return request.finish_error("ERR DISCARD without MULTI");
  }
  request.connection().end_transaction();
  request.finish_ok();
}

void watch(Request& request, Arguments arguments) {
  Transaction& transaction = request.connection().begin_transaction();
  if (transaction.open()) return request.finish_error("ERR WATCH inside MULTI is not allowed");
  std::vector<WatchedKey*> wanted;
  for (const std::string_view key : arguments.subspan(1)) {
    if (!transaction.watches(key)) wanted.push_back(&transaction.watch(key));
  }
  if (wanted.empty()) return request.finish_ok();
  request.number = static_cast<int64_t>(wanted.size());
  for (WatchedKey* one : wanted) {
    one->operation.kind = OperationKind::kInspect;
    one->operation.key = one->key;
    one->operation.done = &watched_one;
    one->operation.context = &request;
    request.worker().submit(one->operation);
  }
}

void unwatch(Request& request, Arguments) {
  if (Transaction* transaction = request.connection().transaction(); transaction != nullptr) {
    transaction->unwatch();
  }
  request.finish_ok();
}

}  // namespace rdmakv::proxy::commands
