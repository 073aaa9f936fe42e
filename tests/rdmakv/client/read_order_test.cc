// GETs of a key that began by READ, and what is submitted behind them (key_order.h).
#include <gmock/gmock.h>

#include <cstring>

#include "protocol/kv_layout.h"
#include "rdmakv/transport/buffer_arena.h"
#include "tests/rdmakv/client/failure_fixture.h"

namespace rdmakv {
namespace {

class ReadOrderTest : public FailureTest {
 protected:
  static constexpr uint64_t kLocation = 100;  // of the key's entry
  static constexpr uint32_t kLength = 20'000;

  // Every request is answered with a pin of the entry, and a new version: another client changes it
  // all the time.
  void pin_replies(uint64_t& version) {
    server().intercept = [this, &version](const fakes::FakeRequest& request) {
      wire::ReplyHeader header;
      header.version = ++version;
      header.location = kLocation;
      header.generation = 1;
      header.flags = wire::kPinned;
      header.ticket = 5;
      header.number = wire::entry_value_offset(1, false);
      header.value_length = kLength;
      server().reply(request, header, {});
      return true;
    };
  }
};

// A GET by READ finds nothing of use, and goes to the server after all: what was submitted after
// it, on its key, is answered after it.
TEST_F(ReadOrderTest, WhatIsAskedOfAKeyIsNotAnsweredBeforeAGetThatStartedByRead) {
  open_and_connect();
  std::vector<wire::Opcode> asked;
  server().intercept = [&](const fakes::FakeRequest& request) {
    asked.push_back(request.header.opcode);
    wire::ReplyHeader header;
    header.version = 1;
    header.location = kLocation;
    header.generation = 1;
    if (request.header.opcode == wire::Opcode::kGet) {
      header.flags = wire::kHasValue;
      header.value_length = 5;
    }
    server().reply(request, header, header.value_length != 0 ? "value" : "");
    return true;
  };
  TestOperation first(OperationKind::kGet, "k");
  ASSERT_EQ(run(first), Code::kOk);
  asked.clear();
  fabric.hold_reads = true;
  TestOperation get(OperationKind::kGet, "k"), inspect(OperationKind::kInspect, "k");
  client->submit(get);
  client->submit(inspect);
  drive();
  ASSERT_TRUE(asked.empty()) << "the GET is a READ";
  fabric.endpoint()->complete_reads();
  fabric.hold_reads = false;
  drive_until(inspect);
  EXPECT_EQ(get.dones, 1);
  EXPECT_THAT(asked, testing::ElementsAre(wire::Opcode::kGet, wire::Opcode::kInspect));
}

// Likewise a GET of it that has to go by request, because its value is not to be lent.
TEST_F(ReadOrderTest, AGetByRequestIsNotAnsweredBeforeAGetThatStartedByRead) {
  open_and_connect();
  uint64_t version = 0;
  pin_replies(version);
  TestOperation where(OperationKind::kGet, "k");
  ASSERT_EQ(run(where), Code::kOk);
  fabric.hold_reads = true;
  TestOperation first(OperationKind::kGet, "k"), second(OperationKind::kGet, "k");
  second.lend_most = 0;
  client->submit(first);
  client->submit(second);
  drive();
  EXPECT_EQ(client->counters().direct.entry_reads, 1u) << "the first is a READ";
  EXPECT_EQ(version, 1u) << "the second is not answered yet";
  fabric.hold_reads = false;
  fabric.endpoint()->complete_reads();
  drive_until(second);
  EXPECT_EQ(first.dones, 1);
  EXPECT_LT(first.version, second.version);
}

// Likewise one that began by READ, and has no memory for what that brings.
TEST_F(ReadOrderTest, AGetWithoutMemoryIsNotAnsweredBeforeAGetThatStartedByRead) {
  open_and_connect();
  uint64_t version = 0;
  pin_replies(version);
  TestOperation where(OperationKind::kGet, "k");
  ASSERT_EQ(run(where), Code::kOk);
  std::byte* const entry = server().pool.data() + kLocation * wire::kExtentUnit;
  wire::write_entry(entry, {wire::entry_seed(0, 1), 7}, "k", bytes_of(std::string(kLength, 'v')));
  const uint64_t live = wire::FirstWord::make_live(1, false).encode();
  std::memcpy(entry, &live, sizeof(live));
  version = 7;
  // All but 48 KiB is taken.
  std::vector<ValueBuffer> memory;
  while (ValueBuffer more = client->allocate(BufferArena::kLargest)) {
    memory.push_back(std::move(more));
  }
  memory.pop_back();
  for (uint32_t bytes = BufferArena::kLargest / 2; bytes >= 65'536; bytes /= 2) {
    memory.push_back(client->allocate(bytes));
  }
  memory.push_back(client->allocate(16'384));
  fabric.hold_reads = true;
  TestOperation first(OperationKind::kGet, "k"), second(OperationKind::kGet, "k");
  client->submit(first);
  client->submit(second);
  drive();
  EXPECT_EQ(client->counters().direct.entry_reads, 1u) << "there is memory for the first";
  EXPECT_EQ(client->counters().direct.detours[static_cast<size_t>(Detour::kTooLarge)], 1u);
  EXPECT_EQ(version, 7u) << "the second is not answered yet";
  fabric.hold_reads = false;
  fabric.endpoint()->complete_reads();
  drive_until(second);
  EXPECT_EQ(first.dones, 1);
  EXPECT_EQ(first.version, 7u) << "by READ";
  EXPECT_EQ(second.version, 8u);
}

}  // namespace
}  // namespace rdmakv
