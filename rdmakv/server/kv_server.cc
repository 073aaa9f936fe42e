// kv_server: the storage server's program. The main thread has a libevent loop for the listener and
// for signals; each worker has a thread of its own.
//
// Exit status: 0 after SIGTERM or SIGINT, 1 when it cannot start (the reason is on stderr), else
// what CLI11 gives for bad options.
#include <event2/event.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <string>

#include "protocol/kv_message.h"
#include "rdmakv/fabric_factory.h"
#include "rdmakv/server/memory_share.h"
#include "rdmakv/server/server.h"
#include "rdmakv/transport/authentication.h"
#include "rdmakv/transport/scheduling.h"
#include "rdmakv/transport/system_memory.h"

#ifndef RDMAKV_VERSION
#define RDMAKV_VERSION "development"
#endif

namespace rdmakv::server {
namespace {

struct Arguments {
  std::string address;
  uint16_t port = 7000;
  uint64_t memory_mb = 1024;
  std::optional<uint64_t> cas_memory_mb;
  std::string index_memory;
  bool reserved_pages = false;
  bool small_pages = false;
  bool socket = false;
  std::string device;
  uint32_t workers = 0;
  std::string transport = "auto";
  std::string secret_file;
  std::string log_level = "info";
  uint32_t max_connections = 64;
  uint32_t ring_bytes = wire::kRingBytes;
  std::optional<uint64_t> spin_us;
  std::string batch_scheduling = "auto";
};

void declare(CLI::App& app, Arguments& arguments) {
  app.add_option("-a,--address", arguments.address, "Address to listen on (default: all)");
  app.add_option("-p,--port", arguments.port, "Port to listen on; 0: any free one")
      ->capture_default_str();
  app.add_option("-m,--memory", arguments.memory_mb, "Memory for keys and values, in MB")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--cas-memory", arguments.cas_memory_mb,
                 "Of it, for keys changed by one-sided CAS, in MB; 0: CAS goes by request "
                 "(default: one 200th, 256 KB to 64 MB per worker)")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--index-memory", arguments.index_memory,
                 "Of it, for the index, in MB, or with a % in percent: 10 bytes for each key there "
                 "are to be (default: one 12th, which suits values of 64 bytes)");
  CLI::Option* const reserved = app.add_flag(
      "-H,--hugepages", arguments.reserved_pages,
      "Index and pool on reserved huge pages (vm.nr_hugepages; default: on transparent "
      "ones, as far as the kernel has some)");
  app.add_flag("--small-pages", arguments.small_pages,
               "Index and pool on pages of the usual size only")
      ->excludes(reserved);
  app.add_flag("-S,--socket", arguments.socket,
               "Socket mode: bring queue pairs up by hand over TCP, instead of by RDMA CM");
  app.add_option("-d,--device", arguments.device,
                 "RDMA device, as ibv_devices names it (default: the first with an active port)");
  app.add_option("--workers", arguments.workers,
                 "Threads, each with its own part of the keys (default: one per core, at most 4)")
      ->check(CLI::Range(1u, Server::kMostWorkers));
  app.add_option("--transport", arguments.transport, "auto, rdma or shm")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "rdma", "shm"}));
  app.add_option("--secret-file", arguments.secret_file,
                 "File with a secret that clients must prove to know");
  app.add_option("--log-level", arguments.log_level, "debug, info, warning or error")
      ->capture_default_str()
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}));
  app.add_option("--max-connections", arguments.max_connections,
                 "Connections per worker; memory for a ring is set aside for each")
      ->capture_default_str()
      ->check(CLI::Range(1u, 4096u));
  app.add_option("--ring-bytes", arguments.ring_bytes,
                 "Bytes of each connection's ring, where PUTs of 4 KB and more arrive")
      ->capture_default_str();
  app.add_option("--poll-spin-us", arguments.spin_us,
                 "A worker polls on for so long after its last work, then sleeps (default: 50; 5 "
                 "where threads have to share the cores)")
      ->check(CLI::Range(uint64_t{0}, uint64_t{10'000'000}));
  app.add_option(
         "--batch-scheduling", arguments.batch_scheduling,
         "Threads that are woken wait for a processor, and take it from nobody: yes, no, or "
         "auto: where the RDMA device is emulated")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "yes", "no"}));
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.set_config("--config", "",
                 "File with options, one `name = value` a line, by their long names");
  app.set_version_flag("--version", std::string("kv_server " RDMAKV_VERSION));
}

