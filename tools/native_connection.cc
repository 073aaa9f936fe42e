#include "tools/native_connection.h"

#include <utility>

#include "rdmakv/client/access_paths.h"
#include "rdmakv/client/open_for_server.h"
#include "rdmakv/client/server_list.h"
#include "rdmakv/transport/authentication.h"

namespace rdmakv {
namespace {

constexpr uint64_t kNsPerMs = 1'000'000;

// All that the options name.
Result<ServerList> list_servers(const ConnectArguments& arguments) {
  if (arguments.servers.empty() && arguments.servers_file.empty()) {
    return ServerList{*parse_transport(arguments.transport),
                      {{arguments.address, arguments.port, arguments.socket}},
                      {1}};
  }
  std::vector<std::string> names = arguments.servers;
  if (const std::string& path = arguments.servers_file; !path.empty()) {
    Result<std::vector<std::string>> more = read_servers_file(path);
    if (!more) return {more.status().code(), path + ": " + more.status().message()};
    names.insert(names.end(), more->begin(), more->end());
    if (names.empty()) return {Code::kInvalidArgument, path + " names no server"};
  }
  Result<ServerList> list = parse_servers(names);
  if (list && list->transport == Transport::kAuto) {
    list->transport = *parse_transport(arguments.transport);
  }
  return list;
}

std::string names_of(const ConnectArguments& arguments, const Client& client) {
  const std::vector<ServerState> states = client.servers();
  if (arguments.servers.empty() && arguments.servers_file.empty()) {
    return arguments.address + ":" + std::to_string(arguments.port);
  }
  std::string names;
  for (const ServerState& server : states) names += (names.empty() ? "" : ", ") + server.name;
  return names;
}

}  // namespace

void declare_connection(CLI::App& app, ConnectArguments& arguments) {
  CLI::Option* address =
      app.add_option("-a,--address", arguments.address, "Server's name or address")
          ->capture_default_str();
  CLI::Option* port = app.add_option("-p,--port", arguments.port, "Server's port")
                          ->capture_default_str()
                          ->check(CLI::Range(1, 65535));
  CLI::Option* socket =
      app.add_flag("-S,--socket", arguments.socket,
                   "Socket mode: bring queue pairs up by hand over TCP, instead of by RDMA CM");
  app.add_option("--server", arguments.servers,
                 "Instead of -a and -p: HOST:PORT, shm:PORT, rdma:HOST:PORT or "
                 "rdma+socket:HOST:PORT, and perhaps /WEIGHT; once for each of several servers, as "
                 "for kv_proxy, in any order")
      ->allow_extra_args(false)
      ->excludes(address, port, socket);
  app.add_option("--servers-file", arguments.servers_file,
                 "File with more servers: ADDRESS or ADDRESS WEIGHT a line")
      ->excludes(address, port, socket);
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
  app.add_option("--get-path", arguments.get_path,
                 "How GETs are done. onesided: without the server's CPU, whose index is READ too; "
                 "rpc: by request; auto: onesided on shared memory, else by READ where the "
                 "location is known, but several at a time by request on an emulated device")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "onesided", "rpc"}));
  app.add_option("--cas-path", arguments.cas_path,
                 "How cas is done. rpc: by request; auto: by ATOMIC where the entry allows it")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "rpc"}));
}

Result<NativeConnection> connect_native(const ConnectArguments& arguments, ClientOptions options) {
  Result<ServerList> list = list_servers(arguments);
  if (!list) return list.status();
  FabricOptions fabric_options;
  fabric_options.transport = list->transport;
  fabric_options.device = arguments.device;
  if (!arguments.secret_file.empty()) {
    Result<std::string> secret = read_secret_file(arguments.secret_file);
    if (!secret) return secret.status();
    options.secret = *secret;
  }
  NativeConnection connection;
  Result<std::unique_ptr<Fabric>> fabric = open_fabric_for(list->addresses, fabric_options);
  if (!fabric) return fabric.status();
  connection.fabric = std::move(*fabric);
  options.servers = std::move(list->addresses);
  options.weights = std::move(list->weights);
  options.get_path = *parse_get_path(arguments.get_path);
  options.cas_path = *parse_cas_path(arguments.cas_path);
  options.timeout_ns = options.connect_timeout_ns = arguments.timeout_ms * kNsPerMs;
  Result<std::unique_ptr<Client>> client = Client::create(*connection.fabric, options);
  if (!client) return client.status();
  connection.client = std::move(*client);
  const std::string name = names_of(arguments, *connection.client);
  if (Status status = connection.client->connect_to_any(); !status) {
    return {status.code(), "cannot connect to " + name + " over " +
                               std::string(connection.fabric->name()) + ": " + status.message()};
  }
  connection.description = name + " over " + std::string(connection.fabric->name());
  return connection;
}

}  // namespace rdmakv
