// GETs that share a request, against a server that can be told to misbehave: which do, that they
// keep their order with other operations, and how they end when something goes wrong.
#include <deque>

#include "protocol/kv_gets.h"
#include "tests/rdmakv/client/failure_fixture.h"

namespace rdmakv {
namespace {

class SharedGetsTest : public FailureTest {
 protected:
  SharedGetsTest() {
    options.get_path = GetPath::kRequest;
    for (int i = 0; i < 100; ++i) {
      keys_.push_back("k" + std::to_string(i));
      server().entries[keys_.back()] = {"value " + std::to_string(i), 1};
    }
  }
  // Submits GETs of k0, k1, ...
  void get(size_t count) {
    for (size_t i = 0; i < count; ++i) {
      gets_.emplace_back(OperationKind::kGet, keys_[i]);
      gets_.back().order = &ended_;
      client->submit(gets_.back());
    }
  }
  void expect_values() {
    ASSERT_EQ(ended_.size(), gets_.size());
    for (size_t i = 0; i < gets_.size(); ++i) {
      EXPECT_EQ(gets_[i].dones, 1);
      EXPECT_EQ(gets_[i].code, Code::kOk);
      EXPECT_EQ(gets_[i].lent, server().entries[keys_[i]].value);
      EXPECT_EQ(gets_[i].version, 1u);
      EXPECT_EQ(ended_[i], keys_[i]) << "in their order";
    }
  }
  const std::vector<fakes::FakeRequest>& requests(size_t message) {
    return server().messages[message].requests;
  }
  // The server answers the kGets under way with `value`, and the GETs are answered by the next
  // connection.
  void expect_broken(std::string_view value, uint8_t flags = wire::kHasValue) {
    open_and_connect();
    server().hold = true;
    get(2);
    drive(2);
    ASSERT_EQ(server().held.size(), 1u);
    server().hold = false;
    const fakes::FakeRequest request = server().held[0];
    wire::ReplyHeader header;
    header.flags = flags;
    header.value_length = static_cast<uint32_t>(value.size());
    header.ticket = 5;
    server().reply(request, header, value);
    for (TestOperation& one : gets_) drive_until(one);
    expect_values();
    reconnect(1);
    EXPECT_EQ(client->counters().disconnects, 1u);
  }
  static std::string result(const wire::ReplyHeader& reply, std::string_view value = {}) {
    std::string bytes(wire::kMostGetResultHead + value.size() + 8, '?');
    bytes.resize(
        wire::write_get_result(reinterpret_cast<std::byte*>(bytes.data()), reply, bytes_of(value)));
    return bytes;
  }

