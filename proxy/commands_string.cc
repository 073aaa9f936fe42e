// Strings: GET, SET and their relatives. One operation each, but for MGET and MSET.
#include <string>

#include "proxy/commands.h"
#include "proxy/connection.h"
#include "proxy/error_text.h"
#include "proxy/expiry_option.h"
#include "proxy/fanout.h"
#include "proxy/put.h"
#include "proxy/set_options.h"
#include "proxy/value_reply.h"
#include "proxy/worker.h"

namespace rdmakv::proxy::commands {
namespace {

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
  finish_with_previous(request);
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

void prepare_get(Request& request, Arguments arguments) {
  request.operation.kind = OperationKind::kGet;
  request.set_key(arguments[1]);
  request.prepare(&get_done);
}

void set(Request& request, Arguments arguments) {
  Operation& operation = request.operation;
  std::string_view comparison;
  operation.kind = OperationKind::kPut;
  if (arguments.size() > 3) {
    constexpr uint32_t kAllowed = SetOptions::kConditions | SetOptions::kGet |
                                  SetOptions::kKeepTtl | SetOptions::kComparisons;
    const std::optional<SetOptions> options = parse_set_options(arguments.subspan(3), kAllowed);
    if (!options) return request.finish_error(kSyntaxError);
    if (const ExpiryError error = read_expiry(request, arguments[1], *options, operation.expiry_ms);
        error != ExpiryError::kNone) {
      return finish_expiry_error(request, error);
    }
    operation.keep_expiry = options->keep_ttl;
    operation.want_previous = options->get;
    if (options->if_absent) operation.condition = Condition::kIfAbsent;
    if (options->if_present) operation.condition = Condition::kIfPresent;
    if (options->comparison != wire::Comparison::kNone) {
      operation.kind = OperationKind::kModify;
      operation.function = wire::Function::kReplace;
      operation.modify.comparison = options->comparison;
      operation.modify.flags |= wire::kSetUserFlags;  // to 0, as SET does
      comparison = arguments[3 + options->compared];
    }
  }
  submit_with_input(request, arguments, 2, operation.want_previous ? &previous_done : &set_done,
                    comparison);
}

void getex(Request& request, Arguments arguments) {
  Operation& operation = request.operation;
  const std::optional<SetOptions> options =
      parse_set_options(arguments.subspan(2), SetOptions::kPersist);
  if (!options) return request.finish_error(kSyntaxError);
  if (!options->expiry && !options->persist) return get(request, arguments);
  const ExpiryError error = read_expiry(request, arguments[1], *options, operation.expiry_ms);
  if (error != ExpiryError::kNone) {
    // Redis looks the key up before it looks at the time.
    request.flag = true;
    request.number = static_cast<int64_t>(error);
    operation.expiry_ms = 0;
    operation.kind = OperationKind::kInspect;
  } else {
    operation.kind = OperationKind::kExpire;
    operation.want_previous = true;
  }
  request.set_key(arguments[1]);
  request.submit([](Request& done) {
    if (finish_if_failed(done)) return;
    const bool found = done.operation.code != Code::kNotFound;
    count_lookup(done, found);
    if (found && done.flag) return finish_expiry_error(done, static_cast<ExpiryError>(done.number));
    finish_with_previous(done);
  });
}

void delex(Request& request, Arguments arguments) {
  if (arguments.size() == 2) return del(request, arguments);
  if (arguments.size() != 4) {
    return request.finish_error("ERR wrong number of arguments for 'delex' command");
  }
  Operation& operation = request.operation;
  operation.modify.comparison = find_comparison(arguments[2]);
  if (operation.modify.comparison == wire::Comparison::kNone) {
    return finish_error_if_exists(request, arguments[1],
                                  "ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE", 0);
  }
  operation.kind = OperationKind::kModify;
  operation.function = wire::Function::kRemove;
  request.set_key_and_value(arguments[1], {}, arguments[3]);
  request.submit(&setnx_done);
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
    finish_with_previous(done);
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
