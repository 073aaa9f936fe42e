// kv_client: the native client at the command line.
#include <CLI/CLI.hpp>
#include <csignal>
#include <iostream>
#include <string>

#include "tools/client_commands.h"
#include "tools/command_words.h"
#include "tools/line_editor.h"
#include "tools/native_connection.h"

#ifndef RDMAKV_VERSION
#define RDMAKV_VERSION "development"
#endif

namespace rdmakv {
namespace {

struct Arguments {
  ConnectArguments connect;
  bool raw = false;
  uint32_t depth = 1;
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
  declare_connection(app, arguments.connect);
  app.add_flag("--raw", arguments.raw, "get: print the value's bytes and nothing else");
  app.add_option("--depth", arguments.depth, "bench: operations under way at a time")
      ->capture_default_str()
      ->check(CLI::Range(1u, 4096u));
  app.set_version_flag("--version", std::string("kv_client " RDMAKV_VERSION));
  app.footer(footer());
  app.prefix_command();  // what follows the options is the command, dashes and all
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
  Result<NativeConnection> connection = connect_native(arguments.connect);
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
