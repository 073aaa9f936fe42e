// RENAME, RENAMENX, COPY: one step when both keys are on one worker, else a KeyTransfer.
#include <string>

#include "protocol/resp_parser.h"
#include "proxy/commands.h"
#include "proxy/connection.h"
#include "proxy/error_text.h"
#include "proxy/key_transfer.h"
#include "proxy/value_reply.h"
#include "proxy/worker.h"

namespace rdmakv::proxy::commands {
namespace {

constexpr std::string_view kNoSuchKey = "ERR no such key";
constexpr std::string_view kChangesTooOften =
    "ERR the key changes too often to be renamed: its new name has a copy, the old one is still "
    "there";

// True if the keys are on different workers; then it goes on by itself.
bool go_across(Request& request, bool moves, Request::Continuation then) {
  Operation& operation = request.operation;
  if (operation.code != Code::kWrongWorker || request.state != nullptr) return false;
  const std::string_view to(reinterpret_cast<const char*>(operation.input.data()),
                            operation.input.size());
  auto transfer =
      std::make_unique<KeyTransfer>(request, operation.key, to, operation.condition, moves, then);
  KeyTransfer& started = *transfer;
  request.state = std::move(transfer);
  started.start();
  return true;
}

bool finish_if_rename_failed(Request& request) {
  if (request.operation.code == Code::kBusy && request.state != nullptr) {
    request.finish_error(kChangesTooOften);
    return true;
  }
  return finish_if_failed(request);
}

void rename_done(Request& request) {
  if (go_across(request, true, &rename_done) || finish_if_rename_failed(request)) return;
  request.operation.code == Code::kOk ? request.finish_ok() : request.finish_error(kNoSuchKey);
}

void renamenx_done(Request& request) {
  if (go_across(request, true, &renamenx_done) || finish_if_rename_failed(request)) return;
  const Code code = request.operation.code;
  code == Code::kNotFound ? request.finish_error(kNoSuchKey)
                          : request.finish_integer(code == Code::kOk ? 1 : 0);
}

void copy_done(Request& request) {
  if (go_across(request, false, &copy_done) || finish_if_failed(request)) return;
  request.finish_integer(request.operation.code == Code::kOk ? 1 : 0);
}

// A key that is to have its own name only has to exist. RENAMENX says that nothing was renamed.
void rename_to_itself(Request& request, std::string_view key, bool says_ok) {
  request.operation.kind = OperationKind::kInspect;
  request.flag = says_ok;
  request.set_key(key);
  request.submit([](Request& done) {
    if (finish_if_failed(done)) return;
    if (done.operation.code != Code::kOk) return done.finish_error(kNoSuchKey);
    done.flag ? done.finish_ok() : done.finish_integer(0);
  });
}

}  // namespace

void rename(Request& request, Arguments arguments) {
  if (arguments[1] == arguments[2]) return rename_to_itself(request, arguments[1], true);
  request.operation.kind = OperationKind::kRename;
  request.set_key_and_value(arguments[1], arguments[2]);
  request.submit(&rename_done);
}

void renamenx(Request& request, Arguments arguments) {
  if (arguments[1] == arguments[2]) return rename_to_itself(request, arguments[1], false);
  request.operation.kind = OperationKind::kRename;
  request.operation.condition = Condition::kIfAbsent;
  request.set_key_and_value(arguments[1], arguments[2]);
  request.submit(&renamenx_done);
}

void copy(Request& request, Arguments arguments) {
  bool replace = false;
  for (size_t i = 3; i < arguments.size(); ++i) {
    if (equals_ignoring_case(arguments[i], "replace")) {
      replace = true;
    } else if (equals_ignoring_case(arguments[i], "db") && i + 1 < arguments.size()) {
      const std::optional<int64_t> database = resp::parse_integer(arguments[++i]);
      if (!database) return request.finish_error(kNotAnInteger);
      if (*database < INT32_MIN || *database > INT32_MAX) {
        return request.finish_error(
            "ERR value is out of range, value must between -2147483648 and 2147483647");
      }
      if (*database != 0) return request.finish_error("ERR DB index is out of range");
    } else {
      return request.finish_error(kSyntaxError);
    }
  }
  if (arguments[1] == arguments[2]) {
    return request.finish_error("ERR source and destination objects are the same");
  }
  request.operation.kind = OperationKind::kCopy;
  request.operation.condition = replace ? Condition::kAlways : Condition::kIfAbsent;
  request.set_key_and_value(arguments[1], arguments[2]);
  request.submit(&copy_done);
}

}  // namespace rdmakv::proxy::commands
