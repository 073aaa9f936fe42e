// Connection: what is queued between MULTI and EXEC, and the requests of what EXEC runs.
#include <algorithm>

#include "proxy/command_log.h"
#include "proxy/commands.h"
#include "proxy/connection.h"
#include "proxy/transaction_run.h"
#include "proxy/worker.h"

namespace rdmakv::proxy {

bool Connection::is_queued(const Command& command) const {
  if (transaction_ == nullptr || !transaction_->open()) return false;
  const Handler runs_at_once[] = {commands::exec,  commands::discard, commands::multi,
                                  commands::watch, commands::quit,    commands::reset};
  return std::find(std::begin(runs_at_once), std::end(runs_at_once), command.handler) ==
         std::end(runs_at_once);
}

void Connection::queue(Request& request, Arguments arguments) {
  const Command& command = request.command();
  if ((command.flags & kNoMulti) != 0) {
    return reject(request, "ERR Command not allowed inside a transaction");
  }
  transaction_->queue(command, arguments);
  request.command_ = nullptr;  // it did not run
  if (transaction_->memory() > worker_.settings().query_buffer_limit) {
    worker_.stats().query_limit_closes.add();
    request.set_silent(true);
    request.finish();
    return close("its transaction is larger than client-query-buffer-limit");
  }
  request.reply().queued();
  request.finish();
}

Transaction& Connection::begin_transaction() {
  if (transaction_ == nullptr) transaction_ = std::make_unique<Transaction>();
  return *transaction_;
}

Request& Connection::new_part(Request& exec, size_t number, const Command& command,
                              Arguments arguments) {
  Request& request = *worker_.requests().take();
  request.connection_ = this;
  request.command_ = &command;
  request.part_of_ = exec.run.get();
  request.part_number_ = number;
  request.protocol_ = session_.protocol;
  request.silent_ = exec.silent_;
  request.started_us_ = worker_.now_us();
  request.commands_ = 1;
  request.done_ = false;
  request.failed_ = 0;
  request.argument_count_ = static_cast<uint32_t>(arguments.size());
  request.waiting_reply_.attach(worker_.output_pools());
  if ((guards_ & kTraced) != 0) {
    request.kept_arguments_ =
        std::make_unique<std::vector<std::string>>(slow_log_arguments(command, arguments));
  }
  return request;
}

}  // namespace rdmakv::proxy
