// Requests over a real (shared-memory) connection: replies of every way, hostile messages, and what
// is left of a client that is gone.
#include <gtest/gtest.h>

#include <map>

#include "protocol/kv_layout.h"
#include "protocol/kv_puts.h"
#include "rdmakv/server/pins.h"
#include "tests/rdmakv/server/server_fixture.h"

namespace rdmakv::server {
namespace {

using wire::Opcode;
using wire::ReplyStatus;

class ConnectionTest : public ServerFixture {
 protected:
  ConnectionTest() { start(); }
};

TEST_F(ConnectionTest, PutGetDelete) {
  auto one = open_client();
  EXPECT_EQ(one->put("k", "v")->header.version, 1u);
  EXPECT_EQ(one->get("k")->value, "v");
  EXPECT_EQ(one->ask(RawClient::header(Opcode::kDelete), "k")->header.status, ReplyStatus::kOk);
  EXPECT_EQ(one->get("k")->header.status, ReplyStatus::kNotFound);
}

TEST_F(ConnectionTest, ReplyCarriesTheRequestsId) {
  auto one = open_client();
  EXPECT_EQ(one->ask(RawClient::header(Opcode::kPing, 0xdeadbeef))->header.id, 0xdeadbeefu);
}

TEST_F(ConnectionTest, ManyRequestsInOneMessageHaveRepliesInOrder) {
  auto one = open_client();
  RawClient::Bytes bytes(4608);
  wire::MessageBuilder builder(bytes, wire::MessageKind::kRequests);
  for (uint32_t i = 0; i < 32; ++i) {
    wire::RequestHeader header = RawClient::header(i % 2 == 0 ? Opcode::kPut : Opcode::kGet, i);
    header.key_length = 1;
    header.value_length = i % 2 == 0 ? 1 : 0;
    const std::byte value{static_cast<unsigned char>('a' + i)};
    ASSERT_TRUE(builder.add_request(header, "k", {&value, i % 2 == 0 ? 1u : 0u}));
  }
  one->send(std::span(bytes).first(builder.finish(0)));
  for (uint32_t i = 0; i < 32; ++i) {
    const auto reply = one->reply();
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->header.id, i);
    EXPECT_EQ(reply->header.version, i / 2 + 1);
    if (i % 2 == 1) {
      EXPECT_EQ(reply->value, std::string(1, static_cast<char>('a' + i - 1)));
    }
  }
}

// Shared memory that says it were a network.
class FarFabric final : public Fabric {
 public:
  explicit FarFabric(Fabric& inner) : inner_(inner) {}
  Result<std::unique_ptr<MemoryRegion>> allocate(const RegionOptions& options) override {
    return inner_.allocate(options);
  }
  Result<std::unique_ptr<CompletionQueue>> create_completion_queue(uint32_t depth) override {
    return inner_.create_completion_queue(depth);
  }
  Result<std::unique_ptr<Endpoint>> connect(const FabricAddress& server,
                                            const wire::ConnectRequest& request,
                                            const EndpointOptions& options,
                                            CompletionQueue& queue) override {
    return inner_.connect(server, request, options, queue);
  }
  Result<std::unique_ptr<Listener>> listen(const FabricAddress& address,
                                           ConnectionHandler& handler) override {
    return inner_.listen(address, handler);
  }
  FabricLimits limits() const override {
    FabricLimits limits = inner_.limits();
    limits.reads_are_loads = false;
    return limits;
  }
  std::string_view name() const override { return inner_.name(); }
  std::string describe() const override { return inner_.describe(); }

