// The client and the real server in one process, joined in the way of the test program.
#pragma once

#include <cstring>
#include <random>

#include "rdmakv/client/future.h"
#include "rdmakv/server/server.h"
#include "tests/rdmakv/client/client_fixture.h"
#include "tests/rdmakv/client/test_way.h"

namespace rdmakv {

inline std::string pattern(size_t size, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string bytes((size + 7) / 8 * 8, '\0');
  for (size_t at = 0; at < bytes.size(); at += 8) {
    const uint64_t word = random();
    std::memcpy(bytes.data() + at, &word, sizeof(word));
  }
  bytes.resize(size);
  return bytes;
}

class ClientServerTest : public testing::Test {
 protected:
  void SetUp() override {
    Result<std::unique_ptr<Fabric>> opened = test_way().open_server();
    ASSERT_TRUE(opened) << opened.status().to_string();
    server_fabric = std::move(*opened);
    fabric = open_fabric();
    ASSERT_NE(fabric, nullptr);
  }
  // One for a client in a thread of its own.
  static std::unique_ptr<Fabric> open_fabric() {
    Result<std::unique_ptr<Fabric>> opened = test_way().open_client();
    EXPECT_TRUE(opened) << opened.status().to_string();
    return opened ? std::move(*opened) : nullptr;
  }

  void start(uint64_t memory, uint32_t workers = 2) {
    server::ServerOptions options;
    options.memory_bytes = memory;
    options.workers = workers;
    options.max_connections = 8;
    options.secret = "a secret";
    options.log = log;
    options.timeouts.handshake_ns = 600'000'000'000;  // only ends a hang
    options.address = address();
    Result<std::unique_ptr<server::Server>> started =
        server::Server::start(*server_fabric, options);
    ASSERT_TRUE(started) << started.status().to_string();
    running = std::move(*started);
    port = running->port();
  }
  std::unique_ptr<Client> open(Fabric& on, ClientOptions options = {}) {
    options.servers = {address()};
    options.secret = "a secret";
    options.arena_bytes = 8 << 20;
    // Only ends a hang.
    options.timeout_ns = 120'000'000'000;
    options.connect_timeout_ns = 60'000'000'000;
    Result<std::unique_ptr<Client>> client = Client::create(on, options);
    EXPECT_TRUE(client) << client.status().to_string();
    return std::move(*client);
  }
  std::unique_ptr<Client> open(const ClientOptions& options = {}) { return open(*fabric, options); }

  FabricAddress address() const {
    FabricAddress at = test_way().address;
    at.port = port;
    return at;
  }

  std::unique_ptr<Fabric> server_fabric, fabric;  // the clients' is the latter
  uint16_t port = 0;
  server::LogSink log;  // of servers started from now on
  std::unique_ptr<server::Server> running;
};

}  // namespace rdmakv