  std::vector<std::string> keys_;
  std::deque<TestOperation> gets_;
  std::vector<std::string> ended_;
};

TEST_F(SharedGetsTest, ShareOneRequest) {
  open_and_connect();
  const int doorbells = fabric.doorbells;
  get(30);
  client->flush();
  ASSERT_EQ(server().messages.size(), 1u);
  ASSERT_EQ(requests(0).size(), 1u);
  EXPECT_EQ(requests(0)[0].header.opcode, wire::Opcode::kGets);
  EXPECT_EQ(fabric.doorbells, doorbells + 1);
  EXPECT_EQ(client->poll(), 30u);
  expect_values();
  EXPECT_FALSE(client->busy());
  EXPECT_EQ(client->counters().requests, 1u);
  EXPECT_EQ(client->counters().round_trips, 30u) << "each waited for one";
}

TEST_F(SharedGetsTest, OneByItselfHasItsOwn) {
  open_and_connect();
  get(1);
  TestOperation erase(OperationKind::kDelete, "k9");
  client->submit(erase);
  drive();
  expect_values();
  ASSERT_EQ(requests(0).size(), 2u);
  EXPECT_EQ(requests(0)[0].header.opcode, wire::Opcode::kGet);
}

TEST_F(SharedGetsTest, NoMoreThanTheReplyHasRoomFor) {
  for (const std::string& key : keys_) server().entries[key].value = std::string(700, 'v');
  open_and_connect();
  get(100);  // of whose lengths nothing is known
  drive();
  ended_.clear();
  gets_.clear();
  server().messages.clear();
  get(20);
  drive();
  for (const TestOperation& one : gets_) EXPECT_FALSE(one.ticket) << "none had to be pinned";
  expect_values();
  for (const fakes::FakeMessage& message : server().messages) {
    for (const fakes::FakeRequest& request : message.requests) {
      wire::GetsReader reader(bytes_of(request.value));
      std::string_view key;
      size_t count = 0;
      while (reader.next(key)) ++count;
      EXPECT_LE(count, 5u);
    }
  }
}

TEST_F(SharedGetsTest, LargeValuesComeByThemselvesOnceThatIsKnown) {
  for (const std::string& key : keys_) server().entries[key].value = std::string(5000, 'v');
  open_and_connect();
  std::string room(5000, ' ');
  get(1);  // by itself; the next ones are expected to be alike
  drive();
  for (int i = 0; i < 20; ++i) {
    gets_.emplace_back(OperationKind::kGet, keys_[i]);
    client->submit(gets_.back());
    drive();
  }
  server().messages.clear();
  server().get_order.clear();
  TestOperation first(OperationKind::kGet, "k50"), second(OperationKind::kGet, "k51");
  client->submit(first);
  client->submit(second);
  drive();
  EXPECT_EQ(first.lent.size(), 5000u);
  EXPECT_EQ(second.lent.size(), 5000u);
  EXPECT_TRUE(server().get_order.empty());
  EXPECT_EQ(requests_seen(), 2u);
  for (TestOperation& one : gets_) one.buffer.reset();
  first.buffer.reset();
  second.buffer.reset();
}

TEST_F(SharedGetsTest, AValueThatIsPinnedIsRead) {
  server().entries["k1"].value = std::string(100'000, 'v');
  open_and_connect();
  std::vector<std::byte> room(200'000);
  TestOperation small(OperationKind::kGet, "k0"), large(OperationKind::kGet, "k1"),
      lent(OperationKind::kGet, "k1"), missing(OperationKind::kGet, "none");
  small.destination = std::span(room).first(100'000);
  large.destination = std::span(room).subspan(100'000);
  for (TestOperation* one : {&small, &large, &lent, &missing}) client->submit(*one);
  drive();
  EXPECT_EQ(server().get_order, (std::vector<std::string>{"k0", "k1", "k1", "none"}));
  EXPECT_EQ(small.lent, "value 0");
  EXPECT_EQ(static_cast<const void*>(small.value.data()), room.data());
  EXPECT_EQ(large.code, Code::kOk);
  EXPECT_EQ(large.lent, std::string(100'000, 'v'));
  EXPECT_EQ(lent.value_length, 100'000u);
  EXPECT_TRUE(lent.ticket);
  EXPECT_EQ(missing.code, Code::kNotFound);
  EXPECT_EQ(server().released.size(), 1u) << "the one that was copied";
}

// A change behind them is sent behind them, and one before them before.
TEST_F(SharedGetsTest, KeepTheirOrderWithChanges) {
  open_and_connect();
  TestOperation before(OperationKind::kPut, "k0"), after(OperationKind::kPut, "k1");
  before.input = bytes_of("before");
  after.input = bytes_of("after");
  client->submit(before);
  get(3);
  client->submit(after);
  drive();
  EXPECT_EQ(gets_[0].lent, "before");
  EXPECT_EQ(gets_[1].lent, "value 1");
  ASSERT_EQ(server().messages.size(), 1u);
  ASSERT_EQ(requests(0).size(), 3u);
  EXPECT_EQ(requests(0)[1].header.opcode, wire::Opcode::kGets);
}

TEST_F(SharedGetsTest, NoMoreRequestsThanCredits) {
  server().credits = 2;
  open_and_connect();
  server().hold = true;
  std::vector<std::string> many;
  for (int i = 0; i < 300; ++i) many.push_back("k" + std::to_string(i % 100));
  std::deque<TestOperation> gets;
  for (const std::string& key : many) client->submit(gets.emplace_back(OperationKind::kGet, key));
  drive();
  EXPECT_EQ(server().held.size(), 2u);
  server().hold = false;
  server().answer_held();
  drive();
  for (size_t i = 0; i < gets.size(); ++i) EXPECT_EQ(gets[i].lent, server().entries[many[i]].value);
}

TEST_F(SharedGetsTest, AreSentAgainWhenTheConnectionBreaks) {
  open_and_connect();
  server().hold = true;
  get(40);
  drive(2);
  server().hold = false;
  fabric.endpoint()->cut();
  for (TestOperation& one : gets_) drive_until(one);
  expect_values();
}

TEST_F(SharedGetsTest, WhatWasNotSentGoesBackToItsPlace) {
  open_and_connect();
  fabric.fail_posts = 1;
  get(40);
  client->flush();
  EXPECT_TRUE(server().messages.empty());
  fabric.endpoint()->cut();
  for (TestOperation& one : gets_) drive_until(one);
  expect_values();
}

TEST_F(SharedGetsTest, TimeOutOneByOne) {
  open_and_connect();
  server().hold = true;
  server().entries["k1"].value = std::string(100'000, 'v');
  TestOperation late(OperationKind::kGet, "k0"), large(OperationKind::kGet, "k1"),
      waits(OperationKind::kGet, "k2");
  late.deadline_ns = large.deadline_ns = steady_ns() + kSoon;
  for (TestOperation* one : {&late, &large, &waits}) client->submit(*one);
  client->flush();
  drive_until(late);
  drive_until(large);
  EXPECT_EQ(late.code, Code::kTimeout);
  EXPECT_EQ(large.code, Code::kTimeout);
  EXPECT_EQ(waits.dones, 0);
  server().hold = false;
  server().answer_held();
  drive();
  EXPECT_EQ(waits.lent, "value 2");
  EXPECT_EQ(server().released.size(), 1u) << "what was pinned for one that came too late";
}

TEST_F(SharedGetsTest, EndWithTheClient) {
  open_and_connect();
  server().hold = true;
  get(10);
  drive(2);
  client.reset();
  for (const TestOperation& one : gets_) EXPECT_EQ(one.code, Code::kCancelled);
}

TEST_F(SharedGetsTest, TooFewResultsBreakTheConnection) {
  wire::ReplyHeader missing;
  missing.status = wire::ReplyStatus::kNotFound;
  expect_broken(result(missing).substr(0, 0), 0);
}

TEST_F(SharedGetsTest, TooManyResultsBreakTheConnection) {
  wire::ReplyHeader found;
  found.flags = wire::kHasValue;
  found.version = 1;
  std::string results;
  for (int i = 0; i < 3; ++i) {
    const std::string value = "value " + std::to_string(i);
    found.value_length = static_cast<uint32_t>(value.size());
    results += result(found, value);
  }
  expect_broken(results);
}

TEST_F(SharedGetsTest, ResultsWithoutTheirValueBreakTheConnection) {
  expect_broken(result({}) + result({}));
}

TEST_F(SharedGetsTest, APinOutsideThePoolBreaksTheConnection) {
  wire::ReplyHeader pin;
  pin.flags = wire::kPinned;
  pin.ticket = 7;
  pin.location = 1 << 30;
  pin.value_length = 5000;
  pin.number = wire::entry_value_offset(2, false);
  expect_broken(result(pin) + result(pin));
}

TEST_F(SharedGetsTest, APinnedReplyToThemBreaksTheConnection) {
  expect_broken("", wire::kPinned);
}

// A device that is emulated: few GETs are READs, several are asked for together.
TEST_F(SharedGetsTest, OnlySeveralGoByRequestWhereADeviceIsEmulated) {
  options.get_path = GetPath::kAuto;
  fabric.emulated_reads = true;
  open_and_connect();
  const auto pinned_place = server().pin("k0", "value 0", 1);
  server().intercept = [&](const fakes::FakeRequest& request) {
    if (request.header.opcode != wire::Opcode::kGet) return false;
    wire::ReplyHeader header = pinned_place;
    header.flags = wire::kHasValue;
    server().reply(request, header, "value 0");
    return true;
  };
  get(1);
  drive();
  EXPECT_EQ(client->counters().direct.cached, 0u);
  for (size_t several = 0; several < 2; ++several) {
    server().messages.clear();
    const uint64_t read = client->counters().direct.entry_reads;
    std::deque<TestOperation> gets;
    for (int i = 0; i < (several != 0 ? 4 : 1); ++i) {
      client->submit(gets.emplace_back(OperationKind::kGet, "k0"));
    }
    drive();
    for (const TestOperation& one : gets) EXPECT_EQ(one.lent, "value 0");
    EXPECT_EQ(client->counters().direct.entry_reads - read, several != 0 ? 0u : 1u);
    EXPECT_EQ(server().get_order.size(), several != 0 ? 4u : 0u);
  }
  // Beside a READ of the key it is a READ too: that may yet have to be asked for.
  TestOperation where(OperationKind::kGet, "k0");  // by itself, so it is told
  EXPECT_EQ(run(where), Code::kOk);
  fabric.hold_reads = true;
  TestOperation first(OperationKind::kGet, "k0"), second(OperationKind::kGet, "k0"),
      third(OperationKind::kGet, "k1");
  server().get_order.clear();
  client->submit(first);
  client->flush();
  EXPECT_EQ(first.dones, 0);
  client->submit(second);
  client->submit(third);
  client->flush();
  EXPECT_TRUE(server().get_order.empty());
  EXPECT_EQ(second.dones, 0);
  fabric.hold_reads = false;
  fabric.endpoint()->complete_reads();
  drive();
  for (const TestOperation* one : {&first, &second, &third}) EXPECT_EQ(one->lent, "value 0");
}

}  // namespace
}  // namespace rdmakv
