// Strings as arrays of bits: SETBIT, GETBIT, BITCOUNT, BITPOS, BITFIELD. (BITOP:
// commands_bitop.cc.)
#include <cstring>
#include <vector>

#include "protocol/resp_parser.h"
#include "proxy/commands.h"
#include "proxy/error_text.h"
#include "proxy/put.h"
#include "proxy/value_reply.h"
#include "proxy/worker.h"

namespace rdmakv::proxy::commands {
namespace {

using wire::FieldOperation;
using wire::FieldResult;
using wire::Function;

constexpr std::string_view kBadOffset = "ERR bit offset is not an integer or out of range";
constexpr std::string_view kBadBit = "ERR bit is not an integer or out of range";
// So that the results of one command fit a registered buffer.
constexpr size_t kMostFields = 100'000;

// A key that does not exist has no bits that are 1.
void count_done(Request& request) {
  if (finish_if_failed(request)) return;
  const bool found = request.operation.code == Code::kOk;
  count_lookup(request, found);
  request.finish_integer(found ? static_cast<int64_t>(request.operation.number) : 0);
}

// "#3" means the third field of `bits` bits, where that is allowed (bits > 0).
std::optional<uint64_t> parse_bit_offset(std::string_view text, int64_t bits = 0) {
  const bool multiply = bits > 0 && text.starts_with('#');
  const std::optional<int64_t> number = resp::parse_integer(text.substr(multiply ? 1 : 0));
  int64_t offset = 0;
  if (!number || __builtin_mul_overflow(*number, multiply ? bits : 1, &offset) || offset < 0 ||
      static_cast<uint64_t>(offset) / 8 >= wire::kMaxValueBytes) {
    return std::nullopt;
  }
  return static_cast<uint64_t>(offset);
}

void evaluate(Request& request, std::string_view key, Function function,
              Request::Continuation then) {
  request.operation.kind = OperationKind::kEvaluate;
  request.operation.function = function;
  request.set_key(key);
  request.submit(then);
}

// "start end [BYTE|BIT]": what is wrong with it; empty: nothing. `unit`: where it is, or 0.
std::string_view parse_range(Arguments arguments, size_t first, size_t last, size_t unit,
                             wire::EvaluateOperands& operands) {
  const std::optional<int64_t> from = resp::parse_integer(arguments[first]);
  if (!from) return kNotAnInteger;
  operands.first = *from;
  // BITPOS reads the unit first, BITCOUNT last: of two errors that one counts.
  const auto read_unit = [&]() -> std::string_view {
    if (unit == 0) return {};
    if (equals_ignoring_case(arguments[unit], "bit")) {
      operands.flags |= wire::kUnitBits;
      return {};
    }
    return equals_ignoring_case(arguments[unit], "byte") ? std::string_view() : kSyntaxError;
  };
  const bool unit_first = first == 3;
  if (unit_first) {
    if (const std::string_view error = read_unit(); !error.empty()) return error;
  }
  if (last != 0) {
    const std::optional<int64_t> to = resp::parse_integer(arguments[last]);
    if (!to) return kNotAnInteger;
    operands.last = *to;
    operands.flags |= wire::kLastGiven;
  }
  // BITCOUNT's empty ranges are told before its unit is looked at.
  const bool empty =
      !unit_first && operands.first < 0 && operands.last < 0 && operands.first > operands.last;
  return unit_first || empty ? std::string_view() : read_unit();
}

}  // namespace

void setbit(Request& request, Arguments arguments) {
  const std::optional<uint64_t> offset = parse_bit_offset(arguments[2]);
  if (!offset) return request.finish_error(kBadOffset);
  const std::optional<int64_t> bit = resp::parse_integer(arguments[3]);
  if (!bit || (*bit != 0 && *bit != 1)) return request.finish_error(kBadBit);
  Operation& operation = request.operation;
  operation.kind = OperationKind::kModify;
  operation.function = Function::kSetBit;
  operation.modify.number = static_cast<int64_t>(*offset);
  operation.modify.flags = *bit == 1 ? wire::kModifyBit : uint8_t{0};
  operation.keep_expiry = true;
  request.set_key(arguments[1]);
  request.submit(&finish_with_number);
}

void getbit(Request& request, Arguments arguments) {
  const std::optional<uint64_t> offset = parse_bit_offset(arguments[2]);
  if (!offset) return request.finish_error(kBadOffset);
  request.operation.evaluate.first = static_cast<int64_t>(*offset);
  evaluate(request, arguments[1], Function::kGetBit, &count_done);
}

// Redis looks the key up first: where there is none, nothing is wrong with the range.
void bitcount(Request& request, Arguments arguments) {
  std::string_view error;
  if (arguments.size() == 4 || arguments.size() == 5) {
    error = parse_range(arguments, 2, 3, arguments.size() == 5 ? 4 : 0, request.operation.evaluate);
  } else if (arguments.size() != 2) {
    error = kSyntaxError;
  }
  if (!error.empty()) return finish_error_if_exists(request, arguments[1], error, 0);
  evaluate(request, arguments[1], Function::kCountBits, &count_done);
}

void bitpos(Request& request, Arguments arguments) {
  const std::optional<int64_t> bit = resp::parse_integer(arguments[2]);
  if (!bit) return request.finish_error(kNotAnInteger);
  if (*bit != 0 && *bit != 1) return request.finish_error("ERR The bit argument must be 1 or 0.");
  const int64_t if_none = *bit == 1 ? -1 : 0;
  const size_t count = arguments.size();
  std::string_view error;
  if (count > 6) {
    error = kSyntaxError;
  } else if (count > 3) {
    error =
        parse_range(arguments, 3, count > 4 ? 4 : 0, count > 5 ? 5 : 0, request.operation.evaluate);
  }
  if (!error.empty()) return finish_error_if_exists(request, arguments[1], error, if_none);
  if (*bit == 1) request.operation.evaluate.flags |= wire::kFindSet;
  request.number = if_none;
  evaluate(request, arguments[1], Function::kFindBit, [](Request& done) {
    if (finish_if_failed(done)) return;
    const bool found = done.operation.code == Code::kOk;
    count_lookup(done, found);
    done.finish_integer(found ? static_cast<int64_t>(done.operation.number) : done.number);
  });
}

namespace {

// ---- BITFIELD
// ------------------------------------------------------------------------------------

struct FieldCommand {
  std::vector<FieldOperation> operations;
  bool writes = false;
};

// "i8", "u63".
bool parse_type(std::string_view text, FieldOperation& operation) {
  if (!text.starts_with('i') && !text.starts_with('u')) return false;
  operation.is_signed = text.starts_with('i') ? 1 : 0;
  const std::optional<int64_t> bits = resp::parse_integer(text.substr(1));
  if (!bits || *bits < 1 || *bits > (operation.is_signed != 0 ? 64 : 63)) return false;
  operation.bits = static_cast<uint8_t>(*bits);
  return true;
}

bool parse_overflow(std::string_view text, FieldOperation::Overflow& overflow) {
  using Overflow = FieldOperation::Overflow;
  constexpr std::pair<std::string_view, Overflow> kNames[] = {
      {"wrap", Overflow::kWrap}, {"sat", Overflow::kSaturate}, {"fail", Overflow::kFail}};
  for (const auto& [name, value] : kNames) {
    if (!equals_ignoring_case(text, name)) continue;
    overflow = value;
    return true;
  }
  return false;
}

// How many arguments follow the subcommand; 0: there is none of that name.
size_t operands_of(std::string_view name, FieldOperation::Kind& kind) {
  if (equals_ignoring_case(name, "get")) {
    kind = FieldOperation::Kind::kGet;
    return 2;
  }
  if (equals_ignoring_case(name, "set")) {
    kind = FieldOperation::Kind::kSet;
    return 3;
  }
  if (equals_ignoring_case(name, "incrby")) {
    kind = FieldOperation::Kind::kIncrement;
    return 3;
  }
  return 0;
}

// What is wrong; empty: nothing.
std::string_view parse_fields(Arguments arguments, FieldCommand& command) {
  FieldOperation::Overflow overflow = FieldOperation::Overflow::kWrap;
  for (size_t at = 2; at < arguments.size();) {
    const size_t rest = arguments.size() - at - 1;
    if (equals_ignoring_case(arguments[at], "overflow") && rest >= 1) {
      if (!parse_overflow(arguments[at + 1], overflow)) {
        return "ERR Invalid OVERFLOW type specified";
      }
      at += 2;
      continue;
    }
    FieldOperation operation;
    operation.overflow = overflow;
    const size_t operands = operands_of(arguments[at], operation.kind);
    if (operands == 0 || rest < operands) return kSyntaxError;
    if (!parse_type(arguments[at + 1], operation)) {
      return "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported "
             "but i64 is.";
    }
    const std::optional<uint64_t> offset = parse_bit_offset(arguments[at + 2], operation.bits);
    if (!offset) return kBadOffset;
    operation.offset = *offset;
    if (operation.kind != FieldOperation::Kind::kGet) {
      command.writes = true;
      const std::optional<int64_t> number = resp::parse_integer(arguments[at + 3]);
      if (!number) return kNotAnInteger;
      operation.number = *number;
    }
    command.operations.push_back(operation);
    at += 1 + operands;
  }
  return {};
}

void fields_done(Request& request) {
  if (finish_if_failed(request)) return;
  const std::span<const std::byte> results = request.operation.value;
  if (request.operation.ticket) {  // there was no registered memory for them
    request.worker().release_pin(request.operation.ticket);
    return request.finish_error(
        "ERR the proxy has no memory for the results; the command has taken effect");
  }
  resp::ReplyWriter reply = request.reply();
  reply.array(results.size() / sizeof(FieldResult));
  for (size_t at = 0; at + sizeof(FieldResult) <= results.size(); at += sizeof(FieldResult)) {
    FieldResult result;
    std::memcpy(&result, results.data() + at, sizeof(result));
    result.failed != 0 ? reply.null() : reply.integer(result.number);
  }
  request.finish();
}

void run_fields(Request& request, Arguments arguments, bool read_only) {
  FieldCommand command;
  std::string_view error = parse_fields(arguments, command);
  if (error.empty() && command.writes && read_only) {
    error = "ERR BITFIELD_RO only supports the GET subcommand";
  }
  if (error.empty() && command.operations.size() > kMostFields) {
    error = "ERR more than 100000 operations in one BITFIELD";
  }
  if (error.empty()) {
    for (const FieldOperation& operation : command.operations) {
      // The last bits of the longest string: Redis would lengthen it beyond its limit.
      if (!is_sound(operation, wire::kMaxValueBytes)) error = kBadOffset;
    }
  }
  if (!error.empty()) return request.finish_error(error);
  if (command.operations.empty()) {
    request.reply().array(0);
    return request.finish();
  }
  Operation& operation = request.operation;
  operation.kind = command.writes ? OperationKind::kModify : OperationKind::kEvaluate;
  operation.function = command.writes ? Function::kSetFields : Function::kGetFields;
  operation.keep_expiry = command.writes;
  const std::span<const FieldOperation> all(command.operations);
  request.set_key_and_value(arguments[1],
                            {reinterpret_cast<const char*>(all.data()), all.size_bytes()});
  request.submit(&fields_done);
}

}  // namespace

void bitfield(Request& request, Arguments arguments) {
  run_fields(request, arguments, false);
}

void bitfield_ro(Request& request, Arguments arguments) {
  run_fields(request, arguments, true);
}

}  // namespace rdmakv::proxy::commands
