// A Client over the fake fabric, and what tests need to drive it.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rdmakv/client/client.h"
#include "rdmakv/client/clock.h"
#include "tests/fakes/fake_fabric.h"

namespace rdmakv {

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span<const char>(text));
}
inline std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// An operation that remembers what came of it.
struct TestOperation : Operation {
  TestOperation() { done = &TestOperation::ended; }
  TestOperation(OperationKind what, std::string_view name) : TestOperation() {
    kind = what;
    key = name;
  }
  static void ended(Operation& operation) {
    auto& self = static_cast<TestOperation&>(operation);
    ++self.dones;
    self.lent = text_of(operation.value);
    if (self.order != nullptr) self.order->push_back(std::string(operation.key));
  }
  int dones = 0;
  std::string lent;
  std::vector<std::string>* order = nullptr;
};

class ClientTest : public testing::Test {
 protected:
  ClientTest() {
    options.servers = {{"fake", 1, false}};
    options.arena_bytes = 4 << 20;
    options.connect_timeout_ns = 60'000'000'000;  // a busy machine's, under a sanitizer
  }
  ~ClientTest() override { client.reset(); }

  void open() {
    Result<std::unique_ptr<Client>> made = Client::create(fabric, options);
    ASSERT_TRUE(made) << made.status().to_string();
    client = std::move(*made);
  }
  void open_and_connect() {
    open();
    const Status status = client->connect_and_wait();
    ASSERT_TRUE(status) << status.to_string();
  }
  // Enough turns for everything that needs no clock.
  void drive(int turns = 20) {
    client->flush();
    for (int i = 0; i < turns; ++i) client->poll();
  }
  void drive_until(const TestOperation& operation) {
    for (int i = 0; i < 100'000'000 && operation.dones == 0; ++i) client->poll();
    ASSERT_EQ(operation.dones, 1);
  }
  Code run(TestOperation& operation) {
    client->submit(operation);
    client->wait(operation);
    EXPECT_EQ(operation.dones, 1);
    return operation.code;
  }
  fakes::FakeServer& server() { return fabric.server; }
  size_t requests_seen() {
    size_t count = 0;
    for (const fakes::FakeMessage& message : server().messages) count += message.requests.size();
    return count;
  }

  fakes::FakeFabric fabric;
  ClientOptions options;
  std::unique_ptr<Client> client;
};

}  // namespace rdmakv
