#include "proxy/config.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>
#include <optional>

#include "protocol/resp_parser.h"
#include "proxy/command_table.h"
#include "proxy/file_limit.h"
#include "proxy/glob.h"

namespace rdmakv::proxy {
namespace {

constexpr uint64_t kMostInt = 2147483647;
constexpr uint64_t kMb = 1 << 20;
constexpr std::string_view kImmutable = "can't set immutable config";

using Number = std::atomic<uint64_t> Settings::*;

// A parameter is a number in Settings, or has functions of its own, or always has one value.
struct Parameter {
  std::string_view name;
  Number number = nullptr;
  bool is_memory = false;  // takes "1mb"
  uint64_t least = 0, most = kMostInt;
  std::string (*get)(const Proxy& proxy) = nullptr;
  // Checks and (if `apply`) sets; empty, or what is wrong. Null: immutable.
  std::string (*set)(Proxy& proxy, std::string_view value, bool apply) = nullptr;
  std::string_view constant = {};
};

// "512", "1kb" (1024), "1k" (1000), as Redis's memtoull.
std::optional<uint64_t> parse_memory(std::string_view text) {
  struct Unit {
    std::string_view name;
    uint64_t factor;
  };
  constexpr Unit kUnits[] = {{"kb", 1024}, {"mb", 1024 * 1024}, {"gb", 1024 * 1024 * 1024},
                             {"k", 1000},  {"m", 1000 * 1000},  {"g", 1000 * 1000 * 1000},
                             {"b", 1}};
  uint64_t factor = 1;
  for (const Unit& unit : kUnits) {
    if (text.size() > unit.name.size() &&
        equals_ignoring_case(text.substr(text.size() - unit.name.size()), unit.name)) {
      factor = unit.factor;
      text.remove_suffix(unit.name.size());
      break;
    }
  }
  const std::optional<int64_t> number = resp::parse_integer(text);
  if (!number || *number < 0 || static_cast<uint64_t>(*number) > UINT64_MAX / factor) {
    return std::nullopt;
  }
  return static_cast<uint64_t>(*number) * factor;
}

constexpr std::pair<std::string_view, spdlog::level::level_enum> kLogLevels[] = {
    {"debug", spdlog::level::trace},
    {"verbose", spdlog::level::debug},
    {"notice", spdlog::level::info},
    {"warning", spdlog::level::warn},
};

std::string get_log_level(const Proxy&) {
  for (const auto& [name, level] : kLogLevels) {
    if (spdlog::get_level() <= level) return std::string(name);
  }
  return "warning";
}

std::string set_log_level(Proxy&, std::string_view value, bool apply) {
  for (const auto& [name, level] : kLogLevels) {
    if (!equals_ignoring_case(name, value)) continue;
    if (apply) spdlog::set_level(level);
    return {};
  }
  return "argument(s) must be one of the following: debug, verbose, notice, warning";
}

// Only the class of normal clients means anything here, and of it the hard limit.
std::string get_output_limit(const Proxy& proxy) {
  return fmt::format("normal {} 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
                     proxy.settings().output_limit_bytes.load());
}

std::string set_output_limit(Proxy& proxy, std::string_view value, bool apply) {
  std::vector<std::string_view> words;
  while (!value.empty()) {
    const size_t end = std::min(value.find(' '), value.size());
    if (end > 0) words.push_back(value.substr(0, end));
    value.remove_prefix(std::min(end + 1, value.size()));
  }
  if (words.empty() || words.size() % 4 != 0) {
    return "Wrong number of arguments in buffer limit configuration.";
  }
  for (size_t i = 0; i < words.size(); i += 4) {
    const bool normal = equals_ignoring_case(words[i], "normal");
    if (!normal && !equals_ignoring_case(words[i], "slave") &&
        !equals_ignoring_case(words[i], "replica") && !equals_ignoring_case(words[i], "pubsub")) {
      return "Invalid client class specified in buffer limit configuration.";
    }
    const std::optional<uint64_t> hard = parse_memory(words[i + 1]);
    const std::optional<uint64_t> soft = parse_memory(words[i + 2]);
    const std::optional<int64_t> seconds = resp::parse_integer(words[i + 3]);
    if (!hard || !soft || !seconds || *seconds < 0) {
      return "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
    }
    if (normal && apply) proxy.settings().output_limit_bytes = *hard;
  }
  return {};
}

std::string get_max_clients(const Proxy& proxy) {
  return std::to_string(proxy.settings().max_clients.load());
}

std::string set_max_clients(Proxy& proxy, std::string_view value, bool apply) {
  const std::optional<int64_t> number = resp::parse_integer(value);
  if (!number) return "argument couldn't be parsed into an integer";
  if (*number < 1 || *number > static_cast<int64_t>(UINT32_MAX)) {
    return "argument must be between 1 and 4294967295 inclusive";
  }
  if (!apply) return {};
  const auto wanted = static_cast<uint64_t>(*number);
  const uint64_t possible = raise_file_limit(wanted);
  if (possible < wanted) {
    return fmt::format(
        "The operating system is not able to handle the specified number of clients, try with {}",
        possible);
  }
  proxy.settings().max_clients = wanted;
  return {};
}

const std::vector<Parameter>& parameters() {
  static const std::vector<Parameter> table = {
      {.name = "appendonly", .constant = "no"},
      {.name = "bind", .get = [](const Proxy& p) { return p.options().address; }},
      {.name = "client-output-buffer-limit", .get = get_output_limit, .set = set_output_limit},
      {.name = "client-query-buffer-limit",
       .number = &Settings::query_buffer_limit,
       .is_memory = true,
       .least = kMb,
       .most = INT64_MAX},
      {.name = "cluster-enabled", .constant = "no"},
      {.name = "daemonize", .constant = "no"},
      {.name = "databases", .constant = "1"},
      {.name = "io-threads",
       .get = [](const Proxy& p) { return std::to_string(p.workers().size()); }},
      {.name = "loglevel", .get = get_log_level, .set = set_log_level},
      {.name = "maxclients", .get = get_max_clients, .set = set_max_clients},
      {.name = "maxmemory", .constant = "0"},
      {.name = "maxmemory-policy", .constant = "noeviction"},
      {.name = "output-pause-bytes",
       .number = &Settings::output_pause_bytes,
       .is_memory = true,
       .least = 4096,
       .most = INT64_MAX},
      {.name = "pipeline-limit",
       .number = &Settings::pipeline_limit,
       .least = 1,
       .most = 1'000'000},
      {.name = "poll-spin-us", .number = &Settings::spin_us, .most = 100'000},
      {.name = "port", .get = [](const Proxy& p) { return std::to_string(p.port()); }},
      {.name = "proto-max-bulk-len",
       .number = &Settings::max_bulk_bytes,
       .is_memory = true,
       .least = kMb,
       .most = 512 * kMb},
      {.name = "requirepass", .constant = ""},
      {.name = "save", .constant = ""},
      {.name = "server",
       .get =
           [](const Proxy& p) { return fmt::format("{}", fmt::join(p.options().servers, " ")); }},
      {.name = "tcp-keepalive", .number = &Settings::keepalive_s},
      {.name = "timeout", .number = &Settings::idle_timeout_s},
      {.name = "unixsocket", .get = [](const Proxy& p) { return p.options().unix_socket; }},
      {.name = "unixsocketperm",
       .get =
           [](const Proxy& p) {
             return p.options().unix_socket.empty()
                        ? std::string("0")
                        : fmt::format("{:o}", p.options().unix_socket_mode);
           }},
  };
  return table;
}

const Parameter* find_parameter(std::string_view name) {
  for (const Parameter& parameter : parameters()) {
    if (equals_ignoring_case(parameter.name, name)) return &parameter;
  }
  return nullptr;
}

std::string value_of(const Proxy& proxy, const Parameter& parameter) {
  if (parameter.number != nullptr)
    return std::to_string((proxy.settings().*parameter.number).load());
  if (parameter.get != nullptr) return parameter.get(proxy);
  return std::string(parameter.constant);
}

std::string set_number(Proxy& proxy, const Parameter& parameter, std::string_view value,
                       bool apply) {
  uint64_t number = 0;
  if (parameter.is_memory) {
    const std::optional<uint64_t> bytes = parse_memory(value);
    if (!bytes) return "argument must be a memory value";
    number = *bytes;
  } else {
    const std::optional<int64_t> parsed = resp::parse_integer(value);
    if (!parsed) return "argument couldn't be parsed into an integer";
    if (*parsed < 0)
      number = UINT64_MAX;
    else
      number = static_cast<uint64_t>(*parsed);
  }
  if (number < parameter.least || number > parameter.most) {
    return fmt::format("argument must be between {} and {} inclusive", parameter.least,
                       parameter.most);
  }
  if (apply) proxy.settings().*parameter.number = number;
  return {};
}

// A parameter that cannot be changed may still be set to what it is: tools do that.
std::string set_one(Proxy& proxy, const Parameter& parameter, std::string_view value, bool apply) {
  if (parameter.number != nullptr) return set_number(proxy, parameter, value, apply);
  if (parameter.set != nullptr) return parameter.set(proxy, value, apply);
  if (parameter.get == nullptr && equals_ignoring_case(value, parameter.constant)) return {};
  return std::string(kImmutable);
}

}  // namespace

std::vector<std::pair<std::string, std::string>> get_config(
    const Proxy& proxy, const std::vector<std::string_view>& patterns) {
  std::vector<std::pair<std::string, std::string>> result;
  const auto add = [&](std::string_view name, const Parameter& parameter) {
    for (const auto& [present, value] : result) {
      if (equals_ignoring_case(present, name)) return;
    }
    result.emplace_back(name, value_of(proxy, parameter));
  };
  for (const std::string_view pattern : patterns) {
    if (pattern.find_first_of("[*?") == std::string_view::npos) {
      const Parameter* parameter = find_parameter(pattern);
      if (parameter != nullptr) add(pattern, *parameter);
      continue;
    }
    for (const Parameter& parameter : parameters()) {
      if (glob_matches(pattern, parameter.name, true)) add(parameter.name, parameter);
    }
  }
  return result;
}

std::string set_config(Proxy& proxy,
                       const std::vector<std::pair<std::string_view, std::string_view>>& pairs) {
  const auto failed = [](std::string_view name, std::string_view why) {
    return fmt::format("ERR CONFIG SET failed (possibly related to argument '{}') - {}", name, why);
  };
  for (size_t i = 0; i < pairs.size(); ++i) {
    const Parameter* parameter = find_parameter(pairs[i].first);
    if (parameter == nullptr) {
      return fmt::format("ERR Unknown option or number of arguments for CONFIG SET - '{}'",
                         pairs[i].first);
    }
    for (size_t j = 0; j < i; ++j) {
      if (find_parameter(pairs[j].first) == parameter) {
        return failed(pairs[i].first, "duplicate parameter");
      }
    }
  }
  for (const bool apply : {false, true}) {
    for (const auto& [name, value] : pairs) {
      const std::string problem = set_one(proxy, *find_parameter(name), value, apply);
      if (!problem.empty()) return failed(name, problem);
    }
  }
  return {};
}

}  // namespace rdmakv::proxy
