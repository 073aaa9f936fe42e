#include "protocol/kv_message.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocol/kv_handshake.h"

namespace rdmakv::wire {
namespace {

using Bytes = std::vector<std::byte>;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

RequestHeader put_header(std::string_view key, std::string_view value, uint32_t id = 1) {
  RequestHeader header;
  header.opcode = Opcode::kPut;
  header.id = id;
  header.key_length = static_cast<uint32_t>(key.size());
  header.value_length = static_cast<uint32_t>(value.size());
  return header;
}

Bytes put_message(std::string_view key, std::string_view value) {
  Bytes bytes(sizeof(MessageHeader) + request_bytes(key.size(), value.size()));
  MessageBuilder builder(bytes, MessageKind::kRequests);
  EXPECT_TRUE(builder.add_request(put_header(key, value), key, bytes_of(value)));
  bytes.resize(builder.finish(0));
  return bytes;
}

// Reads all requests; the error, or null.
const char* read_all(const Bytes& bytes, int* count = nullptr) {
  MessageReader reader(bytes);
  RequestView request;
  while (reader.next(request)) {
    if (count != nullptr) ++*count;
  }
  return reader.error();
}

TEST(KvMessage, RequestsComeBackAsTheyWere) {
  Bytes bytes(1000);
  MessageBuilder builder(bytes, MessageKind::kRequests);
  EXPECT_TRUE(builder.empty());
  EXPECT_TRUE(builder.add_request(put_header("key", "value", 7), "key", bytes_of("value")));
  RequestHeader get;
  get.id = 8;
  get.key_length = 1;
  get.landing_offset = 5;
  get.landing_bytes = 4096;
  EXPECT_TRUE(builder.add_request(get, "k", {}));
  EXPECT_EQ(builder.count(), 2);
  bytes.resize(builder.finish(99));

  MessageReader reader(bytes);
  ASSERT_TRUE(reader.valid());
  EXPECT_EQ(reader.header().clock_ms, 99u);
  RequestView request;
  ASSERT_TRUE(reader.next(request));
  EXPECT_EQ(request.header.id, 7u);
  EXPECT_EQ(request.key, "key");
  EXPECT_EQ(request.value.size(), 5u);
  ASSERT_TRUE(reader.next(request));
  EXPECT_EQ(request.header.id, 8u);
  EXPECT_EQ(request.header.landing_bytes, 4096u);
  EXPECT_FALSE(reader.next(request));
  EXPECT_TRUE(reader.valid());
}

TEST(KvMessage, RepliesComeBackAsTheyWere) {
  Bytes bytes(1000);
  MessageBuilder builder(bytes, MessageKind::kReplies);
  ReplyHeader header;
  header.flags = kHasValue;
  header.value_length = 3;
  EXPECT_TRUE(builder.add_reply(header, bytes_of("abc")));
  header = {};
  header.status = ReplyStatus::kVersionMismatch;
  header.version = 12;
  header.value_length = 1000;  // of the value meant; none follows
  EXPECT_TRUE(builder.add_reply(header, {}));
  bytes.resize(builder.finish(1));

  MessageReader reader(bytes);
  ReplyView reply;
  ASSERT_TRUE(reader.next(reply));
  EXPECT_EQ(reply.value.size(), 3u);
  ASSERT_TRUE(reader.next(reply));
  EXPECT_EQ(reply.header.version, 12u);
  EXPECT_TRUE(reply.value.empty());
  EXPECT_FALSE(reader.next(reply));
  EXPECT_TRUE(reader.valid());
}

TEST(KvMessage, WhatDoesNotFitChangesNothing) {
  Bytes bytes(sizeof(MessageHeader) + request_bytes(3, 5) + 60);
  MessageBuilder builder(bytes, MessageKind::kRequests);
  EXPECT_TRUE(builder.add_request(put_header("key", "value"), "key", bytes_of("value")));
  EXPECT_FALSE(builder.add_request(put_header("key", "value"), "key", bytes_of("value")));
  bytes.resize(builder.finish(0));
  int count = 0;
  EXPECT_EQ(read_all(bytes, &count), nullptr);
  EXPECT_EQ(count, 1);
}

TEST(KvMessage, NoBufferHoldsNothing) {
  MessageBuilder builder({}, MessageKind::kRequests);
  EXPECT_FALSE(builder.add_request({}, {}, {}));
  EXPECT_FALSE(builder.add_request_head({}, {}));
  EXPECT_FALSE(builder.add_reply_head({}));
}

TEST(KvMessage, PaddingIsZero) {
  Bytes bytes(200, std::byte{0xee});
  MessageBuilder builder(bytes, MessageKind::kRequests);
  builder.add_request(put_header("k", ""), "k", {});
  const uint32_t length = builder.finish(0);
  for (size_t i = sizeof(MessageHeader) + sizeof(RequestHeader) + 1; i < length; ++i) {
    EXPECT_EQ(bytes[i], std::byte{0});
  }
}

TEST(KvMessage, GatheredValueNeedsNoPadding) {
  Bytes bytes(sizeof(MessageHeader) + sizeof(RequestHeader) + 3);
  MessageBuilder builder(bytes, MessageKind::kRequests);
  ASSERT_TRUE(builder.add_request_head(put_header("key", "12345"), "key"));
  EXPECT_FALSE(builder.add_request_head(put_header("key", "12345"), "key"));
  ASSERT_EQ(builder.finish(0), bytes.size());
  for (const char c : {'1', '2', '3', '4', '5'}) bytes.push_back(static_cast<std::byte>(c));
  int count = 0;
  EXPECT_EQ(read_all(bytes, &count), nullptr);
  EXPECT_EQ(count, 1);
}

TEST(KvMessage, CountIsBounded) {
  Bytes bytes(64 * 1024);
  MessageBuilder builder(bytes, MessageKind::kRequests);
  uint32_t count = 0;
  while (builder.add_request(RequestHeader{}, {}, {})) ++count;
  EXPECT_EQ(count, kMaxRequestsPerMessage);
  bytes.resize(builder.finish(0));
  EXPECT_EQ(read_all(bytes), nullptr);
}

TEST(KvMessage, EveryCutIsAnError) {
  const Bytes whole = put_message("key", "some value");
  const size_t unpadded = sizeof(MessageHeader) + sizeof(RequestHeader) + 13;
  for (size_t length = 0; length < whole.size(); ++length) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(length));
    EXPECT_EQ(read_all(cut) == nullptr, length >= unpadded) << length;
  }
}

