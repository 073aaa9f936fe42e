#include "rdmakv/server/string_functions.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "protocol/kv_layout.h"
#include "protocol/resp_parser.h"

namespace rdmakv::server {

using wire::FieldOperation;
using wire::FieldResult;
using wire::Function;
using wire::Refusal;
using wire::ReplyStatus;

namespace {

constexpr size_t kDigestDigits = 16;

std::string_view text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void copy(std::span<std::byte> to, Bytes from) {
  if (!from.empty()) std::memcpy(to.data(), from.data(), from.size());
}

void zero(std::span<std::byte> bytes) {
  if (!bytes.empty()) std::memset(bytes.data(), 0, bytes.size());
}

template <typename T>
bool read(Bytes from, T& out) {
  if (from.size() < sizeof(T)) return false;
  std::memcpy(&out, from.data(), sizeof(T));
  return true;
}

// The i-th of an array of operations that a peer may be changing.
FieldOperation field_at(Bytes operations, size_t i) {
  FieldOperation operation;
  read(operations.subspan(i * sizeof(operation)), operation);
  return operation;
}

bool digests_equal(std::string_view digits, uint64_t digest) {
  char own[kDigestDigits + 1];
  std::snprintf(own, sizeof(own), "%016llx", static_cast<unsigned long long>(digest));
  return std::equal(digits.begin(), digits.end(), own, own + kDigestDigits, [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) == b;
  });
}

void refuse(ModificationPlan& plan, Refusal why) {
  plan.status = ReplyStatus::kRefused;
  plan.refusal = why;
}

// False, and refused: beyond the longest value there can be.
bool set_length(ModificationPlan& plan, uint64_t length) {
  if (length > wire::kMaxValueBytes) {
    refuse(plan, Refusal::kTooLong);
    return false;
  }
  plan.length = length;
  return true;
}

void set_text(ModificationPlan& plan, size_t length) {
  plan.text_length = static_cast<uint32_t>(length);
  plan.length = length;
}

// ---- numbers -----------------------------------------------------------------------------------

// False: beyond the bounds, or not an int64_t.
bool add_within(int64_t value, int64_t increment, const wire::Bounds& bounds, int64_t& sum) {
  return !__builtin_add_overflow(value, increment, &sum) && sum >= bounds.least &&
         sum <= bounds.most;
}

void plan_increment(const Modification& todo, std::optional<Bytes> old, ModificationPlan& plan) {
  wire::Bounds bounds;
  if (!todo.bytes.empty() && (todo.bytes.size() != sizeof(bounds) || !read(todo.bytes, bounds))) {
    plan.status = ReplyStatus::kBadRequest;
    return;
  }
  int64_t value = 0;
  if (old) {
    const std::optional<int64_t> parsed = resp::parse_integer(text_of(*old));
    if (!parsed) return refuse(plan, Refusal::kNotAnInteger);
    value = *parsed;
  }
  int64_t sum = bounds.initial;
  if ((old || bounds.has_initial == 0) && !add_within(value, todo.operands.number, bounds, sum)) {
    return refuse(plan, Refusal::kOverflow);
  }
  if (bounds.no_negative != 0) sum = std::max<int64_t>(sum, 0);
  plan.number = sum;
  const std::to_chars_result end =
      std::to_chars(plan.text.data(), plan.text.data() + plan.text.size(), sum);
  set_text(plan, static_cast<size_t>(end.ptr - plan.text.data()));
}

// As Redis reads a long double: all of the text, no space before it, not NaN, in range. `buffer`
// holds it for strtold.
bool parse_float(std::string_view text, std::span<char> buffer, long double& out) {
  if (text.empty() || text.size() >= buffer.size()) return false;
  std::memcpy(buffer.data(), text.data(), text.size());
  buffer[text.size()] = '\0';
  if (std::isspace(static_cast<unsigned char>(buffer[0])) != 0) return false;
  char* end = nullptr;
  errno = 0;
  out = std::strtold(buffer.data(), &end);
  const bool out_of_range = errno == ERANGE && (std::isinf(out) || out == 0);
  return end == buffer.data() + text.size() && !out_of_range && !std::isnan(out);
}

// In decimal with up to 17 digits behind the point and no zeros at their end; its length.
size_t format_float(long double value, std::span<char> to) {
  auto length = static_cast<size_t>(std::snprintf(to.data(), to.size(), "%.17Lf", value));
  while (to[length - 1] == '0') --length;
  if (to[length - 1] == '.') --length;
  if (length == 2 && to[0] == '-' && to[1] == '0') {
    to[0] = '0';
    length = 1;
  }
  return length;
}

void plan_increment_float(const Modification& todo, std::optional<Bytes> old,
                          ModificationPlan& plan) {
  long double value = 0;
  long double increment = 0;
  if ((old && !parse_float(text_of(*old), plan.text, value)) ||
      !parse_float(text_of(todo.bytes), plan.text, increment)) {
    return refuse(plan, Refusal::kNotAFloat);
  }
  value += increment;
  if (!std::isfinite(value)) return refuse(plan, Refusal::kNotFinite);
  set_text(plan, format_float(value, plan.text));
  plan.result_bytes = plan.length;
}

// ---- ranges and bits ---------------------------------------------------------------------------

void plan_set_range(const Modification& todo, std::optional<Bytes> old, ModificationPlan& plan) {
  const uint64_t old_length = old ? old->size() : 0;
  if (todo.bytes.empty()) {
    plan.stores = false;
    plan.number = static_cast<int64_t>(old_length);
    return;
  }
  const auto from = static_cast<uint64_t>(todo.operands.number);
  if (from > wire::kMaxValueBytes) return refuse(plan, Refusal::kTooLong);
  if (set_length(plan, std::max(old_length, from + todo.bytes.size()))) {
    plan.number = static_cast<int64_t>(plan.length);
  }
}

void plan_set_bit(const Modification& todo, std::optional<Bytes> old, ModificationPlan& plan) {
  const auto bit = static_cast<uint64_t>(todo.operands.number);
  if (bit / 8 >= wire::kMaxValueBytes) return refuse(plan, Refusal::kTooLong);
  const bool was = old && bit_at(*old, bit);
  plan.number = was ? 1 : 0;
  const bool fits = old && bit / 8 < old->size();
  plan.stores = !fits || was != ((todo.operands.flags & wire::kModifyBit) != 0);
  plan.length = fits ? old->size() : bit / 8 + 1;
}

void plan_set_fields(const Modification& todo, std::optional<Bytes> old, ModificationPlan& plan) {
  const size_t count = todo.bytes.size() / sizeof(FieldOperation);
  plan.length = old ? old->size() : 0;
  bool writes = false;
  for (size_t i = 0; i < count; ++i) {
    const FieldOperation operation = field_at(todo.bytes, i);
    if (!is_sound(operation, wire::kMaxValueBytes)) {
      plan.status = ReplyStatus::kBadRequest;
      return;
    }
    if (operation.kind == FieldOperation::Kind::kGet) continue;
    writes = true;
    plan.length = std::max(plan.length, (operation.offset + operation.bits - 1) / 8 + 1);
  }
  if (todo.bytes.size() % sizeof(FieldOperation) != 0 || !writes) {
    plan.status = ReplyStatus::kBadRequest;
    return;
  }
  plan.result_bytes = count * sizeof(FieldResult);
}

Built build_fields(const Modification& todo, const ModificationPlan& plan, uint64_t old_length,
                   std::span<std::byte> to, std::span<std::byte> results) {
  bool changed = old_length != plan.length;
  for (size_t i = 0; i * sizeof(FieldResult) < results.size(); ++i) {
    const FieldOperation operation = field_at(todo.bytes, i);
    const bool writes = operation.kind != FieldOperation::Kind::kGet;
    if (!is_sound(operation, writes ? to.size() : wire::kMaxValueBytes)) return Built::kNonsense;
    const FieldResult result = execute_field(operation, to, changed);
    std::memcpy(results.data() + i * sizeof(result), &result, sizeof(result));
  }
  return changed ? Built::kChanged : Built::kSame;
}

// first and last as GETRANGE and BITCOUNT have them, in a string of `length` bytes or bits: false,
// nothing is in between.
bool clip(int64_t first, int64_t last, uint64_t length, uint64_t& from, uint64_t& count) {
  const auto size = static_cast<int64_t>(length);
  if (size == 0 || (first < 0 && last < 0 && first > last)) return false;
  if (first < 0) first = std::max<int64_t>(first + size, 0);
  if (last < 0) last = std::max<int64_t>(last + size, 0);
  last = std::min(last, size - 1);
  if (first > last) return false;
  from = static_cast<uint64_t>(first);
  count = static_cast<uint64_t>(last - first) + 1;
  return true;
}

// As BITPOS: without a `last`, what lies behind the value counts as zeros.
int64_t find(const wire::EvaluateOperands& operands, Bytes value) {
  const bool on = (operands.flags & wire::kFindSet) != 0;
  const bool last_given = (operands.flags & wire::kLastGiven) != 0;
  const uint64_t unit = (operands.flags & wire::kUnitBits) != 0 ? 1 : 8;
  const uint64_t length = value.size() * 8 / unit;
  uint64_t from = 0;
  uint64_t count = 0;
  // (BITPOS does not mind ends that are the wrong way round before they are clipped.)
  int64_t first = operands.first;
  int64_t last = last_given ? operands.last : -1;
  if (first < 0) first = std::max<int64_t>(first + static_cast<int64_t>(length), 0);
  if (last < 0) last = std::max<int64_t>(last + static_cast<int64_t>(length), 0);
  if (!clip(first, last, length, from, count)) return -1;
  const uint64_t found = find_bit(value, from * unit, count * unit, on);
  if (found != kNoBit) return static_cast<int64_t>(found);
  return on || last_given ? -1 : static_cast<int64_t>((from + count) * unit);
}

}  // namespace

