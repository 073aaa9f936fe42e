#include "proxy/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <sstream>
#include <thread>

#include "proxy/config_parameters.h"
#include "proxy/trimmed.h"
#include "rdmakv/client/server_list.h"

namespace rdmakv::proxy {
namespace {

constexpr unsigned kDefaultThreads = 4;

unsigned default_threads() {
  return std::clamp(std::thread::hardware_concurrency(), 1u, kDefaultThreads);
}

// "700" or "0700", as chmod has it.
std::string check_mode(const std::string& text) {
  const bool octal =
      !text.empty() && text.size() <= 4 &&
      std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '7'; });
  return octal ? "" : "'" + text + "' is not a file mode (octal, such as 770)";
}

std::string_view unquoted(std::string_view value) {
  const char quote = value.size() > 1 ? value.front() : '\0';
  const bool quoted = (quote == '"' || quote == '\'') && value.back() == quote;
  return quoted ? value.substr(1, value.size() - 2) : value;
}

// The words of ["a", 'b', c]; a comma within quotes belongs to the word.
std::vector<std::string> list_words(std::string_view list) {
  std::vector<std::string> words;
  std::string word;
  char quote = '\0';
  for (const char c : list) {
    if (quote == '\0' && c == ',') {
      words.emplace_back(unquoted(trimmed(word)));
      word.clear();
      continue;
    }
    if (quote == c) {
      quote = '\0';
    } else if (quote == '\0' && (c == '"' || c == '\'')) {
      quote = c;
    }
    word += c;
  }
  words.emplace_back(unquoted(trimmed(word)));
  return words;
}

// The configuration file: NAME = VALUE a line, the value in quotes if it likes; an option that may
// be given more than once has a line each time, or one with [VALUE, VALUE]. CLI11's own reader
// takes a # anywhere for a comment, and the hashes of passwords begin with one.
class ConfigFile : public CLI::ConfigBase {
 public:
  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    std::vector<CLI::ConfigItem> items;
    for (std::string line; std::getline(input, line);) {
      const std::string_view text = trimmed(line);
      if (text.empty() || text.front() == '#' || text.front() == ';') continue;
      const size_t equals = text.find('=');
      if (equals == std::string_view::npos) {
        throw CLI::FileError("'" + std::string(text) + "' is not NAME = VALUE");
      }
      CLI::ConfigItem& item = item_of(trimmed(text.substr(0, equals)), items);
      const std::string_view value = trimmed(text.substr(equals + 1));
      if (value.size() > 1 && value.front() == '[' && value.back() == ']') {
        for (std::string& word : list_words(value.substr(1, value.size() - 2))) {
          item.inputs.push_back(std::move(word));
        }
      } else {
        item.inputs.emplace_back(unquoted(value));
      }
    }
    return items;
  }

 private:
  // One item a name: of two with the same name CLI11 drops the second.
  static CLI::ConfigItem& item_of(std::string_view name, std::vector<CLI::ConfigItem>& items) {
    for (CLI::ConfigItem& item : items) {
      if (item.name == name) return item;
    }
    items.emplace_back().name = name;
    return items.back();
  }
};

// Who may do what, and all of Redis's parameters that CONFIG SET takes.
void add_guards(CLI::App& app, Options& options, std::vector<std::string>& renames) {
  app.add_option("--rename-command", renames,
                 "'NAME NEW': clients call the command NAME by the name NEW; 'NAME' alone: nobody "
                 "may call it; may be given more than once")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--user", options.users,
                 "A user as in an ACL file: 'NAME RULES'; may be given more than once")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--aclfile", options.acl_file, "File with users, for ACL LOAD and ACL SAVE");
  app.add_option("--enable-debug-command", options.debug_command, "Who may say DEBUG")
      ->check(CLI::IsMember({"no", "local", "yes"}))
      ->capture_default_str();
  for (const Parameter& parameter : parameters()) {
    const std::string name = "--" + std::string(parameter.option_name());
    if (!parameter.can_change() || app.get_option_no_throw(name) != nullptr) continue;
    app.add_option_function<std::string>(
           name,
           [&options, &parameter](const std::string& value) {
             options.parameters.emplace_back(parameter.name, value);
           },
           "As CONFIG SET " + std::string(parameter.name))
        ->group("Parameters of Redis");
  }
}

// "NAME NEW" or "NAME".
std::string parse_renames(const std::vector<std::string>& texts, Renames& renames) {
  for (const std::string& text : texts) {
    std::istringstream words(text);
    std::string name, called, more;
    words >> name >> called >> more;
    if (called == "\"\"" || called == "''") called.clear();
    if (name.empty() || !more.empty()) {
      return "--rename-command '" + text + "' is not 'NAME NEW' or 'NAME'";
    }
    renames.emplace_back(name, called);
  }
  return CommandTable::check_renames(renames);
}

