// Tair's commands for strings with versions, on ordinary strings: EXGET, EXSET, EXCAS, EXCAD,
// EXSETVER, EXINCRBY, EXAPPEND. Replies and errors are those of Tair's open-source module; versions
// are ours: a key that is created again goes on above the versions it had.
#include <cstring>

#include "protocol/resp_parser.h"
#include "proxy/commands.h"
#include "proxy/error_text.h"
#include "proxy/put.h"
#include "proxy/tair_options.h"
#include "proxy/value_reply.h"
#include "proxy/worker.h"

namespace rdmakv::proxy::commands {
namespace {

using wire::Function;

constexpr std::string_view kTairNotAnInteger = "ERR value is not an integer";
constexpr std::string_view kStale = "ERR update version is stale";

int64_t now_of(Request& request, std::string_view key) {
  return request.worker().client().server_clock_ms(key);
}

int64_t version_of(const Request& request) {
  return static_cast<int64_t>(request.operation.version);
}

// A change that did not take place: NX, XX or VER. False: it did.
bool finish_if_unmet(Request& request) {
  if (finish_if_failed(request)) return true;
  const Operation& operation = request.operation;
  if (operation.code == Code::kVersionMismatch && operation.version != 0) {
    request.finish_error(kStale);
    return true;
  }
  if (operation.code != Code::kOk) {
    request.finish_null();
    return true;
  }
  return false;
}

}  // namespace

void exget(Request& request, Arguments arguments) {
  const bool with_flags = arguments.size() == 3;
  if (arguments.size() > 3) {
    return request.finish_error("ERR wrong number of arguments for 'exget' command");
  }
  if (with_flags && !equals_ignoring_case(arguments[2], "withflags")) {
    return request.finish_error(kSyntaxError);
  }
  request.operation.kind = OperationKind::kGet;
  request.flag = with_flags;
  request.set_key(arguments[1]);
  request.submit([](Request& done) {
    if (finish_if_failed(done)) return;
    const bool found = done.operation.code == Code::kOk;
    count_lookup(done, found);
    if (!found) return done.finish_null();
    finish_with_value(done, done.flag ? ValueFrame::kVersionAndFlags : ValueFrame::kVersion);
  });
}

void exset(Request& request, Arguments arguments) {
  using Options = TairOptions;
  Options options;
  const std::string_view error =
      parse_tair_options(arguments.subspan(3),
                         Options::kConditions | Options::kExpiry | Options::kKeepTtl |
                             Options::kVersion | Options::kFlags | Options::kWithVersion,
                         now_of(request, arguments[1]), options);
  if (!error.empty()) return request.finish_error(error);
  Operation& operation = request.operation;
  operation.kind = OperationKind::kModify;
  operation.function = Function::kReplace;
  apply_tair_options(options, operation);
  request.flag = options.with_version;
  submit_with_input(request, arguments, 2, [](Request& done) {
    if (finish_if_unmet(done)) return;
    done.flag ? done.finish_integer(version_of(done)) : done.finish_ok();
  });
}

void exappend(Request& request, Arguments arguments) {
  TairOptions options;
  const std::string_view error =
      parse_tair_options(arguments.subspan(3), TairOptions::kConditions | TairOptions::kVersion,
                         now_of(request, arguments[1]), options);
  if (!error.empty()) return request.finish_error(error);
  Operation& operation = request.operation;
  operation.kind = OperationKind::kModify;
  operation.function = Function::kAppend;
  apply_tair_options(options, operation);
  operation.keep_expiry = true;
  submit_with_input(request, arguments, 2, [](Request& done) {
    if (!finish_if_unmet(done)) done.finish_integer(version_of(done));
  });
}

namespace {

// EXINCRBY's DEF, MIN, MAX: what is wrong with them; empty: nothing.
std::string_view read_bounds(const TairOptions& options, wire::Bounds& bounds) {
  if (options.initial) {
    const std::optional<int64_t> initial = resp::parse_integer(*options.initial);
    if (!initial) return kTairNotAnInteger;
    bounds.initial = *initial;
    bounds.has_initial = 1;
  }
  constexpr std::string_view kBad = "ERR min or max is specified, but not valid";
  const auto read = [](std::optional<std::string_view> text, int64_t& bound) {
    if (!text) return true;
    const std::optional<int64_t> number = resp::parse_integer(*text);
    bound = number.value_or(bound);
    return number.has_value();
  };
  if (!read(options.least, bounds.least) || !read(options.most, bounds.most)) return kBad;
  if (bounds.most < bounds.least) return kBad;
  bounds.no_negative = options.no_negative ? 1 : 0;
  return {};
}

void exincrby_done(Request& request) {
  if (request.operation.code == Code::kInapplicable &&
      request.operation.refusal == wire::Refusal::kNotAnInteger) {
    return request.finish_error(kTairNotAnInteger);  // in Tair's words
  }
  if (finish_if_unmet(request)) return;
  const auto number = static_cast<int64_t>(request.operation.number);
  if (!request.flag) return request.finish_integer(number);
  resp::ReplyWriter reply = request.reply();
  reply.array(2);
  reply.integer(number);
  reply.integer(version_of(request));
  request.finish();
}

}  // namespace

void exincrby(Request& request, Arguments arguments) {
  using Options = TairOptions;
  Options options;
  if (arguments.size() > 3) {
    const std::string_view error =
        parse_tair_options(arguments.subspan(3),
                           Options::kConditions | Options::kExpiry | Options::kKeepTtl |
                               Options::kVersion | Options::kWithVersion | Options::kBounds,
                           now_of(request, arguments[1]), options);
    if (!error.empty()) return request.finish_error(error);
  }
  const std::optional<int64_t> by = resp::parse_integer(arguments[2]);
  if (!by) return request.finish_error(kTairNotAnInteger);
  wire::Bounds bounds;
  if (const std::string_view error = read_bounds(options, bounds); !error.empty()) {
    return request.finish_error(error);
  }
  Operation& operation = request.operation;
  operation.kind = OperationKind::kModify;
  operation.function = Function::kIncrement;
  operation.modify.number = *by;
  apply_tair_options(options, operation);
  request.flag = options.with_version;
  char bytes[sizeof(bounds)];
  std::memcpy(bytes, &bounds, sizeof(bounds));
  request.set_key_and_value(arguments[1], {bytes, sizeof(bytes)});
  request.submit(&exincrby_done);
}

namespace {

// [OK, "", version], or [CAS_FAILED, value, version], or -1 where there is no such key.
void excas_done(Request& request) {
  if (finish_if_failed(request)) return;
  if (request.operation.code == Code::kOk) {
    resp::ReplyWriter reply = request.reply();
    reply.array(3);
    reply.simple_string("OK");
    reply.simple_string("");
    reply.integer(version_of(request));
    return request.finish();
  }
  if (!request.operation.has_previous) return request.finish_integer(-1);
  finish_with_value(request, ValueFrame::kCasFailed);
}

}  // namespace

void excas(Request& request, Arguments arguments) {
  TairOptions options;
  std::string_view error =
      parse_tair_options(arguments.subspan(4), TairOptions::kExpiry | TairOptions::kKeepTtl,
                         now_of(request, arguments[1]), options);
  const std::optional<int64_t> version = resp::parse_integer(arguments[3]);
  if (error.empty() && !version) error = "ERR version should be integer";
  if (error.empty() && *version < 0) error = kSyntaxError;
  if (!error.empty()) return request.finish_error(error);
  Operation& operation = request.operation;
  operation.condition = Condition::kIfVersion;
  // No key has version 0 here, and none is to be created.
  operation.expected_version = *version == 0 ? UINT64_MAX : static_cast<uint64_t>(*version);
  operation.want_if_unmet = true;
  operation.keep_expiry = options.keep_ttl;
  operation.expiry_ms = options.expiry_ms;
  submit_put(request, arguments, 2, &excas_done);
}

void excad(Request& request, Arguments arguments) {
  const std::optional<int64_t> version = resp::parse_integer(arguments[2]);
  if (!version) return request.finish_error(kSyntaxError);
  Operation& operation = request.operation;
  operation.kind = OperationKind::kDelete;
  operation.condition = Condition::kIfVersion;
  operation.expected_version = *version <= 0 ? UINT64_MAX : static_cast<uint64_t>(*version);
  request.set_key(arguments[1]);
  request.submit([](Request& done) {
    if (finish_if_failed(done)) return;
    const Code code = done.operation.code;
    done.finish_integer(code == Code::kOk ? 1 : code == Code::kNotFound ? -1 : 0);
  });
}

void exsetver(Request& request, Arguments arguments) {
  const std::optional<int64_t> version = resp::parse_integer(arguments[2]);
  if (!version || *version <= 0) {
    return finish_error_if_exists(request, arguments[1], kSyntaxError, 0);
  }
  if (static_cast<uint64_t>(*version) > wire::kMostSetVersion) {
    return finish_error_if_exists(request, arguments[1], "ERR version is out of range", 0);
  }
  Operation& operation = request.operation;
  operation.kind = OperationKind::kModify;
  operation.function = Function::kSetVersion;
  operation.modify.set_version = static_cast<uint64_t>(*version);
  operation.keep_expiry = true;
  request.set_key(arguments[1]);
  request.submit([](Request& done) {
    if (finish_if_failed(done)) return;
    done.finish_integer(done.operation.code == Code::kOk ? 1 : 0);
  });
}

}  // namespace rdmakv::proxy::commands
