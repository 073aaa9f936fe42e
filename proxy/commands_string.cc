// Strings: GET, SET and their relatives. One operation each, but for MGET and MSET.
#include <string>

#include "proxy/commands.h"
#include "proxy/connection.h"
#include "proxy/fanout.h"
#include "proxy/put.h"
#include "proxy/set_options.h"
#include "proxy/value_reply.h"
#include "proxy/worker.h"

namespace rdmakv::proxy::commands {
namespace {

void finish_expiry_error(Request& request, ExpiryError error) {
  if (error == ExpiryError::kNotAnInteger) {
    return request.finish_error("ERR value is not an integer or out of range");
  }
  request.text = "ERR invalid expire time in '";
  request.text.append(request.command().name).append("' command");
  request.finish_error(request.text);
}

void count_lookup(Request& request, bool found) {
  WorkerStats& stats = request.worker().stats();
  (found ? stats.hits : stats.misses).add();
}

// The value, or null when there was none.
void get_done(Request& request) {
  if (finish_if_failed(request)) return;
  const bool found = request.operation.code == Code::kOk;
  count_lookup(request, found);
  found ? finish_with_value(request) : request.finish_null();
}

// The value before the change, or null.
void previous_done(Request& request) {
  if (finish_if_failed(request)) return;
  request.operation.has_previous ? finish_with_value(request) : request.finish_null();
}

void set_done(Request& request) {
  if (finish_if_failed(request)) return;
  request.operation.code == Code::kOk ? request.finish_ok() : request.finish_null();
}

void setnx_done(Request& request) {
  if (finish_if_failed(request)) return;
  request.finish_integer(request.operation.code == Code::kOk ? 1 : 0);
}

void strlen_done(Request& request) {
  if (finish_if_failed(request)) return;
  const bool found = request.operation.code == Code::kOk;
  count_lookup(request, found);
  request.finish_integer(found ? static_cast<int64_t>(request.operation.value_length) : 0);
}

void set_with_expiry(Request& request, Arguments arguments, TimeUnit unit) {
  const ExpiryError error = parse_expiry(arguments[2], unit, true,
                                         request.worker().client().server_clock_ms(arguments[1]),
                                         request.operation.expiry_ms);
  if (error != ExpiryError::kNone) return finish_expiry_error(request, error);
  submit_put(request, arguments, 3, &set_done);
}

}  // namespace

void get(Request& request, Arguments arguments) {
  request.operation.kind = OperationKind::kGet;
  request.set_key(arguments[1]);
  request.submit(&get_done);
}

void set(Request& request, Arguments arguments) {
  Operation& operation = request.operation;
  if (arguments.size() > 3) {
    const std::optional<SetOptions> options = parse_set_options(arguments.subspan(3));
    if (!options) return request.finish_error("ERR syntax error");
    if (options->expiry) {
      const int64_t now =
          options->relative ? request.worker().client().server_clock_ms(arguments[1]) : 0;
      const ExpiryError error = parse_expiry(*options->expiry, options->unit, options->relative,
                                             now, operation.expiry_ms);
      if (error != ExpiryError::kNone) return finish_expiry_error(request, error);
    }
    operation.keep_expiry = options->keep_ttl;
    operation.want_previous = options->get;
    if (options->if_absent) operation.condition = Condition::kIfAbsent;
    if (options->if_present) operation.condition = Condition::kIfPresent;
  }
  submit_put(request, arguments, 2, operation.want_previous ? &previous_done : &set_done);
}

void setnx(Request& request, Arguments arguments) {
  request.operation.condition = Condition::kIfAbsent;
  submit_put(request, arguments, 2, &setnx_done);
}

void setex(Request& request, Arguments arguments) {
  set_with_expiry(request, arguments, TimeUnit::kSeconds);
}

void psetex(Request& request, Arguments arguments) {
  set_with_expiry(request, arguments, TimeUnit::kMilliseconds);
}

void getset(Request& request, Arguments arguments) {
  request.operation.want_previous = true;
  submit_put(request, arguments, 2, &previous_done);
}

void getdel(Request& request, Arguments arguments) {
  request.operation.kind = OperationKind::kDelete;
  request.operation.want_previous = true;
  request.set_key(arguments[1]);
  request.submit([](Request& done) {
    if (finish_if_failed(done)) return;
    count_lookup(done, done.operation.has_previous);
    done.operation.has_previous ? finish_with_value(done) : done.finish_null();
  });
}

void strlen(Request& request, Arguments arguments) {
  request.operation.kind = OperationKind::kInspect;
  request.set_key(arguments[1]);
  request.submit(&strlen_done);
}

void mget(Request& request, Arguments arguments) {
  Fanout::start(request, arguments, OperationKind::kGet, Fanout::Gather::kList, 1);
}

void mset(Request& request, Arguments arguments) {
  if (arguments.size() % 2 == 0) {
    return request.finish_error("ERR wrong number of arguments for 'mset' command");
  }
  Fanout::start(request, arguments, OperationKind::kPut, Fanout::Gather::kAllOk, 2);
}

}  // namespace rdmakv::proxy::commands
