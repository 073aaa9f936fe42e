// The open-loop load generator against a server that answers when the test wants it to.
#include "tools/open_loop.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <functional>
#include <string>
#include <string_view>
#include <thread>

namespace rdmakv {
namespace {

// Takes one connection and does with it what `serve` says.
class OneConnectionServer {
 public:
  explicit OneConnectionServer(std::function<void(int)> serve)
      : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(listener_.get(), generic, length), 0);
    EXPECT_EQ(listen(listener_.get(), 1), 0);
    EXPECT_EQ(getsockname(listener_.get(), generic, &length), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, serve = std::move(serve)] {
      const shm::UniqueFd peer(accept(listener_.get(), nullptr, nullptr));
      serve(peer.get());
    });
  }
  ~OneConnectionServer() { thread_.join(); }
  uint16_t port() const { return port_; }

 private:
  shm::UniqueFd listener_;
  uint16_t port_ = 0;
  std::thread thread_;
};

// Reads `count` GETs whole; false: the connection ended before.
bool read_commands(int peer, size_t count) {
  constexpr std::string_view kCommand = "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000000\r\n";
  std::string bytes(count * kCommand.size(), 0);
  return recv(peer, bytes.data(), bytes.size(), MSG_WAITALL) == static_cast<ssize_t>(bytes.size());
}
void answer(int peer, const std::string& reply, size_t times) {
  std::string replies;
  for (size_t i = 0; i < times; ++i) replies += reply;
  send(peer, replies.data(), replies.size(), MSG_NOSIGNAL);
}

constexpr size_t kCommands = 200;  // due 0.1 ms after each other
constexpr uint64_t kPauseNs = 100'000;

OpenLoopOptions options_for(uint16_t port) {
  OpenLoopOptions options;
  options.port = port;
  options.connections = 1;
  options.rate = 1e9 / kPauseNs;
  options.warm_up = 0;
  options.seconds = kCommands / options.rate;
  options.patience = 600;
  return options;
}

// Every command waits for the last one to be due; that they were sent by then must not hide it.
TEST(OpenLoop, LatencyCountsFromWhenACommandWasDue) {
  OneConnectionServer server([](int peer) {
    ASSERT_TRUE(read_commands(peer, kCommands));
    answer(peer, "$-1\r\n", kCommands);
  });
  OpenLoop loop(options_for(server.port()));
  ASSERT_TRUE(loop.connect());
  ASSERT_TRUE(loop.run());
  const OpenLoopResult& result = loop.result();
  EXPECT_EQ(result.due, kCommands);
  EXPECT_EQ(result.answered, kCommands);
  EXPECT_EQ(result.late.count(), kCommands);
  EXPECT_EQ(loop.errors(), 0u);
  EXPECT_GE(result.latency.max(), (kCommands - 1) * kPauseNs);
  EXPECT_GE(result.latency.percentile(50), (kCommands / 2 - 1) * kPauseNs);
}

TEST(OpenLoop, CommandsAreSentWhateverBecameOfThoseBefore) {
  OneConnectionServer server([](int peer) { read_commands(peer, kCommands); });
  OpenLoop loop(options_for(server.port()));
  ASSERT_TRUE(loop.connect());
  const Status status = loop.run();
  EXPECT_EQ(status.message(), "the server closed a connection");
  EXPECT_EQ(loop.result().due, kCommands);
  EXPECT_EQ(loop.result().answered, 0u);
}

TEST(OpenLoop, ErrorRepliesAreCounted) {
  OneConnectionServer server([](int peer) {
    ASSERT_TRUE(read_commands(peer, kCommands));
    answer(peer, "-NOAUTH who are you\r\n", kCommands);
  });
  OpenLoop loop(options_for(server.port()));
  ASSERT_TRUE(loop.connect());
  ASSERT_TRUE(loop.run());
  EXPECT_EQ(loop.errors(), kCommands);
  EXPECT_EQ(loop.first_error(), "NOAUTH who are you");
}

TEST(OpenLoop, WhatIsNoReplyEndsIt) {
  OneConnectionServer server([](int peer) {
    answer(peer, "HTTP/1.1 400 Bad Request\r\n", 1);
    read_commands(peer, 2 * kCommands);  // until the other end is gone
  });
  OpenLoop loop(options_for(server.port()));
  ASSERT_TRUE(loop.connect());
  const Status status = loop.run();
  EXPECT_EQ(status.code(), Code::kProtocolError);
}

TEST(OpenLoop, NobodyThere) {
  OpenLoopOptions options = options_for(1);
  OpenLoop loop(options);
  EXPECT_NE(loop.connect().message().find("cannot connect to 127.0.0.1:1"), std::string::npos);
}

}  // namespace
}  // namespace rdmakv
