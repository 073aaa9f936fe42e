// A message for which the Endpoint has no room: it is kept, nothing is sent before it, and what is
// in it is carried out once, whatever becomes of the connection.
#include "tests/rdmakv/client/failure_fixture.h"
#include "tests/rdmakv/client/test_run.h"

namespace rdmakv {
namespace {

class UnsentTest : public FailureTest {
 protected:
  static constexpr int kNone = 1'000'000;  // posts

  // The connection ends while no post succeeds, and another one is made.
  void cut_and_reconnect() {
    fabric.fail_posts = 0;
    const int before = fabric.connects;
    fabric.endpoint()->cut();
    reconnect(before);
  }
};

// The value lies in a registered buffer of the operation's until the commit is on its way.
TEST_F(UnsentTest, AnUploadWhoseCommitWasNotSentStartsAgainWithItsValue) {
  open_and_connect();
  uint64_t chunks = 0;
  server().intercept = [&](const fakes::FakeRequest& request) {
    if (request.header.opcode != wire::Opcode::kUploadChunk) return false;
    chunks += request.value.size();
    if (chunks == 1 << 20) fabric.fail_posts = kNone;
    return false;
  };
  TestOperation put(OperationKind::kPut, "k");
  put.input_buffer = client->allocate(1 << 20);
  std::fill_n(put.input_buffer.data(), 1 << 20, std::byte{'q'});
  put.input_buffer.set_length(1 << 20);
  client->submit(put);
  drive(100);
  ASSERT_EQ(chunks, 1u << 20);
  ASSERT_LT(fabric.fail_posts, kNone) << "the commit was tried";
  ASSERT_EQ(put.dones, 0);
  ASSERT_EQ(server().entries.count("k"), 0u);
  server().intercept = nullptr;
  cut_and_reconnect();
  drive_until(put);
  EXPECT_EQ(put.code, Code::kOk);
  EXPECT_EQ(server().entries["k"].version, 1u);
  EXPECT_TRUE(server().entries["k"].value == std::string(1 << 20, 'q'));
}

// The same of a function that only reads and was sent: it is sent again, with its input.
TEST_F(UnsentTest, AReadThatIsSentAgainHasItsInputStill) {
  open_and_connect();
  std::vector<std::string> inputs;
  server().intercept = [&](const fakes::FakeRequest& request) {
    if (request.header.opcode != wire::Opcode::kEvaluate) return false;
    inputs.push_back(request.value);
    if (inputs.size() > 1) server().reply(request, {});
    return true;
  };
  TestOperation fields(OperationKind::kEvaluate, "k");
  fields.function = wire::Function::kGetFields;
  fields.input_buffer = client->allocate(10'000);
  std::fill_n(fields.input_buffer.data(), 10'000, std::byte{'f'});
  fields.input_buffer.set_length(10'000);
  client->submit(fields);
  drive();
  ASSERT_EQ(inputs.size(), 1u);
  cut_and_reconnect();
  drive_until(fields);
  ASSERT_EQ(inputs.size(), 2u);
  EXPECT_TRUE(inputs[0].ends_with(std::string(10'000, 'f')));
  EXPECT_TRUE(inputs[1] == inputs[0]);
}

// Whoever swaps asks for grants between what waits in the open message and what waits behind it.
class UnsentGrantsTest : public UnsentTest {
 protected:
  void SetUp() override {
    server().change_welcome = [](wire::Welcome& welcome) {
      welcome.cas = {.base = 2ull << 32, .bytes = 1 << 20};
      welcome.grants = {.base = 3ull << 32, .bytes = 1 << 20};
    };
    server().intercept = [this](const fakes::FakeRequest& request) {
      if (request.header.opcode == wire::Opcode::kGrants) {
        asked_.push_back(request);
        return true;
      }
      if (request.key != "swapped") return false;
      wire::ReplyHeader header;
      header.flags = wire::kCasClass;
      header.version = 1;
      header.location = 4;
      header.generation = 1;
      server().reply(request, header);
      return true;
    };
    open_and_connect();
    TestOperation put(OperationKind::kPut, "swapped");
    ASSERT_EQ(run(put), Code::kOk);
    drive();
    ASSERT_EQ(asked_.size(), 1u);
    // Puts that leave no room in their message, and a GET of one of them.
    const std::string most(4000, 'v'), rest(490, 'v');
    const wire::PutView puts[] = {{"k", bytes_of(most), 0}, {"l", bytes_of(rest), 0}};
    ASSERT_EQ(put_runner(*client)->put_run(puts, run_), 2u);
    client->submit(get_);
    // So that it asks again.
    wire::ReplyHeader header;
    header.flags = wire::kHasValue;
    header.value_length = sizeof(wire::Grant);
    server().reply(asked_.front(), header, std::string(sizeof(wire::Grant), '\0'));
  }
  TestRun run_;
  TestOperation get_{OperationKind::kGet, "k"};
  std::vector<fakes::FakeRequest> asked_;
};

TEST_F(UnsentGrantsTest, NothingPassesIt) {
  fabric.fail_posts = 1;
  client->poll();
  EXPECT_EQ(fabric.fail_posts, 0);
  drive_until(get_);
  EXPECT_EQ(get_.lent, std::string(4000, 'v'));
  EXPECT_EQ(run_.dones, 1);
}

TEST_F(UnsentGrantsTest, ItIsNotForgottenForAnother) {
  fabric.fail_posts = 2;
  client->poll();
  while (get_.dones == 0) client->poll();
  drive();
  EXPECT_EQ(run_.dones, 1);
  EXPECT_EQ(run_.failed, 0u);
  EXPECT_EQ(get_.lent, std::string(4000, 'v'));
}

}  // namespace
}  // namespace rdmakv
