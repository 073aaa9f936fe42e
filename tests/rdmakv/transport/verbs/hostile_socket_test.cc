// Hostile clients of Socket mode, with their hands on the TCP connection; in the Soft-RoCE machine
// (see device_test.cc).
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "rdmakv/transport/verbs/connect_messages.h"
#include "rdmakv/transport/verbs/handles.h"
#include "rdmakv/transport/verbs/socket_address.h"
#include "tests/rdmakv/transport/verbs/rig.h"

namespace rdmakv::verbs {
namespace {

using testing::HasSubstr;

class HostileClient {
 public:
  // From an address of this machine's; empty: the one that the server's is reached from.
  explicit HostileClient(uint16_t port, const std::string& from = {}) {
    socket_ = FileDescriptor(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!from.empty()) {
      const SocketAddress own = SocketAddress::resolve(from, 0).value();
      EXPECT_EQ(bind(socket_.get(), own.get(), own.size()), 0);
    }
    const SocketAddress server = SocketAddress::resolve("10.77.0.2", port).value();
    EXPECT_EQ(connect(socket_.get(), server.get(), server.size()), 0);
  }
  void say(const void* data, size_t length) {
    EXPECT_EQ(::send(socket_.get(), data, length, MSG_NOSIGNAL), static_cast<ssize_t>(length));
  }
  // Whether the server has not said anything yet.
  bool unanswered() {
    char byte = 0;
    return recv(socket_.get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
  }
  // What the server says until it hangs up; pumps it meanwhile.
  std::string hear(Rig& rig) {
    std::string heard;
    rig.wait_for("the server to hang up", [&] {
      char buffer[4096];
      const ssize_t got = recv(socket_.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
      if (got > 0) heard.append(buffer, static_cast<size_t>(got));
      return got == 0 || (got < 0 && errno != EAGAIN);
    });
    return heard;
  }
  // The text of the refusal that it ends with.
  std::string refusal(Rig& rig) {
    const std::string heard = hear(rig);
    ExchangeRecord record;
    if (heard.size() != sizeof(record)) return "";
    std::memcpy(reinterpret_cast<char*>(&record), heard.data(), sizeof(record));
    const Status status = check_record(record, ExchangeKind::kReply);
    return status.code() == Code::kRefused ? status.message() : "";
  }

 private:
  FileDescriptor socket_;
};

class HostileSocketClient : public testing::Test {
 protected:
  HostileSocketClient() : rig_(options()) {}
  void SetUp() override { ASSERT_TRUE(rig_.open()); }
  // The listener serves a good client as if nothing had been.
  void TearDown() override {
    ASSERT_TRUE(rig_.start());
    ASSERT_TRUE(rig_.wait_for("connected", [&] {
      return Rig::find(rig_.client_events, CompletionKind::kConnected) != nullptr;
    }));
  }
  static RigOptions options() {
    RigOptions options;
    options.by_socket = true;
    return options;
  }
  ExchangeRecord good() const {
    ExchangeRecord record;
    record.kind = ExchangeKind::kRequest;
    record.address.number = 17;
    record.address.gid[10] = record.address.gid[11] = 0xff;
    const uint8_t client_address[4] = {10, 77, 0, 1};
    std::memcpy(record.address.gid + 12, client_address, 4);
    record.address.link_layer = IBV_LINK_LAYER_ETHERNET;
    record.address.gid_type = IBV_GID_TYPE_ROCE_V2;
    record.address.mtu = IBV_MTU_1024;
    record.address.max_reads = 16;
    const wire::ConnectRequest request = request_with({}, EndpointOptions{});
    std::memcpy(record.body, &request, sizeof(request));
    return record;
  }
  Rig rig_;
};

TEST_F(HostileSocketClient, HttpIsToldAndDropped) {
  HostileClient client(rig_.listener->port());
  const std::string http = "GET / HTTP/1.1\r\nHost: here\r\n\r\n" + std::string(5000, 'x');
  client.say(http.data(), http.size());
  EXPECT_EQ(client.refusal(rig_), "this port speaks the rdmakv protocol in Socket mode only");
}

TEST_F(HostileSocketClient, OneByteAtATimeIsServed) {
  HostileClient client(rig_.listener->port());
  ExchangeRecord record = good();
  record.version = 3;
  for (size_t i = 0; i < sizeof(record); ++i) {
    client.say(reinterpret_cast<const char*>(&record) + i, 1);
    rig_.pump();
  }
  EXPECT_THAT(client.refusal(rig_), HasSubstr("version 3"));
}

TEST_F(HostileSocketClient, OtherProtocolVersionIsTold) {
  HostileClient client(rig_.listener->port());
  ExchangeRecord record = good();
  wire::ConnectRequest request = request_with({}, EndpointOptions{});
  request.version = 99;
  std::memcpy(record.body, &request, sizeof(request));
  client.say(&record, sizeof(record));
  EXPECT_THAT(client.refusal(rig_), HasSubstr("the client version 99"));
}

TEST_F(HostileSocketClient, WrongFieldsAreTold) {
  const auto refusal_of = [&](auto&& change) {
    ExchangeRecord record = good();
    change(record);
    HostileClient client(rig_.listener->port());
    client.say(&record, sizeof(record));
    return client.refusal(rig_);
  };
  EXPECT_THAT(refusal_of([](auto& r) { r.kind = ExchangeKind::kReady; }), HasSubstr("wrong kind"));
  EXPECT_THAT(refusal_of([](auto& r) { r.address.number = 0; }), HasSubstr("queue pair number"));
  EXPECT_THAT(refusal_of([](auto& r) { r.address.psn = 1u << 30; }), HasSubstr("sequence number"));
  EXPECT_THAT(refusal_of([](auto& r) { r.address.mtu = 99; }), HasSubstr("MTU"));
  EXPECT_THAT(refusal_of([](auto& r) { r.address.max_reads = 0; }), HasSubstr("reads"));
  EXPECT_THAT(refusal_of([](auto& r) { r.address.link_layer = 1; }), HasSubstr("InfiniBand"));
  EXPECT_THAT(refusal_of([](auto& r) { r.address.gid_type = 1; }),
              HasSubstr("can talk to the peer's GID 10.77.0.1 (RoCE v1)"));
  EXPECT_THAT(refusal_of([](auto& r) { r.address.gid[15] = 250; }), HasSubstr("state RTR"));
  EXPECT_THAT(refusal_of([](auto& r) { std::memset(r.body, 0, sizeof(r.body)); }),
              HasSubstr("rdmakv protocol"));
  EXPECT_EQ(rig_.server, nullptr);
}

TEST_F(HostileSocketClient, SilentOnesAreDroppedInTime) {
  HostileClient client(rig_.listener->port());
  client.say("", 0);
  EXPECT_EQ(client.hear(rig_), "");
}

TEST_F(HostileSocketClient, ManyHalfOpenOnesDoNotKeepOthersOut) {
  std::vector<std::unique_ptr<HostileClient>> crowd;
  for (int i = 0; i < 600; ++i) {
    crowd.push_back(std::make_unique<HostileClient>(rig_.listener->port()));
    rig_.pump();
  }
  TearDown();
  rig_.client_events.clear();
}

TEST_F(HostileSocketClient, OneThatHangsUpAfterTheRequestIsForgotten) {
  {
    HostileClient client(rig_.listener->port());
    const ExchangeRecord record = good();
    client.say(&record, sizeof(record));
  }
  ASSERT_TRUE(rig_.wait_for("end", [&] { return disconnected(rig_.server_events); }));
  EXPECT_THAT(std::string(rig_.server->error_text()), HasSubstr("before it was up"));
  rig_.server.reset();
}

// The kernel looks for a GID that nobody has for a second. Here are more of them than can have had
// their turn while another host's client is served, which comes from 10.77.0.2.
TEST_F(HostileSocketClient, FalseGidsHoldUpOnlyTheHostTheyComeFrom) {
  ExchangeRecord record = good();
  record.address.gid[15] = 250;
  std::vector<std::unique_ptr<HostileClient>> crowd;
  for (int i = 0; i < 40; ++i) {
    crowd.push_back(std::make_unique<HostileClient>(rig_.listener->port(), "10.77.0.1"));
    crowd.back()->say(&record, sizeof(record));
    rig_.pump();
  }
  ASSERT_TRUE(rig_.start());
  ASSERT_TRUE(rig_.wait_for("connected", [&] {
    return Rig::find(rig_.client_events, CompletionKind::kConnected) != nullptr;
  }));
  const auto unanswered =
      std::ranges::count_if(crowd, [](const auto& client) { return client->unanswered(); });
  EXPECT_GT(unanswered, 0);
  int not_reached = 0, too_many = 0;
  for (const auto& client : crowd) {
    const std::string why = client->refusal(rig_);
    not_reached += why.find("state RTR") != std::string::npos ? 1 : 0;
    too_many += why.find("too many connections from 10.77.0.1") != std::string::npos ? 1 : 0;
  }
  EXPECT_GT(not_reached, 0);
  EXPECT_EQ(not_reached + too_many, 40);
  rig_.client_events.clear();
}

TEST_F(HostileSocketClient, TheListenerMayGoWhileFalseGidsAreLookedFor) {
  ExchangeRecord record = good();
  record.address.gid[15] = 250;
  HostileClient client(rig_.listener->port());
  client.say(&record, sizeof(record));
  rig_.pump();
  rig_.listener.reset();
  EXPECT_EQ(client.refusal(rig_), "");
  EXPECT_EQ(rig_.server, nullptr);
  ASSERT_TRUE(rig_.open());
}

}  // namespace
}  // namespace rdmakv::verbs
