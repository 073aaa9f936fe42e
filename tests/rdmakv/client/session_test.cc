// What a session sends, and in which order.
#include <algorithm>

#include "protocol/kv_gets.h"
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
  TestOperation inspections[20];  // GETs would share a request, too
  for (TestOperation& inspect : inspections) {
    inspect.kind = OperationKind::kInspect;
    inspect.key = "some key";
    client->submit(inspect);
  }
  client->flush();
  EXPECT_EQ(server().messages.size(), 1u);
  EXPECT_EQ(server().messages[0].requests.size(), 20u);
  EXPECT_EQ(fabric.doorbells, before + 1);
  drive();
}

TEST_F(SessionTest, AFullMessageIsSentAndTheNextOneFilled) {
  fabric.agreed_message_bytes = wire::kMessageBytes;
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
  std::vector<TestOperation> inspections(50);
  for (TestOperation& inspect : inspections) {
    inspect.kind = OperationKind::kInspect;
    inspect.key = "k";
    client->submit(inspect);
  }
  drive();
  EXPECT_EQ(requests_seen(), 8u);
  server().hold = false;
  while (std::any_of(inspections.begin(), inspections.end(),
                     [](const TestOperation& inspect) { return inspect.dones == 0; })) {
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
  std::vector<TestOperation> inspections(50);
  for (TestOperation& inspect : inspections) {
    inspect.kind = OperationKind::kInspect;
    client->submit(inspect);
  }
  drive();
  EXPECT_EQ(requests_seen(), 5u);
  client.reset();
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
  size_t seen = 0;
  const auto expect_right = [&](const fakes::FakeRequest& request, std::string_view key) {
    ++seen;
    EXPECT_EQ(request.endpoint->request.worker, wire::worker_of_slot(wire::hash_slot(key), 5));
  };
  for (const auto& message : server().messages) {
    for (const auto& request : message.requests) {
      if (request.header.opcode != wire::Opcode::kGets) {
        expect_right(request, request.key);
        continue;
      }
      wire::GetsReader reader(bytes_of(request.value));
      for (std::string_view key; reader.next(key);) expect_right(request, key);
    }
  }
  EXPECT_EQ(seen, keys.size());
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
  TestOperation inspections[3];
  for (TestOperation& inspect : inspections) {
    inspect.kind = OperationKind::kInspect;
    client->submit(inspect);
  }
  drive();
  const auto& requests = server().messages[0].requests;
  ASSERT_EQ(requests.size(), 3u);
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
