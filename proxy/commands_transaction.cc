// Transactions: MULTI, EXEC, DISCARD, WATCH, UNWATCH. How commands are queued is connection.cc's
// business, how they are executed transaction_run.h's.
#include "proxy/commands.h"
#include "proxy/connection.h"
#include "proxy/transaction_run.h"
#include "proxy/worker.h"

namespace rdmakv::proxy::commands {
namespace {

struct WatchState : Request::State {
  struct Ask {
    Operation operation;
    WatchedKey* watched = nullptr;
    Request* request = nullptr;
  };
  std::vector<Ask> asks;
};

// request.number: keys whose versions are still asked for.
void watched_one(Operation& operation) {
  auto& ask = *static_cast<WatchState::Ask*>(operation.context);
  Request& request = *ask.request;
  const Code code = operation.code;
  if (code == Code::kOk || code == Code::kNotFound) {
    *ask.watched = {operation.version, operation.number, operation.epoch, true};
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

// EXEC must not do without a watch that its client believes in; so the others need not be kept.
void refuse_watch(Request& request, std::string_view problem) {
  request.connection().transaction()->unwatch();
  request.connection().transaction()->spoil();
  request.finish_error(problem);
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
  std::vector<Transaction::Watched::value_type*> wanted;
  for (const std::string_view key : arguments.subspan(1)) {
    auto* const watched = transaction.watch(key);
    if (watched == nullptr) continue;
    wanted.push_back(watched);
    if (transaction.watched().size() > Transaction::kMostWatched) {
      return refuse_watch(request, "ERR too many watched keys: 65535 at most");
    }
    if (transaction.memory() > request.worker().settings().query_buffer_limit) {
      return refuse_watch(request, "ERR watched keys take more than client-query-buffer-limit");
    }
  }
  if (wanted.empty()) return request.finish_ok();
  auto state = std::make_unique<WatchState>();
  std::vector<WatchState::Ask>& asks = state->asks;
  asks.resize(wanted.size());
  request.state = std::move(state);
  request.number = static_cast<int64_t>(wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    WatchState::Ask& ask = asks[i];
    ask.watched = &wanted[i]->second;
    ask.request = &request;
    ask.operation.kind = OperationKind::kInspect;
    ask.operation.key = wanted[i]->first;
    ask.operation.done = &watched_one;
    ask.operation.context = &ask;
    request.worker().submit(ask.operation);
  }
}

void unwatch(Request& request, Arguments) {
  if (Transaction* transaction = request.connection().transaction(); transaction != nullptr) {
    transaction->unwatch();
  }
  request.finish_ok();
}

}  // namespace rdmakv::proxy::commands
