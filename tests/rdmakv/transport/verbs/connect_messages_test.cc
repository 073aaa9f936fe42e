#include "rdmakv/transport/verbs/connect_messages.h"

#include <gtest/gtest.h>

#include <cstring>

#include "rdmakv/transport/verbs/socket_address.h"

namespace rdmakv::verbs {
namespace {

wire::ConnectRequest good_request() {
  return request_with({}, EndpointOptions{});
}

std::string text_of(const wire::ConnectRefusal& refusal) {
  return refusal.text;
}

QueuePairAddress good_address() {
  QueuePairAddress address;
  address.number = 17;
  address.psn = 4711;
  address.gid[15] = 1;
  address.link_layer = IBV_LINK_LAYER_ETHERNET;
  address.gid_type = IBV_GID_TYPE_ROCE_V2;
  address.mtu = IBV_MTU_1024;
  address.max_reads = 16;
  return address;
}

// --- requests ------------------------------------------------------------------------------------

TEST(ConnectRequest, CarriesTheSizes) {
  EndpointOptions options;
  options.receive_slots = 7;
  options.message_bytes = 100;
  options.max_reads = 3;
  wire::ConnectRequest request;
  request.worker = 5;
  const wire::ConnectRequest filled = request_with(request, options);
  EXPECT_EQ(filled.receive_slots, 7u);
  EXPECT_EQ(filled.message_bytes, 100u);
  EXPECT_EQ(filled.max_reads, 3u);
  EXPECT_EQ(filled.worker, 5u);
}

TEST(ConnectRequest, GoodOnePasses) {
  EXPECT_FALSE(check_request(good_request()));
}

TEST(ConnectRequest, WrongMagicIsRefused) {
  wire::ConnectRequest request = good_request();
  request.magic ^= 1;
  const auto refused = check_request(request);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code, wire::RefusalCode::kBadRequest);
}

TEST(ConnectRequest, OtherVersionIsRefusedWithBothNumbers) {
  wire::ConnectRequest request = good_request();
  request.version = 99;
  const auto refused = check_request(request);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code, wire::RefusalCode::kVersion);
  EXPECT_EQ(text_of(*refused), "the server speaks protocol version " +
                                   std::to_string(wire::kProtocolVersion) +
                                   ", the client version 99");
}

TEST(ConnectRequest, ReservedFieldMustBeZero) {
  wire::ConnectRequest request = good_request();
  request.reserved = 1;
  EXPECT_TRUE(check_request(request));
}

TEST(ConnectRequest, SizesOfZeroAreRefused) {
  for (auto field : {&wire::ConnectRequest::receive_slots, &wire::ConnectRequest::message_bytes,
                     &wire::ConnectRequest::max_reads}) {
    wire::ConnectRequest request = good_request();
    request.*field = 0;
    EXPECT_TRUE(check_request(request));
  }
}

TEST(ConnectRequest, TinyMessagesAreRefused) {
  wire::ConnectRequest request = good_request();
  request.message_bytes = kMinMessageBytes - 1;
  EXPECT_TRUE(check_request(request));
  request.message_bytes = kMinMessageBytes;
  EXPECT_FALSE(check_request(request));
}

TEST(ConnectRequest, HugeBuffersAreRefused) {
  wire::ConnectRequest request = good_request();
  request.message_bytes = kMaxMessageBytes + 1;
  EXPECT_TRUE(check_request(request));
  request.message_bytes = kMaxMessageBytes;
  request.receive_slots = 0xffffffff;
  EXPECT_TRUE(check_request(request));
}

// --- replies -------------------------------------------------------------------------------------

TEST(ConnectReply, LowersTheSizes) {
  EndpointOptions proposed;
  EndpointOptions lower = proposed;
  lower.receive_slots = 8;
  lower.message_bytes = 2048;
  lower.max_reads = 1;
  const Result<EndpointOptions> agreed = check_reply(reply_with(lower), proposed);
  ASSERT_TRUE(agreed);
  EXPECT_EQ(agreed.value().receive_slots, 8u);
  EXPECT_EQ(agreed.value().message_bytes, 2048u);
  EXPECT_EQ(agreed.value().max_reads, 1u);
  EXPECT_EQ(agreed.value().max_work, proposed.max_work);
}

TEST(ConnectReply, RaisingASizeIsAnError) {
  const EndpointOptions proposed;
  for (auto field : {&wire::ConnectReply::receive_slots, &wire::ConnectReply::message_bytes,
                     &wire::ConnectReply::max_reads}) {
    wire::ConnectReply reply = reply_with(proposed);
    reply.*field += 1;
    EXPECT_EQ(check_reply(reply, proposed).status().code(), Code::kProtocolError);
    reply.*field = 0;
    EXPECT_EQ(check_reply(reply, proposed).status().code(), Code::kProtocolError);
  }
}