TEST(KvMessage, BytesBehindTheEndAreAnError) {
  Bytes bytes = put_message("key", "value");
  bytes.push_back(std::byte{0});
  EXPECT_NE(read_all(bytes), nullptr);
}

TEST(KvMessage, EveryByteOfTheMessageHeaderIsChecked) {
  for (size_t at = 0; at < sizeof(MessageHeader) - sizeof(uint64_t); ++at) {  // but for the clock
    Bytes bytes = put_message("key", "value");
    bytes[at] ^= std::byte{0x40};
    EXPECT_NE(read_all(bytes), nullptr) << at;
  }
}

TEST(KvMessage, WrongFieldsOfARequestAreErrors) {
  const auto after = [](auto last) {
    return static_cast<decltype(last)>(static_cast<uint8_t>(last) + 1);
  };
  const auto with = [](auto&& change) {
    Bytes bytes = put_message("key", "value");
    RequestHeader header;
    std::memcpy(&header, bytes.data() + sizeof(MessageHeader), sizeof(header));
    change(header);
    std::memcpy(bytes.data() + sizeof(MessageHeader), &header, sizeof(header));
    return read_all(bytes) != nullptr;
  };
  EXPECT_FALSE(with([](RequestHeader&) {}));
  EXPECT_TRUE(with([](RequestHeader& h) { h.opcode = static_cast<Opcode>(0); }));
  EXPECT_TRUE(with([&](RequestHeader& h) { h.opcode = after(kLastOpcode); }));
  EXPECT_TRUE(with([&](RequestHeader& h) { h.condition = after(kLastCondition); }));
  EXPECT_TRUE(with([](RequestHeader& h) { h.flags = 32; }));
  EXPECT_TRUE(with([](RequestHeader& h) { h.function = Function::kAppend; }));
  EXPECT_TRUE(with([](RequestHeader& h) { h.key_length = kMaxKeyBytes + 1; }));
  EXPECT_TRUE(with([](RequestHeader& h) { h.key_length = ~0u; }));
  EXPECT_TRUE(with([](RequestHeader& h) { h.value_length = ~0u; }));
  EXPECT_TRUE(with([](RequestHeader& h) { h.value_length = 100; }));
  EXPECT_TRUE(with([](RequestHeader& h) { h.key_length = 0, h.value_length = 0; }));
}

