// Runs of puts against a server that can be told to misbehave: how they are sent, that they keep
// their order with operations, and how they end when something goes wrong.
#include "tests/rdmakv/client/failure_fixture.h"
#include "tests/rdmakv/client/test_run.h"

namespace rdmakv {
namespace {

class PutRunTest : public FailureTest {
 protected:
  PutRunTest() { fabric.agreed_message_bytes = wire::kMessageBytes; }
  // `count` puts of keys k0, k1, ...; how many were taken.
  size_t put(TestRun& run, size_t count, std::string_view value = "v") {
    std::vector<std::string> keys;
    for (size_t i = 0; i < count; ++i) keys.push_back("k" + std::to_string(i));
    std::vector<wire::PutView> puts;
    for (const std::string& key : keys) puts.push_back({key, bytes_of(value), 0});
    const size_t taken = put_runner(*client)->put_run(puts, run);
    EXPECT_EQ(run.taken, taken);
    return taken;
  }
  void expect_codes(const TestRun& run, Code code) {
    EXPECT_EQ(run.dones, 1);
    EXPECT_EQ(run.failed, code == Code::kOk ? 0 : run.taken);
    for (size_t i = 0; i < run.taken; ++i) EXPECT_EQ(run.codes[i], code) << i;
  }
};

TEST_F(PutRunTest, ShareOneRequest) {
  open_and_connect();
  const int doorbells = fabric.doorbells;
  TestRun first, second;
  EXPECT_EQ(put(first, 20), 20u);
  EXPECT_EQ(put(second, 10, "w"), 10u) << "of another run, in the same request";
  EXPECT_TRUE(server().messages.empty());
  client->flush();
  ASSERT_EQ(server().messages.size(), 1u);
  ASSERT_EQ(server().messages[0].requests.size(), 1u);
  EXPECT_EQ(server().messages[0].requests[0].header.opcode, wire::Opcode::kPuts);
  EXPECT_EQ(fabric.doorbells, doorbells + 1);
  EXPECT_EQ(first.dones, 0) << "only from poll()";
  EXPECT_TRUE(client->busy());
  EXPECT_EQ(client->poll(), 30u);
  EXPECT_FALSE(client->busy());
  expect_codes(first, Code::kOk);
  expect_codes(second, Code::kOk);
  EXPECT_EQ(server().entries["k9"].value, "w");
  EXPECT_EQ(server().entries["k10"].value, "v");
  const ClientCounters counters = client->counters();
  EXPECT_EQ(counters.operations, 30u);
  EXPECT_EQ(counters.requests, 1u);
  EXPECT_EQ(counters.round_trips, 1u);
}

TEST_F(PutRunTest, MoreThanAMessage) {
  open_and_connect();
  TestRun runs[5];
  for (TestRun& run : runs) ASSERT_EQ(put(run, 64, std::string(500, 'v')), 64u);
  client->flush();
  EXPECT_GT(server().messages.size(), 30u);
  drive();
  for (const TestRun& run : runs) expect_codes(run, Code::kOk);
  EXPECT_EQ(server().put_order.size(), 5u * 64);
  EXPECT_EQ(server().entries["k63"].version, 5u);
}

TEST_F(PutRunTest, AtMostSoManyAtATime) {
  open_and_connect();
  TestRun run;
  EXPECT_EQ(put(run, 70), PutRun::kMost);
  drive();
  expect_codes(run, Code::kOk);
}

TEST_F(PutRunTest, NotBeforeTheConnectionIsThere) {
  open();
  TestRun run;
  EXPECT_EQ(put(run, 3), 0u);
  EXPECT_FALSE(run.full);
  drive();
  EXPECT_EQ(run.dones, 0);
}

TEST_F(PutRunTest, WhatNoRequestHasRoomForIsNotTaken) {
  open_and_connect();
  TestRun run;
  const std::string key(70'000, 'k');
  const std::string large(wire::kLargeValue, 'v');
  const wire::PutView puts[] = {{"a", bytes_of("1"), 0}, {"b", bytes_of(large), 0}};
  EXPECT_EQ(put_runner(*client)->put_run(puts, run), 1u);
  TestRun none;
  const wire::PutView too_long[] = {{key, bytes_of("1"), 0}};
  EXPECT_EQ(put_runner(*client)->put_run(too_long, none), 0u);
  EXPECT_FALSE(run.full || none.full);
  drive();
  expect_codes(run, Code::kOk);
}

// What waits in the queue goes first, so a put does not pass it by; and what comes later is behind.
TEST_F(PutRunTest, KeepTheirOrderWithOperations) {
  open_and_connect();
  TestOperation before(OperationKind::kDelete, "k0"), after(OperationKind::kGet, "k0");
  TestRun run, late;
  client->submit(before);
  EXPECT_EQ(put(run, 1), 0u) << "an operation waits";
  client->flush();
  EXPECT_EQ(put(run, 1), 1u);
  client->submit(after);
  EXPECT_EQ(put(late, 1), 0u);
  drive();
  EXPECT_EQ(after.lent, "v");
  const auto& messages = server().messages;
  ASSERT_EQ(messages.size(), 2u);
  ASSERT_EQ(messages[1].requests.size(), 2u) << "they share a message all the same";
  EXPECT_EQ(messages[1].requests[0].header.opcode, wire::Opcode::kPuts);
  EXPECT_EQ(messages[1].requests[1].header.opcode, wire::Opcode::kGet);
}

TEST_F(PutRunTest, NoMoreRequestsThanCredits) {
  server().credits = 2;
  open_and_connect();
  server().hold = true;
  const std::string value(3000, 'v');
  TestRun run, next;
  EXPECT_EQ(put(run, 5, value), 2u) << "one a message";
  EXPECT_TRUE(run.full);
  EXPECT_FALSE(put_runner(*client)->has_room());
  client->flush();
  EXPECT_EQ(put(next, 1), 0u);
  EXPECT_TRUE(next.full);
  server().hold = false;
  server().answer_held();
  drive();
  expect_codes(run, Code::kOk);
  EXPECT_TRUE(put_runner(*client)->has_room());
  EXPECT_EQ(put(next, 1), 1u);
  EXPECT_FALSE(next.full);
  drive();
  expect_codes(next, Code::kOk);
}

TEST_F(PutRunTest, OneThatFailsIsTold) {
  open_and_connect();
  server().refuse_put = "k1";
  TestRun run;
  put(run, 3);
  drive();
  EXPECT_EQ(run.dones, 1);
  EXPECT_EQ(run.failed, 1u);
  EXPECT_EQ(run.codes[0], Code::kOk);
  EXPECT_EQ(run.codes[1], Code::kNoSpace);
  EXPECT_EQ(run.servers[1], 0u);
  EXPECT_EQ(run.codes[2], Code::kOk);
}

TEST_F(PutRunTest, EndAtTheirDeadlineAndALateReplyFindsNobody) {
  options.timeout_ns = kSoon;
  server().credits = 1;
  open_and_connect();
  server().hold = true;
  TestRun run, next;
  put(run, 3);
  client->flush();
  while (run.dones == 0) client->poll();
  expect_codes(run, Code::kTimeout);
  EXPECT_EQ(put(next, 1), 0u) << "the only credit is still out";
  server().hold = false;
  server().answer_held();
  drive();
  EXPECT_EQ(run.dones, 1);
  EXPECT_EQ(put(next, 1), 1u);
  drive();
  expect_codes(next, Code::kOk);
}

TEST_F(PutRunTest, ABrokenConnectionLeavesTheOutcomeUnknown) {
  open_and_connect();
  server().hold = true;
  TestRun sent, unsent;
  put(sent, 3);
  client->flush();
  put(unsent, 2);
  const int before = fabric.connects;
  fabric.endpoint()->cut();
  server().held.clear();
  server().hold = false;
  reconnect(before);
  expect_codes(sent, Code::kUnknownOutcome);
  expect_codes(unsent, Code::kUnavailable);
  EXPECT_FALSE(client->busy());
  EXPECT_TRUE(server().put_order.empty()) << "never repeated";
  TestRun next;
  put(next, 3);
  drive();
  expect_codes(next, Code::kOk);
}

TEST_F(PutRunTest, AMessageThatFindsNoRoomIsSentLater) {
  open_and_connect();
  fabric.fail_posts = 2;
  TestRun run, late;
  TestOperation get(OperationKind::kGet, "k1");
  put(run, 3);
  client->submit(get);
  client->flush();
  EXPECT_TRUE(server().messages.empty());
  EXPECT_EQ(put(late, 1), 0u) << "nothing before what waits";
  while (run.dones == 0 || get.dones == 0) client->poll();
  expect_codes(run, Code::kOk);
  EXPECT_EQ(get.lent, "v");
  EXPECT_EQ(server().put_order.size(), 3u) << "once";
}

TEST_F(PutRunTest, AMessageThatWaitsWhenTheConnectionBreaksWasNotSent) {
  open_and_connect();
  fabric.fail_posts = 1'000'000;
  TestRun run;
  TestOperation change(OperationKind::kDelete, "k");
  put(run, 3);
  client->submit(change);
  client->flush();
  fabric.fail_posts = 0;
  const int before = fabric.connects;
  fabric.endpoint()->cut();
  reconnect(before);
  expect_codes(run, Code::kUnavailable);
  drive_until(change);
  EXPECT_EQ(change.code, Code::kNotFound) << "carried out on the next connection";
  EXPECT_TRUE(server().put_order.empty());
}

TEST_F(PutRunTest, TheEndOfTheClientCancelsThem) {
  open_and_connect();
  server().hold = true;
  TestRun sent, unsent;
  put(sent, 3);
  client->flush();
  put(unsent, 3);
  client.reset();
  expect_codes(sent, Code::kCancelled);
  expect_codes(unsent, Code::kCancelled);
}

// ---- servers that break the protocol -----------------------------------------------------------

TEST_F(PutRunTest, AReplyThatDoesNotFitThePutsBreaksTheConnection) {
  const std::string three_words(24, '\0');
  for (const std::string_view value : {"", "12345678", "1234567890123456 and more text."}) {
    open_and_connect();
    server().intercept = [&](const fakes::FakeRequest& request) {
      wire::ReplyHeader header;
      if (!value.empty()) header.flags = wire::kHasValue;
      header.value_length = static_cast<uint32_t>(value.size());
      server().reply(request, header, value);
      return true;
    };
    TestRun run;
    put(run, 3);
    drive();
    expect_codes(run, Code::kUnknownOutcome);
    server().intercept = nullptr;
    EXPECT_EQ(client->counters().disconnects, 1u);
  }
}

TEST_F(PutRunTest, AllOfThemMayBeRefused) {
  open_and_connect();
  server().intercept = [&](const fakes::FakeRequest& request) {
    wire::ReplyHeader header;
    header.status = wire::ReplyStatus::kBadRequest;
    server().reply(request, header);
    return true;
  };
  TestRun run;
  put(run, 3);
  drive();
  expect_codes(run, Code::kInvalidArgument);
}

}  // namespace
}  // namespace rdmakv