 private:
  Fabric& inner_;
};

class RepliesOnTheWayTest : public ServerFixture {
 protected:
  // A message of 8 requests of 64 puts each: in how many messages the replies came.
  int64_t messages_of_replies() {
    auto one = open_client();
    const int64_t before = one->stat("reply_messages");
    std::string puts(wire::kMostPuts * wire::put_bytes(1, 1, false), '?');
    for (size_t i = 0; i < wire::kMostPuts; ++i) {
      auto* to = reinterpret_cast<std::byte*>(puts.data());
      wire::write_put(to + i * wire::put_bytes(1, 1, false),
                      {"k", std::as_bytes(std::span("v", 1)), 0});
    }
    RawClient::Bytes bytes(wire::kMessageBytes * 4);
    wire::MessageBuilder builder(bytes, wire::MessageKind::kRequests);
    for (uint32_t i = 0; i < 8; ++i) {
      wire::RequestHeader header = RawClient::header(Opcode::kPuts, i);
      header.value_length = static_cast<uint32_t>(puts.size());
      EXPECT_TRUE(builder.add_request(header, {}, std::as_bytes(std::span(puts))));
    }
    bytes.resize(builder.finish(0));
    one->write(bytes, 0, 0);
    for (uint32_t i = 0; i < 8; ++i) EXPECT_EQ(one->reply()->header.id, i);
    return one->stat("reply_messages") - before - 1;
  }
};

TEST_F(RepliesOnTheWayTest, OverANetworkTheyDoNotWaitForTheRest) {
  const auto shm = std::move(fabric_);
  fabric_ = std::make_unique<FarFabric>(*shm);
  start();
  EXPECT_EQ(messages_of_replies(), 3) << "192, 192 and 128 operations";
  server_.reset();
  fabric_.reset();
}

TEST_F(RepliesOnTheWayTest, OverSharedMemoryTheClientIsWokenOnce) {
  start();
  EXPECT_EQ(messages_of_replies(), 1);
}

TEST_F(ConnectionTest, RepliesThatNeedSeveralMessages) {
  auto one = open_client();
  const std::string value(4000, 'v');
  one->put("k", value);
  RawClient::Bytes bytes(4608);
  wire::MessageBuilder builder(bytes, wire::MessageKind::kRequests);
  for (uint32_t i = 0; i < 32; ++i) {
    wire::RequestHeader header = RawClient::header(Opcode::kGet, i);
    header.key_length = 1;
    ASSERT_TRUE(builder.add_request(header, "k", {}));
  }
  const uint32_t length = builder.finish(0);
  for (int round = 0; round < 20; ++round) {
    one->send(std::span(bytes).first(length));
    for (uint32_t i = 0; i < 32; ++i) ASSERT_EQ(one->reply()->value, value);
  }
}

TEST_F(ConnectionTest, ValuesOfEverySizeThroughRingAndLanding) {
  auto one = open_client();
  for (const size_t size : {0, 1, 4000, 4095, 4096, 4097, 65535, 65536, 200'000}) {
    std::string value(size, '\0');
    for (size_t i = 0; i < size; ++i) value[i] = static_cast<char>(i * 7 + size);
    ASSERT_EQ(one->put("k", value)->header.status, ReplyStatus::kOk);
    wire::RequestHeader header = RawClient::header(Opcode::kGet, 77);
    header.landing_offset = 2;
    header.landing_bytes = 300'000;
    one->landings_[77] = 128;
    const auto got = one->ask(header, "k");
    ASSERT_TRUE(got);
    EXPECT_EQ(got->value, value);
    EXPECT_EQ(got->landed, size >= wire::kLargeValue) << size;
  }
}

TEST_F(ConnectionTest, ValueWithoutALandingBufferIsPinnedUntilReleased) {
  auto one = open_client();
  const std::string value(100'000, 'p');
  one->put("k", value);
  const auto got = one->get("k");
  ASSERT_EQ(got->header.flags, wire::kPinned);
  EXPECT_EQ(got->header.value_length, value.size());
  const uint64_t at = got->header.location * wire::kExtentUnit + got->header.number;
  one->put("k", "other");
  EXPECT_EQ(one->stat("doomed_extents"), 1);
  EXPECT_EQ(one->read(at, value.size()), value);
  wire::RequestHeader release = RawClient::header(Opcode::kRelease);
  release.ticket = got->header.ticket;
  EXPECT_EQ(one->ask(release)->header.status, ReplyStatus::kOk);
  EXPECT_EQ(one->ask(release)->header.status, ReplyStatus::kNoSuchTicket);
  EXPECT_EQ(one->stat("doomed_extents"), 0);
}

TEST_F(ConnectionTest, TooSmallALandingBufferPins) {
  auto one = open_client();
  one->put("k", std::string(100'000, 'p'));
  wire::RequestHeader header = RawClient::header(Opcode::kGet);
  header.landing_bytes = 100'071;  // a byte short of message header, reply header and value
  EXPECT_EQ(one->ask(header, "k")->header.flags, wire::kPinned);
  header.landing_bytes = 100'072;
  one->landings_[1] = 0;
  EXPECT_TRUE(one->ask(header, "k")->landed);
}

TEST_F(ConnectionTest, LandingOutsideTheRegionIsNotWrittenTo) {
  auto one = open_client();
  one->put("k", std::string(8192, 'p'));
  wire::RequestHeader header = RawClient::header(Opcode::kGet);
  for (const auto& [offset, bytes] :
       std::map<uint32_t, uint32_t>{{~uint32_t{0}, ~uint32_t{0}},
                                    {RawClient::kLanding / 64, 9000},
                                    {RawClient::kLanding / 64 - 1, 9000},
                                    {RawClient::kLanding / 64 - 100, ~uint32_t{0}}}) {
    header.landing_offset = offset;
    header.landing_bytes = bytes;
    EXPECT_EQ(one->ask(header, "k")->header.flags, wire::kPinned) << offset;
  }
}

TEST_F(ConnectionTest, PinsAreBoundedPerConnection) {
  auto one = open_client();
  one->put("k", std::string(8192, 'p'));
  for (uint32_t i = 0; i < Pins::kMost; ++i) {
    const auto told = one->get("k");
    ASSERT_EQ(told->header.status, ReplyStatus::kOk) << i;
    ASSERT_NE(told->header.ticket, 0u) << i;
  }
  const auto refused = one->get("k");
  EXPECT_EQ(refused->header.status, ReplyStatus::kTooMany);
  EXPECT_EQ(refused->header.version, 1u) << "so that it can be carried out again";
}

TEST_F(ConnectionTest, ClientThatGoesLeavesNothingPinnedOrReserved) {
  {
    auto one = open_client();
    one->put("k", std::string(100'000, 'p'));
    EXPECT_EQ(one->get("k")->header.flags, wire::kPinned);
    wire::RequestHeader begin = RawClient::header(Opcode::kUploadBegin);
    begin.total = 1'000'000;
    EXPECT_EQ(one->ask(begin, "u")->header.status, ReplyStatus::kOk);
    EXPECT_EQ(one->stat("pins_open"), 1);
    EXPECT_EQ(one->stat("uploads_open"), 1);
    EXPECT_EQ(one->stat("live_extents"), 2);
  }
  expect_stat("pinned_extents", 0);
  expect_stat("live_extents", 1);
  expect_stat("connections", 1);
}

TEST_F(ConnectionTest, ClientThatGoesWhileValuesAreOnTheirWay) {
  for (int i = 0; i < 10; ++i) {
    auto one = open_client();
    one->put("k", std::string(150'000, 'p'));
    wire::RequestHeader header = RawClient::header(Opcode::kGet);
    header.landing_bytes = 200'000;
    header.key_length = 1;
    for (int j = 0; j < 16; ++j) one->send(RawClient::message(header, "k"));
    one->drop();
  }
  expect_stat("pinned_extents", 0);
  expect_stat("doomed_extents", 0);
}

TEST_F(ConnectionTest, UploadOverTheRing) {
  auto one = open_client();
  wire::RequestHeader header = RawClient::header(Opcode::kUploadBegin);
  header.total = 600'000;
  const uint64_t ticket = one->ask(header, "big")->header.ticket;
  std::string value;
  for (int i = 0; i < 3; ++i) {
    const std::string chunk(200'000, static_cast<char>('a' + i));
    header = RawClient::header(Opcode::kUploadChunk);
    header.ticket = ticket;
    header.offset = value.size();
    ASSERT_EQ(one->ask(header, {}, chunk)->header.status, ReplyStatus::kOk);
    value += chunk;
  }
  header = RawClient::header(Opcode::kUploadCommit);
  header.ticket = ticket;
  ASSERT_EQ(one->ask(header, "big")->header.version, 1u);
  header = RawClient::header(Opcode::kGet);
  header.landing_bytes = 700'000;
  one->landings_[1] = 0;
  EXPECT_EQ(one->ask(header, "big")->value, value);
}

TEST_F(ConnectionTest, PeerThatReadsNoRepliesIsPausedAndOthersAreServed) {
  auto lazy = open_client();
  auto other = open_client();
  other->put("k", std::string(4000, 'v'));
  wire::RequestHeader header = RawClient::header(Opcode::kGet);
  header.key_length = 1;
  const RawClient::Bytes get = RawClient::message(header, "k");
  // As many as the credits allow, none of the replies taken.
  for (uint32_t i = 0; i < lazy->welcome().credits; ++i) {
    const MessageBuffer buffer = lazy->endpoint().acquire_message();
    ASSERT_TRUE(buffer);
    std::memcpy(buffer.data, get.data(), get.size());
    ASSERT_TRUE(lazy->endpoint().send(buffer, static_cast<uint32_t>(get.size()), 0, false));
    lazy->endpoint().flush();
  }
  for (int i = 0; i < 100; ++i) ASSERT_EQ(other->get("k")->header.status, ReplyStatus::kOk);
  for (uint32_t i = 0; i < lazy->welcome().credits; ++i) ASSERT_TRUE(lazy->reply());
}

// ---- values that lie in the client's landing region ----

class LentValueTest : public ConnectionTest {
 protected:
  static wire::RequestHeader put_of(uint64_t offset, uint32_t length) {
    wire::RequestHeader header = RawClient::header(Opcode::kPut);
    header.flags = wire::kValueInLanding;
    header.value_place = wire::ValuePlace{offset, length}.encode();
    return header;
  }
};

TEST_F(LentValueTest, AreStoredFromThere) {
  auto one = open_client();
  ASSERT_EQ(one->welcome().flags, wire::kTakesFromLanding);
  std::string value(RawClient::kLanding, '\0');
  for (size_t i = 0; i < value.size(); ++i) value[i] = static_cast<char>(i * 7 + i / 256);
  std::memcpy(one->landing(), value.data(), value.size());
  for (const auto& [offset, length] : std::map<uint64_t, uint32_t>{{0, 4096},
                                                                   {1, 70'000},
                                                                   {77, 0},
                                                                   {RawClient::kLanding, 0},
                                                                   {RawClient::kLanding - 5, 5}}) {
    const auto put = one->ask(put_of(offset, length), "k");
    ASSERT_TRUE(put) << offset;
    ASSERT_EQ(put->header.status, ReplyStatus::kOk) << offset;
    wire::RequestHeader get = RawClient::header(Opcode::kGet, 77);
    get.landing_bytes = 300'000;
    one->landings_[77] = 0;
    EXPECT_EQ(one->ask(get, "k")->value, value.substr(offset, length)) << offset;
    std::memcpy(one->landing(), value.data(), value.size());
  }
}

TEST_F(LentValueTest, OutsideTheRegionEndTheConnection) {
  for (const auto& [offset, length] :
       std::map<uint64_t, uint32_t>{{RawClient::kLanding, 1},
                                    {RawClient::kLanding - 5, 6},
                                    {wire::ValuePlace::kMostOffset, 4096},
                                    {0, RawClient::kLanding + 1}}) {
    auto one = open_client();
    one->send(RawClient::message(put_of(offset, length), "k", {}));
    EXPECT_NE(one->refusal(), "") << offset;
  }
  EXPECT_EQ(open_client()->get("k")->header.status, ReplyStatus::kNotFound);
}

TEST_F(LentValueTest, WithAValueInTheMessageOrForAnotherRequestMakeNoSense) {
  auto one = open_client();
  one->send(RawClient::message(put_of(0, 5000), "k", "value"));
  EXPECT_NE(one->refusal(), "");
  auto other = open_client();
  for (const Opcode opcode :
       {Opcode::kGet, Opcode::kDelete, Opcode::kUploadCommit, Opcode::kModify}) {
    wire::RequestHeader header = put_of(0, 5000);
    header.opcode = opcode;
    if (opcode == Opcode::kModify) header.function = wire::Function::kReplace;
    EXPECT_EQ(other->ask(header, "k")->header.status, ReplyStatus::kBadRequest);
  }
  EXPECT_EQ(other->get("k")->header.status, ReplyStatus::kNotFound);
}

// ---- hostile ----

TEST_F(ConnectionTest, RingMessageOutsideTheRingEndsTheConnection) {
  for (const uint32_t immediate : {(256u << 10) / 64, ~uint32_t{0}, 4095u}) {
    auto one = open_client();
    one->write(RawClient::message(RawClient::header(Opcode::kPut), "k", "0123456789"), 0,
               immediate);
    EXPECT_NE(one->refusal(), "") << immediate;
  }
  EXPECT_EQ(open_client()->get("k")->header.status, ReplyStatus::kNotFound);
}

TEST_F(ConnectionTest, MoreRequestsThanCreditsEndTheConnection) {
  auto one = open_client();
  RawClient::Bytes bytes(4608);
  wire::MessageBuilder builder(bytes, wire::MessageKind::kRequests);
  for (uint32_t i = 0; i < 33; ++i) {
    ASSERT_TRUE(builder.add_request(RawClient::header(Opcode::kPing, i), {}, {}));
  }
  one->send(std::span(bytes).first(builder.finish(0)));
  EXPECT_NE(one->refusal().find("credits"), std::string::npos);
}

// Every byte of both headers, set to several wrong values: the server answers, refuses or closes,
// and another client does not notice.
TEST_F(ConnectionTest, EveryHeaderByteWrongInTurn) {
  auto witness = open_client();
  ASSERT_EQ(witness->put("witness", "here")->header.status, ReplyStatus::kOk);
  wire::RequestHeader header = RawClient::header(Opcode::kPut);
  const RawClient::Bytes good = RawClient::message(header, "key", "some value");
  int refused = 0;
  int answered = 0;
  auto one = open_client();
  for (size_t at = 0; at < sizeof(wire::MessageHeader) + sizeof(wire::RequestHeader); ++at) {
    for (const unsigned char wrong : {0xff, 0x80, 0x07}) {
      RawClient::Bytes bytes = good;
      if (bytes[at] == std::byte{wrong}) continue;
      bytes[at] = std::byte{wrong};
      one->send(bytes);
      if (one->reply()) {
        ++answered;
      } else {
        EXPECT_NE(one->refusal(), "") << "byte " << at;
        ++refused;
        one = client();
        ASSERT_TRUE(one->wait([&] { return one->open(port()); }));
      }
    }
    ASSERT_EQ(witness->get("witness")->value, "here") << "byte " << at;
  }
  EXPECT_GT(refused, 20);
  EXPECT_GT(answered, 20);
  EXPECT_EQ(witness->stat("pinned_extents"), 0);
}

TEST_F(ConnectionTest, CutMessagesEndTheConnection) {
  wire::RequestHeader header = RawClient::header(Opcode::kPut);
  const RawClient::Bytes good = RawClient::message(header, "key", "some value");
  const size_t unpadded = sizeof(wire::MessageHeader) + sizeof(wire::RequestHeader) + 13;
  for (size_t length = 0; length < unpadded; length += 5) {
    auto one = client();
    ASSERT_TRUE(one->wait([&] { return one->open(port()); }));
    one->send(std::span(good).first(length));
    EXPECT_NE(one->refusal(), "") << length;
  }
  EXPECT_EQ(open_client()->get("key")->header.status, ReplyStatus::kNotFound);
}

TEST_F(ConnectionTest, BytesBehindTheLastRequestEndTheConnection) {
  auto one = open_client();
  RawClient::Bytes bytes = RawClient::message(RawClient::header(Opcode::kPing));
  bytes.resize(bytes.size() + 8);
  one->send(bytes);
  EXPECT_NE(one->refusal(), "");
}

}  // namespace
}  // namespace rdmakv::server