std::optional<Modification> parse_modification(Function function, Bytes value) {
  Modification todo;
  todo.function = function;
  if (!read(value, todo.operands) || !is_sound(todo.operands)) return std::nullopt;
  value = value.subspan(sizeof(todo.operands));
  if (todo.operands.comparison_length > value.size()) return std::nullopt;
  todo.comparison = value.first(todo.operands.comparison_length);
  todo.bytes = value.subspan(todo.operands.comparison_length);
  const bool counts = function == Function::kSetRange || function == Function::kSetBit;
  if (counts && todo.operands.number < 0) return std::nullopt;
  if (function == Function::kSetVersion && todo.operands.set_version == 0) return std::nullopt;
  return todo;
}

std::optional<Evaluation> parse_evaluation(Function function, Bytes value) {
  Evaluation asked;
  asked.function = function;
  if (!read(value, asked.operands) || !is_sound(asked.operands)) return std::nullopt;
  asked.bytes = value.subspan(sizeof(asked.operands));
  if (function == Function::kGetBit && asked.operands.first < 0) return std::nullopt;
  return asked;
}

std::optional<bool> comparison_met(const Modification& todo, std::optional<Bytes> old) {
  const wire::Comparison how = todo.operands.comparison;
  if (how == wire::Comparison::kNone) return true;
  const bool wants_equal = how == wire::Comparison::kEqual || how == wire::Comparison::kDigestEqual;
  if (!old) return !wants_equal;
  if (how == wire::Comparison::kEqual || how == wire::Comparison::kNotEqual) {
    return std::ranges::equal(todo.comparison, *old) == wants_equal;
  }
  if (todo.comparison.size() != kDigestDigits) return std::nullopt;
  return digests_equal(text_of(todo.comparison), wire::hash_value(*old)) == wants_equal;
}