TEST(KvMessage, AFunctionIsOneOfItsOpcode) {
  const auto reads = [](Opcode opcode, Function function) {
    Bytes buffer(500);
    MessageBuilder builder(buffer, MessageKind::kRequests);
    RequestHeader header;
    header.opcode = opcode;
    header.function = function;
    header.key_length = 1;
    EXPECT_TRUE(builder.add_request(header, "k", {}));
    buffer.resize(builder.finish(0));
    return read_all(buffer) == nullptr;
  };
  EXPECT_TRUE(reads(Opcode::kModify, Function::kReplace));
  EXPECT_TRUE(reads(Opcode::kModify, kLastModify));
  EXPECT_TRUE(reads(Opcode::kEvaluate, Function::kRange));
  EXPECT_TRUE(reads(Opcode::kEvaluate, kLastFunction));
  EXPECT_FALSE(reads(Opcode::kModify, Function::kNone));
  EXPECT_FALSE(reads(Opcode::kModify, Function::kRange));
  EXPECT_FALSE(reads(Opcode::kEvaluate, Function::kNone));
  EXPECT_FALSE(reads(Opcode::kEvaluate, Function::kAppend));
  EXPECT_FALSE(reads(Opcode::kEvaluate, static_cast<Function>(16)));
  EXPECT_FALSE(reads(Opcode::kGet, Function::kRange));
}

TEST(KvMessage, AValueInPartsIsTheirSequence) {
  ModifyOperands operands;
  operands.number = -7;
  operands.comparison_length = 3;
  RequestHeader header;
  header.opcode = Opcode::kModify;
  header.function = Function::kReplace;
  const ValueParts parts{std::as_bytes(std::span(&operands, 1)), "old", bytes_of("new")};
  header.key_length = 1;
  header.value_length = static_cast<uint32_t>(parts.size());
  Bytes whole(500);
  MessageBuilder builder(whole, MessageKind::kRequests);
  ASSERT_TRUE(builder.add_request_in_parts(header, "k", parts));
  whole.resize(builder.finish(0));
  // The same without its rest, which is gathered from elsewhere.
  Bytes head(500);
  MessageBuilder head_builder(head, MessageKind::kRequests);
  ASSERT_TRUE(head_builder.add_request_head(header, "k", parts));
  head.resize(head_builder.finish(0));
  const auto rest = bytes_of("new");
  head.insert(head.end(), rest.begin(), rest.end());
  for (const Bytes& message : {whole, head}) {
    MessageReader reader(message);
    RequestView request;
    ASSERT_TRUE(reader.next(request)) << reader.error();
    ASSERT_EQ(request.value.size(), sizeof(operands) + 6);
    ModifyOperands read;
    std::memcpy(&read, request.value.data(), sizeof(read));
    EXPECT_EQ(read.number, -7);
    EXPECT_EQ(std::memcmp(request.value.data() + sizeof(read), "oldnew", 6), 0);
    EXPECT_FALSE(reader.next(request));
    EXPECT_TRUE(reader.valid());
  }
}