void log_to_spdlog(LogLevel level, std::string_view text) {
  switch (level) {
    case LogLevel::kDebug:
      spdlog::debug("{}", text);
      break;
    case LogLevel::kInfo:
      spdlog::info("{}", text);
      break;
    case LogLevel::kWarning:
      spdlog::warn("{}", text);
      break;
    case LogLevel::kError:
      spdlog::error("{}", text);
      break;
  }
}

int complain(const std::string& text) {
  std::fprintf(stderr, "kv_server: %s\n", text.c_str());
  return 1;
}

// With reserved huge pages if wanted and there are any; says so where there are none.
Result<std::unique_ptr<Server>> start(Fabric& fabric, ServerOptions& options) {
  Result<std::unique_ptr<Server>> server = Server::start(fabric, options);
  const Code code = server.status().code();
  if (server || options.pages != Pages::kReserved ||
      (code != Code::kNoSpace && code != Code::kSystemError)) {
    return server;
  }
  const std::string without = server.status().to_string();
  options.pages = Pages::kTransparent;
  server = Server::start(fabric, options);
  if (server) {
    // Two regions a worker, each rounded up.
    const uint64_t known = huge_page_bytes();
    const uint64_t page = known != 0 ? known : 2ull << 20;
    const uint64_t pages = (options.memory_bytes + page - 1) / page + 2ull * (*server)->workers();
    spdlog::warn(
        "no huge pages ({}): going on with those that the kernel has. `sysctl vm.nr_hugepages={}` "
        "provides enough of them",
        without, pages);
  }
  return server;
}

class Loop {
 public:
  explicit Loop(Server& server) : server_(server), base_(event_base_new(), event_base_free) {}
  ~Loop() {
    for (event* one : events_) {
      if (one != nullptr) event_free(one);
    }
  }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  bool prepare() {
    if (base_ == nullptr) return false;
    events_[0] = event_new(
        base_.get(), server_.listener_fd(), EV_READ | EV_PERSIST,
        [](int, short, void* self) { static_cast<Loop*>(self)->server_.dispatch(); }, this);
    events_[1] = evsignal_new(base_.get(), SIGTERM, on_signal, this);
    events_[2] = evsignal_new(base_.get(), SIGINT, on_signal, this);
    for (event* one : events_) {
      if (one == nullptr || event_add(one, nullptr) != 0) return false;
    }
    return true;
  }
  void run() { event_base_dispatch(base_.get()); }

 private:
  static void on_signal(int number, short, void* self) {
    spdlog::info("{}: shutting down", number == SIGTERM ? "SIGTERM" : "SIGINT");
    event_base_loopbreak(static_cast<Loop*>(self)->base_.get());
  }

  Server& server_;
  std::unique_ptr<event_base, decltype(&event_base_free)> base_;
  event* events_[3] = {};
};

// Workers inherit the mask: signals are the main thread's.
void set_signals(int how) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(how, &signals, nullptr);
}

