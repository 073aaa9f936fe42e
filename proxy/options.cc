#include "proxy/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <sstream>
#include <thread>

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

}  // namespace

ParsedOptions parse_options(int argc, const char* const* argv) {
  ParsedOptions parsed;
  Options& options = parsed.options;
  options.threads = default_threads();
  std::string mode = "700";

  CLI::App app("kv_proxy: speaks the Redis protocol in front of kv_server", "kv_proxy");
  app.add_option("-a,--address", options.address, "Address to listen on; 0.0.0.0 or * for all")
      ->capture_default_str();
  app.add_option("-p,--port", options.port, "TCP port; 0 for any free one")->capture_default_str();
  app.add_option("--unix-socket", options.unix_socket, "Also listen on this Unix socket");
  app.add_option("--unix-socket-mode", mode, "Permissions of the Unix socket, octal")
      ->check(check_mode)
      ->capture_default_str();
  app.add_option("--threads", options.threads,
                 "Threads, each with a loop and connections of its own")
      ->check(CLI::Range(1u, 256u))
      ->capture_default_str();
  app.add_option(
      "--server", options.servers,
      "A kv_server: HOST:PORT, shm:PORT, rdma:HOST:PORT or rdma+socket:HOST:PORT; may be "
      "given more than once");
  app.add_option("-d,--device", options.device, "RDMA device, as ibv_devices names it");
  app.add_option("--secret-file", options.secret_file,
                 "File with the secret shared with the servers");
  app.add_option("--timeout", options.timeout_ms, "Milliseconds that an operation may take")
      ->check(CLI::Range(1u, 3'600'000u))
      ->capture_default_str();
  app.add_option("--maxclients", options.max_clients, "Clients at a time")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1'000'000}))
      ->capture_default_str();
  app.add_option("--arena", options.arena_mb,
                 "MB of registered memory per thread, for large values")
      ->check(CLI::Range(2u, 65'536u))
      ->capture_default_str();
  app.add_option("--poll-spin-us", options.spin_us,
                 "Microseconds of polling before sleeping while answers are due; 0 sleeps at once")
      ->check(CLI::Range(uint64_t{0}, uint64_t{100'000}))
      ->capture_default_str();
  app.add_option("--log-level", options.log_level, "trace, debug, info, warn, error or off")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}))
      ->capture_default_str();
  app.set_config("--config", "", "Configuration file: long option names and values, NAME = VALUE");
  app.set_version_flag("--version", std::string("kv_proxy ") + kProxyVersion);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out, problem;
    parsed.exit_status = app.exit(error, out, problem) == 0 ? 0 : 1;
    parsed.text = out.str() + problem.str();
    return parsed;
  }
  options.unix_socket_mode = static_cast<unsigned>(std::stoul(mode, nullptr, 8));
  if (options.servers.empty()) {
    parsed.exit_status = 1;
    parsed.text =
        "--server is required: HOST:PORT or shm:PORT of a kv_server\n"
        "Run with --help for more information.\n";
    return parsed;
  }
  parsed.run = true;
  return parsed;
}

Result<ServerAddresses> parse_servers(const std::vector<std::string>& servers) {
  ServerAddresses result;
  bool first = true;
  for (const std::string& text : servers) {
    Transport transport = Transport::kAuto;
    const Result<FabricAddress> address = parse_server_address(text, &transport);
    if (!address) return address.status();
    if (!first && transport != result.transport) {
      return {Code::kInvalidArgument,
              "'" + servers.front() + "' and '" + text +
                  "' are reached in different ways; all servers must be of one transport"};
    }
    result.transport = transport;
    result.addresses.push_back(address.value());
    first = false;
  }
  return result;
}

}  // namespace rdmakv::proxy
