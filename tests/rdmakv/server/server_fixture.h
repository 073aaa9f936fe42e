// A server on shared memory in this process, and clients for it.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "rdmakv/server/server.h"
#include "rdmakv/transport/shm/shm_fabric.h"
#include "tests/rdmakv/server/raw_client.h"

namespace rdmakv::server {

class ServerFixture : public testing::Test {
 protected:
  ServerFixture() : fabric_(std::move(*shm::open_shm_fabric())) {
    options_.memory_bytes = 16 << 20;
    options_.workers = 1;
    options_.max_connections = 4;
    options_.ring_bytes = 256 << 10;
    options_.credits = 32;
    options_.timeouts.handshake_ns = 600'000'000'000;  // a loaded machine may stop a test for long
  }
  void start() {
    Result<std::unique_ptr<Server>> server = Server::start(*fabric_, options_);
    ASSERT_TRUE(server) << server.status().to_string();
    server_ = std::move(*server);
  }
  uint16_t port() const { return server_->port(); }
  std::unique_ptr<RawClient> client() { return std::make_unique<RawClient>(*fabric_); }
  std::unique_ptr<RawClient> open_client() {
    auto one = client();
    EXPECT_TRUE(one->open(port(), options_.secret)) << one->error();
    return one;
  }
  // Asks a client of its own until the number is what it should be.
  void expect_stat(const std::string& name, int64_t wanted) {
    auto one = open_client();
    int64_t number = -1;
    one->wait([&] { return (number = one->stat(name)) == wanted; });
    EXPECT_EQ(number, wanted) << name;
  }

  std::unique_ptr<Fabric> fabric_;
  ServerOptions options_;
  std::unique_ptr<Server> server_;
};

}  // namespace rdmakv::server
