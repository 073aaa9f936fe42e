// How values travel: through the ring, as uploads, into landing buffers, as pins.
#include <algorithm>

#include "tests/rdmakv/client/client_fixture.h"

namespace rdmakv {
namespace {

class ValueTest : public ClientTest {
 protected:
  Code put(const std::string& key, const std::string& value) {
    TestOperation operation(OperationKind::kPut, key);
    operation.input = bytes_of(value);
    return run(operation);
  }
  void refuse(wire::Opcode opcode) {
    server().intercept = [=, this](const fakes::FakeRequest& request) {
      if (request.header.opcode != opcode) return false;
      wire::ReplyHeader header;
      header.status = wire::ReplyStatus::kNoSpace;
      server().reply(request, header);
      return true;
    };
  }
};

TEST_F(ValueTest, LargeValuesGoThroughTheRing) {
  open_and_connect();
  const std::string value(100'000, 'x');
  EXPECT_EQ(put("big", value), Code::kOk);
  ASSERT_EQ(server().messages.size(), 1u);
  EXPECT_TRUE(server().messages[0].by_write);
  EXPECT_EQ(server().entries["big"].value, value);
  EXPECT_EQ(server().writes_outside_ring, 0u);
}

TEST_F(ValueTest, TheThresholdIs4KB) {
  open_and_connect();
  for (const size_t size : {size_t{4095}, size_t{4096}}) {
    const std::string value(size, 'x');
    EXPECT_EQ(put("k", value), Code::kOk);
    EXPECT_EQ(server().messages.back().by_write, size == 4096);
    EXPECT_EQ(server().entries["k"].value, value);
  }
}

TEST_F(ValueTest, ARegisteredValueIsWrittenWithoutACopy) {
  open_and_connect();
  TestOperation put(OperationKind::kPut, "k");
  put.input_buffer = client->allocate(8192);
  ASSERT_TRUE(put.input_buffer);
  std::fill_n(put.input_buffer.data(), 8192, std::byte{'r'});
  put.input_buffer.set_length(8192);
  EXPECT_EQ(run(put), Code::kOk);
  EXPECT_FALSE(put.input_buffer);
  EXPECT_EQ(server().entries["k"].value, std::string(8192, 'r'));
}

TEST_F(ValueTest, LongKeysOfAllSizes) {
  open_and_connect();
  for (const size_t size : {size_t{0}, size_t{4000}, size_t{4600}, size_t{65536}}) {
    const std::string key(size, 'k');
    for (const size_t length : {size_t{0}, size_t{10}, size_t{5000}, size_t{300'000}}) {
      const std::string value(length, 'v');
      ASSERT_EQ(put(key, value), Code::kOk) << size << " " << length;
      ASSERT_EQ(server().entries[key].value, value) << size << " " << length;
    }
  }
  EXPECT_EQ(server().writes_outside_ring, 0u);
}

TEST_F(ValueTest, ALongKeyWithARegisteredValue) {
  open_and_connect();
  const std::string key(60'000, 'k');
  TestOperation put(OperationKind::kPut, key);
  put.input_buffer = client->allocate(100'000);
  std::fill_n(put.input_buffer.data(), 100'000, std::byte{'r'});
  put.input_buffer.set_length(100'000);
  EXPECT_EQ(run(put), Code::kOk);
  EXPECT_EQ(server().entries[key].value, std::string(100'000, 'r'));
}

TEST_F(ValueTest, LargerValuesAreUploaded) {
  open_and_connect();
  std::string value(3'000'000, 'x');
  for (size_t i = 0; i < value.size(); ++i) value[i] = static_cast<char>(i * 7 + i / 251);
  EXPECT_EQ(put("huge", value), Code::kOk);
  EXPECT_EQ(server().entries["huge"].value, value);
  EXPECT_EQ(server().messages.front().requests[0].header.opcode, wire::Opcode::kUploadBegin);
  EXPECT_EQ(server().messages.back().requests[0].header.opcode, wire::Opcode::kUploadCommit);
}

TEST_F(ValueTest, ARegisteredBufferLargerThanOnePutIsUploadedFromWhereItLies) {
  open_and_connect();
  TestOperation put(OperationKind::kPut, "huge");
  put.input_buffer = client->allocate(1 << 20);
  std::fill_n(put.input_buffer.data(), 1 << 20, std::byte{'q'});
  put.input_buffer.set_length(1 << 20);
  EXPECT_EQ(run(put), Code::kOk);
  EXPECT_EQ(server().entries["huge"].value, std::string(1 << 20, 'q'));
}

TEST_F(ValueTest, AnUploadWithHardlyARing) {
  server().ring.resize(512);
  open_and_connect();
  const std::string value(20'000, 'x');
  EXPECT_EQ(put("k", value), Code::kOk);
  EXPECT_EQ(server().entries["k"].value, value);
  EXPECT_EQ(server().writes_outside_ring, 0u);
}

TEST_F(ValueTest, AKeyThatNeitherMessageNorRingHoldsIsTooLarge) {
  server().ring.resize(512);
  open_and_connect();
  const std::string key(60'000, 'k');
  TestOperation get(OperationKind::kGet, key);
  EXPECT_EQ(run(get), Code::kTooLarge);
}

TEST_F(ValueTest, AFailedUploadEndsThePut) {
  open_and_connect();
  refuse(wire::Opcode::kUploadBegin);
  const std::string value(1'000'000, 'x');
  EXPECT_EQ(put("k", value), Code::kNoSpace);
  server().intercept = nullptr;
  EXPECT_EQ(put("k", value), Code::kOk);
}

TEST_F(ValueTest, AFailedChunkEndsThePutAndAbortsTheUpload) {
  open_and_connect();
  refuse(wire::Opcode::kUploadChunk);
  const std::string value(1'000'000, 'x');
  EXPECT_EQ(put("k", value), Code::kNoSpace);
  drive();
  EXPECT_EQ(server().aborted.size(), 1u);
  EXPECT_FALSE(server().entries.contains("k"));
}

TEST_F(ValueTest, LargeValuesLandAndAreLent) {
  open_and_connect();
  server().entries["k"] = {std::string(20'000, 'y'), 3};
  TestOperation get(OperationKind::kGet, "k");
  EXPECT_EQ(run(get), Code::kOk);
  EXPECT_EQ(get.lent, server().entries["k"].value);
  ASSERT_TRUE(get.buffer) << "it arrived in a registered buffer";
  EXPECT_EQ(get.buffer.length(), 20'000u);
  EXPECT_EQ(text_of(get.value), get.lent) << "lent as long as the buffer is kept";
  get.buffer.reset();
}

TEST_F(ValueTest, ADestinationGetsACopy) {
  open_and_connect();
  server().entries["k"] = {std::string(20'000, 'y'), 3};
  std::string destination(20'000, '-');
  TestOperation get(OperationKind::kGet, "k");
  get.destination = std::as_writable_bytes(std::span<char>(destination));
  EXPECT_EQ(run(get), Code::kOk);
  EXPECT_EQ(destination, server().entries["k"].value);
  EXPECT_FALSE(get.buffer);
}

TEST_F(ValueTest, ATooSmallDestinationTellsTheNeed) {
  open_and_connect();
  struct Case {
    size_t value, room;
  };
  for (const auto [size, room] : {Case{10, 9}, Case{5000, 4999}, Case{5000, 100}, Case{5000, 0}}) {
    server().entries["k"] = {std::string(size, 'y'), 3};
    std::string destination(room, '-');
    TestOperation get(OperationKind::kGet, "k");
    get.destination = std::as_writable_bytes(std::span<char>(destination));
    EXPECT_EQ(run(get), Code::kTooLarge) << size;
    EXPECT_EQ(get.value_length, size);
    EXPECT_FALSE(get.ticket);
  }
  drive();
  EXPECT_FALSE(server().released.empty()) << "the pins were given up";
}

TEST_F(ValueTest, AGetWithoutALandingBufferIsSentAllTheSame) {
  options.arena_bytes = 1 << 20;
  open_and_connect();
  ValueBuffer all = client->allocate(1 << 20);
  server().hold = true;
  TestOperation get(OperationKind::kGet, "k");
  client->submit(get);
  drive();
  ASSERT_EQ(server().held.size(), 1u);
  EXPECT_EQ(server().held[0].header.landing_bytes, 0u);
  all.reset();
  client.reset();
}

// PUTs are answered with a location from now on.
void tell_location(fakes::FakeServer& server) {
  server.intercept = [&server](const fakes::FakeRequest& request) {
    wire::ReplyHeader header;
    header.version = 1;
    header.location = 4;
    header.generation = 3;
    server.entries[request.key] = {request.value, 1};
    server.reply(request, header);
    return true;
  };
}

// What a location is known to hold tells whether room has to be set aside for it.
TEST_F(ValueTest, AGetOfAValueKnownToBeSmallTakesNoLandingBuffer) {
  options.get_path = GetPath::kRequest;
  open_and_connect();
  for (const size_t size : {size_t{64}, size_t{6000}}) {
    tell_location(server());
    const std::string value(size, 'v');
    ASSERT_EQ(put("k", value), Code::kOk);
    uint32_t landing = ~0u;
    server().intercept = [&](const fakes::FakeRequest& request) {
      landing = request.header.landing_bytes;
      return false;
    };
    TestOperation get(OperationKind::kGet, "k");
    EXPECT_EQ(run(get), Code::kOk);
    EXPECT_EQ(landing == 0, size == 64) << size;
    EXPECT_EQ(get.lent, value);
    get.buffer.reset();
  }
}

TEST_F(ValueTest, AValueThatHasGrownSinceIsPinned) {
  options.get_path = GetPath::kRequest;
  open_and_connect();
  tell_location(server());
  TestOperation put(OperationKind::kPut, "k");
  put.input = bytes_of("small");
  ASSERT_EQ(run(put), Code::kOk);
  server().intercept = nullptr;
  server().entries["k"] = {std::string(20'000, 'g'), 9};
  std::string destination(20'000, '-');
  TestOperation copied(OperationKind::kGet, "k");
  copied.destination = std::as_writable_bytes(std::span<char>(destination));
  EXPECT_EQ(run(copied), Code::kOk);
  EXPECT_EQ(destination, server().entries["k"].value);
  EXPECT_FALSE(copied.ticket);
  TestOperation lent(OperationKind::kGet, "k");
  EXPECT_EQ(run(lent), Code::kOk);
  EXPECT_EQ(lent.lent, destination) << "the location tells its size now";
  lent.buffer.reset();
}

TEST_F(ValueTest, APutWaitsForARegisteredBuffer) {
  options.arena_bytes = 1 << 20;
  open_and_connect();
  ValueBuffer all = client->allocate(1 << 20);
  const std::string value(10'000, 'x');
  TestOperation put(OperationKind::kPut, "k");
  put.input = bytes_of(value);
  client->submit(put);
  drive();
  EXPECT_EQ(put.dones, 0);
  all.reset();
  client->wait(put);
  EXPECT_EQ(put.code, Code::kOk);
}

TEST_F(ValueTest, PinnedValuesAreReadInPieces) {
  open_and_connect();
  std::string value(1'000'000, 'p');
  for (size_t i = 0; i < value.size(); ++i) value[i] = static_cast<char>(i * 31 + i / 127);
  server().entries["k"] = {value, 3};
  server().intercept = [&](const fakes::FakeRequest& request) {
    if (request.header.opcode != wire::Opcode::kGet) return false;
    server().pin_reply(request, value);
    return true;
  };
  std::string destination(1'000'000, '-');
  TestOperation get(OperationKind::kGet, "k");
  get.destination = std::as_writable_bytes(std::span<char>(destination));
  EXPECT_EQ(run(get), Code::kOk);
  EXPECT_TRUE(destination == value);
  EXPECT_EQ(get.version, 9u);
  EXPECT_FALSE(get.ticket);
  drive();
  EXPECT_EQ(server().released, std::vector<uint64_t>{77});
  EXPECT_EQ(client->counters().verbs.reads, 4u);
}

TEST_F(ValueTest, APinnedValueWithoutADestinationEndsWithATicket) {
  open_and_connect();
  std::string value(200'000, 'p');
  server().entries["k"] = {value, 3};
  TestOperation get(OperationKind::kGet, "k");
  EXPECT_EQ(run(get), Code::kOk);
  EXPECT_TRUE(get.ticket);
  EXPECT_EQ(get.value_length, value.size());
  EXPECT_TRUE(get.lent.empty());

  server().pool.back() = std::byte{1};
  TestOperation piece(OperationKind::kReadPinned, "k");
  piece.ticket = get.ticket;
  piece.offset = 150'000;
  piece.length = 50'000;
  EXPECT_EQ(run(piece), Code::kOk);
  EXPECT_EQ(piece.lent, value.substr(150'000));
  piece.buffer.reset();

  TestOperation release(OperationKind::kRelease, "k");
  release.ticket = get.ticket;
  EXPECT_EQ(run(release), Code::kOk);
  EXPECT_EQ(server().released.size(), 1u);
}

TEST_F(ValueTest, AReleaseWaitsForTheReadsOfItsPin) {
  open_and_connect();
  server().entries["k"] = {std::string(200'000, 'p'), 3};
  TestOperation get(OperationKind::kGet, "k");
  ASSERT_EQ(run(get), Code::kOk);
  fabric.hold_reads = true;
  TestOperation piece(OperationKind::kReadPinned, "k");
  piece.ticket = get.ticket;
  piece.length = 1000;
  TestOperation release(OperationKind::kRelease, "k");
  release.ticket = get.ticket;
  client->submit(piece);
  client->submit(release);
  drive();
  EXPECT_TRUE(server().released.empty());
  fabric.endpoint()->complete_reads();
  drive();
  EXPECT_EQ(piece.dones, 1);
  EXPECT_EQ(release.dones, 1);
  EXPECT_EQ(server().released.size(), 1u);
  piece.buffer.reset();
}

TEST_F(ValueTest, ReadingBeyondThePoolIsRefused) {
  open_and_connect();
  server().entries["k"] = {std::string(200'000, 'p'), 3};
  TestOperation get(OperationKind::kGet, "k");
  ASSERT_EQ(run(get), Code::kOk);
  TestOperation piece(OperationKind::kReadPinned, "k");
  piece.ticket = get.ticket;
  piece.offset = server().pool.size();
  piece.length = 10;
  EXPECT_EQ(run(piece), Code::kInvalidArgument);
}

TEST_F(ValueTest, UploadsByHand) {
  open_and_connect();
  TestOperation begin(OperationKind::kUploadBegin, "k");
  begin.total = 300'000;
  ASSERT_EQ(run(begin), Code::kOk);
  ASSERT_TRUE(begin.ticket);
  const std::string half(150'000, 'h');
  for (int i = 0; i < 2; ++i) {
    TestOperation chunk(OperationKind::kUploadChunk, "k");
    chunk.ticket = begin.ticket;
    chunk.offset = static_cast<uint64_t>(i) * 150'000;
    chunk.input = bytes_of(half);
    ASSERT_EQ(run(chunk), Code::kOk);
  }
  TestOperation commit(OperationKind::kUploadCommit, "k");
  commit.ticket = begin.ticket;
  EXPECT_EQ(run(commit), Code::kOk);
  EXPECT_EQ(server().entries["k"].value, half + half);
}

}  // namespace
}  // namespace rdmakv
