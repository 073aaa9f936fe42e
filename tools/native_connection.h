// How the native programs are told which servers to talk to, and how they connect to them: the
// options that kv_client and kv_bench have in common.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rdmakv/client/client.h"

namespace rdmakv {

struct ConnectArguments {
  std::string address = "127.0.0.1";
  uint16_t port = 7000;
  std::vector<std::string> servers;  // as server_list.h has them; instead of the two above
  std::string servers_file;          // more of them
  bool socket = false;
  std::string device;
  std::string transport = "auto";
  std::string secret_file;
  uint32_t timeout_ms = 5000;
  std::string get_path = "auto", cas_path = "auto";
};

// Adds the options to `app`; they set `arguments`.
void declare_connection(CLI::App& app, ConnectArguments& arguments);

// Destroyed from the last to the first: the client before its fabric.
struct NativeConnection {
  std::unique_ptr<Fabric> fabric;
  std::unique_ptr<Client> client;
  std::string description;  // "127.0.0.1:7000 over shm"
};

// Connects to the first worker of the server, or of each of several, one of which at least must be
// there. `options`: what else is wanted of the Client.
Result<NativeConnection> connect_native(const ConnectArguments& arguments,
                                        ClientOptions options = {});

}  // namespace rdmakv
