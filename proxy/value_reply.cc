#include "proxy/value_reply.h"

#include "proxy/connection.h"
#include "proxy/error_text.h"
#include "proxy/repeat.h"
#include "proxy/worker.h"

namespace rdmakv::proxy {
namespace {

void end_value(Request& request) {
  resp::ReplyWriter reply = request.reply();
  reply.bulk_end();
  if (request.frame != ValueFrame::kNone) {
    reply.integer(static_cast<int64_t>(request.operation.version));
  }
  if (request.frame == ValueFrame::kVersionAndFlags) reply.integer(request.operation.user_flags);
  request.finish();
}

void begin_value(Request& request, uint64_t length) {
  resp::ReplyWriter reply = request.reply();
  switch (request.frame) {
    case ValueFrame::kNone:
      break;
    case ValueFrame::kVersion:
      reply.array(2);
      break;
    case ValueFrame::kVersionAndFlags:
      reply.array(3);
      break;
    case ValueFrame::kCasFailed:
      reply.array(3);
      reply.simple_string("CAS_FAILED");
      break;
  }
  reply.bulk_header(length);
}

std::string_view refusal_text(wire::Refusal why) {
  switch (why) {
    case wire::Refusal::kNotAnInteger:
      return kNotAnInteger;
    case wire::Refusal::kOverflow:
      return "ERR increment or decrement would overflow";
    case wire::Refusal::kNotAFloat:
      return "ERR value is not a valid float";
    case wire::Refusal::kNotFinite:
      return "ERR increment would produce NaN or Infinity";
    case wire::Refusal::kTooLong:
      return "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    case wire::Refusal::kBadDigest:
      return "ERR must be exactly 16 hexadecimal characters";
    case wire::Refusal::kNone:
      break;
  }
  return "ERR server error: refused for no known reason";
}

void stream_pinned(Request& request) {
  Operation& operation = request.operation;
  begin_value(request, operation.value_length);
  request.worker().stream_value(&request, operation.ticket, operation.value_length, &end_value);
}

}  // namespace

void finish_with_value(Request& request, ValueFrame frame) {
  Operation& operation = request.operation;
  request.frame = frame;
  if (operation.value.size() >= wire::kLargeValue || operation.ticket) {
    request.connection().note_reply_bytes(operation.value_length);
  }
  if (operation.ticket && operation.value.empty() && operation.value_length > 0) {
    return park_pinned(request, &stream_pinned);
  }
  begin_value(request, operation.value.size());
  if (operation.buffer && !request.silent()) {
    request.output().append_value(std::move(operation.buffer), operation.value);
  } else {
    const auto* bytes = reinterpret_cast<const char*>(operation.value.data());
    request.output().append({bytes, operation.value.size()});
  }
  end_value(request);
}

bool finish_if_failed(Request& request) {
  const Code code = request.operation.code;
  switch (code) {
    case Code::kOk:
    case Code::kNotFound:
    case Code::kVersionMismatch:
    case Code::kConditionNotMet:
      return false;
    case Code::kInapplicable:
      request.error(refusal_text(request.operation.refusal));
      request.finish();
      return true;
    case Code::kBusy:
      if (repeat_refused(request)) return true;
      break;
    default:
      break;
  }
  request.fail(code);
  request.finish();
  return true;
}

void finish_with_number(Request& request) {
  if (finish_if_failed(request)) return;
  request.finish_integer(static_cast<int64_t>(request.operation.number));
}

void finish_with_previous(Request& request) {
  request.operation.has_previous ? finish_with_value(request) : request.finish_null();
}

void count_lookup(Request& request, bool found) {
  if (std::exchange(request.counted, true)) return;
  WorkerStats& stats = request.worker().stats();
  (found ? stats.hits : stats.misses).add();
}

void finish_error_if_exists(Request& request, std::string_view key, std::string_view error,
                            int64_t if_none) {
  request.operation = Operation{};
  request.operation.kind = OperationKind::kInspect;
  request.set_key(key);
  request.text = error;
  request.number = if_none;
  request.submit([](Request& done) {
    if (finish_if_failed(done)) return;
    done.operation.code == Code::kOk ? done.finish_error(done.text)
                                     : done.finish_integer(done.number);
  });
}

}  // namespace rdmakv::proxy
