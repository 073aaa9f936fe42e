// What a session sends, and in which order.
#include <algorithm>

#include "protocol/kv_hash.h"
#include "tests/rdmakv/client/client_fixture.h"

namespace rdmakv {
namespace {

using SessionTest = ClientTest;

TEST_F(SessionTest, PutsAndGets) {
  open();
  TestOperation put(OperationKind::kPut, "k");
  put.input = bytes_of("value");
  EXPECT_EQ(run(put), Code::kOk);
  EXPECT_EQ(put.version, 1u);
  TestOperation get(OperationKind::kGet, "k");
  EXPECT_EQ(run(get), Code::kOk);
  EXPECT_EQ(get.lent, "value");
  EXPECT_EQ(get.value_length, 5u);
}

// Sleeping through the Welcome would show as a hang.
TEST_F(SessionTest, ConnectAndWaitReturnsAsSoonAsItIsConnected) {
  options.connect_timeout_ns = 3'600'000'000'000;
  options.keepalive_ns = 3'600'000'000'000;
  open_and_connect();
  EXPECT_TRUE(client->servers()[0].reachable);
}

TEST_F(SessionTest, ConnectsOnlyWhenNeeded) {
  open();
  drive();
  EXPECT_EQ(fabric.connects, 0);
}

TEST_F(SessionTest, ALostCasTellsTheVersion) {
  open();
  server().entries["k"] = {"x", 4};
  TestOperation cas(OperationKind::kPut, "k");
  cas.condition = Condition::kIfVersion;
  cas.expected_version = 3;
  EXPECT_EQ(run(cas), Code::kVersionMismatch);
  EXPECT_EQ(cas.version, 4u);
}

TEST_F(SessionTest, DoneIsNeverCalledFromSubmitOrFlush) {
  open_and_connect();
  TestOperation bad(OperationKind::kPut, "k");
  const std::string long_key(wire::kMaxKeyBytes + 1, 'k');
  bad.key = long_key;
  client->submit(bad);
  client->flush();
  EXPECT_EQ(bad.dones, 0);
  client->poll();
  EXPECT_EQ(bad.dones, 1);
  EXPECT_EQ(bad.code, Code::kTooLarge);
}

TEST_F(SessionTest, SmallRequestsShareOneMessageAndOneDoorbell) {
  open_and_connect();
  const int before = fabric.doorbells;
  TestOperation gets[20];
  for (TestOperation& get : gets) {
    get.key = "some key";
    client->submit(get);
  }
  client->flush();
  EXPECT_EQ(server().messages.size(), 1u);
  EXPECT_EQ(server().messages[0].requests.size(), 20u);
  EXPECT_EQ(fabric.doorbells, before + 1);
  drive();
}

TEST_F(SessionTest, AFullMessageIsSentAndTheNextOneFilled) {
  open_and_connect();
  const int before = fabric.doorbells;
  const std::string value(1000, 'v');
  TestOperation puts[9];
  for (TestOperation& put : puts) {
    put.kind = OperationKind::kPut;
    put.key = "k";
    put.input = bytes_of(value);
    client->submit(put);
  }
  client->flush();
  ASSERT_EQ(server().messages.size(), 3u);
  EXPECT_EQ(server().messages[0].requests.size(), 4u);
  EXPECT_EQ(fabric.doorbells, before + 1);
  drive();
  EXPECT_EQ(server().entries["k"].version, 9u);
}

TEST_F(SessionTest, NothingIsHandedOverWithoutWork) {
  open_and_connect();
  drive();
  const int before = fabric.doorbells;
  drive();
  EXPECT_EQ(fabric.doorbells, before);
}

TEST_F(SessionTest, NeverMoreRequestsThanCredits) {
  server().credits = 8;
  open_and_connect();
  server().hold = true;
  std::vector<TestOperation> gets(50);
  for (TestOperation& get : gets) {
    get.key = "k";
    client->submit(get);
  }
  drive();
  EXPECT_EQ(requests_seen(), 8u);
  server().hold = false;
  while (std::any_of(gets.begin(), gets.end(), [](auto& get) { return get.dones == 0; })) {
    server().answer_held();
    client->poll();
  }
  EXPECT_EQ(requests_seen(), 50u);
  EXPECT_EQ(server().most_outstanding, 8u);
}

TEST_F(SessionTest, CreditsAreNeverMoreThanReceives) {
  server().credits = 100;
  fabric.agreed_receive_slots = 6;
  open_and_connect();
  server().hold = true;
  std::vector<TestOperation> gets(50);
  for (TestOperation& get : gets) client->submit(get);
  drive();
  EXPECT_EQ(requests_seen(), 5u);
  client.reset();
}

TEST_F(SessionTest, LargeValuesGoThroughTheRing) {
  open_and_connect();
  const std::string value(100'000, 'x');
  TestOperation put(OperationKind::kPut, "big");
  put.input = bytes_of(value);
  EXPECT_EQ(run(put), Code::kOk);
  ASSERT_EQ(server().messages.size(), 1u);
  EXPECT_TRUE(server().messages[0].by_write);
  EXPECT_EQ(server().entries["big"].value, value);
  EXPECT_EQ(server().writes_outside_ring, 0u);
}

TEST_F(SessionTest, TheThresholdIs4KB) {
  open_and_connect();
  for (const size_t size : {size_t{4095}, size_t{4096}}) {
    const std::string value(size, 'x');
    TestOperation put(OperationKind::kPut, "k");
    put.input = bytes_of(value);
    EXPECT_EQ(run(put), Code::kOk);
    EXPECT_EQ(server().messages.back().by_write, size == 4096);
    EXPECT_EQ(server().entries["k"].value, value);
  }
}

TEST_F(SessionTest, ARegisteredValueIsWrittenWithoutACopy) {
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

TEST_F(SessionTest, LongKeysOfAllSizes) {
  open_and_connect();
  for (const size_t size : {size_t{0}, size_t{4000}, size_t{4600}, size_t{65536}}) {
    const std::string key(size, 'k');
    for (const size_t length : {size_t{0}, size_t{10}, size_t{5000}, size_t{300'000}}) {
      const std::string value(length, 'v');
      TestOperation put(OperationKind::kPut, key);
      put.input = bytes_of(value);
      ASSERT_EQ(run(put), Code::kOk) << size << " " << length;
      ASSERT_EQ(server().entries[key].value, value) << size << " " << length;
    }
  }
  EXPECT_EQ(server().writes_outside_ring, 0u);
}

TEST_F(SessionTest, ALongKeyWithARegisteredValue) {
  open_and_connect();
  const std::string key(60'000, 'k');
  TestOperation put(OperationKind::kPut, key);
  put.input_buffer = client->allocate(100'000);
  std::fill_n(put.input_buffer.data(), 100'000, std::byte{'r'});
  put.input_buffer.set_length(100'000);
  EXPECT_EQ(run(put), Code::kOk);
  EXPECT_EQ(server().entries[key].value, std::string(100'000, 'r'));
}

TEST_F(SessionTest, LargerValuesAreUploaded) {
  open_and_connect();
  std::string value(3'000'000, 'x');
  for (size_t i = 0; i < value.size(); ++i) value[i] = static_cast<char>(i * 7 + i / 251);
  TestOperation put(OperationKind::kPut, "huge");
  put.input = bytes_of(value);
  EXPECT_EQ(run(put), Code::kOk);
  EXPECT_EQ(server().entries["huge"].value, value);
  EXPECT_EQ(server().messages.front().requests[0].header.opcode, wire::Opcode::kUploadBegin);
  EXPECT_EQ(server().messages.back().requests[0].header.opcode, wire::Opcode::kUploadCommit);
}

TEST_F(SessionTest, ARegisteredBufferLargerThanOnePutIsUploadedFromWhereItLies) {
  open_and_connect();
  TestOperation put(OperationKind::kPut, "huge");
  put.input_buffer = client->allocate(1 << 20);
  std::fill_n(put.input_buffer.data(), 1 << 20, std::byte{'q'});
  put.input_buffer.set_length(1 << 20);
  EXPECT_EQ(run(put), Code::kOk);
  EXPECT_EQ(server().entries["huge"].value, std::string(1 << 20, 'q'));
}

TEST_F(SessionTest, AnUploadWithHardlyARing) {
  server().ring.resize(512);
  open_and_connect();
  const std::string value(20'000, 'x');
  TestOperation put(OperationKind::kPut, "k");
  put.input = bytes_of(value);
  EXPECT_EQ(run(put), Code::kOk);
  EXPECT_EQ(server().entries["k"].value, value);
  EXPECT_EQ(server().writes_outside_ring, 0u);
}

TEST_F(SessionTest, AKeyThatNeitherMessageNorRingHoldsIsTooLarge) {
  server().ring.resize(512);
  open_and_connect();
  const std::string key(60'000, 'k');
  TestOperation get(OperationKind::kGet, key);
  EXPECT_EQ(run(get), Code::kTooLarge);
}

TEST_F(SessionTest, AFailedUploadEndsThePut) {
  open_and_connect();
  server().intercept = [&](const fakes::FakeRequest& request) {
    if (request.header.opcode != wire::Opcode::kUploadBegin) return false;
    wire::ReplyHeader header;
    header.status = wire::ReplyStatus::kNoSpace;
    server().reply(request, header);
    return true;
  };
  const std::string value(1'000'000, 'x');
  TestOperation put(OperationKind::kPut, "k");
  put.input = bytes_of(value);
  EXPECT_EQ(run(put), Code::kNoSpace);
  server().intercept = nullptr;
  TestOperation again(OperationKind::kPut, "k");
  again.input = bytes_of(value);
  EXPECT_EQ(run(again), Code::kOk);
}

TEST_F(SessionTest, AFailedChunkEndsThePutAndAbortsTheUpload) {
  open_and_connect();
  server().intercept = [&](const fakes::FakeRequest& request) {
    if (request.header.opcode != wire::Opcode::kUploadChunk) return false;
    wire::ReplyHeader header;
    header.status = wire::ReplyStatus::kNoSpace;
    server().reply(request, header);
    return true;
  };
  const std::string value(1'000'000, 'x');
  TestOperation put(OperationKind::kPut, "k");
  put.input = bytes_of(value);
  EXPECT_EQ(run(put), Code::kNoSpace);
  drive();
  EXPECT_EQ(server().aborted.size(), 1u);
  EXPECT_FALSE(server().entries.contains("k"));
}

TEST_F(SessionTest, OperationsOnOneKeyKeepTheirOrder) {
  open_and_connect();
  const std::string small = "small";
  const std::string large(50'000, 'l');
  const std::string huge(900'000, 'h');
  TestOperation operations[6];
  const std::string* values[3] = {&huge, &small, &large};
  for (int i = 0; i < 3; ++i) {
    operations[2 * i].kind = OperationKind::kPut;
    operations[2 * i].key = operations[2 * i + 1].key = "k";
    operations[2 * i].input = bytes_of(*values[i]);
    operations[2 * i + 1].kind = OperationKind::kGet;
  }
  std::string destinations[3];
  for (int i = 0; i < 3; ++i) {
    destinations[i].resize(1 << 20);
    operations[2 * i + 1].destination = std::as_writable_bytes(std::span<char>(destinations[i]));
  }
  for (TestOperation& operation : operations) client->submit(operation);
  for (TestOperation& operation : operations) client->wait(operation);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(operations[2 * i].version, static_cast<uint64_t>(i + 1));
    EXPECT_EQ(operations[2 * i + 1].lent, *values[i]) << i;
  }
}

TEST_F(SessionTest, ARequestThatWaitsForTheRingHoldsBackThoseBehindIt) {
  server().ring.resize(64 * 1024);
  open_and_connect();
  server().hold = true;
  const std::string value(40'000, 'x');
  TestOperation first(OperationKind::kPut, "a");
  TestOperation second(OperationKind::kPut, "a");
  TestOperation third(OperationKind::kGet, "a");
  first.input = second.input = bytes_of(value);
  client->submit(first);
  client->submit(second);
  client->submit(third);
  drive();
  EXPECT_EQ(requests_seen(), 1u) << "the second waits for the ring, the third for the second";
  server().hold = false;
  server().answer_held();
  drive();
  EXPECT_EQ(third.version, 2u);
}

TEST_F(SessionTest, RingStretchesAreFreedByReplies) {
  server().ring.resize(64 * 1024);
  open_and_connect();
  const std::string value(20'000, 'x');
  std::vector<TestOperation> puts(40);
  for (TestOperation& put : puts) {
    put.kind = OperationKind::kPut;
    put.key = "k";
    put.input = bytes_of(value);
    client->submit(put);
  }
  for (TestOperation& put : puts) client->wait(put);
  EXPECT_EQ(server().entries["k"].version, 40u);
  EXPECT_EQ(server().writes_outside_ring, 0u);
}

TEST_F(SessionTest, LargeValuesLandAndAreLent) {
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

TEST_F(SessionTest, ADestinationGetsACopy) {
  open_and_connect();
  server().entries["k"] = {std::string(20'000, 'y'), 3};
  std::string destination(20'000, '-');
  TestOperation get(OperationKind::kGet, "k");
  get.destination = std::as_writable_bytes(std::span<char>(destination));
  EXPECT_EQ(run(get), Code::kOk);
  EXPECT_EQ(destination, server().entries["k"].value);
  EXPECT_FALSE(get.buffer);
}

TEST_F(SessionTest, ATooSmallDestinationTellsTheNeed) {
  open_and_connect();
  struct Case { size_t value, room; };
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

TEST_F(SessionTest, AGetWithoutALandingBufferIsSentAllTheSame) {
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

TEST_F(SessionTest, APutWaitsForARegisteredBuffer) {
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

TEST_F(SessionTest, PinnedValuesAreReadInPieces) {
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

TEST_F(SessionTest, APinnedValueWithoutADestinationEndsWithATicket) {
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

TEST_F(SessionTest, AReleaseWaitsForTheReadsOfItsPin) {
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

TEST_F(SessionTest, ReadingBeyondThePoolIsRefused) {
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

TEST_F(SessionTest, UploadsByHand) {
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

TEST_F(SessionTest, AMadeUpTicketIsRefused) {
  open_and_connect();
  TestOperation chunk(OperationKind::kUploadChunk, "k");
  EXPECT_EQ(run(chunk), Code::kInvalidArgument);
  chunk.dones = 0;
  chunk.ticket = {5, 0xffff, 0, 0};
  EXPECT_EQ(run(chunk), Code::kInvalidArgument);
}

TEST_F(SessionTest, CountsOfAllWorkersAreSummed) {
  server().workers = 4;
  server().entries["a"] = {"1", 1};
  server().entries["b"] = {"1", 1};
  open();
  TestOperation count(OperationKind::kCount, {});
  EXPECT_EQ(run(count), Code::kOk);
  EXPECT_EQ(count.number, 8u) << "each of the fake's workers counts the same two";
  EXPECT_EQ(fabric.connects, 4);
  count.dones = 0;
  EXPECT_EQ(run(count), Code::kOk);
  EXPECT_EQ(count.number, 8u);
}

TEST_F(SessionTest, AClearComesBeforeWhatIsSubmittedAfterIt) {
  server().workers = 3;
  open_and_connect();
  TestOperation clear(OperationKind::kClear, {});
  TestOperation put(OperationKind::kPut, "k");
  client->submit(clear);
  client->submit(put);
  client->wait(put);
  client->wait(clear);
  std::vector<wire::Opcode> same_worker;
  const fakes::FakeEndpoint* of_put = nullptr;
  for (const auto& message : server().messages) {
    for (const auto& request : message.requests) {
      if (request.header.opcode == wire::Opcode::kPut) of_put = request.endpoint;
    }
  }
  for (const auto& message : server().messages) {
    for (const auto& request : message.requests) {
      if (request.endpoint == of_put) same_worker.push_back(request.header.opcode);
    }
  }
  EXPECT_EQ(same_worker, (std::vector{wire::Opcode::kClear, wire::Opcode::kPut}));
}

TEST_F(SessionTest, KeysGoToTheirWorkers) {
  server().workers = 5;
  open();
  std::vector<std::string> keys;
  for (int i = 0; i < 100; ++i) keys.push_back("key" + std::to_string(i));
  std::vector<TestOperation> gets(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    gets[i].key = keys[i];
    client->submit(gets[i]);  // before the number of workers is known
  }
  for (TestOperation& get : gets) client->wait(get);
  for (const auto& message : server().messages) {
    for (const auto& request : message.requests) {
      EXPECT_EQ(request.endpoint->request.worker,
                wire::worker_of_slot(wire::hash_slot(request.key), 5));
    }
  }
}

TEST_F(SessionTest, PingsOfOneWorker) {
  server().workers = 2;
  open_and_connect();
  TestOperation ping(OperationKind::kPing, {});
  ping.worker = 1;
  EXPECT_EQ(run(ping), Code::kOk);
  EXPECT_EQ(server().messages.back().requests[0].endpoint->request.worker, 1);
  ping.dones = 0;
  ping.worker = 2;
  EXPECT_EQ(run(ping), Code::kInvalidArgument);
}

TEST_F(SessionTest, TheServersClockIsTaken) {
  open_and_connect();
  const int64_t first = client->server_clock_ms("k");
  EXPECT_GE(first, 1'700'000'000'000);
  EXPECT_LT(first, 1'700'000'600'000);
}

TEST_F(SessionTest, SequencesRise) {
  open_and_connect();
  TestOperation gets[3];
  for (TestOperation& get : gets) client->submit(get);
  drive();
  const auto& requests = server().messages[0].requests;
  EXPECT_LT(requests[0].header.sequence, requests[1].header.sequence);
  EXPECT_LT(requests[1].header.sequence, requests[2].header.sequence);
}

TEST_F(SessionTest, AnOperationMayBeSubmittedAgainFromDone) {
  open_and_connect();
  struct Again : Operation {
    Client* client = nullptr;
    int left = 10;
  } again;
  again.client = client.get();
  again.key = "k";
  again.done = [](Operation& done) {
    auto& self = static_cast<Again&>(done);
    if (--self.left > 0) self.client->submit(self);
  };
  client->submit(again);
  drive(100);
  EXPECT_EQ(again.left, 0);
  EXPECT_FALSE(client->busy());
}

}  // namespace
}  // namespace rdmakv
