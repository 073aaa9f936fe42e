// The C API (rdmakv/include/kv_store.h) on top of Client. No exception crosses this border.
#include "kv_store.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "rdmakv/client/client.h"
#include "rdmakv/client/open_for_server.h"
#include "rdmakv/client/server_list.h"
#include "rdmakv/client/transaction.h"

struct kv_client {
  std::mutex mutex;
  kv_conn_mode_t mode = CONN_MODE_CM;
  std::string secret;
  uint32_t timeout_ms = 5000;
  std::string error;
  std::vector<std::string> servers;  // named for kv_client_connect_servers()
  rdmakv::Transaction transaction;
  std::unique_ptr<rdmakv::Fabric> fabric;
  std::unique_ptr<rdmakv::Client> client;  // destroyed before its fabric
};

namespace rdmakv {
namespace {

constexpr uint64_t kArenaBytes = 16ull << 20;
constexpr uint64_t kNsPerMs = 1'000'000;
// With a server that is being connected to, by the call that wants one of its keys.
constexpr uint64_t kPatienceNs = 100 * kNsPerMs;

int error_of(Code code) {
  switch (code) {
    case Code::kOk:
      return KV_OK;
    case Code::kNotFound:
      return KV_ERR_NOT_FOUND;
    case Code::kVersionMismatch:
      return KV_ERR_VERSION_MISMATCH;
    case Code::kConditionNotMet:
      return KV_ERR_CONDITION;
    case Code::kNoSpace:
      return KV_ERR_NO_SPACE;
    case Code::kTooLarge:
      return KV_ERR_TOO_LARGE;
    case Code::kInvalidArgument:
    case Code::kWrongWorker:
    case Code::kInapplicable:
      return KV_ERR_INVALID;
    case Code::kUnavailable:
    case Code::kBusy:
    case Code::kCancelled:
      return KV_ERR_UNAVAILABLE;
    case Code::kTimeout:
      return KV_ERR_TIMEOUT;
    case Code::kUnknownOutcome:
      return KV_ERR_UNKNOWN;
    case Code::kRefused:
      return KV_ERR_REFUSED;
    case Code::kProtocolError:
      return KV_ERR_PROTOCOL;
    case Code::kSystemError:
      break;
  }
  return KV_ERR_SYSTEM;
}

int fail(kv_client& client, int error, std::string_view text) {
  client.error = text.empty() ? std::string_view(kv_strerror(error)) : text;
  return error;
}

// Runs `call` with the client locked, and turns exceptions (out of memory) into errors.
template <typename Call>
int guarded(kv_client* client, Call&& call) {
  if (client == nullptr) return KV_ERR_INVALID;
  try {
    const std::lock_guard<std::mutex> lock(client->mutex);
    client->error.clear();
    return call(*client);
  } catch (const std::bad_alloc&) {
    return KV_ERR_NO_MEMORY;
  } catch (...) {
    return KV_ERR_SYSTEM;
  }
}

int connect(kv_client& client, ServerList list, const char* device) {
  if (client.client != nullptr) {
    return fail(client, KV_ERR_INVALID, "connected already: disconnect first");
  }
  FabricOptions fabric_options;
  fabric_options.transport = list.transport;
  if (device != nullptr) fabric_options.device = device;
  Result<std::unique_ptr<Fabric>> fabric = open_fabric_for(list.addresses, fabric_options);
  if (!fabric) return fail(client, error_of(fabric.status().code()), fabric.status().message());
  ClientOptions options;
  options.servers = std::move(list.addresses);
  options.weights = std::move(list.weights);
  options.secret = client.secret;
  options.arena_bytes = kArenaBytes;
  options.timeout_ns = client.timeout_ms * kNsPerMs;
  options.connect_timeout_ns = options.timeout_ns;
  Result<std::unique_ptr<Client>> made = Client::create(**fabric, options);
  if (!made) return fail(client, error_of(made.status().code()), made.status().message());
  if (Status status = (*made)->connect_to_any(); !status) {
    return fail(client, error_of(status.code()), status.message());
  }
  client.fabric = std::move(*fabric);
  client.client = std::move(*made);
  return KV_OK;
}

int connect(kv_client& client, const char* ip, uint16_t port, bool by_socket, const char* device) {
  if (ip == nullptr || *ip == '\0' || port == 0) {
    return fail(client, KV_ERR_INVALID, "an address and a port from 1 to 65535 are needed");
  }
  if ((client.mode == CONN_MODE_SOCKET) != by_socket) {
    return fail(client, KV_ERR_INVALID,
                by_socket ? "kv_client_connect_socket() needs a client made with CONN_MODE_SOCKET"
                          : "kv_client_connect() needs a client made with CONN_MODE_CM");
  }
  return connect(client, {Transport::kAuto, {{ip, port, by_socket}}, {}}, device);
}

int connect_servers(kv_client& client, const char* device) {
  if (client.servers.empty()) return fail(client, KV_ERR_INVALID, "no server was added");
  Result<ServerList> list = parse_servers(client.servers);
  if (!list) return fail(client, KV_ERR_INVALID, list.status().message());
  const bool by_socket = client.mode == CONN_MODE_SOCKET && list->transport == Transport::kAuto;
  for (FabricAddress& address : list->addresses) address.by_socket |= by_socket;
  return connect(client, std::move(*list), device);
}

// Makes the attempt, which returns its Code and sets `server`; and another one if the server that
// it failed for turns out to be there again. Nobody has looked since the last call.
template <typename Attempt>
Code with_patience(kv_client& client, const uint16_t& server, Attempt&& attempt) {
  client.client->poll();
  const Code code = attempt();
  const bool is_back =
      code == Code::kUnavailable && client.client->await_server(server, kPatienceNs);
  return is_back ? attempt() : code;
}

int ended(kv_client& client, Code code, uint16_t server) {
  if (code == Code::kOk) return KV_OK;
  if (code == Code::kUnavailable) {
    return fail(client, error_of(code), client.client->server(server).unreachable_text());
  }
  if (code == Code::kUnknownOutcome) {
    return fail(client, error_of(code), client.client->server(server).last_error);
  }
  return fail(client, error_of(code), {});
}

// KV_OK: there is a connection, and the key makes sense.
int check(kv_client& client, const void* key, size_t key_length) {
  if (client.client == nullptr) return fail(client, KV_ERR_UNAVAILABLE, "not connected");
  if (key == nullptr && key_length != 0) return fail(client, KV_ERR_INVALID, "the key is NULL");
  return KV_OK;
}

std::string_view view(const void* bytes, size_t length) {
  return {static_cast<const char*>(bytes), length};
}

// Fills in the key and runs the operation to its end.
int run(kv_client& client, Operation& operation, const void* key, size_t key_length) {
  if (const int wrong = check(client, key, key_length); wrong != KV_OK) return wrong;
  operation.key = view(key, key_length);
  const Code code = with_patience(client, operation.server, [&] {
    client.client->submit(operation);
    client.client->wait(operation);
    return operation.code;
  });
  return ended(client, code, operation.server);
}

bool set_value(Operation& operation, const void* value, size_t length) {
  if (value == nullptr && length != 0) return false;
  operation.input = {static_cast<const std::byte*>(value), length};
  return true;
}

int get(kv_client& client, const void* key, size_t key_length, void* buffer, size_t* length,
        uint64_t* version) {
  if (length == nullptr) return fail(client, KV_ERR_INVALID, "length is NULL");
  if (buffer == nullptr && *length != 0) return fail(client, KV_ERR_INVALID, "the buffer is NULL");
  Operation operation;
  operation.kind = OperationKind::kGet;
  // With no room at all the value's length is still told, so the destination is never "none".
  std::byte nothing{};
  operation.destination = {buffer == nullptr ? &nothing : static_cast<std::byte*>(buffer), *length};
  const int error = run(client, operation, key, key_length);
  if (error == KV_OK || operation.code == Code::kTooLarge) *length = operation.value_length;
  if (error == KV_OK && version != nullptr) *version = operation.version;
  return error;
}

int watch(kv_client& client, const void* key, size_t key_length, uint64_t* version) {
  if (const int wrong = check(client, key, key_length); wrong != KV_OK) return wrong;
  uint16_t server = 0;
  const Code code = with_patience(client, server, [&] {
    const Code told = client.transaction.watch(*client.client, view(key, key_length), version);
    server = client.transaction.server();
    return told;
  });
  return ended(client, code, server);
}

int exec(kv_client& client, size_t* commands) {
  if (client.client == nullptr) return fail(client, KV_ERR_UNAVAILABLE, "not connected");
  const Transaction wanted = std::exchange(client.transaction, {});
  uint16_t server = 0;
  const Code code = with_patience(client, server, [&] {
    client.transaction = wanted;
    const Code told = client.transaction.exec(*client.client);
    server = client.transaction.server();
    return told;
  });
  if (commands != nullptr) *commands = client.transaction.answers().size();
  if (code == Code::kWrongWorker) {
    return fail(client, KV_ERR_INVALID, "the transaction's keys are not of one hash slot");
  }
  if (code == Code::kVersionMismatch) {
    return fail(client, KV_ERR_VERSION_MISMATCH, "a watched key has changed");
  }
  return ended(client, code, server);
}

int result(kv_client& client, size_t number, void* buffer, size_t* length, uint64_t* version) {
  if (number >= client.transaction.answers().size()) {
    return fail(client, KV_ERR_INVALID, "there was no such command");
  }
  if (buffer != nullptr && length == nullptr) {
    return fail(client, KV_ERR_INVALID, "length is NULL");
  }
  const Answer& answer = client.transaction.answers()[number];
  if (version != nullptr) *version = answer.version;
  if (answer.code != Code::kOk || length == nullptr)
    return ended(client, answer.code, answer.server);
  const size_t capacity = buffer == nullptr ? 0 : std::exchange(*length, answer.value.size());
  *length = answer.value.size();
  if (capacity < answer.value.size()) return fail(client, KV_ERR_TOO_LARGE, {});
  std::copy(answer.value.begin(), answer.value.end(), static_cast<char*>(buffer));
  return KV_OK;
}

// Copies a command on a key into the transaction.
template <typename Queue>
int queue(kv_client* client, const void* key, size_t key_length, Queue&& command,
          bool sound = true) {
  return guarded(client, [&](kv_client& of) {
    if (!sound) return fail(of, KV_ERR_INVALID, "the value is NULL");
    if (key == nullptr && key_length != 0) return fail(of, KV_ERR_INVALID, "the key is NULL");
    command(of.transaction, view(key, key_length));
    return static_cast<int>(KV_OK);
  });
}

}  // namespace
}  // namespace rdmakv

