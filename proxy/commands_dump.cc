// DUMP and RESTORE: strings in Redis's own format.
#include <optional>
#include <string>
#include <utility>

#include "protocol/resp_parser.h"
#include "proxy/commands.h"
#include "proxy/connection.h"
#include "proxy/dump_format.h"
#include "proxy/error_text.h"
#include "proxy/put.h"
#include "proxy/repeat.h"
#include "proxy/value_gather.h"
#include "proxy/value_reply.h"
#include "proxy/worker.h"

namespace rdmakv::proxy::commands {
namespace {

std::string_view text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// ---- DUMP --------------------------------------------------------------------------------------

struct DumpState : Request::State {
  static constexpr size_t kPieceBytes = size_t{256} * 1024;

  void write_on(Request& request) override;

  std::string payload;  // of a value that LZF makes smaller: written as fast as the client reads
  size_t written = 0;
  bool writing = false;
  uint64_t crc = 0;  // so far, of a value that is streamed
};

void DumpState::write_on(Request& request) {
  if (payload.empty() || writing) return;  // output_grew() may close, which comes back here
  Connection& connection = request.connection();
  writing = true;
  while (written < payload.size() && !connection.closed() && !request.output_full()) {
    const std::string_view piece = std::string_view(payload).substr(written, kPieceBytes);
    request.output().append(piece);
    written += piece.size();
    connection.output_grew();
  }
  writing = false;
  if (written < payload.size() && !connection.closed()) return;
  request.reply().bulk_end();
  request.finish();
}

void end_large_dump(Request& request) {
  request.output().append(dump_footer(static_cast<DumpState&>(*request.state).crc));
  request.reply().bulk_end();
  request.finish();
}

// Piece by piece, as the server has it.
void stream_dump(Request& request) {
  const Operation& operation = request.operation;
  auto owner = std::make_unique<DumpState>();
  DumpState& state = *owner;
  request.state = std::move(owner);
  const std::string head = dump_head(operation.value_length);
  state.crc = crc64(0, head);
  request.reply().bulk_header(head.size() + operation.value_length + kDumpFooterBytes);
  request.output().append(head);
  request.worker().stream_value(&request, operation.ticket, operation.value_length, &end_large_dump,
                                [](Request& of, std::span<const std::byte> piece) {
                                  uint64_t& crc = static_cast<DumpState&>(*of.state).crc;
                                  crc = crc64(crc, text(piece));
                                });
}

// A value that the server keeps pinned: all of it is needed to see whether it gets smaller.
void dump_large(Request& request) {
  if (!request.worker().settings().dump_compression) return stream_dump(request);
  ValueGather::start_pinned(request, [](Request& going, ValueGather::Values values) {
    auto owner = std::make_unique<DumpState>();
    DumpState& state = *owner;
    state.payload = dump_compressed(values.front());
    values.clear();
    going.worker().time_has_passed();
    if (state.payload.empty()) return stream_dump(going);
    going.state = std::move(owner);
    going.worker().release_pin(std::exchange(going.operation.ticket, {}));
    going.reply().bulk_header(state.payload.size());
    state.write_on(going);
  });
}

void dump_done(Request& request) {
  if (finish_if_failed(request)) return;
  const Operation& operation = request.operation;
  if (operation.code != Code::kOk) return request.finish_null();
  if (operation.ticket && operation.value.empty() && operation.value_length > 0) {
    request.connection().note_reply_bytes(operation.value_length);
    return park_pinned(request, &dump_large);
  }
  const bool compress = request.worker().settings().dump_compression;
  request.reply().bulk(dump_string(text(operation.value), compress));
  request.finish();
}

// ---- RESTORE -----------------------------------------------------------------------------------

struct RestoreOptions {
  bool replace = false, absolute = false;
};

// Empty, or what is wrong. There is no record of use that IDLETIME and FREQ could set.
std::string_view parse_restore_options(Arguments options, RestoreOptions& result) {
  bool idle = false, frequency = false;
  for (size_t i = 0; i < options.size(); ++i) {
    const bool has_value = i + 1 < options.size();
    const bool is_idle = has_value && !frequency && equals_ignoring_case(options[i], "idletime");
    const bool is_frequency = has_value && !idle && equals_ignoring_case(options[i], "freq");
    if (equals_ignoring_case(options[i], "replace")) {
      result.replace = true;
    } else if (equals_ignoring_case(options[i], "absttl")) {
      result.absolute = true;
    } else if (is_idle || is_frequency) {
      const std::optional<int64_t> number = resp::parse_integer(options[++i]);
      if (!number) return kNotAnInteger;
      if (is_idle && *number < 0) return "ERR Invalid IDLETIME value, must be >= 0";
      if (is_frequency && (*number < 0 || *number > 255)) {
        return "ERR Invalid FREQ value, must be >= 0 and <= 255";
      }
      idle |= is_idle;
      frequency |= is_frequency;
    } else {
      return kSyntaxError;
    }
  }
  return {};
}

struct RestoreState : Request::State {
  std::string plain;  // the value, when it is no part of the payload
};

std::string_view problem_of(Restored restored) {
  switch (restored) {
    case Restored::kOk:
      return {};
    case Restored::kWrongChecksum:
      return "ERR DUMP payload version or checksum are wrong";
    case Restored::kBadFormat:
      return "ERR Bad data format";
    case Restored::kTooLarge:
      return "ERR value is larger than what is decompressed: 536870912 bytes at most";
  }
  return {};
}

void finish_busy(Request& request) {
  request.finish_error("BUSYKEY Target key name already exists.");
}

// Redis looks whether the key exists before it looks at what is to be stored.
void refuse_restore(Request& request, std::string_view key, bool replace,
                    std::string_view problem) {
  if (replace) return request.finish_error(problem);
  request.text = problem;
  request.operation.kind = OperationKind::kInspect;
  request.set_key(key);
  request.submit([](Request& done) {
    if (finish_if_failed(done)) return;
    if (done.operation.code == Code::kOk) return finish_busy(done);
    done.finish_error(std::string(done.text));
  });
}

void restore_done(Request& request) {
  if (finish_if_failed(request)) return;
  request.operation.code == Code::kOk ? request.finish_ok() : finish_busy(request);
}

}  // namespace

void dump(Request& request, Arguments arguments) {
  request.operation.kind = OperationKind::kGet;
  request.set_key(arguments[1]);
  request.submit(&dump_done);
}

void restore(Request& request, Arguments arguments) {
  RestoreOptions options;
  std::string_view problem = parse_restore_options(arguments.subspan(4), options);
  if (!problem.empty()) return request.finish_error(problem);
  const std::optional<int64_t> ttl = resp::parse_integer(arguments[2]);
  auto state = std::make_unique<RestoreState>();
  std::string_view value;
  if (!ttl) {
    problem = kNotAnInteger;
  } else if (*ttl < 0) {
    problem = "ERR Invalid TTL value, must be >= 0";
  } else {
    problem = problem_of(restore_string(arguments[3], value, state->plain));
  }
  if (!problem.empty()) return refuse_restore(request, arguments[1], options.replace, problem);

  Operation& operation = request.operation;
  operation.kind = OperationKind::kPut;
  operation.condition = options.replace ? Condition::kAlways : Condition::kIfAbsent;
  operation.expiry_ms = *ttl;
  const int64_t now = request.worker().client().server_clock_ms(arguments[1]);
  if (*ttl != 0 && !options.absolute && __builtin_add_overflow(*ttl, now, &operation.expiry_ms)) {
    operation.expiry_ms = INT64_MAX;
  }
  if (!state->plain.empty()) {
    request.worker().time_has_passed();  // up to a second, for 512 MB
    request.set_key(arguments[1]);
    operation.input = std::as_bytes(std::span(state->plain));
    request.state = std::move(state);
  } else if (LargeArgument* large = request.large_argument(3); large != nullptr) {
    request.set_key(arguments[1]);
    request.keep(large->take_heap());
    operation.input = std::as_bytes(std::span(value));
  } else {
    request.set_key_and_value(arguments[1], value);
  }
  request.submit(&restore_done);
}

}  // namespace rdmakv::proxy::commands
