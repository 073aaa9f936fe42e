// The handshake as a server sees it: right, wrong and hostile.
#include <gtest/gtest.h>

#include "tests/rdmakv/server/server_fixture.h"

namespace rdmakv::server {
namespace {

using wire::MessageKind;

class HandshakeTest : public ServerFixture {};

TEST_F(HandshakeTest, WelcomeTellsWhatTheClientNeeds) {
  start();
  auto one = open_client();
  const wire::Welcome& welcome = one->welcome();
  EXPECT_EQ(welcome.epoch, server_->epoch());
  EXPECT_NE(welcome.epoch, 0u);
  EXPECT_GT(welcome.clock_ms, 1'600'000'000'000u);
  EXPECT_EQ(welcome.workers, 1u);
  EXPECT_EQ(welcome.credits, 32u);
  EXPECT_EQ(welcome.ring.bytes, 256u << 10);
  EXPECT_GT(welcome.pool.bytes, 14u << 20);
  EXPECT_EQ(welcome.bucket_count, welcome.index.bytes / 64);
  EXPECT_GT(welcome.max_value_bytes, 13u << 20);
}

TEST_F(HandshakeTest, RightSecretIsAdmitted) {
  options_.secret = "open sesame";
  start();
  EXPECT_TRUE(client()->open(port(), "open sesame"));
}

TEST_F(HandshakeTest, WrongSecretIsRefused) {
  options_.secret = "open sesame";
  start();
  auto one = client();
  ASSERT_TRUE(one->connect(port()));
  EXPECT_FALSE(one->admit("open barley"));
  EXPECT_NE(one->refusal().find("secret"), std::string::npos);
}

TEST_F(HandshakeTest, MissingSecretIsRefused) {
  options_.secret = "open sesame";
  start();
  auto one = client();
  ASSERT_TRUE(one->connect(port()));
  EXPECT_FALSE(one->admit());
  EXPECT_NE(one->refusal().find("secret"), std::string::npos);
}

TEST_F(HandshakeTest, OtherVersionIsRefused) {
  start();
  auto one = client();
  ASSERT_TRUE(one->connect(port()));
  wire::Hello hello;
  hello.version = 99;
  one->send_body(MessageKind::kHello, hello);
  EXPECT_EQ(one->refusal(),
            "protocol version 99, this server speaks " + std::to_string(wire::kProtocolVersion));
}

TEST_F(HandshakeTest, UnknownFlagIsRefused) {
  start();
  auto one = client();
  ASSERT_TRUE(one->connect(port()));
  wire::Hello hello;
  hello.flags = 1;
  one->send_body(MessageKind::kHello, hello);
  EXPECT_NE(one->refusal(), "");
}

TEST_F(HandshakeTest, GarbageIsRefused) {
  start();
  for (const size_t length : {0, 1, 15, 16, 17, 1000}) {
    auto one = client();
    ASSERT_TRUE(one->connect(port()));
    one->send(std::vector<std::byte>(length, std::byte{0x5a}));
    EXPECT_NE(one->refusal(), "") << length;
  }
  EXPECT_TRUE(open_client()->put("k", "v"));
}

TEST_F(HandshakeTest, RequestBeforeHelloIsRefused) {
  start();
  auto one = client();
  ASSERT_TRUE(one->connect(port()));
  one->send(RawClient::message(RawClient::header(wire::Opcode::kPut), "k", "v"));
  EXPECT_NE(one->refusal(), "");
  EXPECT_EQ(open_client()->get("k")->header.status, wire::ReplyStatus::kNotFound);
}

TEST_F(HandshakeTest, ProofBeforeHelloIsRefused) {
  start();
  auto one = client();
  ASSERT_TRUE(one->connect(port()));
  one->send_body(MessageKind::kProof, wire::Proof{});
  EXPECT_NE(one->refusal(), "");
}

TEST_F(HandshakeTest, SecondHelloIsRefused) {
  start();
  auto one = client();
  ASSERT_TRUE(one->connect(port()));
  one->send_body(MessageKind::kHello, wire::Hello{});
  one->send_body(MessageKind::kHello, wire::Hello{});
  EXPECT_NE(one->refusal(), "");
}

TEST_F(HandshakeTest, HelloAfterTheHandshakeIsRefused) {
  start();
  auto one = open_client();
  one->send_body(MessageKind::kHello, wire::Hello{});
  EXPECT_NE(one->refusal(), "");
}

TEST_F(HandshakeTest, LandingThatWrapsAroundIsRefused) {
  start();
  auto one = client();
  ASSERT_TRUE(one->connect(port()));
  one->send_body(MessageKind::kHello, wire::Hello{});
  wire::Proof proof;
  proof.landing = {~uint64_t{0} - 10, 100, 1, 0};
  one->send_body(MessageKind::kProof, proof);
  EXPECT_NE(one->refusal().find("landing"), std::string::npos);
}

TEST_F(HandshakeTest, ConnectRequestsThatMakeNoSense) {
  start();
  auto one = client();
  wire::ConnectRequest request = one->connect_request();
  request.worker = 5;
  EXPECT_FALSE(one->connect(port(), request));
  EXPECT_NE(one->error().find("no worker 5"), std::string::npos) << one->error();
  request = one->connect_request();
  request.receive_slots = 1;
  EXPECT_FALSE(one->connect(port(), request));
  request = one->connect_request();
  request.message_bytes = 16;
  EXPECT_FALSE(one->connect(port(), request));
  request = one->connect_request();
  request.version = 9;
  EXPECT_FALSE(one->connect(port(), request));
}

TEST_F(HandshakeTest, OneConnectionTooManyIsRefused) {
  start();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 4; ++i) clients.push_back(open_client());
  auto one = client();
  EXPECT_FALSE(one->open(port()));
  EXPECT_NE((one->error() + one->refusal()).find("connections"), std::string::npos) << one->error();
  clients.pop_back();
  // The place is free again once the server noticed.
  EXPECT_TRUE(clients[0]->wait([&] { return client()->open(port()); }));
}

TEST_F(HandshakeTest, PlacesComeBackHoweverAClientLeaves) {
  start();
  for (int i = 0; i < 30; ++i) {
    auto one = client();
    ASSERT_TRUE(one->wait([&] { return one->connect(port()); }));
    if (i % 3 == 1) one->send_body(MessageKind::kHello, wire::Hello{});
    if (i % 3 == 2) {
      ASSERT_TRUE(one->admit());
    }
    one->drop();
  }
  expect_stat("connections", 1);
}

}  // namespace
}  // namespace rdmakv::server