int serve(const Arguments& arguments) {
  FabricOptions fabric_options;
  fabric_options.device = arguments.device;
  Result<Transport> transport = parse_transport(arguments.transport);
  if (!transport) return complain(transport.status().message());
  fabric_options.transport = *transport;
  if (*transport == Transport::kShm && (arguments.socket || !arguments.device.empty())) {
    return complain("--socket and --device have no meaning under --transport shm");
  }
  std::string why = "--transport " + arguments.transport;
  Result<std::unique_ptr<Fabric>> fabric = open_fabric(fabric_options, &why);
  if (!fabric) return complain(fabric.status().message());
  const bool shm = (*fabric)->name() == "shm";
  if (shm && arguments.socket) spdlog::warn("--socket has no meaning over shared memory");
  if (shm && !arguments.address.empty()) {
    spdlog::warn("--address has no meaning over shared memory: this host's clients name the port");
  }

  ServerOptions options;
  options.address = {arguments.address, arguments.port, arguments.socket};
  options.memory_bytes = arguments.memory_mb << 20;
  options.spin_us = arguments.spin_us;
  if (arguments.cas_memory_mb) options.cas_bytes = *arguments.cas_memory_mb << 20;
  if (!arguments.index_memory.empty()) {
    Result<uint64_t> share = parse_memory_share(arguments.index_memory, options.memory_bytes);
    if (!share) return complain("--index-memory " + share.status().message());
    options.index_bytes = *share;
  }
  options.pages = arguments.reserved_pages ? Pages::kReserved
                  : arguments.small_pages  ? Pages::kSmall
                                           : Pages::kTransparent;
  options.workers = arguments.workers;
  options.max_connections = arguments.max_connections;
  options.ring_bytes = arguments.ring_bytes;
  options.own_listener_thread = false;
  options.log = log_to_spdlog;
  if (!arguments.secret_file.empty()) {
    Result<std::string> secret = read_secret_file(arguments.secret_file);
    if (!secret) return complain(secret.status().message());
    options.secret = std::move(*secret);
  }

  set_signals(SIG_BLOCK);
  std::signal(SIGPIPE, SIG_IGN);
  const std::string scheduling =
      apply_batch_scheduling(arguments.batch_scheduling, (*fabric)->limits());
  Result<std::unique_ptr<Server>> server = start(**fabric, options);
  if (!server) return complain(server.status().message());
  Loop loop(**server);
  if (!loop.prepare()) return complain("libevent: the event loop could not be set up");

  spdlog::info("kv_server {}, process {}", RDMAKV_VERSION, getpid());
  spdlog::info("transport: {} ({}): {}", (*fabric)->name(), why, (*fabric)->describe());
  for (const std::string& line : (*server)->describe()) spdlog::info("{}", line);
  spdlog::info("{}", scheduling);
  spdlog::info("secret: {}", options.secret.empty() ? "none" : "wanted");
  FabricAddress address = options.address;
  address.port = (*server)->port();
  if (shm) {
    address = {{}, address.port, false};
    spdlog::info("listening for clients of this host, port {}", address.port);
  } else {
    spdlog::info("listening on {} port {}", address.host.empty() ? "all addresses" : address.host,
                 address.port);
    if (address.host.empty()) address.host = (*fabric)->local_host();
  }
  spdlog::info("connect with {}", address.to_string((*fabric)->name()));
  spdlog::default_logger()->flush();
  std::printf("ready\n");
  std::fflush(stdout);

  set_signals(SIG_UNBLOCK);
  loop.run();
  (*server)->stop();
  spdlog::info("stopped");
  return 0;
}

int run(int argc, char** argv) {
  CLI::App app{
      "kv_server: a key-value server in remote memory (RDMA, or shared memory on one host)",
      "kv_server"};
  Arguments arguments;
  declare(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_name() == "ConfigError") std::fputs("in the configuration file: ", stderr);
    return app.exit(error);
  }
  spdlog::set_default_logger(spdlog::stdout_color_mt("kv_server"));
  spdlog::set_pattern("%Y-%m-%d %H:%M:%S.%e %l %v");
  spdlog::set_level(spdlog::level::from_str(arguments.log_level));
  return serve(arguments);
}

}  // namespace
}  // namespace rdmakv::server

int main(int argc, char** argv) {
  try {
    return rdmakv::server::run(argc, argv);
  } catch (const std::exception& error) {  // no memory, perhaps
    std::fprintf(stderr, "kv_server: %s\n", error.what());
    return 1;
  }
}
