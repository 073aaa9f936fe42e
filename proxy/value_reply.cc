#include "proxy/value_reply.h"

#include "proxy/connection.h"
#include "proxy/worker.h"

namespace rdmakv::proxy {
namespace {

void end_value(Request& request) {
  resp::ReplyWriter reply = request.reply();
  reply.bulk_end();
  if (request.flag) reply.integer(request.number);
  request.finish();
}

void begin_value(Request& request, uint64_t length) {
  resp::ReplyWriter reply = request.reply();
  if (request.flag) reply.array(2);
  reply.bulk_header(length);
}

void stream_pinned(Request& request) {
  Operation& operation = request.operation;
  begin_value(request, operation.value_length);
  request.worker().stream_value(&request, operation.ticket, operation.value_length, &end_value);
}

}  // namespace

void finish_with_value(Request& request, bool with_version) {
  Operation& operation = request.operation;
  request.flag = with_version;
  request.number = static_cast<int64_t>(operation.version);
  if (operation.value.size() >= wire::kLargeValue || operation.ticket) {
    request.connection().note_reply_bytes(operation.value_length);
  }
  if (operation.ticket && operation.value.empty() && operation.value_length > 0) {
    return request.when_head(&stream_pinned);
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
    default:
      break;
  }
  request.fail(code);
  request.finish();
  return true;
}

}  // namespace rdmakv::proxy