void plan_modification(const Modification& todo, std::optional<Bytes> old, ModificationPlan& plan) {
  plan.status = ReplyStatus::kOk;
  plan.refusal = Refusal::kNone;
  plan.stores = true;
  plan.length = plan.result_bytes = plan.text_length = 0;
  plan.number = 0;
  switch (todo.function) {
    case Function::kReplace:
      set_length(plan, todo.bytes.size());
      break;
    case Function::kAppend:
      if (set_length(plan, (old ? old->size() : 0) + todo.bytes.size())) {
        plan.number = static_cast<int64_t>(plan.length);
      }
      break;
    case Function::kSetRange:
      plan_set_range(todo, old, plan);
      break;
    case Function::kSetBit:
      plan_set_bit(todo, old, plan);
      break;
    case Function::kSetFields:
      plan_set_fields(todo, old, plan);
      break;
    case Function::kIncrement:
      plan_increment(todo, old, plan);
      break;
    case Function::kIncrementFloat:
      plan_increment_float(todo, old, plan);
      break;
    case Function::kSetVersion:
      plan.length = old ? old->size() : 0;
      break;
    default:
      plan.status = ReplyStatus::kBadRequest;
      break;
  }
}

Built build_value(const Modification& todo, const ModificationPlan& plan, std::optional<Bytes> old,
                  std::span<std::byte> to, std::span<std::byte> results) {
  const Bytes before = old.value_or(Bytes());
  if (plan.text_length != 0) {
    const Bytes text = std::as_bytes(std::span(plan.text.data(), plan.text_length));
    copy(to, text);
    if (!results.empty()) copy(results, text);
    return Built::kChanged;
  }
  if (todo.function == Function::kReplace) {
    copy(to, todo.bytes);
    return Built::kChanged;
  }
  copy(to, before);
  zero(to.subspan(before.size()));
  switch (todo.function) {
    case Function::kAppend:
      copy(to.subspan(before.size()), todo.bytes);
      break;
    case Function::kSetRange:
      copy(to.subspan(static_cast<size_t>(todo.operands.number)), todo.bytes);
      break;
    case Function::kSetBit:
      set_bit(to, static_cast<uint64_t>(todo.operands.number),
              (todo.operands.flags & wire::kModifyBit) != 0);
      break;
    case Function::kSetFields:
      return build_fields(todo, plan, old ? before.size() : ~uint64_t{0}, to, results);
    default:
      break;
  }
  return Built::kChanged;
}

