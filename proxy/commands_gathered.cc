// Commands that compute with the values of several keys, here: BITOP and LCS.
#include <algorithm>
#include <cstring>
#include <utility>

#include "protocol/kv_combine.h"
#include "protocol/resp_parser.h"
#include "proxy/commands.h"
#include "proxy/error_text.h"
#include "proxy/lcs.h"
#include "proxy/value_gather.h"
#include "proxy/value_reply.h"
#include "proxy/worker.h"

namespace rdmakv::proxy::commands {
namespace {

// ---- BITOP ------------------------------------------------------------------------------------

using wire::BitOperation;

std::optional<BitOperation> parse_bit_operation(std::string_view name) {
  constexpr std::pair<std::string_view, BitOperation> kNames[] = {{"and", BitOperation::kAnd},
                                                                  {"or", BitOperation::kOr},
                                                                  {"xor", BitOperation::kXor},
                                                                  {"not", BitOperation::kNot}};
  for (const auto& [own, operation] : kNames) {
    if (equals_ignoring_case(name, own)) return operation;
  }
  return std::nullopt;
}

std::string combine_all(BitOperation operation, ValueGather::Values values) {
  size_t longest = 0;
  for (const std::string& value : values) longest = std::max(longest, value.size());
  std::string result = std::move(values.front());
  result.resize(longest);
  const auto bytes = std::as_writable_bytes(std::span(result));
  if (operation == BitOperation::kNot) wire::combine_bits(operation, bytes, {});
  for (size_t i = 1; i < values.size(); ++i) {
    wire::combine_bits(operation, bytes, std::as_bytes(std::span(values[i])));
  }
  return result;
}

// Stores the result under the operation's key, or removes that where it would be empty.
void store_result(Request& request, std::string result) {
  Operation& operation = request.operation;
  request.number = static_cast<int64_t>(result.size());
  operation.kind = result.empty() ? OperationKind::kDelete : OperationKind::kPut;
  operation.input = {};
  if (!result.empty()) {
    auto memory = std::make_unique_for_overwrite<std::byte[]>(result.size());
    std::memcpy(memory.get(), result.data(), result.size());
    operation.input = {memory.get(), result.size()};
    request.keep(std::move(memory));
  }
  request.submit([](Request& done) {
    if (!finish_if_failed(done)) done.finish_integer(done.number);
  });
  ValueGather::release(request);
}

// Not atomic: each source as it is at some time while the command runs, then the result.
void combine_here(Request& request) {
  const std::span<const std::byte> input = request.operation.input;
  std::vector<std::string_view> sources;
  wire::for_each_source(input, [&](std::string_view source) {
    sources.push_back(source);
    return true;
  });
  ValueGather::start(request, sources,
                     [operation = static_cast<BitOperation>(input[0])](Request& going,
                                                                       ValueGather::Values values) {
                       store_result(going, combine_all(operation, std::move(values)));
                     });
}

void combined(Request& request) {
  if (request.operation.code == Code::kWrongWorker) return combine_here(request);
  if (finish_if_failed(request)) return;
  request.finish_integer(static_cast<int64_t>(request.operation.number));
}

// ---- LCS
// -----------------------------------------------------------------------------------------

struct LcsOptions {
  bool length = false, matches = false, with_length = false;
  int64_t least = 0;
};

// What is wrong with them; empty: nothing.
std::string_view parse_lcs_options(Arguments options, LcsOptions& result) {
  for (size_t i = 0; i < options.size(); ++i) {
    if (equals_ignoring_case(options[i], "idx")) {
      result.matches = true;
    } else if (equals_ignoring_case(options[i], "len")) {
      result.length = true;
    } else if (equals_ignoring_case(options[i], "withmatchlen")) {
      result.with_length = true;
    } else if (equals_ignoring_case(options[i], "minmatchlen") && i + 1 < options.size()) {
      const std::optional<int64_t> least = resp::parse_integer(options[++i]);
      if (!least) return kNotAnInteger;
      result.least = std::max<int64_t>(*least, 0);
    } else {
      return kSyntaxError;
    }
  }
  if (result.length && result.matches) {
    return "ERR If you want both the length and indexes, please just use IDX.";
  }
  return {};
}

void write_matches(resp::ReplyWriter& reply, const Lcs& lcs, const LcsOptions& options) {
  std::vector<LcsMatch> shown;
  for (const LcsMatch& match : lcs.matches) {
    if (int64_t{match.length()} >= options.least) shown.push_back(match);
  }
  reply.map(2);
  reply.bulk("matches");
  reply.array(shown.size());
  for (const LcsMatch& match : shown) {
    reply.array(options.with_length ? 3 : 2);
    reply.array(2);
    reply.integer(match.a_first);
    reply.integer(match.a_last);
    reply.array(2);
    reply.integer(match.b_first);
    reply.integer(match.b_last);
    if (options.with_length) reply.integer(match.length());
  }
  reply.bulk("len");
  reply.integer(lcs.length);
}

void finish_lcs(Request& request, std::string_view a, std::string_view b,
                const LcsOptions& options) {
  ValueGather::release(request);
  if (lcs_table_bytes(a.size(), b.size()) > wire::kMaxValueBytes) {
    return request.finish_error(
        "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
  }
  const Lcs lcs = longest_common_subsequence(a, b, options.length);
  resp::ReplyWriter reply = request.reply();
  if (options.matches) {
    write_matches(reply, lcs, options);
  } else if (options.length) {
    reply.integer(lcs.length);
  } else {
    reply.bulk(lcs.text);
  }
  request.finish();
}

}  // namespace

// One step of the worker that has all the keys; where there is none, the proxy computes.
void bitop(Request& request, Arguments arguments) {
  const std::optional<BitOperation> operation = parse_bit_operation(arguments[1]);
  if (!operation) return request.finish_error(kSyntaxError);
  if (*operation == BitOperation::kNot && arguments.size() != 4) {
    return request.finish_error("ERR BITOP NOT must be called with a single source key.");
  }
  const std::string sources = wire::encode_combine(*operation, arguments.subspan(3));
  request.operation.kind = OperationKind::kCombine;
  request.set_key_and_value(arguments[2], sources);
  const bool fits = sources.size() <= request.worker().client().max_single_put();
  if (!fits && !request.in_transaction()) return combine_here(request);
  request.submit(&combined);
}

void lcs(Request& request, Arguments arguments) {
  LcsOptions options;
  const std::string_view error = parse_lcs_options(arguments.subspan(3), options);
  if (!error.empty()) return request.finish_error(error);
  ValueGather::start(request, arguments.subspan(1, 2),
                     [options](Request& going, ValueGather::Values values) {
                       finish_lcs(going, values[0], values[1], options);
                     });
}

}  // namespace rdmakv::proxy::commands
