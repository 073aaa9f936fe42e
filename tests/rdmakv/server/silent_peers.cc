#include "tests/rdmakv/server/silent_peers.h"

#include <chrono>
#include <vector>

namespace rdmakv::server {

constexpr uint64_t kMillisecond = 1'000'000;

SilentPeers::SilentPeers() {
  Result<std::unique_ptr<Fabric>> servers = GetParam().open_server();
  Result<std::unique_ptr<Fabric>> clients = GetParam().open_client();
  EXPECT_TRUE(servers) << servers.status().to_string();
  EXPECT_TRUE(clients) << clients.status().to_string();
  server_fabric_ = std::move(*servers);
  client_fabric_ = std::move(*clients);
  options_.address = GetParam().address;
  options_.memory_bytes = 16 << 20;
  options_.workers = 1;
  options_.max_connections = 3;
  options_.ring_bytes = 256 << 10;
  options_.credits = 32;
  options_.timeouts.handshake_ns = 500 * kMillisecond;
  options_.timeouts.refusal_ns = 100 * kMillisecond;
}

void SilentPeers::start() {
  Result<std::unique_ptr<Server>> server = Server::start(*server_fabric_, options_);
  ASSERT_TRUE(server) << server.status().to_string();
  server_ = std::move(*server);
}

std::unique_ptr<RawClient> SilentPeers::open_client(Fabric& fabric) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(200);
  for (;;) {
    auto one = std::make_unique<RawClient>(fabric, GetParam().address);
    if (one->open(server_->port())) return one;
    if (std::chrono::steady_clock::now() > deadline) {
      ADD_FAILURE() << "never admitted: " << one->error();
      return one;
    }
  }
}

void SilentPeers::expect_stat(RawClient& by, const std::string& name, int64_t wanted) {
  int64_t number = -1;
  by.wait([&] { return by.gone() || (number = by.stat(name)) == wanted; });
  EXPECT_EQ(number, wanted) << name;
}

TEST_P(SilentPeers, OneThatSaysNothingIsToldAndDropped) {
  start();
  auto mute = client();
  ASSERT_TRUE(mute->connect(server_->port())) << mute->error();
  EXPECT_EQ(mute->refusal(), "no handshake within 500 ms");
}

TEST_P(SilentPeers, OneThatStopsInTheMiddleOfTheHandshakeIsToldAndDropped) {
  start();
  // On a loaded machine the time may be up before it has said anything.
  std::unique_ptr<RawClient> stuck;
  wire::Hello hello;
  wire::Challenge challenge;
  do {
    stuck = client();
    ASSERT_TRUE(stuck->connect(server_->port())) << stuck->error();
  } while (!stuck->say_hello(hello, challenge));
  EXPECT_EQ(stuck->refusal(), "no handshake within 500 ms");
}

// Nobody polls for the silent ones, so they do not take part in being dropped either.
TEST_P(SilentPeers, WhatTheyHoldIsGivenToOthers) {
  start();
  std::vector<std::unique_ptr<RawClient>> mute;
  for (uint32_t i = 0; i < options_.max_connections; ++i) {
    mute.push_back(client());
    ASSERT_TRUE(mute.back()->connect(server_->port())) << mute.back()->error();
  }
  // Every connection and every ring is taken until they are dropped.
  auto first = open_client();
  auto second = open_client();
  auto third = open_client();
  EXPECT_EQ(first->put("k", "v")->header.status, wire::ReplyStatus::kOk);
  EXPECT_EQ(second->get("k")->value, "v");
  expect_stat(*third, "connections", 3);
}

TEST_P(SilentPeers, OneThatIsSilentLaterIsProbedAndStaysWithWhatItHolds) {
  options_.timeouts.silence_ns = 10 * kMillisecond;
  start();
  auto quiet = open_client();
  quiet->put("k", std::string(100'000, 'p'));
  EXPECT_EQ(quiet->get("k")->header.flags & wire::kPinned, wire::kPinned);
  auto witness = open_client();
  // Some probes' time.
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_EQ(witness->stat("pins_open"), 1);
  expect_stat(*witness, "connections", 2);
  EXPECT_EQ(quiet->get("k")->header.status, wire::ReplyStatus::kOk);
}

}  // namespace rdmakv::server
