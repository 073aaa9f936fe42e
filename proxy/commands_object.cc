// OBJECT and WAIT: what Redis tells of how it keeps a value, as it would tell it of this value.
#include <array>
#include <optional>
#include <string>

#include "protocol/resp_parser.h"
#include "proxy/commands.h"
#include "proxy/connection.h"
#include "proxy/error_text.h"
#include "proxy/help.h"
#include "proxy/value_reply.h"
#include "proxy/worker.h"

namespace rdmakv::proxy::commands {
namespace {

// From object.c: shorter strings are in one allocation with their object, and integers up to here
// are one object for all.
constexpr size_t kLongestEmbedded = 44;
constexpr int64_t kSharedIntegers = 10000;
constexpr size_t kLongestInteger = 20;

struct ShortValue : Request::State {
  std::array<std::byte, kLongestEmbedded> bytes;
};

// Reads the value if it is short. `then` finds it longer by Code::kTooLarge.
void ask_short_value(Request& request, std::string_view key, Request::Continuation then) {
  auto state = std::make_unique<ShortValue>();
  request.operation.kind = OperationKind::kGet;
  request.operation.destination = state->bytes;
  request.state = std::move(state);
  request.set_key(key);
  request.submit(then);
}

// True: the request is finished, since there is no such key or no answer.
bool finish_without_value(Request& request) {
  if (request.operation.code == Code::kTooLarge) return false;
  if (finish_if_failed(request)) return true;
  if (request.operation.code == Code::kOk) return false;
  request.finish_null();
  return true;
}

std::optional<int64_t> integer_of(const Operation& operation) {
  if (operation.code != Code::kOk || operation.value.size() > kLongestInteger) return std::nullopt;
  return resp::parse_integer(
      {reinterpret_cast<const char*>(operation.value.data()), operation.value.size()});
}

void inspect(Request& request, std::string_view key, Request::Continuation then) {
  request.operation.kind = OperationKind::kInspect;
  request.set_key(key);
  request.submit(then);
}

}  // namespace

void object_encoding(Request& request, Arguments arguments) {
  ask_short_value(request, arguments[2], [](Request& done) {
    if (finish_without_value(done)) return;
    const Operation& operation = done.operation;
    done.reply().bulk(operation.code == Code::kTooLarge ? "raw"
                      : integer_of(operation)           ? "int"
                                                        : "embstr");
    done.finish();
  });
}

void object_refcount(Request& request, Arguments arguments) {
  ask_short_value(request, arguments[2], [](Request& done) {
    if (finish_without_value(done)) return;
    const std::optional<int64_t> integer = integer_of(done.operation);
    const bool shared = integer && *integer >= 0 && *integer < kSharedIntegers;
    done.finish_integer(shared ? INT32_MAX : 1);
  });
}

// Values are read without anybody's noticing, so there is no time of use to tell.
void object_idletime(Request& request, Arguments arguments) {
  inspect(request, arguments[2], [](Request& done) {
    if (!finish_without_value(done)) done.finish_integer(0);
  });
}

void object_freq(Request& request, Arguments arguments) {
  inspect(request, arguments[2], [](Request& done) {
    if (finish_without_value(done)) return;
    done.finish_error(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note "
        "that when switching between policies at runtime LRU and LFU data will take some time to "
        "adjust.");
  });
}

void object_help(Request& request, Arguments) {
  finish_help(request, "OBJECT",
              {"ENCODING <key>",
               "    Return the kind of internal representation used in order to store the value",
               "    associated with a <key>.", "FREQ <key>",
               "    Return the access frequency index of the <key>. The returned integer is",
               "    proportional to the logarithm of the recent access frequency of the key.",
               "IDLETIME <key>",
               "    Return the idle time of the <key>, that is the approximated number of",
               "    seconds elapsed since the last access to the key.", "REFCOUNT <key>",
               "    Return the number of references of the value associated with the specified",
               "    <key>."});
}

// A write that was answered has been done where it is to be done, and there are no replicas.
void wait(Request& request, Arguments arguments) {
  if (!resp::parse_integer(arguments[1])) {
    return request.finish_error(kNotAnInteger);
  }
  const std::optional<int64_t> timeout = resp::parse_integer(arguments[2]);
  if (!timeout) return request.finish_error("ERR timeout is not an integer or out of range");
  if (*timeout < 0) return request.finish_error("ERR timeout is negative");
  request.finish_integer(0);
}

}  // namespace rdmakv::proxy::commands