EvaluationResult evaluate(const Evaluation& asked, Bytes value) {
  const wire::EvaluateOperands& operands = asked.operands;
  const uint64_t unit = (operands.flags & wire::kUnitBits) != 0 ? 1 : 8;
  EvaluationResult result;
  uint64_t from = 0;
  uint64_t count = 0;
  switch (asked.function) {
    case Function::kRange:
      if (clip(operands.first, operands.last, value.size(), from, count)) {
        result.range = value.subspan(from, count);
      }
      break;
    case Function::kGetBit:
      result.number = bit_at(value, static_cast<uint64_t>(operands.first)) ? 1 : 0;
      break;
    case Function::kCountBits:
      if (clip(operands.first, operands.last, value.size() * 8 / unit, from, count)) {
        result.number = static_cast<int64_t>(count_bits(value, from * unit, count * unit));
      }
      break;
    case Function::kFindBit:
      result.number = find(operands, value);
      break;
    case Function::kDigest:
      result.number = static_cast<int64_t>(wire::hash_value(value));
      break;
    default:
      break;
  }
  return result;
}

uint64_t field_result_bytes(Bytes operations) {
  return operations.size() / sizeof(FieldOperation) * sizeof(FieldResult);
}

bool get_fields(Bytes operations, Bytes value, std::span<std::byte> results) {
  if (operations.size() % sizeof(FieldOperation) != 0) return false;
  for (size_t i = 0; i * sizeof(FieldResult) < results.size(); ++i) {
    const FieldOperation operation = field_at(operations, i);
    if (!is_sound(operation, wire::kMaxValueBytes) ||
        operation.kind != FieldOperation::Kind::kGet) {
      return false;
    }
    const FieldResult result = get_field(operation, value);
    std::memcpy(results.data() + i * sizeof(result), &result, sizeof(result));
  }
  return true;
}

}  // namespace rdmakv::server
