#include "tools/native_connection.h"

#include <utility>

#include "rdmakv/client/access_paths.h"
#include "rdmakv/client/open_for_server.h"
#include "rdmakv/transport/authentication.h"

namespace rdmakv {
namespace {

constexpr uint64_t kNsPerMs = 1'000'000;

}  // namespace

void declare_connection(CLI::App& app, ConnectArguments& arguments) {
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
}

Result<NativeConnection> connect_native(const ConnectArguments& arguments, ClientOptions options) {
  FabricAddress address{arguments.address, arguments.port, arguments.socket};
  const std::string name = arguments.address + ":" + std::to_string(arguments.port);
  FabricOptions fabric_options;
  fabric_options.transport = *parse_transport(arguments.transport);
  fabric_options.device = arguments.device;
  if (!arguments.secret_file.empty()) {
    Result<std::string> secret = read_secret_file(arguments.secret_file);
    if (!secret) return secret.status();
    options.secret = *secret;
  }
  NativeConnection connection;
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

}  // namespace rdmakv
