// A worker of the proxy with a fake client library, driven by hand in the test's thread, and Redis
// clients at the other ends of socket pairs. Nothing here depends on time.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/proxy.h"
#include "proxy/worker.h"
#include "tests/fakes/fake_client.h"

namespace rdmakv::proxy {

// One Redis client's end.
class TestClient {
 public:
  explicit TestClient(int fd) : fd_(fd) {}
  TestClient(TestClient&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)),
        received_(std::move(other.received_)),
        ended_(other.ended_) {}
  ~TestClient();

  // As much as the kernel takes; the number of bytes.
  size_t send_some(std::string_view bytes);
  // Reads what is there.
  void receive();
  // Everything received since the last take().
  std::string take();
  bool ended() const { return ended_; }  // the proxy closed the connection
  void close();
  void close_sending();

 private:
  int fd_;
  std::string received_;
  bool ended_ = false;
};

class ProxyTest : public ::testing::Test {
 protected:
  explicit ProxyTest(const fakes::FakeClient::Options& options = {});
  // As kv_proxy would be started with `options`.
  explicit ProxyTest(const Options& options);
  ~ProxyTest() override;

  TestClient connect();
  // Turns until nothing more happens.
  void run();
  // Sends all of it, running as the proxy takes it.
  void send(TestClient& client, std::string_view bytes);
  // Sends a command and returns the reply.
  std::string call(TestClient& client, std::initializer_list<std::string_view> arguments);
  std::string call(TestClient& client, std::string_view inline_command);
  // Reads until `bytes` have come, or nothing more comes.
  std::string read(TestClient& client, size_t bytes);

  Proxy proxy_;
  fakes::FakeClient* fake_;
  Worker* worker_;
};

// A command as clients send it.
std::string command(std::initializer_list<std::string_view> arguments);
std::string bulk(std::string_view value);
// `length` bytes that are not the same everywhere.
std::string pattern(size_t length, uint32_t seed = 1);

}  // namespace rdmakv::proxy