TEST(KvModify, OperandsOutOfRangeAreUnsound) {
  ModifyOperands modify;
  EXPECT_TRUE(is_sound(modify));
  modify.comparison_length = 1;
  EXPECT_FALSE(is_sound(modify));  // of nothing
  modify = {.set_version = kMostSetVersion + 1};
  EXPECT_FALSE(is_sound(modify));
  modify = {.flags = 4};
  EXPECT_FALSE(is_sound(modify));
  modify = {.comparison = static_cast<Comparison>(5)};
  EXPECT_FALSE(is_sound(modify));
  EvaluateOperands evaluate;
  EXPECT_TRUE(is_sound(evaluate));
  evaluate.reserved[6] = 1;
  EXPECT_FALSE(is_sound(evaluate));
  const auto field = [](uint64_t offset, uint8_t bits, uint8_t is_signed) {
    FieldOperation operation;
    operation.offset = offset;
    operation.bits = bits;
    operation.is_signed = is_signed;
    return is_sound(operation, 4);
  };
  EXPECT_TRUE(field(0, 1, 0));
  EXPECT_TRUE(field(0, 32, 1));
  EXPECT_TRUE(field(31, 1, 1));
  EXPECT_FALSE(field(1, 32, 1));
  EXPECT_FALSE(field(32, 1, 1));
  EXPECT_FALSE(field(~uint64_t{0}, 8, 0));
  EXPECT_FALSE(field(0, 0, 0));
  EXPECT_FALSE(field(0, 1, 2));
  FieldOperation wide;
  wide.bits = 64;
  EXPECT_FALSE(is_sound(wide, kMaxValueBytes));
  wide.is_signed = 1;
  EXPECT_TRUE(is_sound(wide, kMaxValueBytes));
}

TEST(KvMessage, ARequestGrowsAsLongAsThereIsRoom) {
  Bytes bytes(sizeof(MessageHeader) + request_bytes(1, 0) + request_bytes(0, 24));
  MessageBuilder builder(bytes, MessageKind::kRequests);
  RequestHeader get;
  get.key_length = 1;
  EXPECT_TRUE(builder.add_request(get, "k", {}));
  RequestHeader puts;
  puts.opcode = Opcode::kPuts;
  EXPECT_TRUE(builder.add_request(puts, {}, {}));
  for (const char c : {'a', 'b', 'c'}) {
    EXPECT_EQ(builder.room(), 24u - 8 * static_cast<uint32_t>(c - 'a'));
    std::byte* const at = builder.extend_request(8);
    ASSERT_NE(at, nullptr);
    std::memset(at, c, 8);
  }
  EXPECT_EQ(builder.extend_request(8), nullptr);
  EXPECT_EQ(builder.finish(0), bytes.size());
  MessageReader reader(bytes);
  RequestView request;
  EXPECT_TRUE(reader.next(request));
  EXPECT_EQ(request.key, "k");
  EXPECT_TRUE(reader.next(request));
  ASSERT_EQ(request.value.size(), 24u);
  EXPECT_EQ(std::memcmp(request.value.data(), "aaaaaaaabbbbbbbbcccccccc", 24), 0);
  EXPECT_FALSE(reader.next(request));
  EXPECT_TRUE(reader.valid());
}

TEST(KvMessage, RequestsAreNotReadAsReplies) {
  const Bytes bytes = put_message("key", "value");
  MessageReader reader(bytes);
  ReplyView reply;
  EXPECT_FALSE(reader.next(reply));
  EXPECT_FALSE(reader.valid());
}

TEST(KvMessage, HandshakeBodyHasItsExactSize) {
  Bytes bytes(500);
  MessageBuilder builder(bytes, MessageKind::kHello);
  Hello hello;
  hello.client_id = 5;
  ASSERT_TRUE(builder.add_body(hello));
  bytes.resize(builder.finish(0));
  Hello back;
  EXPECT_TRUE(MessageReader(bytes).body(back));
  EXPECT_EQ(back.client_id, 5u);
  bytes.push_back(std::byte{0});
  EXPECT_FALSE(MessageReader(bytes).body(back));
  bytes.resize(bytes.size() - 2);
  EXPECT_FALSE(MessageReader(bytes).body(back));
}

// Only sizes that are a multiple of 8 are read back, because bodies are padded and sizes must be
// exact.
static_assert(sizeof(Hello) % 8 == 0 && sizeof(Challenge) % 8 == 0 && sizeof(Proof) % 8 == 0 &&
              sizeof(Welcome) % 8 == 0 && sizeof(ConnectRefusal) % 8 == 0);

}  // namespace
}  // namespace rdmakv::wire