extern "C" {

const char* kv_strerror(int error) {
  switch (error) {
    case KV_OK:
      return "ok";
    case KV_ERR_NOT_FOUND:
      return "no such key";
    case KV_ERR_VERSION_MISMATCH:
      return "the key has another version";
    case KV_ERR_CONDITION:
      return "the condition was not met";
    case KV_ERR_NO_SPACE:
      return "the server has no room left";
    case KV_ERR_TOO_LARGE:
      return "key or value too large, or buffer too small";
    case KV_ERR_INVALID:
      return "invalid argument";
    case KV_ERR_UNAVAILABLE:
      return "the server cannot be reached";
    case KV_ERR_TIMEOUT:
      return "no answer in time";
    case KV_ERR_UNKNOWN:
      return "the connection broke before the answer: outcome unknown";
    case KV_ERR_REFUSED:
      return "the server refused the connection";
    case KV_ERR_PROTOCOL:
      return "the peer does not speak this protocol";
    case KV_ERR_SYSTEM:
      return "a system or device call failed";
    case KV_ERR_NO_MEMORY:
      return "out of memory";
    default:
      return "unknown error";
  }
}

kv_client_t* kv_client_create(kv_conn_mode_t mode) {
  if (mode != CONN_MODE_CM && mode != CONN_MODE_SOCKET) return nullptr;
  auto client = std::unique_ptr<kv_client>(new (std::nothrow) kv_client);
  if (client != nullptr) client->mode = mode;
  return client.release();
}

int kv_client_set_secret(kv_client_t* client, const void* secret, size_t length) {
  return rdmakv::guarded(client, [&](kv_client& of) {
    if (secret == nullptr && length != 0) {
      return rdmakv::fail(of, KV_ERR_INVALID, "the secret is NULL");
    }
    of.secret.assign(static_cast<const char*>(secret), length);
    return static_cast<int>(KV_OK);
  });
}

int kv_client_set_timeout_ms(kv_client_t* client, uint32_t timeout_ms) {
  return rdmakv::guarded(client, [&](kv_client& of) {
    if (timeout_ms == 0) return rdmakv::fail(of, KV_ERR_INVALID, "a timeout of 0 ms");
    of.timeout_ms = timeout_ms;
    return static_cast<int>(KV_OK);
  });
}

int kv_client_connect(kv_client_t* client, const char* ip, uint16_t port) {
  return rdmakv::guarded(
      client, [&](kv_client& of) { return rdmakv::connect(of, ip, port, false, nullptr); });
}

int kv_client_connect_socket(kv_client_t* client, const char* ip, uint16_t port,
                             const char* device) {
  return rdmakv::guarded(
      client, [&](kv_client& of) { return rdmakv::connect(of, ip, port, true, device); });
}

void kv_client_disconnect(kv_client_t* client) {
  rdmakv::guarded(client, [](kv_client& of) {
    of.client.reset();
    of.fabric.reset();
    return static_cast<int>(KV_OK);
  });
}

void kv_client_destroy(kv_client_t* client) {
  if (client == nullptr) return;
  kv_client_disconnect(client);
  const std::unique_ptr<kv_client> owned(client);
}

int kv_client_put(kv_client_t* client, const void* key, size_t key_length, const void* value,
                  size_t value_length) {
  return rdmakv::guarded(client, [&](kv_client& of) {
    rdmakv::Operation operation;
    operation.kind = rdmakv::OperationKind::kPut;
    if (!rdmakv::set_value(operation, value, value_length)) {
      return rdmakv::fail(of, KV_ERR_INVALID, "the value is NULL");
    }
    return rdmakv::run(of, operation, key, key_length);
  });
}

int kv_client_get(kv_client_t* client, const void* key, size_t key_length, void* buffer,
                  size_t* length) {
  return kv_client_get_version(client, key, key_length, buffer, length, nullptr);
}

int kv_client_get_version(kv_client_t* client, const void* key, size_t key_length, void* buffer,
                          size_t* length, uint64_t* version) {
  return rdmakv::guarded(client, [&](kv_client& of) {
    return rdmakv::get(of, key, key_length, buffer, length, version);
  });
}

int kv_client_cas(kv_client_t* client, const void* key, size_t key_length, uint64_t expected,
                  const void* value, size_t value_length, uint64_t* version) {
  return rdmakv::guarded(client, [&](kv_client& of) {
    rdmakv::Operation operation;
    operation.kind = rdmakv::OperationKind::kPut;
    operation.condition = rdmakv::Condition::kIfVersion;
    operation.expected_version = expected;
    if (!rdmakv::set_value(operation, value, value_length)) {
      return rdmakv::fail(of, KV_ERR_INVALID, "the value is NULL");
    }
    const int error = rdmakv::run(of, operation, key, key_length);
    const bool answered = error == KV_OK || error == KV_ERR_VERSION_MISMATCH;
    if (answered && version != nullptr) *version = operation.version;
    return error;
  });
}

int kv_client_del(kv_client_t* client, const void* key, size_t key_length) {
  return rdmakv::guarded(client, [&](kv_client& of) {
    rdmakv::Operation operation;
    operation.kind = rdmakv::OperationKind::kDelete;
    return rdmakv::run(of, operation, key, key_length);
  });
}

int kv_client_add_server(kv_client_t* client, const char* server) {
  return rdmakv::guarded(client, [&](kv_client& of) {
    if (server == nullptr) return rdmakv::fail(of, KV_ERR_INVALID, "the server is NULL");
    if (const auto list = rdmakv::parse_servers({server}); !list) {
      return rdmakv::fail(of, KV_ERR_INVALID, list.status().message());
    }
    of.servers.emplace_back(server);
    return static_cast<int>(KV_OK);
  });
}

int kv_client_add_servers_file(kv_client_t* client, const char* path) {
  return rdmakv::guarded(client, [&](kv_client& of) {
    if (path == nullptr) return rdmakv::fail(of, KV_ERR_INVALID, "the path is NULL");
    auto names = rdmakv::read_servers_file(path);
    if (!names) {
      return rdmakv::fail(of, KV_ERR_INVALID, std::string(path) + ": " + names.status().message());
    }
    if (const auto list = rdmakv::parse_servers(*names); !list) {
      return rdmakv::fail(of, KV_ERR_INVALID, std::string(path) + ": " + list.status().message());
    }
    of.servers.insert(of.servers.end(), names->begin(), names->end());
    return static_cast<int>(KV_OK);
  });
}

int kv_client_connect_servers(kv_client_t* client, const char* device) {
  return rdmakv::guarded(client,
                         [&](kv_client& of) { return rdmakv::connect_servers(of, device); });
}

int kv_client_watch(kv_client_t* client, const void* key, size_t key_length, uint64_t* version) {
  return rdmakv::guarded(
      client, [&](kv_client& of) { return rdmakv::watch(of, key, key_length, version); });
}

int kv_client_queue_get(kv_client_t* client, const void* key, size_t key_length) {
  return rdmakv::queue(client, key, key_length,
                       [](rdmakv::Transaction& to, std::string_view of) { to.get(of); });
}

int kv_client_queue_put(kv_client_t* client, const void* key, size_t key_length, const void* value,
                        size_t value_length) {
  return rdmakv::queue(
      client, key, key_length,
      [&](rdmakv::Transaction& to, std::string_view of) {
        to.put(of, rdmakv::view(value, value_length));
      },
      value != nullptr || value_length == 0);
}

int kv_client_queue_del(kv_client_t* client, const void* key, size_t key_length) {
  return rdmakv::queue(client, key, key_length,
                       [](rdmakv::Transaction& to, std::string_view of) { to.erase(of); });
}

int kv_client_exec(kv_client_t* client, size_t* commands) {
  return rdmakv::guarded(client, [&](kv_client& of) { return rdmakv::exec(of, commands); });
}

void kv_client_discard(kv_client_t* client) {
  rdmakv::guarded(client, [](kv_client& of) {
    of.transaction.discard();
    return static_cast<int>(KV_OK);
  });
}

int kv_client_result(kv_client_t* client, size_t number, void* buffer, size_t* length,
                     uint64_t* version) {
  return rdmakv::guarded(
      client, [&](kv_client& of) { return rdmakv::result(of, number, buffer, length, version); });
}

const char* kv_client_error(kv_client_t* client) {
  return client == nullptr ? "the client is NULL" : client->error.c_str();
}

}  // extern "C"
