// The options of SET, and expiry times as Redis reads them. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "proxy/command_table.h"

namespace rdmakv::proxy {

enum class TimeUnit : uint8_t { kSeconds, kMilliseconds };

struct SetOptions {
  bool if_absent = false, if_present = false, get = false, keep_ttl = false;
  // EX, PX, EXAT, PXAT: the argument, its unit, and whether it counts from now.
  std::optional<std::string_view> expiry;
  TimeUnit unit = TimeUnit::kSeconds;
  bool relative = false;
};

// Reads the options behind "SET key value"; nothing: a syntax error.
std::optional<SetOptions> parse_set_options(Arguments options);

enum class ExpiryError : uint8_t { kNone, kNotAnInteger, kInvalid };

// The time at which a key is to expire, ms since 1970, from what a SET or the like says: `text` in
// `unit`, from `now_ms` on if `relative`. Must be in the future of 1970, as Redis demands.
ExpiryError parse_expiry(std::string_view text, TimeUnit unit, bool relative, int64_t now_ms,
                         int64_t& expiry_ms);
// The same for the EXPIRE family, where times in the past are allowed (and delete the key).
ExpiryError parse_expire_time(std::string_view text, TimeUnit unit, bool relative, int64_t now_ms,
                              int64_t& expiry_ms);

// NX XX GT LT of the EXPIRE family. `error`: what Redis replies; empty: fine.
struct ExpireOptions {
  bool nx = false, xx = false, gt = false, lt = false;
  std::string_view unsupported;  // the option that is none
};
std::string_view parse_expire_options(Arguments options, ExpireOptions& result);

}  // namespace rdmakv::proxy
