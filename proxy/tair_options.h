// The options of Tair's EX... commands, in any order, as its open-source module reads them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "proxy/command_table.h"
#include "rdmakv/client/operation.h"

namespace rdmakv::proxy {

struct TairOptions {
  // Which options a command takes; NX and XX, where it takes kConditions.
  enum Allowed : uint32_t {
    kConditions = 1,
    kExpiry = 2,  // EX PX EXAT PXAT
    kKeepTtl = 4,
    kVersion = 8,  // VER ABS
    kFlags = 16,
    kWithVersion = 32,
    kBounds = 64,  // DEF MIN MAX NONEGATIVE
  };

  bool if_absent = false, if_present = false, keep_ttl = false, with_version = false;
  std::optional<int64_t> version;      // VER, unless 0, which asks for none
  std::optional<int64_t> set_version;  // ABS
  std::optional<int64_t> flags;
  int64_t expiry_ms = 0;  // ms since 1970; 0: none
  // As they were given: what is wrong with them is told later than other errors.
  std::optional<std::string_view> initial, least, most;
  bool no_negative = false;
};

// What is wrong with `options`, as Tair replies; empty: nothing.
std::string_view parse_tair_options(Arguments options, uint32_t allowed, int64_t now_ms,
                                    TairOptions& result);

// Condition, version, expiry and flags of a kModify.
void apply_tair_options(const TairOptions& options, Operation& operation);

}  // namespace rdmakv::proxy
