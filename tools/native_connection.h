// How the native programs are told which server to talk to, and how they connect to it: the options
// that kv_client and kv_bench have in common.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "rdmakv/client/client.h"

namespace rdmakv {

struct ConnectArguments {
  std::string address = "127.0.0.1";
  uint16_t port = 7000;
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

// Connects to the server's first worker. `options`: what else is wanted of the Client.
Result<NativeConnection> connect_native(const ConnectArguments& arguments,
                                        ClientOptions options = {});

}  // namespace rdmakv
