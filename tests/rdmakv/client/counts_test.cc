// What operations cost in work requests, doorbells and messages, against the real server, over
// shared memory and over verbs. GET and CAS have their counts in one_sided_get_test.cc and
// one_sided_cas_test.cc.
#include "rdmakv/client/client_counters.h"
#include "tests/rdmakv/client/client_server_fixture.h"

namespace rdmakv {
namespace {

class CountsTest : public ClientServerTest {
 protected:
  void SetUp() override {
    ClientServerTest::SetUp();
    if (HasFatalFailure()) return;
    start(64 << 20, 1);
    client = open();
    ASSERT_TRUE(client->connect_and_wait());
  }
  // What one operation costs, once everything before it has been accounted for.
  ClientCounters cost_of(TestOperation& operation) {
    const ClientCounters before = client->counters();
    client->submit(operation);
    client->wait(operation);
    EXPECT_EQ(operation.code, Code::kOk);
    return client->counters() - before;
  }
  ClientCounters cost_of_put(size_t bytes) {
    const std::string value = pattern(bytes, bytes);
    TestOperation put(OperationKind::kPut, "key");
    put.input = bytes_of(value);
    return cost_of(put);
  }

  std::unique_ptr<Client> client;
};

TEST_F(CountsTest, APutOfLessThan4KBIsOneSend) {
  for (const size_t bytes : {size_t{0}, size_t{64}, size_t{4000}}) {
    const ClientCounters cost = cost_of_put(bytes);
    EXPECT_EQ(cost.verbs.sends, 1u) << bytes;
    EXPECT_EQ(cost.verbs.writes + cost.verbs.reads + cost.verbs.atomics, 0u) << bytes;
    EXPECT_EQ(cost.verbs.doorbells, 1u) << bytes;
    EXPECT_EQ(cost.verbs.messages, 1u) << bytes;
    EXPECT_EQ(cost.round_trips, 1u) << bytes;
  }
}

// Over shared memory the server takes it from our memory.
TEST_F(CountsTest, APutOfMoreIsOneWriteWithImmediateOrOneSend) {
  const bool lent = fabric->limits().reads_are_loads;
  for (const size_t bytes : {size_t{4096}, size_t{65'536}}) {
    const ClientCounters cost = cost_of_put(bytes);
    EXPECT_EQ(cost.verbs.writes, lent ? 0u : 1u) << bytes;
    EXPECT_EQ(cost.verbs.sends, lent ? 1u : 0u) << bytes;
    EXPECT_EQ(cost.verbs.reads + cost.verbs.atomics, 0u) << bytes;
    EXPECT_EQ(cost.verbs.doorbells, 1u) << bytes;
    EXPECT_EQ(cost.verbs.messages, 1u) << bytes;
    EXPECT_EQ(cost.round_trips, 1u) << bytes;
  }
}

TEST_F(CountsTest, ACachedGetOfAnySizeIsOneRead) {
  for (const size_t bytes : {size_t{64}, size_t{4096}, size_t{65'536}, size_t{1'000'000}}) {
    cost_of_put(bytes);
    TestOperation get(OperationKind::kGet, "key");
    const ClientCounters cost = cost_of(get);
    EXPECT_EQ(get.lent.size(), bytes);
    EXPECT_EQ(cost.verbs.reads, 1u) << bytes;
    EXPECT_EQ(cost.verbs.sends + cost.verbs.writes + cost.verbs.messages, 0u) << bytes;
    EXPECT_EQ(cost.verbs.doorbells, 1u) << bytes;
    EXPECT_EQ(cost.verbs.completions, 1u) << bytes;
  }
}

// A value that is lent lies where the READ put it, in registered memory.
TEST_F(CountsTest, AValueIsLentWhereItWasRead) {
  cost_of_put(65'536);
  struct Lent : TestOperation {
    Lent() : TestOperation(OperationKind::kGet, "key") {
      done = [](Operation& operation) {
        auto& self = static_cast<Lent&>(operation);
        ++self.dones;
        self.inside = operation.buffer && operation.value.data() >= operation.buffer.data() &&
                      operation.value.data() + operation.value.size() <=
                          operation.buffer.data() + operation.buffer.capacity();
      };
    }
    bool inside = false;
  } get;
  cost_of(get);
  EXPECT_EQ(get.path, ReadPath::kCached);
  EXPECT_TRUE(get.inside) << "the value was copied";
}

}  // namespace
}  // namespace rdmakv
