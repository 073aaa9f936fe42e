// kv_proxy: ordinary Redis clients on one side, kv_server on the other.
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <string>

#include "proxy/file_limit.h"
#include "proxy/options.h"
#include "proxy/proxy.h"
#include "rdmakv/client/access_paths.h"
#include "rdmakv/client/client.h"
#include "rdmakv/client/open_for_server.h"
#include "rdmakv/client/server_list.h"
#include "rdmakv/transport/authentication.h"

namespace {

using namespace rdmakv;         // NOLINT(google-build-using-namespace)
using namespace rdmakv::proxy;  // NOLINT(google-build-using-namespace)

// A server that is away is no reason not to start, nor to wait long.
constexpr uint64_t kProbeNs = 1'000'000'000;
constexpr uint64_t kLocationCacheBytes = 16 << 20;  // of a thread: a million keys

int fail(const std::string& why) {
  std::fprintf(stderr, "kv_proxy: %s\n", why.c_str());
  return 1;
}

void say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

// Connects once, to be able to say at start which servers are there.
void report_servers(Fabric& fabric, ClientOptions options) {
  options.connect_timeout_ns = kProbeNs;
  options.arena_bytes = 1 << 20;
  options.location_cache_bytes = 0;
  Result<std::unique_ptr<Client>> client = Client::create(fabric, options);
  if (!client) return say("servers: not probed: " + client.status().to_string());
  (void)(*client)->connect_and_wait();
  for (const ServerState& server : (*client)->servers()) {
    std::string line = "server " + server.name;
    if (server.reachable) {
      line += ": reachable, " + std::to_string(server.workers) + " workers";
    } else {
      line += ": not reachable yet";
      if (!server.last_error.empty()) line += " (" + server.last_error + ")";
    }
    say(line);
  }
}

// The signals that the program knows are only ever taken by wait_for_signal(); threads inherit the
// mask.
sigset_t block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  return signals;
}

// Clients that are there keep what they have begun with.
void reload_certificates(Proxy& proxy) {
  const Status reloaded = proxy.apply_tls(true);
  reloaded ? spdlog::info("SIGHUP: certificates read again")
           : spdlog::warn("SIGHUP: the old certificates stay: {}", reloaded.message());
}

int serve(Options options) {
  const sigset_t signals = block_signals();
  const Result<ServerList> servers = parse_servers(options.servers);
  if (!servers) return fail(servers.status().message());
  ClientOptions client_options;
  client_options.servers = servers.value().addresses;
  client_options.weights = servers.value().weights;
  client_options.timeout_ns = uint64_t{options.timeout_ms} * 1'000'000;
  client_options.arena_bytes = uint64_t{options.arena_mb} << 20;
  client_options.location_cache_bytes = kLocationCacheBytes;
  client_options.get_path = *parse_get_path(options.get_path);
  client_options.cas_path = *parse_cas_path(options.cas_path);
  if (!options.secret_file.empty()) {
    Result<std::string> secret = read_secret_file(options.secret_file);
    if (!secret) return fail(secret.status().message());
    client_options.secret = std::move(*secret);
  }
  const uint64_t possible = raise_file_limit(options.max_clients);
  if (possible < options.max_clients) {
    spdlog::warn(
        "maxclients is {} instead of {}: the limit of open files (ulimit -n) allows no more",
        possible, options.max_clients);
    options.max_clients = possible;
  }
  FabricOptions fabric_options;
  fabric_options.transport = servers.value().transport;
  fabric_options.device = options.device;
  std::string why;
  const Result<std::unique_ptr<Fabric>> fabric =
      open_fabric_for(client_options.servers, fabric_options, &why);
  if (!fabric) return fail(fabric.status().message());

  Proxy proxy(options);
  proxy.on_shutdown([] { ::kill(::getpid(), SIGTERM); });
  const Status started = proxy.start(*fabric.value(), client_options);
  if (!started) return fail(started.message());
  say("kv_proxy " + std::string(kProxyVersion) + ", " + std::to_string(options.threads) +
      (options.threads == 1 ? " thread" : " threads"));
  say("transport: " + std::string(fabric.value()->name()) + ": " + fabric.value()->describe() +
      (why.empty() ? "" : " (" + why + ")"));
  report_servers(*fabric.value(), client_options);
  say("listening on " + options.address + ":" + std::to_string(proxy.port()));
  if (options.tls_port >= 0) {
    say("listening on " + options.address + ":" + std::to_string(proxy.tls_port()) + ", TLS");
  }
  if (!options.unix_socket.empty()) say("listening on " + options.unix_socket);
  say("ready");

  int received = 0;
  while (sigwait(&signals, &received) != 0 || received == SIGHUP) {
    if (received == SIGHUP) reload_certificates(proxy);
  }
  spdlog::info("{}: stopping", received == SIGINT ? "SIGINT" : "SIGTERM");
  proxy.stop();
  return 0;
}

int run(int argc, char** argv) {
  const ParsedOptions parsed = parse_options(argc, argv);
  if (!parsed.run) {
    std::fputs(parsed.text.c_str(), parsed.exit_status == 0 ? stdout : stderr);
    return parsed.exit_status;
  }
  spdlog::set_default_logger(spdlog::stderr_color_mt("kv_proxy"));
  spdlog::set_level(spdlog::level::from_str(
      parsed.options.log_level == "warn" ? "warning" : parsed.options.log_level));
  return serve(parsed.options);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {  // no memory, perhaps
    std::fprintf(stderr, "kv_proxy: %s\n", error.what());
    return 1;
  }
}
