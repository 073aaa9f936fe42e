// Connection: who its client is, and what has to be looked at before a command of it runs. None of
// this costs anything as long as no guard is up.
#include <fmt/format.h>
#include <sys/time.h>

#include <chrono>

#include "proxy/command_log.h"
#include "proxy/commands.h"
#include "proxy/connection.h"
#include "proxy/proxy.h"
#include "proxy/worker.h"

namespace rdmakv::proxy {
namespace {

int64_t wall_clock_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

bool Connection::authentication_required() const {
  const AclUser& everybody = *worker_.default_user();
  return !authenticated_ && (!everybody.no_password() || !everybody.enabled());
}

void Connection::become(AclUserPointer user, bool authenticated) {
  user_ = std::move(user);
  authenticated_ = authenticated;
  update_guards();
}

void Connection::refresh_user() {
  AclUserPointer now = worker_.proxy().access().find(user_->name());
  if (now == nullptr) {
    close_after_replies();
    close_if_done();
    return;
  }
  user_ = std::move(now);
  update_guards();
}

void Connection::update_guards() {
  const bool stranger = authentication_required();
  guards_ = (stranger ? kUnauthenticated : 0u) | (user_->unrestricted() ? 0u : kRestricted) |
            (worker_.monitored() ? kMonitored : 0u) | (worker_.traced() ? kTraced : 0u);
  resp::Limits limits = worker_.parser_limits();
  limits.unauthenticated = stranger;
  parser_.set_limits(limits);
}

// A Unix socket may have no name.
bool Connection::is_local() const {
  return address_.empty() || address_.ends_with(":0") || address_.starts_with("127.") ||
         address_.starts_with("[::1]:");
}

// ---- before a command runs ---------------------------------------------------------------------

// False: it was refused, and the reply is written.
bool Connection::admit(Request& request, Arguments arguments) {
  const Command& command = request.command();
  if ((guards_ & kUnauthenticated) != 0 && (command.flags & kNoAuth) == 0) {
    worker_.stats().commands[command.index].rejected.add();
    reject(request, "NOAUTH Authentication required.");
    return false;
  }
  if ((guards_ & kRestricted) != 0 && !check_permissions(request, arguments)) return false;
  if ((guards_ & kTraced) != 0) {
    request.kept_arguments_ =
        std::make_unique<std::vector<std::string>>(slow_log_arguments(command, arguments));
  }
  // What is queued, and EXEC itself, are shown when they run.
  if (!is_queued(command) && command.handler != commands::exec) show_command(command, arguments);
  return true;
}

bool Connection::check_permissions(Request& request, Arguments arguments) {
  const Command& command = request.command();
  const AclVerdict verdict = user_->check(command, arguments);
  if (verdict.kind == AclVerdict::kAllowed) return true;
  worker_.stats().commands[command.index].rejected.add();
  log_denial(request, verdict, arguments);
  if (verdict.kind == AclVerdict::kKeyDenied) {
    reject(request,
           "NOPERM this user has no permissions to access one of the keys used as arguments");
    return false;
  }
  request.text = "NOPERM this user has no permissions to run the '";
  request.text.append(command.name).append("' command");
  reject(request, request.text);
  return false;
}

void Connection::log_denial(const Request& request, const AclVerdict& verdict,
                            Arguments arguments) {
  const bool key = verdict.kind == AclVerdict::kKeyDenied;
  (key ? worker_.stats().key_denied : worker_.stats().command_denied).add();
  log_denial(request, key ? "key" : "command",
             key ? arguments[verdict.argument] : request.command().name, user_->name());
}

void Connection::log_denial(const Request& request, std::string_view reason,
                            std::string_view object, std::string_view user) {
  std::string client = describe();
  client.pop_back();
  const bool multi = request.in_transaction() || (transaction_ != nullptr && transaction_->open());
  worker_.proxy().access().log({.reason = std::string(reason),
                                .context = multi ? "multi" : "toplevel",
                                .object = std::string(object),
                                .user = std::string(user),
                                .time_ms = wall_clock_ms(),
                                .client_info = std::move(client)});
}

// Whether a large value, of which only what stands before it is known, is worth taking in. What
// does run is decided when the command is complete.
bool Connection::may_store(const Command& command, Arguments arguments) const {
  if ((guards_ & kUnauthenticated) != 0) return false;
  return (guards_ & kRestricted) == 0 ||
         user_->check(command, arguments).kind == AclVerdict::kAllowed;
}

void Connection::show_command(const Command& command, Arguments arguments) {
  if ((guards_ & kMonitored) == 0 || (command.flags & (kAdmin | kSkipMonitor)) != 0) return;
  worker_.show_to_monitors(monitor_line(address_, command, arguments));
}

}  // namespace rdmakv::proxy
