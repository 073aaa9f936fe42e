#include "proxy/set_options.h"

#include "protocol/resp_parser.h"

namespace rdmakv::proxy {
namespace {

constexpr int64_t kMost = INT64_MAX;

struct ExpiryOption {
  std::string_view name;
  TimeUnit unit;
  bool relative;
};
constexpr ExpiryOption kExpiryOptions[] = {
    {"ex", TimeUnit::kSeconds, true},
    {"px", TimeUnit::kMilliseconds, true},
    {"exat", TimeUnit::kSeconds, false},
    {"pxat", TimeUnit::kMilliseconds, false},
};

const ExpiryOption* find_expiry_option(std::string_view name) {
  for (const ExpiryOption& option : kExpiryOptions) {
    if (equals_ignoring_case(name, option.name)) return &option;
  }
  return nullptr;
}

}  // namespace

// The same option twice is fine, the last one counts; two that contradict each other are not.
std::optional<SetOptions> parse_set_options(Arguments options, uint32_t allowed) {
  SetOptions result;
  const ExpiryOption* chosen = nullptr;
  const auto allows = [allowed](uint32_t what) { return (allowed & what) != 0; };
  for (size_t i = 0; i < options.size(); ++i) {
    const std::string_view option = options[i];
    const bool has_next = i + 1 < options.size();
    const bool compares = result.comparison != wire::Comparison::kNone;
    const bool conditional = result.if_absent || result.if_present || compares;
    if (allows(SetOptions::kConditions) && equals_ignoring_case(option, "nx") &&
        !result.if_present && !compares) {
      result.if_absent = true;
    } else if (allows(SetOptions::kConditions) && equals_ignoring_case(option, "xx") &&
               !result.if_absent && !compares) {
      result.if_present = true;
    } else if (allows(SetOptions::kGet) && equals_ignoring_case(option, "get")) {
      result.get = true;
    } else if (allows(SetOptions::kKeepTtl) && equals_ignoring_case(option, "keepttl") &&
               chosen == nullptr) {
      result.keep_ttl = true;
    } else if (allows(SetOptions::kPersist) && equals_ignoring_case(option, "persist") &&
               chosen == nullptr) {
      result.persist = true;
    } else if (const wire::Comparison found = find_comparison(option);
               allows(SetOptions::kComparisons) && found != wire::Comparison::kNone && has_next &&
               !conditional) {
      result.comparison = found;
      result.compared = ++i;
    } else if (const ExpiryOption* expiry = find_expiry_option(option);
               expiry != nullptr && !result.keep_ttl && !result.persist && has_next &&
               (chosen == nullptr || chosen == expiry)) {
      chosen = expiry;
      result.expiry = options[++i];
      result.unit = expiry->unit;
      result.relative = expiry->relative;
    } else {
      return std::nullopt;
    }
  }
  return result;
}

wire::Comparison find_comparison(std::string_view name) {
  using wire::Comparison;
  constexpr std::pair<std::string_view, Comparison> kNames[] = {
      {"ifeq", Comparison::kEqual},
      {"ifne", Comparison::kNotEqual},
      {"ifdeq", Comparison::kDigestEqual},
      {"ifdne", Comparison::kDigestNotEqual}};
  for (const auto& [own, comparison] : kNames) {
    if (equals_ignoring_case(name, own)) return comparison;
  }
  return Comparison::kNone;
}

ExpiryError parse_expiry(std::string_view text, TimeUnit unit, bool relative, int64_t now_ms,
                         int64_t& expiry_ms) {
  const std::optional<int64_t> number = resp::parse_integer(text);
  if (!number) return ExpiryError::kNotAnInteger;
  int64_t time = *number;
  if (time <= 0 || (unit == TimeUnit::kSeconds && time > kMost / 1000)) {
    return ExpiryError::kInvalid;
  }
  if (unit == TimeUnit::kSeconds) time *= 1000;
  if (relative) {
    if (time > kMost - now_ms) return ExpiryError::kInvalid;
    time += now_ms;
  }
  expiry_ms = time;
  return ExpiryError::kNone;
}

ExpiryError parse_expire_time(std::string_view text, TimeUnit unit, bool relative, int64_t now_ms,
                              int64_t& expiry_ms) {
  const std::optional<int64_t> number = resp::parse_integer(text);
  if (!number) return ExpiryError::kNotAnInteger;
  int64_t time = *number;
  if (unit == TimeUnit::kSeconds) {
    if (time > kMost / 1000 || time < INT64_MIN / 1000) return ExpiryError::kInvalid;
    time *= 1000;
  }
  const int64_t base = relative ? now_ms : 0;
  if (time > kMost - base) return ExpiryError::kInvalid;
  expiry_ms = time + base;
  return ExpiryError::kNone;
}

std::string_view parse_expire_options(Arguments options, ExpireOptions& result) {
  for (const std::string_view option : options) {
    if (equals_ignoring_case(option, "nx")) {
      result.nx = true;
    } else if (equals_ignoring_case(option, "xx")) {
      result.xx = true;
    } else if (equals_ignoring_case(option, "gt")) {
      result.gt = true;
    } else if (equals_ignoring_case(option, "lt")) {
      result.lt = true;
    } else {
      result.unsupported = option;
      return "ERR Unsupported option ";
    }
  }
  if (result.nx && (result.xx || result.gt || result.lt)) {
    return "ERR NX and XX, GT or LT options at the same time are not compatible";
  }
  if (result.gt && result.lt) return "ERR GT and LT options at the same time are not compatible";
  return {};
}

}  // namespace rdmakv::proxy
