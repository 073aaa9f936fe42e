// The options of SET, and expiry times as Redis reads them. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "protocol/kv_modify.h"
#include "proxy/command_table.h"

namespace rdmakv::proxy {

enum class TimeUnit : uint8_t { kSeconds, kMilliseconds };

// What SET, GETEX, MSETEX and CAS can be told behind their other arguments.
struct SetOptions {
  // Which of them a command takes.
  enum Allowed : uint32_t {
    kConditions = 1,  // NX XX
    kGet = 2,
    kKeepTtl = 4,
    kPersist = 8,
    kComparisons = 16,  // IFEQ IFNE IFDEQ IFDNE
  };
  bool if_absent = false, if_present = false, get = false, keep_ttl = false, persist = false;
  // EX, PX, EXAT, PXAT: the argument, its unit, and whether it counts from now.
  std::optional<std::string_view> expiry;
  TimeUnit unit = TimeUnit::kSeconds;
  bool relative = false;
  wire::Comparison comparison = wire::Comparison::kNone;
  size_t compared = 0;  // which of the options it compares with
};

// Reads `options`; nothing: a syntax error.
std::optional<SetOptions> parse_set_options(Arguments options, uint32_t allowed);

// IFEQ and the like, in any case; kNone: it is none of them.
wire::Comparison find_comparison(std::string_view name);

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
