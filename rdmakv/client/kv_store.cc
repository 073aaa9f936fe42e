// The C API (rdmakv/include/kv_store.h) on top of Client. No exception crosses this border.
#include "kv_store.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <new>
#include <string>

#include "rdmakv/client/client.h"
#include "rdmakv/client/open_for_server.h"

struct kv_client {
  std::mutex mutex;
  kv_conn_mode_t mode = CONN_MODE_CM;
  std::string secret;
  uint32_t timeout_ms = 5000;
  std::string error;
  std::unique_ptr<rdmakv::Fabric> fabric;
  std::unique_ptr<rdmakv::Client> client;  // destroyed before its fabric
};

namespace rdmakv {
namespace {

constexpr uint64_t kArenaBytes = 16ull << 20;
constexpr uint64_t kNsPerMs = 1'000'000;

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

int connect(kv_client& client, const char* ip, uint16_t port, bool by_socket, const char* device) {
  if (ip == nullptr || *ip == '\0' || port == 0) {
    return fail(client, KV_ERR_INVALID, "an address and a port from 1 to 65535 are needed");
  }
  if (client.client != nullptr) {
    return fail(client, KV_ERR_INVALID, "connected already: disconnect first");
  }
  if ((client.mode == CONN_MODE_SOCKET) != by_socket) {
    return fail(client, KV_ERR_INVALID,
                by_socket ? "kv_client_connect_socket() needs a client made with CONN_MODE_SOCKET"
                          : "kv_client_connect() needs a client made with CONN_MODE_CM");
  }
  FabricAddress address{ip, port, by_socket};
  FabricOptions fabric_options;
  if (device != nullptr) fabric_options.device = device;
  Result<std::unique_ptr<Fabric>> fabric = open_fabric_for(address, fabric_options);
  if (!fabric) return fail(client, error_of(fabric.status().code()), fabric.status().message());
  ClientOptions options;
  options.servers = {address};
  options.secret = client.secret;
  options.arena_bytes = kArenaBytes;
  options.timeout_ns = client.timeout_ms * kNsPerMs;
  options.connect_timeout_ns = options.timeout_ns;
  Result<std::unique_ptr<Client>> made = Client::create(**fabric, options);
  if (!made) return fail(client, error_of(made.status().code()), made.status().message());
  if (Status status = (*made)->connect_and_wait(); !status) {
    return fail(client, error_of(status.code()), status.message());
  }
  client.fabric = std::move(*fabric);
  client.client = std::move(*made);
  return KV_OK;
}

// Fills in the key and runs the operation to its end.
int run(kv_client& client, Operation& operation, const void* key, size_t key_length) {
  if (client.client == nullptr) return fail(client, KV_ERR_UNAVAILABLE, "not connected");
  if (key == nullptr && key_length != 0) return fail(client, KV_ERR_INVALID, "the key is NULL");
  operation.key = {static_cast<const char*>(key), key_length};
  // Before something is sent, notice what happened to the connection since the last call.
  client.client->poll();
  client.client->submit(operation);
  client.client->wait(operation);
  if (operation.code == Code::kOk) return KV_OK;
  const int error = error_of(operation.code);
  if (operation.code == Code::kUnavailable || operation.code == Code::kUnknownOutcome) {
    const std::string why = client.client->servers().front().last_error;
    return fail(client, error, why.empty() ? std::string_view(code_name(operation.code)) : why);
  }
  return fail(client, error, {});
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

const char* kv_client_error(kv_client_t* client) {
  return client == nullptr ? "the client is NULL" : client->error.c_str();
}

}  // extern "C"
