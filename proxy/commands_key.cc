// Keys: deleting, asking, expiry.
#include <algorithm>

#include "proxy/commands.h"
#include "proxy/connection.h"
#include "proxy/error_text.h"
#include "proxy/fanout.h"
#include "proxy/set_options.h"
#include "proxy/value_reply.h"
#include "proxy/worker.h"

namespace rdmakv::proxy::commands {
namespace {

// What is asked about a key's expiry.
enum class Ask : uint8_t { kTtl, kPttl, kExpireTime, kPexpireTime };

void inspect(Request& request, Arguments arguments, Request::Continuation then) {
  request.operation.kind = OperationKind::kInspect;
  request.set_key(arguments[1]);
  request.submit(then);
}

template <Ask ask>
void expiry_done(Request& request) {
  if (finish_if_failed(request)) return;
  const Operation& operation = request.operation;
  if (operation.code != Code::kOk) return request.finish_integer(-2);
  if (operation.expiry == 0) return request.finish_integer(-1);
  int64_t time = operation.expiry;
  if constexpr (ask == Ask::kTtl || ask == Ask::kPttl) {
    time = std::max<int64_t>(time - request.worker().client().server_clock_ms(operation.key), 0);
  }
  // Rounded, as Redis has it; the halves of int64's end would not fit.
  if constexpr (ask == Ask::kTtl || ask == Ask::kExpireTime) {
    time = time / 1000 + (time % 1000 >= 500 ? 1 : 0);
  }
  request.finish_integer(time);
}

void expire_done(Request& request) {
  if (finish_if_failed(request)) return;
  request.finish_integer(request.operation.code == Code::kOk ? 1 : 0);
}

void set_expiry(Request& request, Arguments arguments, TimeUnit unit, bool relative) {
  ExpireOptions options;
  const std::string_view problem = parse_expire_options(arguments.subspan(3), options);
  if (!problem.empty()) {
    request.text.assign(problem).append(until_nul(options.unsupported));
    return request.finish_error(request.text);
  }
  Operation& operation = request.operation;
  int64_t time = 0;
  const int64_t now = request.worker().client().server_clock_ms(arguments[1]);
  const ExpiryError error = parse_expire_time(arguments[2], unit, relative, now, time);
  if (error == ExpiryError::kNotAnInteger) {
    return request.finish_error(kNotAnInteger);
  }
  if (error == ExpiryError::kInvalid) {
    request.text = "ERR invalid expire time in '";
    request.text.append(request.command().name).append("' command");
    return request.finish_error(request.text);
  }
  // What is over by our estimate of the server's clock is over: the server must not find that, by
  // its own clock, a millisecond is left. (And 0 would mean no expiry.)
  operation.expiry_ms = time <= now ? 1 : time;
  request.set_key(arguments[1]);
  operation.kind = OperationKind::kExpire;
  // A key without an expiry is never less than anything, so XX GT is GT.
  if (options.xx) operation.condition = Condition::kIfExpiry;
  if (options.nx) operation.condition = Condition::kIfNoExpiry;
  if (options.gt) operation.condition = Condition::kIfLater;
  if (options.lt) {
    operation.condition = options.xx ? Condition::kIfExpirySooner : Condition::kIfSooner;
  }
  request.submit(&expire_done);
}

}  // namespace

void del(Request& request, Arguments arguments) {
  Fanout::start(request, arguments, OperationKind::kDelete, Fanout::Gather::kSum, 1);
}

void exists(Request& request, Arguments arguments) {
  Fanout::start(request, arguments, OperationKind::kInspect, Fanout::Gather::kSum, 1);
}

// There is no record of use that it could refresh.
void touch(Request& request, Arguments arguments) {
  exists(request, arguments);
}

void type(Request& request, Arguments arguments) {
  inspect(request, arguments, [](Request& done) {
    if (finish_if_failed(done)) return;
    done.reply().simple_string(done.operation.code == Code::kOk ? "string" : "none");
    done.finish();
  });
}

void ttl(Request& request, Arguments arguments) {
  inspect(request, arguments, &expiry_done<Ask::kTtl>);
}
void pttl(Request& request, Arguments arguments) {
  inspect(request, arguments, &expiry_done<Ask::kPttl>);
}
void expiretime(Request& request, Arguments arguments) {
  inspect(request, arguments, &expiry_done<Ask::kExpireTime>);
}
void pexpiretime(Request& request, Arguments arguments) {
  inspect(request, arguments, &expiry_done<Ask::kPexpireTime>);
}

void expire(Request& request, Arguments arguments) {
  set_expiry(request, arguments, TimeUnit::kSeconds, true);
}
void pexpire(Request& request, Arguments arguments) {
  set_expiry(request, arguments, TimeUnit::kMilliseconds, true);
}
void expireat(Request& request, Arguments arguments) {
  set_expiry(request, arguments, TimeUnit::kSeconds, false);
}
void pexpireat(Request& request, Arguments arguments) {
  set_expiry(request, arguments, TimeUnit::kMilliseconds, false);
}

void persist(Request& request, Arguments arguments) {
  // Unconditional: taking away what is not there is a condition not met anyway.
  request.operation.kind = OperationKind::kExpire;
  request.operation.expiry_ms = 0;
  request.set_key(arguments[1]);
  request.submit(&expire_done);
}

}  // namespace rdmakv::proxy::commands
