// Runs of gets against a server that can be told to misbehave: how they are sent and told, that
// they keep their order with others, and that what is not simply answered goes on as an Operation.
#include "rdmakv/client/get_run.h"

#include <deque>

#include "protocol/kv_gets.h"
#include "tests/rdmakv/client/failure_fixture.h"
#include "tests/rdmakv/client/test_run.h"

namespace rdmakv {
namespace {

struct TestGets final : GetRun {
  explicit TestGets(std::span<const std::string_view> wanted) { keys = wanted; }
  void take(size_t index, bool found, std::span<const std::byte> bytes) override {
    const std::string value(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    answers += std::string(keys[index]) + "=" + (found ? value : "none") + " ";
  }
  Operation& stand_in(size_t index) override {
    return stand_ins_.emplace_back(OperationKind::kGet, keys[index]);
  }
  void done() override { ++dones; }

  std::string answers;
  std::deque<TestOperation> stand_ins_;
  int dones = 0;
};

class GetRunTest : public FailureTest {
 protected:
  GetRunTest() {
    options.get_path = GetPath::kRequest;
    for (const std::string_view key : keys_)
      server().entries[std::string(key)] = {"v" + std::string(key), 1};
  }
  void drive_until_done() {
    for (TestGets* run : {&run_, &second_}) {
      for (int i = 0; i < 100'000'000 && run->taken > 0 && run->dones == 0; ++i) client->poll();
      for (const TestOperation& one : run->stand_ins_) drive_until(one);
    }
  }
  size_t get(TestGets& run) {
    const size_t taken = get_runner(*client)->get_run(run);
    EXPECT_EQ(run.taken, taken);
    return taken;
  }
  const std::vector<fakes::FakeRequest>& requests(size_t message) {
    return server().messages[message].requests;
  }

