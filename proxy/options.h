// What kv_proxy is started with: the command line, and a configuration file with the same long
// names.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/command_table.h"

namespace rdmakv::proxy {

inline constexpr const char* kProxyVersion = "0.1.0";

struct Options {
  std::string address = "127.0.0.1";  // who is to reach the proxy from outside has to say so
  uint16_t port = 6379;               // 0: any free one
  bool tcp = true;
  int tls_port = -1;        // 0: any free one; negative: no TLS
  std::string unix_socket;  // empty: none
  unsigned unix_socket_mode = 0700;
  unsigned threads = 1;
  std::vector<std::string> servers;  // ADDRESS or ADDRESS/WEIGHT; see server_list.h
  std::string device;
  std::string secret_file;
  uint32_t timeout_ms = 5000;
  uint64_t max_clients = 10000;
  uint64_t spin_us = 30;
  bool stage_times = false;
  uint32_t arena_mb = 64;  // registered memory of each thread
  std::string get_path = "auto", cas_path = "auto";
  std::string log_level = "info";
  Renames renames;                   // rename-command
  std::vector<std::string> users;    // "NAME RULES", as in an ACL file
  std::string acl_file;              // empty: none
  std::string debug_command = "no";  // who may say DEBUG: "no", "local" (this host), "yes"
  std::string config_file;           // what --config named; CONFIG REWRITE writes it
  // CONFIG SET's parameters that were given a value, in order.
  std::vector<std::pair<std::string, std::string>> parameters;
};

// What became of the command line: options to run with, or a text to print and the status to exit
// with
// (--help, --version, an error).
struct ParsedOptions {
  bool run = false;
  Options options;
  int exit_status = 0;
  std::string text;
};
ParsedOptions parse_options(int argc, const char* const* argv);

}  // namespace rdmakv::proxy
