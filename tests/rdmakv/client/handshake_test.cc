#include "rdmakv/client/handshake.h"

#include "tests/rdmakv/client/client_fixture.h"

namespace rdmakv {
namespace {

class HandshakeTest : public ClientTest {
 protected:
  Status connect() {
    open();
    return client->connect_and_wait();
  }
  std::string error() {
    const Status status = connect();
    EXPECT_FALSE(status);
    return status.message();
  }
};

TEST_F(HandshakeTest, WithoutASecret) {
  EXPECT_TRUE(connect());
}

TEST_F(HandshakeTest, WithTheSameSecret) {
  options.secret = server().secret = "tell nobody";
  EXPECT_TRUE(connect());
}

TEST_F(HandshakeTest, TellsTheLandingRegion) {
  ASSERT_TRUE(connect());
  const fakes::FakeEndpoint& endpoint = *fabric.endpoint();
  EXPECT_EQ(endpoint.landing.bytes, options.arena_bytes);
  EXPECT_EQ(endpoint.landing.key, endpoint.exposed->remote_key());
}

TEST_F(HandshakeTest, TheServerWantsASecret) {
  server().secret = "x";
  EXPECT_EQ(error(), "the server wants a secret");
  EXPECT_EQ(server().proofs, 0);
}

TEST_F(HandshakeTest, TheSecretsDiffer) {
  server().secret = "x";
  options.secret = "y";
  EXPECT_EQ(error(), "the server's secret differs");
}

TEST_F(HandshakeTest, NoKeyIsToldToAServerThatDoesNotProveTheSecret) {
  options.secret = "y";
  EXPECT_EQ(error(), "the server has no secret, but we were given one to check");
  EXPECT_EQ(server().proofs, 0);
}

TEST_F(HandshakeTest, VersionsDiffer) {
  server().version = wire::kProtocolVersion + 1;
  EXPECT_EQ(error(), "versions differ: ours " + std::to_string(wire::kProtocolVersion) +
                         ", the server's " + std::to_string(wire::kProtocolVersion + 1));
}

TEST_F(HandshakeTest, RefusalsAreTold) {
  server().version = 99;
  server().refuse = wire::RefusalCode::kVersion;
  EXPECT_EQ(error(), "versions differ: ours " + std::to_string(wire::kProtocolVersion) +
                         ", the server's 99");
}

TEST_F(HandshakeTest, RefusedForWantOfASecret) {
  server().refuse = wire::RefusalCode::kSecret;
  EXPECT_EQ(error(), "the server wants a secret");
}

TEST_F(HandshakeTest, RefusedForAWrongSecret) {
  options.secret = "y";
  server().refuse = wire::RefusalCode::kSecret;
  EXPECT_EQ(error(), "the server's secret differs");
}

TEST_F(HandshakeTest, TheServersWordsAreShownAsFarAsTheyCanBe) {
  server().refuse = wire::RefusalCode::kTooManyConnections;
  EXPECT_EQ(error(), "the server has too many connections (no?)");
}

TEST_F(HandshakeTest, AnUnknownRefusal) {
  server().refuse = static_cast<wire::RefusalCode>(99);
  EXPECT_EQ(error(), "the server refused for a reason unknown to us (no?)");
}

TEST_F(HandshakeTest, RefusalsHaveTheirCode) {
  server().refuse = wire::RefusalCode::kShuttingDown;
  EXPECT_EQ(connect().code(), Code::kRefused);
}

TEST_F(HandshakeTest, ASilentServerEndsAtTheConnectTimeout) {
  options.connect_timeout_ns = 20'000'000;
  server().hold_handshake = true;
  EXPECT_EQ(connect().code(), Code::kTimeout);
}

TEST_F(HandshakeTest, GarbageInsteadOfAChallenge) {
  server().hold_handshake = true;
  open();
  TestOperation ping(OperationKind::kPing, {});
  client->submit(ping);
  drive(3);
  ASSERT_NE(fabric.endpoint(), nullptr);
  fabric.endpoint()->deliver(bytes_of("HTTP/1.1 400 Bad Request\r\n\r\n"));
  drive(3);
  EXPECT_EQ(ping.code, Code::kUnavailable);
  EXPECT_NE(client->servers()[0].last_error.find("makes no sense"), std::string::npos);
}

TEST_F(HandshakeTest, AWelcomeBeforeTheChallenge) {
  server().hold_handshake = true;
  open();
  TestOperation ping(OperationKind::kPing, {});
  client->submit(ping);
  drive(3);
  std::vector<std::byte> buffer(4096);
  wire::MessageBuilder builder(buffer, wire::MessageKind::kWelcome);
  ASSERT_TRUE(builder.add_body(wire::Welcome{}));
  fabric.endpoint()->deliver({buffer.data(), builder.finish(0)});
  drive(3);
  EXPECT_EQ(ping.code, Code::kUnavailable);
}

struct BadWelcome {
  const char* name;
  void (*change)(wire::Welcome&);
};

class WelcomeTest : public ClientTest, public testing::WithParamInterface<BadWelcome> {};

TEST_P(WelcomeTest, IsRejected) {
  server().change_welcome = GetParam().change;
  open();
  const Status status = client->connect_and_wait();
  EXPECT_EQ(status.code(), Code::kProtocolError) << status.to_string();
}

INSTANTIATE_TEST_SUITE_P(
    Hostile, WelcomeTest,
    testing::Values(
        BadWelcome{"epoch", [](wire::Welcome& w) { w.epoch = 0; }},
        BadWelcome{"no_workers", [](wire::Welcome& w) { w.workers = 0; }},
        BadWelcome{"many_workers", [](wire::Welcome& w) { w.workers = wire::kMaxWorkers + 1; }},
        BadWelcome{"other_worker", [](wire::Welcome& w) { w.workers = 2, w.worker = 1; }},
        BadWelcome{"no_credits", [](wire::Welcome& w) { w.credits = 0; }},
        BadWelcome{"huge_ring", [](wire::Welcome& w) { w.ring.bytes = uint64_t{1} << 40; }},
        BadWelcome{"ring_wraps", [](wire::Welcome& w) { w.ring.base = ~uint64_t{0} - 100; }},
        BadWelcome{"pool_wraps", [](wire::Welcome& w) { w.pool.base = ~uint64_t{0}; }},
        BadWelcome{"huge_pool", [](wire::Welcome& w) { w.pool.bytes = ~uint64_t{0}; }},
        BadWelcome{"buckets",
                   [](wire::Welcome& w) {
                     w.index = {4096, 64, 1, 0}, w.bucket_count = 2;
                   }}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace rdmakv
