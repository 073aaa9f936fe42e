// Versions: CAS and GETV, which Redis does not have.
#include "protocol/resp_parser.h"
#include "proxy/commands.h"
#include "proxy/error_text.h"
#include "proxy/expiry_option.h"
#include "proxy/put.h"
#include "proxy/value_reply.h"
#include "proxy/worker.h"

namespace rdmakv::proxy::commands {

// CAS key version value [EX ... | KEEPTTL]: [1, new version] when it won, [0, current version] when
// it lost; version 0 is that of a key that does not exist.
void cas(Request& request, Arguments arguments) {
  const std::optional<int64_t> version = resp::parse_integer(arguments[2]);
  if (!version || *version < 0) {
    return request.finish_error("ERR version is not an integer or out of range");
  }
  const std::optional<SetOptions> options =
      parse_set_options(arguments.subspan(4), SetOptions::kKeepTtl);
  if (!options) return request.finish_error(kSyntaxError);
  request.operation.keep_expiry = options->keep_ttl;
  if (const ExpiryError error =
          read_expiry(request, arguments[1], *options, request.operation.expiry_ms);
      error != ExpiryError::kNone) {
    return finish_expiry_error(request, error);
  }
  request.operation.condition = Condition::kIfVersion;
  request.operation.expected_version = static_cast<uint64_t>(*version);
  submit_put(request, arguments, 3, [](Request& done) {
    if (finish_if_failed(done)) return;
    resp::ReplyWriter reply = done.reply();
    reply.array(2);
    reply.integer(done.operation.code == Code::kOk ? 1 : 0);
    reply.integer(static_cast<int64_t>(done.operation.version));
    done.finish();
  });
}

// GETV key: [value, version], or null.
void getv(Request& request, Arguments arguments) {
  request.operation.kind = OperationKind::kGet;
  request.set_key(arguments[1]);
  request.submit([](Request& done) {
    if (finish_if_failed(done)) return;
    const bool found = done.operation.code == Code::kOk;
    count_lookup(done, found);
    if (found) return finish_with_value(done, ValueFrame::kVersion);
    done.reply().null_array();
    done.finish();
  });
}

}  // namespace rdmakv::proxy::commands
