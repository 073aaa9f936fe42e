#include "proxy/config_parameters.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "protocol/resp_parser.h"
#include "proxy/command_table.h"
#include "proxy/file_limit.h"

namespace rdmakv::proxy {
namespace {

constexpr uint64_t kMb = 1 << 20;
constexpr std::string_view kImmutable = "can't set immutable config";

// "512", "1kb" (1024), "1k" (1000), as Redis's memtoull.
std::optional<uint64_t> parse_memory(std::string_view text) {
  struct Unit {
    std::string_view name;
    uint64_t factor;
  };
  constexpr Unit kUnits[] = {{"kb", 1ull << 10},
                             {"mb", 1ull << 20},
                             {"gb", 1ull << 30},
                             {"k", 1000},
                             {"m", 1'000'000},
                             {"g", 1'000'000'000},
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

std::string yes_or_no(bool value) {
  return value ? "yes" : "no";
}

std::optional<bool> parse_switch(std::string_view text) {
  if (equals_ignoring_case(text, "yes")) return true;
  if (equals_ignoring_case(text, "no")) return false;
  return std::nullopt;
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

// Only the class of normal clients means anything here.
std::string get_output_limit(const Proxy& proxy) {
  const Settings& settings = proxy.settings();
  return fmt::format("normal {} {} {} slave 268435456 67108864 60 pubsub 33554432 8388608 60",
                     settings.output_limit_bytes.load(), settings.output_soft_limit_bytes.load(),
                     settings.output_soft_limit_s.load());
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
    if (!normal || !apply) continue;
    proxy.settings().output_limit_bytes = *hard;
    proxy.settings().output_soft_limit_bytes = *soft;
    proxy.settings().output_soft_limit_s = static_cast<uint64_t>(*seconds);
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
  const auto wanted = static_cast<uint64_t>(*number);
  const uint64_t possible = raise_file_limit(wanted);
  if (possible < wanted) {
    return fmt::format(
        "The operating system is not able to handle the specified number of clients, try with {}",
        possible);
  }
  if (apply) proxy.settings().max_clients = wanted;
  return {};
}

std::string get_slow_log_us(const Proxy& proxy) {
  return std::to_string(proxy.settings().slow_log_us.load());
}

std::string set_slow_log_us(Proxy& proxy, std::string_view value, bool apply) {
  const std::optional<int64_t> number = resp::parse_integer(value);
  if (!number) return "argument couldn't be parsed into an integer";
  if (*number < -1) return fmt::format("argument must be between -1 and {} inclusive", INT64_MAX);
  if (apply) proxy.settings().slow_log_us = *number;
  return {};
}

std::string set_password(Proxy& proxy, std::string_view value, bool apply) {
  if (apply) proxy.access().set_default_password(value);
  return {};
}

std::string get_acl_log_entries(const Proxy& proxy) {
  return std::to_string(proxy.settings().acl_log_entries.load());
}

std::string set_acl_log_entries(Proxy& proxy, std::string_view value, bool apply) {
  const std::optional<int64_t> number = resp::parse_integer(value);
  if (!number) return "argument couldn't be parsed into an integer";
  if (*number < 0) return fmt::format("argument must be between 0 and {} inclusive", INT64_MAX);
  if (!apply) return {};
  proxy.settings().acl_log_entries = static_cast<uint64_t>(*number);
  proxy.access().limit_log(static_cast<size_t>(*number));
  return {};
}

std::string get_tls_auth(const Proxy& proxy) {
  return proxy.tls_settings().auth_clients;
}

std::string set_tls_auth(Proxy& proxy, std::string_view value, bool apply) {
  for (const std::string_view known : {"no", "yes", "optional"}) {
    if (!equals_ignoring_case(known, value)) continue;
    if (apply) proxy.change_tls(&TlsSettings::auth_clients, known);
    return {};
  }
  return "argument(s) must be one of the following: no, yes, optional";
}

std::string get_tls_preference(const Proxy& proxy) {
  return yes_or_no(proxy.tls_settings().prefer_server_ciphers == "yes");
}

std::string set_tls_preference(Proxy& proxy, std::string_view value, bool apply) {
  const std::optional<bool> wanted = parse_switch(value);
  if (!wanted) return "argument must be 'yes' or 'no'";
  if (apply) proxy.change_tls(&TlsSettings::prefer_server_ciphers, yes_or_no(*wanted));
  return {};
}

std::string get_transaction_scope(const Proxy& proxy) {
  return proxy.settings().transactions_per_worker ? "worker" : "slot";
}

std::string set_transaction_scope(Proxy& proxy, std::string_view value, bool apply) {
  const bool worker = equals_ignoring_case(value, "worker");
  if (!worker && !equals_ignoring_case(value, "slot")) {
    return "argument(s) must be one of the following: slot, worker";
  }
  if (apply) proxy.settings().transactions_per_worker = worker;
  return {};
}

std::string get_unix_mode(const Proxy& proxy) {
  const Options& options = proxy.options();
  return options.unix_socket.empty() ? "0" : fmt::format("{:o}", options.unix_socket_mode);
}

std::vector<Parameter> make_parameters() {
  return {
      {.name = "acl-pubsub-default", .constant = "resetchannels"},
      {.name = "aclfile", .get = [](const Proxy& p) { return p.options().acl_file; }},
      {.name = "acllog-max-len", .get = get_acl_log_entries, .set = set_acl_log_entries},
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
      {.name = "enable-debug-command",
       .get = [](const Proxy& p) { return p.options().debug_command; }},
      {.name = "io-threads",
       .get = [](const Proxy& p) { return std::to_string(p.workers().size()); }},
      {.name = "latency-monitor-threshold",
       .number = &Settings::latency_threshold_ms,
       .most = INT64_MAX},
      {.name = "latency-tracking", .flag = &Settings::latency_tracking},
      {.name = "latency-tracking-info-percentiles", .constant = "50 99 99.9"},
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
      {.name = "protected-mode", .flag = &Settings::protected_mode},
      {.name = "rdbcompression", .flag = &Settings::dump_compression},
      {.name = "requirepass",
       .get = [](const Proxy& p) { return p.access().default_password(); },
       .set = set_password},
      {.name = "save", .constant = ""},
      {.name = "server",
       .get =
           [](const Proxy& p) { return fmt::format("{}", fmt::join(p.options().servers, " ")); }},
      {.name = "slow-reader-timeout",
       .number = &Settings::slow_reader_timeout_s,
       .most = 1'000'000},
      {.name = "slowlog-log-slower-than", .get = get_slow_log_us, .set = set_slow_log_us},
      {.name = "slowlog-max-len", .number = &Settings::slow_log_entries, .most = INT64_MAX},
      {.name = "tcp-keepalive", .number = &Settings::keepalive_s},
      {.name = "timeout", .option = "idle-timeout", .number = &Settings::idle_timeout_s},
      {.name = "tls-auth-clients", .get = get_tls_auth, .set = set_tls_auth},
      {.name = "tls-ca-cert-dir", .tls = &TlsSettings::ca_cert_dir},
      {.name = "tls-ca-cert-file", .tls = &TlsSettings::ca_cert_file},
      {.name = "tls-cert-file", .tls = &TlsSettings::cert_file},
      {.name = "tls-ciphers", .tls = &TlsSettings::ciphers},
      {.name = "tls-ciphersuites", .tls = &TlsSettings::ciphersuites},
      {.name = "tls-key-file", .tls = &TlsSettings::key_file},
      {.name = "tls-key-file-pass", .tls = &TlsSettings::key_file_pass},
      {.name = "tls-port", .get = [](const Proxy& p) { return std::to_string(p.tls_port()); }},
      {.name = "tls-prefer-server-ciphers", .get = get_tls_preference, .set = set_tls_preference},
      {.name = "tls-protocols", .tls = &TlsSettings::protocols},
      {.name = "transaction-scope", .get = get_transaction_scope, .set = set_transaction_scope},
      {.name = "unixsocket", .get = [](const Proxy& p) { return p.options().unix_socket; }},
      {.name = "unixsocketperm", .get = get_unix_mode},
  };
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
    number = *parsed < 0 ? UINT64_MAX : static_cast<uint64_t>(*parsed);
  }
  if (number < parameter.least || number > parameter.most) {
    return fmt::format("argument must be between {} and {} inclusive", parameter.least,
                       parameter.most);
  }
  if (apply) proxy.settings().*parameter.number = number;
  return {};
}

}  // namespace

const std::vector<Parameter>& parameters() {
  static const std::vector<Parameter> table = make_parameters();
  return table;
}

const Parameter* find_parameter(std::string_view name) {
  for (const Parameter& parameter : parameters()) {
    if (equals_ignoring_case(parameter.name, name)) return &parameter;
  }
  return nullptr;
}

std::string value_of(const Proxy& proxy, const Parameter& parameter) {
  if (parameter.number != nullptr) {
    return std::to_string((proxy.settings().*parameter.number).load());
  }
  if (parameter.flag != nullptr) return yes_or_no(proxy.settings().*parameter.flag);
  if (parameter.tls != nullptr) return proxy.tls_settings().*parameter.tls;
  if (parameter.get != nullptr) return parameter.get(proxy);
  return std::string(parameter.constant);
}

// A parameter that cannot be changed may still be set to what it is: tools do that.
std::string set_parameter(Proxy& proxy, const Parameter& parameter, std::string_view value,
                          bool apply) {
  if (parameter.number != nullptr) return set_number(proxy, parameter, value, apply);
  if (parameter.set != nullptr) return parameter.set(proxy, value, apply);
  if (parameter.tls != nullptr) {
    if (apply) proxy.change_tls(parameter.tls, value);
    return {};
  }
  if (parameter.flag != nullptr) {
    const std::optional<bool> wanted = parse_switch(value);
    if (!wanted) return "argument must be 'yes' or 'no'";
    if (apply) proxy.settings().*parameter.flag = *wanted;
    return {};
  }
  if (parameter.get == nullptr && equals_ignoring_case(value, parameter.constant)) return {};
  return std::string(kImmutable);
}

}  // namespace rdmakv::proxy