TEST(ConnectReply, WrongMagicOrVersionIsAnError) {
  const EndpointOptions proposed;
  wire::ConnectReply reply = reply_with(proposed);
  reply.magic ^= 1;
  EXPECT_FALSE(check_reply(reply, proposed));
  reply = reply_with(proposed);
  reply.version += 1;
  EXPECT_FALSE(check_reply(reply, proposed));
  reply = reply_with(proposed);
  reply.reserved = 1;
  EXPECT_FALSE(check_reply(reply, proposed));
}

// --- refusals ------------------------------------------------------------------------------------

TEST(Refusal, TextComesThrough) {
  const wire::ConnectRefusal made = refusal(wire::RefusalCode::kNoSuchWorker, "no worker 9");
  EXPECT_EQ(refusal_text(std::as_bytes(std::span(&made, 1))), "no worker 9");
}

TEST(Refusal, LongTextIsCut) {
  const wire::ConnectRefusal made = refusal(wire::RefusalCode::kBadRequest, std::string(1000, 'x'));
  EXPECT_EQ(refusal_text(std::as_bytes(std::span(&made, 1))), std::string(127, 'x'));
}

TEST(Refusal, UnterminatedTextEndsWithTheField) {
  wire::ConnectRefusal made;
  std::memset(made.text, 'y', sizeof(made.text));
  EXPECT_EQ(refusal_text(std::as_bytes(std::span(&made, 1))), std::string(128, 'y'));
}

TEST(Refusal, ControlCharactersAreNotPrinted) {
  const wire::ConnectRefusal made = refusal(wire::RefusalCode::kBadRequest, "a\x1b[2Jb\xff");
  EXPECT_EQ(refusal_text(std::as_bytes(std::span(&made, 1))), "a?[2Jb?");
}

TEST(Refusal, OtherSoftwaresDataIsNone) {
  const std::string other(148, 'z');
  EXPECT_FALSE(refusal_text(std::as_bytes(std::span(other))));
  const wire::ConnectRefusal made;
  EXPECT_FALSE(refusal_text(std::as_bytes(std::span(&made, 1)).first(20)));
}

TEST(Refusal, CodesOfErrors) {
  EXPECT_EQ(refusal_for({Code::kBusy, "full"}).code, wire::RefusalCode::kTooManyConnections);
  EXPECT_EQ(refusal_for({Code::kNotFound, "none"}).code, wire::RefusalCode::kNoSuchWorker);
  EXPECT_EQ(refusal_for({Code::kCancelled, "end"}).code, wire::RefusalCode::kShuttingDown);
  EXPECT_EQ(refusal_for({Code::kVersionMismatch, "v"}).code, wire::RefusalCode::kVersion);
  EXPECT_EQ(refusal_for({Code::kSystemError, "x"}).code, wire::RefusalCode::kBadRequest);
}

// --- records of Socket mode ----------------------------------------------------------------------

ExchangeRecord record_of(ExchangeKind kind) {
  ExchangeRecord record;
  record.kind = kind;
  record.address = good_address();
  return record;
}

TEST(ExchangeRecord, GoodOnesPass) {
  for (ExchangeKind kind : {ExchangeKind::kRequest, ExchangeKind::kReply, ExchangeKind::kReady}) {
    EXPECT_TRUE(check_record(record_of(kind), kind));
  }
}

TEST(ExchangeRecord, EveryPrefixOfOursMayBeOne) {
  const ExchangeRecord record;
  for (size_t length = 0; length <= sizeof(record); ++length) {
    EXPECT_TRUE(may_be_record(record, length));
  }
}

TEST(ExchangeRecord, HttpIsKnownByItsFirstByte) {
  ExchangeRecord record;
  std::memcpy(reinterpret_cast<char*>(&record), "GET / HTTP/1.1\r\n", 16);
  EXPECT_FALSE(may_be_record(record, 1));
  EXPECT_EQ(check_record(record, ExchangeKind::kRequest).code(), Code::kProtocolError);
}

TEST(ExchangeRecord, OtherVersionNamesBoth) {
  ExchangeRecord record = record_of(ExchangeKind::kRequest);
  record.version = 7;
  const Status status = check_record(record, ExchangeKind::kRequest);
  EXPECT_EQ(status.code(), Code::kVersionMismatch);
  EXPECT_NE(status.message().find("version 7"), std::string::npos);
}

