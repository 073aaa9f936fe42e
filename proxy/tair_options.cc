#include "proxy/tair_options.h"

#include "protocol/kv_layout.h"
#include "protocol/resp_parser.h"
#include "proxy/error_text.h"
#include "proxy/set_options.h"

namespace rdmakv::proxy {
namespace {

// Option by option. False: a syntax error.
class Reader {
 public:
  Reader(Arguments options, uint32_t allowed, TairOptions& result)
      : options_(options), allowed_(allowed), result_(result) {}

  bool read_all() {
    for (; at_ < options_.size(); ++at_) {
      if (!read_flag() && !read_expiry() && !read_version() && !read_bounds()) return false;
    }
    return !bad_number_ && !(result_.if_absent && result_.if_present) &&
           !(has_expiry_ && result_.keep_ttl) && !(ver_ && result_.set_version);
  }

  std::string_view expiry;  // as it was given
  TimeUnit unit = TimeUnit::kSeconds;
  bool relative = false;
  bool has_expiry() const { return has_expiry_; }
  // VER, also 0.
  std::optional<int64_t> ver() const { return ver_; }

 private:
  bool is(std::string_view name) const { return equals_ignoring_case(options_[at_], name); }
  bool allows(uint32_t what) const { return (allowed_ & what) != 0; }
  bool has_next() const { return at_ + 1 < options_.size(); }

  bool read_flag() {
    const auto set = [&](std::string_view name, uint32_t needs, bool& flag) {
      if (!allows(needs) || !is(name)) return false;
      flag = true;
      return true;
    };
    return set("nx", TairOptions::kConditions, result_.if_absent) ||
           set("xx", TairOptions::kConditions, result_.if_present) ||
           set("keepttl", TairOptions::kKeepTtl, result_.keep_ttl) ||
           set("withversion", TairOptions::kWithVersion, result_.with_version) ||
           set("nonegative", TairOptions::kBounds, result_.no_negative);
  }

  bool read_expiry() {
    struct Name {
      std::string_view name;
      TimeUnit unit;
      bool relative;
    };
    constexpr Name kNames[] = {{"ex", TimeUnit::kSeconds, true},
                               {"px", TimeUnit::kMilliseconds, true},
                               {"exat", TimeUnit::kSeconds, false},
                               {"pxat", TimeUnit::kMilliseconds, false}};
    for (const Name& name : kNames) {
      if (!is(name.name)) continue;
      if (!allows(TairOptions::kExpiry) || has_expiry_ || !has_next()) return false;
      has_expiry_ = true;
      expiry = options_[++at_];
      unit = name.unit;
      relative = name.relative;
      return true;
    }
    return false;
  }

  bool read_number(std::string_view name, uint32_t needs, std::optional<int64_t>& number) {
    if (!allows(needs) || !is(name) || !has_next() || number) return false;
    number = resp::parse_integer(options_[++at_]);
    bad_number_ |= !number || *number < 0;
    return true;
  }

  bool read_version() {
    return read_number("ver", TairOptions::kVersion, ver_) ||
           read_number("abs", TairOptions::kVersion, result_.set_version) ||
           read_number("flags", TairOptions::kFlags, result_.flags);
  }

  bool read_bounds() {
    const auto take = [&](std::string_view name, std::optional<std::string_view>& text) {
      if (!allows(TairOptions::kBounds) || !is(name) || !has_next() || text) return false;
      text = options_[++at_];
      return true;
    };
    return take("def", result_.initial) || take("min", result_.least) || take("max", result_.most);
  }

  Arguments options_;
  const uint32_t allowed_;
  TairOptions& result_;
  size_t at_ = 0;
  bool has_expiry_ = false;
  bool bad_number_ = false;
  std::optional<int64_t> ver_;
};

}  // namespace

std::string_view parse_tair_options(Arguments options, uint32_t allowed, int64_t now_ms,
                                    TairOptions& result) {
  Reader reader(options, allowed, result);
  if (!reader.read_all()) return kSyntaxError;
  if (reader.has_expiry() &&
      parse_expiry(reader.expiry, reader.unit, reader.relative, reader.relative ? now_ms : 0,
                   result.expiry_ms) != ExpiryError::kNone) {
    return kSyntaxError;
  }
  if (result.flags && *result.flags > int64_t{UINT32_MAX}) return kSyntaxError;
  if (result.flags && *result.flags > int64_t{wire::kMostUserFlags}) {
    return "ERR flags beyond 65535 are not supported";
  }
  // Version 0 is that of a key that does not exist.
  if (result.set_version && (*result.set_version == 0 ||
                             static_cast<uint64_t>(*result.set_version) > wire::kMostSetVersion)) {
    return "ERR version is out of range";
  }
  if (reader.ver().value_or(0) != 0) result.version = reader.ver();
  return {};
}

void apply_tair_options(const TairOptions& options, Operation& operation) {
  if (options.if_absent) {
    operation.condition = Condition::kIfAbsent;
  } else if (options.version) {
    operation.condition =
        options.if_present ? Condition::kIfVersion : Condition::kIfVersionOrAbsent;
    operation.expected_version = static_cast<uint64_t>(*options.version);
  } else if (options.if_present) {
    operation.condition = Condition::kIfPresent;
  }
  operation.keep_expiry = options.keep_ttl;
  operation.expiry_ms = options.expiry_ms;
  operation.modify.set_version = static_cast<uint64_t>(options.set_version.value_or(0));
  if (options.flags) {
    operation.modify.user_flags = static_cast<uint16_t>(*options.flags);
    operation.modify.flags |= wire::kSetUserFlags;
  }
}

}  // namespace rdmakv::proxy