  const std::vector<std::string_view> keys_ = {"a", "b", "c", "d"};
  const std::string all_ = "a=va b=vb c=vc d=vd ";
  TestGets run_{keys_}, second_{keys_};
};

TEST_F(GetRunTest, ShareOneRequest) {
  open_and_connect();
  const int doorbells = fabric.doorbells;
  const std::string_view few[] = {"none", "a"};
  TestGets other(few);
  EXPECT_EQ(get(run_), 4u);
  EXPECT_EQ(get(other), 2u) << "of another run, in the same request";
  EXPECT_TRUE(server().messages.empty());
  EXPECT_TRUE(client->busy());
  client->flush();
  ASSERT_EQ(server().messages.size(), 1u);
  ASSERT_EQ(requests(0).size(), 1u);
  EXPECT_EQ(requests(0)[0].header.opcode, wire::Opcode::kGets);
  EXPECT_EQ(fabric.doorbells, doorbells + 1);
  EXPECT_EQ(run_.dones, 0) << "only from poll()";
  EXPECT_EQ(client->poll(), 6u);
  EXPECT_FALSE(client->busy());
  EXPECT_EQ(run_.answers, all_);
  EXPECT_EQ(other.answers, "none=none a=va ");
  EXPECT_EQ(run_.dones, 1);
  EXPECT_EQ(other.dones, 1);
  const ClientCounters counters = client->counters();
  EXPECT_EQ(counters.operations, 6u);
  EXPECT_EQ(counters.requests, 1u);
}

// As long as values are short. A longer one of which nothing is known is pinned, and so is the last
// for a while: then it is asked what lets the client know lengths beforehand.
TEST_F(GetRunTest, NothingButShortValuesIsAskedFor) {
  open_and_connect();
  const auto ask = [&](std::span<const std::string_view> keys) {
    server().messages.clear();
    TestGets run(keys);
    EXPECT_EQ(get(run), keys.size());
    drive();
    EXPECT_EQ(run.dones, 1);
    return requests(0)[0].header.flags;
  };
  EXPECT_EQ(ask(keys_), wire::kValuesOnly);
  const std::string_view missing[] = {"none", "neither"};
  EXPECT_EQ(ask(missing), wire::kValuesOnly);
  for (auto& [key, entry] : server().entries) entry.value = std::string(700, 'l');
  EXPECT_EQ(ask(keys_), wire::kValuesOnly);
  EXPECT_EQ(ask(keys_), 0) << "they are longer by now";
  for (auto& [key, entry] : server().entries) entry.value = "s";
  for (int i = 0; i < 20; ++i) ask(keys_);
  EXPECT_EQ(ask(keys_), wire::kValuesOnly);
}

// So many that there is room for all their values.
TEST_F(GetRunTest, NoMoreShortValuesThanTheReplyHasRoomFor) {
  open_and_connect();
  std::vector<std::string> names;
  for (size_t i = 0; i < GetRun::kMost; ++i) names.push_back("key" + std::to_string(i));
  const std::vector<std::string_view> keys(names.begin(), names.end());
  for (const size_t more : {0, 10}) {
    for (size_t i = 0; i < names.size(); ++i) {
      server().entries[names[i]] = {std::string(64 + more * (i % 2), 'v'), 1};
    }
    for (int round = 0; round < 50; ++round) {
      TestGets run(keys);
      EXPECT_EQ(get(run), keys.size());
      drive();
      EXPECT_EQ(run.dones, 1);
      EXPECT_TRUE(run.stand_ins_.empty() || (more == 0 && round == 0)) << round;
    }
  }
}

// An Operation tells of versions: it goes with those of runs only where these, too, are told all.
TEST_F(GetRunTest, AnOperationIsToldAllOfItsKey) {
  open_and_connect();
  get(run_);
  TestOperation one(OperationKind::kGet, "a"), other(OperationKind::kGet, "b");
  client->submit(one);
  client->submit(other);
  get(second_);
  drive();
  ASSERT_EQ(server().messages.size(), 1u);
  ASSERT_EQ(requests(0).size(), 2u);
  EXPECT_EQ(requests(0)[0].header.flags, wire::kValuesOnly);
  EXPECT_EQ(requests(0)[1].header.flags, 0);
  EXPECT_EQ(run_.answers, all_);
  EXPECT_EQ(second_.answers, all_);
  EXPECT_EQ(one.version, 1u);
  EXPECT_EQ(other.version, 1u);
}

TEST_F(GetRunTest, OneByItselfIsNotTakenButJoinsOthers) {
  open_and_connect();
  const std::string_view a[] = {"a"};
  TestGets one{a}, next{a};
  TestOperation operation(OperationKind::kGet, "d");
  EXPECT_EQ(get(one), 0u);
  client->submit(operation);
  EXPECT_EQ(get(one), 1u) << "the operation that waits is its company, and goes before it";
  EXPECT_EQ(get(next), 1u);
  drive();
  EXPECT_EQ(operation.lent, "vd");
  EXPECT_EQ(one.answers, "a=va ");
  EXPECT_EQ(next.answers, "a=va ");
  EXPECT_EQ(server().get_order, (std::vector<std::string>{"d", "a", "a"}));
  EXPECT_EQ(server().messages.size(), 1u);
}

TEST_F(GetRunTest, OnlyWhereGetsGoByRequest) {
  options.get_path = GetPath::kAuto;
  open_and_connect();
  EXPECT_FALSE(get_runner(*client)->takes_gets());
  EXPECT_EQ(get(run_), 0u);
  fabric.emulated_reads = true;
  open_and_connect();
  EXPECT_TRUE(get_runner(*client)->takes_gets());
  EXPECT_EQ(get(run_), 4u);
  drive();
  EXPECT_EQ(run_.answers, all_);
}

TEST_F(GetRunTest, NotBeforeTheConnectionIsThere) {
  open();
  EXPECT_EQ(get(run_), 0u);
  drive();
  EXPECT_EQ(run_.dones, 0);
}

TEST_F(GetRunTest, KeepTheirOrderWithOperations) {
  open_and_connect();
  TestOperation before(OperationKind::kDelete, "b"), after(OperationKind::kDelete, "a");
  client->submit(before);
  EXPECT_EQ(get(run_), 0u) << "a change waits";
  client->flush();
  EXPECT_EQ(get(run_), 4u);
  client->submit(after);
  EXPECT_EQ(get(second_), 0u);
  drive();
  EXPECT_EQ(run_.answers, "a=va b=none c=vc d=vd ");
  EXPECT_EQ(after.code, Code::kOk);
}

// A key that takes no part in such requests ends the run's part, and is left to be submitted.
TEST_F(GetRunTest, WhatCannotGoIsNotTaken) {
  open_and_connect();
  const std::string long_key(wire::kMostGetKeyBytes + 1, 'k');
  const std::string_view mixed[] = {"a", long_key, "b"};
  TestGets run(mixed);
  EXPECT_EQ(get(run), 1u);
  drive();
  EXPECT_EQ(run.answers, "a=va ");
}

TEST_F(GetRunTest, NoMoreRequestsThanCredits) {
  server().credits = 1;
  open_and_connect();
  server().hold = true;
  EXPECT_EQ(get(run_), 4u);
  client->flush();
  EXPECT_EQ(get(second_), 0u);
  server().hold = false;
  server().answer_held();
  drive();
  EXPECT_EQ(run_.answers, all_);
  EXPECT_EQ(get(second_), 4u);
  drive();
  EXPECT_EQ(second_.answers, all_);
}

// As many requests as go into a message: whichever comes next begins another.
TEST_F(GetRunTest, AMessageThatHoldsNoMoreRequestsIsFollowedByAnother) {
  options.credits = server().credits = 2 * wire::kMaxRequestsPerMessage;
  options.message_bytes = 256 * 1024;
  open_and_connect();
  constexpr size_t kEach = wire::kMaxRequestsPerMessage / 2;
  std::deque<TestGets> gets;
  std::deque<TestRun> puts(kEach + 1);
  const wire::PutView put[] = {{"e", bytes_of("ve"), 0}};
  for (const bool puts_first : {true, false}) {
    server().messages.clear();
    const auto put_one = [&](size_t i) {
      EXPECT_EQ(put_runner(*client)->put_run(put, puts[i]), 1u);
    };
    for (size_t i = 0; i <= kEach; ++i) {
      if (puts_first) put_one(i);
      EXPECT_EQ(get(gets.emplace_back(keys_)), 4u);
      if (!puts_first) put_one(i);
    }
    drive();
    ASSERT_EQ(server().messages.size(), 2u);
    EXPECT_EQ(requests(0).size(), wire::kMaxRequestsPerMessage);
    EXPECT_EQ(requests(1).size(), 2u);
  }
  for (const TestGets& run : gets) EXPECT_EQ(run.answers, all_);
  for (const TestRun& run : puts) EXPECT_EQ(run.dones, 2);
}

TEST_F(GetRunTest, MessagesAreLongerWhereNoAdapterHasToKeepThem) {
  open_and_connect();
  EXPECT_EQ(fabric.endpoint()->options().message_bytes, 16u * 1024);
  fabric.emulated_reads = true;
  open_and_connect();
  EXPECT_EQ(fabric.endpoint()->options().message_bytes, 16u * 1024);
  fabric.emulated_reads = false;
  fabric.adapter = true;
  open_and_connect();
  EXPECT_EQ(fabric.endpoint()->options().message_bytes, wire::kMessageBytes);
}

TEST_F(GetRunTest, APinnedValueGoesOnAsAnOperation) {
  open_and_connect();
  server().entries["b"].value = std::string(100'000, 'v');
  get(run_);
  drive();
  EXPECT_EQ(run_.answers, "a=va c=vc d=vd ");
  EXPECT_EQ(run_.dones, 1);
  ASSERT_EQ(run_.stand_ins_.size(), 1u);
  const TestOperation& large = run_.stand_ins_[0];
  EXPECT_EQ(large.dones, 1);
  EXPECT_EQ(large.value_length, 100'000u);
  EXPECT_TRUE(large.ticket);
  EXPECT_FALSE(client->busy());
  EXPECT_EQ(client->counters().operations, 4u);
}

TEST_F(GetRunTest, AreSentAgainWhenTheConnectionBreaks) {
  open_and_connect();
  server().hold = true;
  get(run_);
  drive(2);
  get(second_);
  server().hold = false;
  fabric.endpoint()->cut();
  drive_until_done();
  for (TestGets* run : {&run_, &second_}) {
    EXPECT_EQ(run->answers, "");
    EXPECT_EQ(run->dones, 1);
    ASSERT_EQ(run->stand_ins_.size(), 4u);
    for (size_t i = 0; i < 4; ++i) EXPECT_EQ(run->stand_ins_[i].lent, "v" + std::string(keys_[i]));
  }
}

TEST_F(GetRunTest, WhatWasNotSentGoesIntoTheQueue) {
  open_and_connect();
  fabric.fail_posts = 1;
  get(run_);
  client->flush();
  EXPECT_TRUE(server().messages.empty());
  EXPECT_EQ(get(second_), 0u) << "nothing before what waits";
  fabric.endpoint()->cut();
  drive_until_done();
  ASSERT_EQ(run_.stand_ins_.size(), 4u);
  EXPECT_EQ(run_.stand_ins_[3].lent, "vd");
  EXPECT_EQ(server().get_order, (std::vector<std::string>{"a", "b", "c", "d"}));
}

TEST_F(GetRunTest, EndAtTheirDeadlineAndALateReplyFindsNobody) {
  options.timeout_ns = kSoon;
  open_and_connect();
  server().hold = true;
  server().entries["b"].value = std::string(100'000, 'v');
  get(run_);
  client->flush();
  drive_until_done();
  ASSERT_EQ(run_.stand_ins_.size(), 4u);
  for (const TestOperation& one : run_.stand_ins_) EXPECT_EQ(one.code, Code::kTimeout);
  EXPECT_EQ(run_.dones, 1);
  server().hold = false;
  server().answer_held();
  drive();
  EXPECT_EQ(run_.answers, "");
  EXPECT_EQ(server().released.size(), 1u) << "what was pinned for one that came too late";
}

TEST_F(GetRunTest, EndWithTheClient) {
  open_and_connect();
  server().hold = true;
  get(run_);
  client->flush();
  get(second_);
  client.reset();
  for (TestGets* run : {&run_, &second_}) {
    EXPECT_EQ(run->dones, 1);
    ASSERT_EQ(run->stand_ins_.size(), 4u);
    for (const TestOperation& one : run->stand_ins_) EXPECT_EQ(one.code, Code::kCancelled);
  }
}

// Those that were answered before the reply stopped making sense stay so; the others go on.
TEST_F(GetRunTest, AReplyThatMakesNoSenseBreaksTheConnection) {
  open_and_connect();
  server().hold = true;
  get(run_);
  drive(2);
  server().hold = false;
  wire::ReplyHeader missing;
  missing.status = wire::ReplyStatus::kNotFound;
  std::byte one[wire::kMostShortGetHead];
  const size_t bytes = wire::write_short_get(one, missing, {});
  const std::string result(reinterpret_cast<const char*>(one), bytes);
  wire::ReplyHeader header;
  header.flags = wire::kHasValue;
  header.value_length = static_cast<uint32_t>(2 * bytes);
  server().reply(server().held[0], header, result + result);
  drive_until_done();
  EXPECT_EQ(run_.answers, "a=none b=none ");
  ASSERT_EQ(run_.stand_ins_.size(), 2u);
  EXPECT_EQ(run_.stand_ins_[1].lent, "vd");
  EXPECT_EQ(client->counters().disconnects, 1u);
}

TEST_F(GetRunTest, AllOfThemMayBeRefused) {
  open_and_connect();
  server().intercept = [&](const fakes::FakeRequest& request) {
    if (request.header.opcode != wire::Opcode::kGets) return false;
    wire::ReplyHeader header;
    header.status = wire::ReplyStatus::kBadRequest;
    server().reply(request, header, "");
    return true;
  };
  get(run_);
  drive();
  ASSERT_EQ(run_.stand_ins_.size(), 4u);
  EXPECT_NE(run_.stand_ins_[0].code, Code::kOk);
}

}  // namespace
}  // namespace rdmakv
