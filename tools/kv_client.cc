// kv_client: the native client at the command line.
#include <CLI/CLI.hpp>
#include <csignal>
#include <iostream>
#include <memory>
#include <string>

#include "rdmakv/client/access_paths.h"
#include "rdmakv/client/open_for_server.h"
#include "rdmakv/transport/authentication.h"
#include "tools/client_commands.h"
#include "tools/command_words.h"
#include "tools/line_editor.h"

#ifndef RDMAKV_VERSION
#define RDMAKV_VERSION "development"
#endif

namespace rdmakv {
namespace {

constexpr uint64_t kNsPerMs = 1'000'000;

struct Arguments {
  std::string address = "127.0.0.1";
  uint16_t port = 7000;
  bool socket = false;
  std::string device;
  std::string transport = "auto";
  std::string secret_file;
  uint32_t timeout_ms = 5000;
  bool raw = false;
  uint32_t depth = 1;
  std::string get_path = "auto", cas_path = "auto";
};

std::string footer() {
  return std::string("Commands:\n") + command_help() +
         "\nWith a command it is run and that is all. Without one, lines are read: with editing "
         "and "
         "history at\na terminal, silently from a pipe.\n"
         "\nExit status: 0 done; 1 no such key, or the cas was lost; 2 bad usage; 3 no connection, "
         "or "
         "the server\nreported an error. From a pipe: that of the first line which was not 0; the "
         "lines "
         "after it are run\nall the same. At a terminal: 0, or 3 when there was no connection at "
         "start.\n";
}

void declare(CLI::App& app, Arguments& arguments) {
  app.add_option("-a,--address", arguments.address, "Server's name or address")
      ->capture_default_str();
  app.add_option("-p,--port", arguments.port, "Server's port")
      ->capture_default_str()
      ->check(CLI::Range(1, 65535));
  app.add_flag("-S,--socket", arguments.socket,
               "Socket mode: bring queue pairs up by hand over TCP, instead of by RDMA CM");
  app.add_option("-d,--device", arguments.device,
                 "RDMA device, as ibv_devices names it (default: the first with an active port)");
  app.add_option("--transport", arguments.transport,
                 "auto, rdma or shm. auto: RDMA where there is a device, else shared memory")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "rdma", "shm"}));
  app.add_option("--secret-file", arguments.secret_file,
                 "File with the secret that the server wants proven");
  app.add_option("--timeout", arguments.timeout_ms, "For connecting and for each operation, in ms")
      ->capture_default_str()
      ->check(CLI::Range(1u, 86'400'000u));
  app.add_flag("--raw", arguments.raw, "get: print the value's bytes and nothing else");
  app.add_option("--depth", arguments.depth, "bench: operations under way at a time")
      ->capture_default_str()
      ->check(CLI::Range(1u, 4096u));
  app.add_option("--get-path", arguments.get_path,
                 "How GETs are done. onesided: without the server's CPU, whose index is READ too; "
                 "rpc: by request; auto: onesided on shared memory, else by READ where the "
                 "location is known")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "onesided", "rpc"}));
  app.add_option("--cas-path", arguments.cas_path,
                 "How cas is done. rpc: by request; auto: by ATOMIC where the entry allows it")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "rpc"}));
  app.set_version_flag("--version", std::string("kv_client " RDMAKV_VERSION));
  app.footer(footer());
  app.prefix_command();  // what follows the options is the command, dashes and all
}

// Destroyed from the last to the first: the client before its fabric.
struct Connection {
  std::unique_ptr<Fabric> fabric;
  std::unique_ptr<Client> client;
  std::string description;
};

Result<Connection> connect(const Arguments& arguments) {
  FabricAddress address{arguments.address, arguments.port, arguments.socket};
  const std::string name = arguments.address + ":" + std::to_string(arguments.port);
  FabricOptions fabric_options;
  fabric_options.transport = *parse_transport(arguments.transport);
  fabric_options.device = arguments.device;
  ClientOptions options;
  if (!arguments.secret_file.empty()) {
    Result<std::string> secret = read_secret_file(arguments.secret_file);
    if (!secret) return secret.status();
    options.secret = *secret;
  }
  Connection connection;
  Result<std::unique_ptr<Fabric>> fabric = open_fabric_for(address, fabric_options);
  if (!fabric) return fabric.status();
  connection.fabric = std::move(*fabric);
  options.servers = {address};
  options.get_path = *parse_get_path(arguments.get_path);
  options.cas_path = *parse_cas_path(arguments.cas_path);
  options.timeout_ns = options.connect_timeout_ns = arguments.timeout_ms * kNsPerMs;
  Result<std::unique_ptr<Client>> client = Client::create(*connection.fabric, options);
  if (!client) return client.status();
  connection.client = std::move(*client);
  if (Status status = connection.client->connect_and_wait(); !status) {
    return {status.code(), "cannot connect to " + name + " over " +
                               std::string(connection.fabric->name()) + ": " + status.message()};
  }
  connection.description = name + " over " + std::string(connection.fabric->name());
  return connection;
}

int run_lines(CommandRunner& runner, LineEditor& editor) {
  int status = kDone;
  std::string line;
  while (!runner.quit() && editor.read_line(line)) {
    Result<Words> words = split_words(line);
    int outcome = kUsage;
    if (!words) {
      std::cerr << words.status().message() << std::endl;
    } else if (words->empty() || (*words)[0].starts_with('#')) {
      continue;
    } else {
      outcome = runner.run(*words);
    }
    if (status == kDone) status = outcome;
  }
  return editor.interactive() ? kDone : status;
}

int run(const Arguments& arguments, const Words& command) {
  // Nothing is connected for a command that makes no sense.
  if (!command.empty()) {
    if (const std::string error = command_error(command); !error.empty()) {
      std::cerr << error << std::endl;
      return kUsage;
    }
    if (command[0] == "help") {
      std::cout << command_help();
      return kDone;
    }
  }
  Result<Connection> connection = connect(arguments);
  if (!connection) {
    std::cerr << "error: " << connection.status().message() << std::endl;
    return connection.status().code() == Code::kInvalidArgument ? kUsage : kTrouble;
  }
  const bool one_shot = !command.empty();
  CommandRunner runner(*connection->client, {arguments.raw, one_shot, arguments.depth}, std::cout,
                       std::cerr);
  if (one_shot) return runner.run(command);
  LineEditor editor("kv_client", "kv> ");
  if (editor.interactive()) {
    std::cout << "connected to " << connection->description << "; `help` lists the commands"
              << std::endl;
  }
  const int status = run_lines(runner, editor);
  if (editor.interactive() && !runner.quit()) std::cout << std::endl;
  return status;
}

}  // namespace
}  // namespace rdmakv

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // `kv_client get key | head` ends with an error, not by a signal
  try {
    CLI::App app{"kv_client [OPTIONS] [COMMAND [WORD...]]: talks to a kv_server", "kv_client"};
    rdmakv::Arguments arguments;
    rdmakv::declare(app, arguments);
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      return app.exit(error) == 0 ? rdmakv::kDone : rdmakv::kUsage;
    }
    return rdmakv::run(arguments, app.remaining());
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << std::endl;
    return rdmakv::kTrouble;
  }
}
