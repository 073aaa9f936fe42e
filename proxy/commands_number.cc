// Strings that change by a function of what they are: INCR and its relatives, APPEND, SETRANGE. One
// operation each, executed in one step by the worker that owns the key. And the functions that only
// look: GETRANGE, DIGEST.
#include <cstdio>

#include "protocol/resp_parser.h"
#include "proxy/commands.h"
#include "proxy/error_text.h"
#include "proxy/put.h"
#include "proxy/value_reply.h"
#include "proxy/worker.h"

namespace rdmakv::proxy::commands {
namespace {

using wire::Function;

constexpr size_t kDigestDigits = 16;

void increment(Request& request, std::string_view key, int64_t by) {
  Operation& operation = request.operation;
  operation.kind = OperationKind::kModify;
  operation.function = Function::kIncrement;
  operation.modify.number = by;
  operation.keep_expiry = true;
  request.set_key(key);
  request.submit(&finish_with_number);
}

}  // namespace

void incr(Request& request, Arguments arguments) {
  increment(request, arguments[1], 1);
}

void decr(Request& request, Arguments arguments) {
  increment(request, arguments[1], -1);
}

void incrby(Request& request, Arguments arguments) {
  const std::optional<int64_t> by = resp::parse_integer(arguments[2]);
  if (!by) return request.finish_error(kNotAnInteger);
  increment(request, arguments[1], *by);
}

void decrby(Request& request, Arguments arguments) {
  const std::optional<int64_t> by = resp::parse_integer(arguments[2]);
  if (!by) return request.finish_error(kNotAnInteger);
  if (*by == INT64_MIN) return request.finish_error("ERR decrement would overflow");
  increment(request, arguments[1], -*by);
}

void incrbyfloat(Request& request, Arguments arguments) {
  Operation& operation = request.operation;
  operation.kind = OperationKind::kModify;
  operation.function = Function::kIncrementFloat;
  operation.keep_expiry = true;
  request.set_key_and_value(arguments[1], arguments[2]);
  request.submit([](Request& done) {
    if (!finish_if_failed(done)) finish_with_value(done);
  });
}

void append(Request& request, Arguments arguments) {
  Operation& operation = request.operation;
  operation.kind = OperationKind::kModify;
  operation.function = Function::kAppend;
  operation.keep_expiry = true;
  submit_with_input(request, arguments, 2, &finish_with_number);
}

void setrange(Request& request, Arguments arguments) {
  const std::optional<int64_t> offset = resp::parse_integer(arguments[2]);
  if (!offset) return request.finish_error(kNotAnInteger);
  if (*offset < 0) return request.finish_error("ERR offset is out of range");
  Operation& operation = request.operation;
  operation.kind = OperationKind::kModify;
  operation.function = Function::kSetRange;
  operation.modify.number = *offset;
  operation.keep_expiry = true;
  submit_with_input(request, arguments, 3, &finish_with_number);
}

// Also SUBSTR.
void getrange(Request& request, Arguments arguments) {
  const std::optional<int64_t> first = resp::parse_integer(arguments[2]);
  const std::optional<int64_t> last = resp::parse_integer(arguments[3]);
  if (!first || !last) return request.finish_error(kNotAnInteger);
  Operation& operation = request.operation;
  operation.kind = OperationKind::kEvaluate;
  operation.function = Function::kRange;
  operation.evaluate.first = *first;
  operation.evaluate.last = *last;
  request.set_key(arguments[1]);
  request.submit([](Request& done) {
    if (finish_if_failed(done)) return;
    count_lookup(done, done.operation.code == Code::kOk);
    finish_with_value(done);  // of a key that does not exist: nothing
  });
}

void digest(Request& request, Arguments arguments) {
  request.operation.kind = OperationKind::kEvaluate;
  request.operation.function = Function::kDigest;
  request.set_key(arguments[1]);
  request.submit([](Request& done) {
    if (finish_if_failed(done)) return;
    const bool found = done.operation.code == Code::kOk;
    count_lookup(done, found);
    if (!found) return done.finish_null();
    char digits[kDigestDigits + 1];
    std::snprintf(digits, sizeof(digits), "%016llx",
                  static_cast<unsigned long long>(done.operation.number));
    done.reply().bulk({digits, kDigestDigits});
    done.finish();
  });
}

}  // namespace rdmakv::proxy::commands