// Adds what the file names; "" or what is wrong.
std::string read_servers(const std::string& path, std::vector<std::string>& servers) {
  if (path.empty()) return {};
  Result<std::vector<std::string>> more = read_servers_file(path);
  if (!more) return "--servers-file " + path + ": " + more.status().message();
  servers.insert(servers.end(), more->begin(), more->end());
  return {};
}

}  // namespace

ParsedOptions parse_options(int argc, const char* const* argv) {
  ParsedOptions parsed;
  Options& options = parsed.options;
  options.threads = default_threads();
  std::string mode = "700";
  std::vector<std::string> renames;
  std::string servers_file;

  CLI::App app("kv_proxy: speaks the Redis protocol in front of kv_server", "kv_proxy");
  app.add_option("-a,--address", options.address, "Address to listen on; 0.0.0.0 or * for all")
      ->capture_default_str();
  app.add_option("-p,--port", options.port, "TCP port; 0 for any free one")->capture_default_str();
  app.add_option("--tls-port", options.tls_port,
                 "Also listen for TLS on this port, 0 for any free one; needs --tls-cert-file and "
                 "--tls-key-file")
      ->check(CLI::Range(0, 65535));
  app.add_option("--unix-socket,--unixsocket", options.unix_socket,
                 "Also listen on this Unix socket");
  app.add_option("--unix-socket-mode,--unixsocketperm", mode,
                 "Permissions of the Unix socket, octal")
      ->check(check_mode)
      ->capture_default_str();
  app.add_option("--threads", options.threads,
                 "Threads, each with a loop and connections of its own")
      ->check(CLI::Range(1u, 256u))
      ->capture_default_str();
  app.add_option(
      "--server", options.servers,
      "A kv_server: HOST:PORT, shm:PORT, rdma:HOST:PORT or rdma+socket:HOST:PORT, and perhaps "
      "/WEIGHT, its share of the keys; may be given more than once");
  app.add_option("--servers-file", servers_file,
                 "File with more servers: ADDRESS or ADDRESS WEIGHT a line");
  app.add_option("-d,--device", options.device, "RDMA device, as ibv_devices names it");
  app.add_option("--secret-file", options.secret_file,
                 "File with the secret shared with the servers");
  app.add_option("--timeout", options.timeout_ms, "Milliseconds that an operation may take")
      ->check(CLI::Range(1u, 3'600'000u))
      ->capture_default_str();
  app.add_option("--maxclients", options.max_clients, "Clients at a time")
      ->check(CLI::Range(uint64_t{1}, uint64_t{UINT32_MAX}))
      ->capture_default_str();
  app.add_option("--arena", options.arena_mb,
                 "MB of registered memory per thread, for large values")
      ->check(CLI::Range(2u, 65'536u))
      ->capture_default_str();
  app.add_option("--get-path", options.get_path,
                 "How GETs are done: onesided, rpc or auto, as kv_client explains")
      ->check(CLI::IsMember({"auto", "onesided", "rpc"}))
      ->capture_default_str();
  app.add_option("--cas-path", options.cas_path, "How CAS is done: rpc or auto")
      ->check(CLI::IsMember({"auto", "rpc"}))
      ->capture_default_str();
  app.add_option("--poll-spin-us", options.spin_us,
                 "Microseconds of polling before sleeping while answers are due; 0 sleeps at once")
      ->check(CLI::Range(uint64_t{0}, uint64_t{100'000}))
      ->capture_default_str();
  app.add_flag("--stage-times", options.stage_times,
               "Measure where the threads' time goes, for INFO's section Stages");
  app.add_option("--log-level", options.log_level, "trace, debug, info, warn, error or off")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}))
      ->capture_default_str();
  add_guards(app, options, renames);
  app.config_formatter(std::make_shared<ConfigFile>());
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.set_config("--config", "", "Configuration file: long option names and values, NAME = VALUE");
  app.set_version_flag("--version", std::string("kv_proxy ") + kProxyVersion);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out, problem;
    if (error.get_name() == "ConfigError") problem << "in the configuration file: ";
    parsed.exit_status = app.exit(error, out, problem) == 0 ? 0 : 1;
    parsed.text = out.str() + problem.str();
    return parsed;
  }
  if (const std::string problem = parse_renames(renames, options.renames); !problem.empty()) {
    parsed.exit_status = 1;
    parsed.text = problem + "\n";
    return parsed;
  }
  if (const CLI::Option* file = app.get_config_ptr(); file != nullptr && file->count() > 0) {
    options.config_file = file->as<std::string>();
  }
  options.unix_socket_mode = static_cast<unsigned>(std::stoul(mode, nullptr, 8));
  if (const std::string problem = read_servers(servers_file, options.servers); !problem.empty()) {
    parsed.exit_status = 1;
    parsed.text = problem + "\n";
    return parsed;
  }
  if (options.servers.empty()) {
    parsed.exit_status = 1;
    parsed.text =
        "--server is required: HOST:PORT or shm:PORT of a kv_server; or --servers-file\n"
        "Run with --help for more information.\n";
    return parsed;
  }
  parsed.run = true;
  return parsed;
}

}  // namespace rdmakv::proxy
