// Servers that break the protocol: the connection ends, and nobody is hurt.
#include <functional>

#include "protocol/kv_layout.h"
#include "tests/rdmakv/client/failure_fixture.h"

namespace rdmakv {
namespace {

class HostileTest : public FailureTest {
 protected:
  // A GET is outstanding; what the server says next must break the connection and leave the GET to
  // be answered by the next one.
  void expect_broken(const std::function<void(const fakes::FakeRequest&)>& say) {
    open_and_connect();
    server().entries["k"] = {"good", 1};
    TestOperation get(OperationKind::kGet, "k");
    hold_and_submit(get);
    server().hold = false;
    const fakes::FakeRequest request = server().held[0];
    say(request);
    client->wait(get);
    EXPECT_EQ(get.code, Code::kOk);
    EXPECT_EQ(get.lent, "good") << "from the second connection";
    EXPECT_EQ(fabric.connects, 2);
    EXPECT_EQ(client->counters().disconnects, 1u);
  }
  wire::ReplyHeader good_answer_to(const fakes::FakeRequest& request) {
    wire::ReplyHeader header = answer_to(request);
    header.flags = wire::kHasValue;
    header.value_length = 3;
    return header;
  }
  wire::ReplyHeader answer_to(const fakes::FakeRequest& request) {
    wire::ReplyHeader header;
    header.id = request.header.id;
    return header;
  }
};

// Nothing is wrong with these replies but whom they are for.
TEST_F(HostileTest, AReplyToNobody) {
  expect_broken([&](const auto& request) {
    wire::ReplyHeader header = good_answer_to(request);
    header.id ^= 1;
    server().send_reply_message(*request.endpoint, header, "bad");
  });
}

TEST_F(HostileTest, AReplyWithAStaleGeneration) {
  expect_broken([&](const auto& request) {
    wire::ReplyHeader header = good_answer_to(request);
    header.id += 1u << 12;
    server().send_reply_message(*request.endpoint, header, "bad");
  });
}

TEST_F(HostileTest, AGetWithoutItsValue) {
  expect_broken([&](const auto& request) {
    server().send_reply_message(*request.endpoint, answer_to(request));
  });
}

TEST_F(HostileTest, Garbage) {
  expect_broken([&](const auto& request) {
    request.endpoint->deliver(bytes_of("garbage, and a good deal of it"));
  });
}

TEST_F(HostileTest, AnEmptyMessage) {
  expect_broken([&](const auto& request) { request.endpoint->deliver({}); });
}

TEST_F(HostileTest, RequestsInsteadOfReplies) {
  expect_broken([&](const auto& request) {
    std::byte buffer[512];
    wire::MessageBuilder builder(buffer, wire::MessageKind::kRequests);
    ASSERT_TRUE(builder.add_request({}, "k", {}));
    request.endpoint->deliver({buffer, builder.finish(0)});
  });
}

TEST_F(HostileTest, AValueLengthBeyondTheMessage) {
  expect_broken([&](const auto& request) {
    std::byte buffer[512];
    wire::MessageBuilder builder(buffer, wire::MessageKind::kReplies);
    wire::ReplyHeader header = answer_to(request);
    header.flags = wire::kHasValue;
    header.value_length = 1000;
    ASSERT_TRUE(builder.add_reply_head(header));
    request.endpoint->deliver({buffer, builder.finish(0)});
  });
}

TEST_F(HostileTest, AWriteWithAMadeUpImmediate) {
  expect_broken(
      [&](const auto& request) { request.endpoint->deliver_write(0, bytes_of("x"), 0xdeadbeef); });
}

TEST_F(HostileTest, AWriteThatSaysAnotherId) {
  expect_broken([&](const auto& request) {
    std::byte buffer[512];
    wire::MessageBuilder builder(buffer, wire::MessageKind::kReplies);
    wire::ReplyHeader header = good_answer_to(request);
    ++header.id;
    ASSERT_TRUE(builder.add_reply(header, bytes_of("bad")));
    request.endpoint->deliver_write(uint64_t{request.header.landing_offset} * 64,
                                    {buffer, builder.finish(0)}, request.header.id);
  });
}

TEST_F(HostileTest, AWriteLongerThanItsLandingBuffer) {
  expect_broken([&](const auto& request) {
    server().land_reply(request, {}, std::string(request.header.landing_bytes, 'b'));
  });
}

struct BadPin {
  const char* name;
  void (*change)(wire::ReplyHeader&);
};
class PinTest : public HostileTest, public testing::WithParamInterface<BadPin> {};

TEST_P(PinTest, BreaksTheConnection) {
  expect_broken([&](const auto& request) {
    wire::ReplyHeader header = answer_to(request);
    header.flags = wire::kPinned;
    header.ticket = 3;
    header.location = 4;
    header.value_length = 5000;
    header.number = wire::entry_value_offset(1, false);
    GetParam().change(header);
    server().send_reply_message(*request.endpoint, header);
  });
}

INSTANTIATE_TEST_SUITE_P(
    Hostile, PinTest,
    testing::Values(
        BadPin{"no_ticket", [](wire::ReplyHeader& h) { h.ticket = 0; }},
        BadPin{"nowhere", [](wire::ReplyHeader& h) { h.location = 0; }},
        BadPin{"other_region", [](wire::ReplyHeader& h) { h.location |= uint64_t{1} << 36; }},
        BadPin{"outside", [](wire::ReplyHeader& h) { h.location = (uint64_t{1} << 36) - 1; }},
        BadPin{"too_long", [](wire::ReplyHeader& h) { h.value_length = 9u << 20; }},
        BadPin{"beyond_limits", [](wire::ReplyHeader& h) { h.value_length = ~0u; }},
        BadPin{"empty", [](wire::ReplyHeader& h) { h.value_length = 0; }},
        BadPin{"odd_start", [](wire::ReplyHeader& h) { h.number = 1; }},
        BadPin{"negative_start", [](wire::ReplyHeader& h) { h.number = ~uint64_t{0} - 20; }},
        BadPin{"value_too", [](wire::ReplyHeader& h) { h.flags |= wire::kHasValue; }},
        BadPin{"not_found", [](wire::ReplyHeader& h) { h.status = wire::ReplyStatus::kNotFound; }}),
    [](const auto& info) { return info.param.name; });

TEST_F(HostileTest, AReplyThatComesTwice) {
  open_and_connect();
  TestOperation put(OperationKind::kPut, "k");
  hold_and_submit(put);
  const fakes::FakeRequest request = server().held[0];
  server().send_reply_message(*request.endpoint, answer_to(request));
  server().send_reply_message(*request.endpoint, answer_to(request));
  drive();
  EXPECT_EQ(put.dones, 1);
  EXPECT_EQ(put.code, Code::kOk);
  EXPECT_EQ(client->counters().disconnects, 1u);
}

TEST_F(HostileTest, AValueForAPut) {
  open_and_connect();
  TestOperation put(OperationKind::kPut, "k");
  hold_and_submit(put);
  wire::ReplyHeader header = answer_to(server().held[0]);
  header.flags = wire::kHasValue;
  header.value_length = 1;
  server().send_reply_message(*server().held[0].endpoint, header, "x");
  drive();
  EXPECT_EQ(put.code, Code::kUnknownOutcome);
}

TEST_F(HostileTest, SenselesslySmallMessages) {
  fabric.agreed_message_bytes = 300;
  open();
  EXPECT_EQ(client->connect_and_wait().code(), Code::kProtocolError);
}

TEST_F(HostileTest, AClockBeyondReasonIsIgnored) {
  server().change_welcome = [](wire::Welcome& welcome) { welcome.clock_ms = ~uint64_t{0}; };
  open_and_connect();
  EXPECT_GT(client->server_clock_ms("k"), 0);
}

}  // namespace
}  // namespace rdmakv