TEST(ExchangeRecord, WrongKindIsAnError) {
  EXPECT_EQ(check_record(record_of(ExchangeKind::kReady), ExchangeKind::kRequest).code(),
            Code::kProtocolError);
  EXPECT_EQ(check_record(record_of(static_cast<ExchangeKind>(77)), ExchangeKind::kReply).code(),
            Code::kProtocolError);
}

TEST(ExchangeRecord, RefusalOfAnyVersionIsRead) {
  ExchangeRecord record;
  record.version = 1234;
  record.kind = ExchangeKind::kRefusal;
  const wire::ConnectRefusal why = refusal(wire::RefusalCode::kShuttingDown, "going home");
  std::memcpy(record.body, &why, sizeof(why));
  const Status status = check_record(record, ExchangeKind::kReply);
  EXPECT_EQ(status.code(), Code::kRefused);
  EXPECT_EQ(status.message(), "going home");
}

TEST(ExchangeRecord, PaddingMustBeZero) {
  ExchangeRecord record = record_of(ExchangeKind::kRequest);
  record.body[sizeof(record.body) - 1] = 1;
  EXPECT_EQ(check_record(record, ExchangeKind::kRequest).code(), Code::kProtocolError);
}

TEST(QueuePairAddress, GoodOnePasses) {
  EXPECT_TRUE(check_queue_pair_address(good_address(), IBV_LINK_LAYER_ETHERNET));
}

TEST(QueuePairAddress, EachFieldIsChecked) {
  const auto expect_wrong = [](auto&& change) {
    QueuePairAddress peer = good_address();
    change(peer);
    EXPECT_EQ(check_queue_pair_address(peer, IBV_LINK_LAYER_ETHERNET).code(), Code::kProtocolError);
  };
  expect_wrong([](QueuePairAddress& a) { a.number = 0; });
  expect_wrong([](QueuePairAddress& a) { a.number = 1 << 24; });
  expect_wrong([](QueuePairAddress& a) { a.psn = 1 << 24; });
  expect_wrong([](QueuePairAddress& a) { a.mtu = 0; });
  expect_wrong([](QueuePairAddress& a) { a.mtu = 6; });
  expect_wrong([](QueuePairAddress& a) { a.max_reads = 0; });
  expect_wrong([](QueuePairAddress& a) { a.reserved[1] = 1; });
  expect_wrong([](QueuePairAddress& a) { std::memset(a.gid, 0, sizeof(a.gid)); });
}

TEST(QueuePairAddress, LinkLayersMustAgree) {
  QueuePairAddress peer = good_address();
  peer.link_layer = IBV_LINK_LAYER_INFINIBAND;
  EXPECT_EQ(check_queue_pair_address(peer, IBV_LINK_LAYER_ETHERNET).code(), Code::kInvalidArgument);
}

// --- addresses -----------------------------------------------------------------------------------

TEST(SocketAddress, IPv4IsAMappedGid) {
  const auto address = SocketAddress::resolve("10.77.0.1", 7471);
  ASSERT_TRUE(address);
  EXPECT_EQ(address.value().to_string(), "10.77.0.1:7471");
  const ibv_gid gid = address.value().to_gid();
  EXPECT_EQ(gid.raw[10], 0xff);
  EXPECT_EQ(gid.raw[12], 10);
  EXPECT_EQ(SocketAddress::from_gid(gid, 0).host_text(), "10.77.0.1");
}

TEST(SocketAddress, IPv6IsItsGid) {
  const auto address = SocketAddress::resolve("2001:db8::7", 5);
  ASSERT_TRUE(address);
  EXPECT_EQ(address.value().to_string(), "[2001:db8::7]:5");
  EXPECT_EQ(SocketAddress::from_gid(address.value().to_gid(), 0).host_text(), "2001:db8::7");
}

TEST(SocketAddress, UnknownHostIsNamed) {
  const auto address = SocketAddress::resolve("no-such-host.invalid", 1);
  ASSERT_FALSE(address);
  EXPECT_EQ(address.status().code(), Code::kUnavailable);
  EXPECT_NE(address.status().message().find("no-such-host.invalid"), std::string::npos);
}

TEST(SocketAddress, LoopbackIsLocal) {
  EXPECT_TRUE(SocketAddress::resolve("127.0.0.1", 1).value().is_local());
  EXPECT_FALSE(SocketAddress::resolve("192.0.2.1", 1).value().is_local());
}

}  // namespace
}  // namespace rdmakv::verbs
