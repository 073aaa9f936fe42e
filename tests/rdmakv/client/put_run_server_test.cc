// Runs of puts against the real server, over whatever way the test program joins them.
#include "tests/rdmakv/client/client_server_fixture.h"
#include "tests/rdmakv/client/test_run.h"

namespace rdmakv {
namespace {

class PutRunServerTest : public ClientServerTest {
 protected:
  struct Put {
    std::string key, value;
    int64_t expiry_ms = 0;
  };
  // In runs, as far as they are taken, else as Operations.
  static size_t put_all(Client& client, const std::vector<Put>& puts) {
    std::vector<wire::PutView> views;
    for (const Put& put : puts) {
      views.push_back({put.key, std::as_bytes(std::span(put.value)), put.expiry_ms});
    }
    size_t in_runs = 0;
    std::span<const wire::PutView> rest(views);
    while (!rest.empty()) {
      TestRun run;
      size_t taken = put_runner(client)->put_run(rest, run);
      in_runs += taken;
      if (taken > 0) {
        client.flush();
        while (run.dones == 0) client.poll();
        EXPECT_EQ(run.failed, 0u);
      } else {
        const Put& put = puts[puts.size() - rest.size()];
        EXPECT_EQ(async_put(client, put.key, put.value).wait().code, Code::kOk);
        taken = 1;
      }
      rest = rest.subspan(taken);
    }
    return in_runs;
  }
  static std::string get(Client& client, std::string key) {
    const auto got = async_get(client, std::move(key)).wait();
    return got.code == Code::kOk ? got.value : "(" + std::string(code_name(got.code)) + ")";
  }
};

TEST_F(PutRunServerTest, StoreAsPutsDo) {
  start(64 << 20, 2);
  const auto client = open();
  const auto reader = open();
  ASSERT_TRUE(client->connect_and_wait());
  std::vector<Put> puts;
  for (int i = 0; i < 500; ++i) {
    puts.push_back({"key" + std::to_string(i % 300), pattern(static_cast<size_t>(i) * 7, 3)});
  }
  EXPECT_GT(put_all(*client, puts), 450u);
  for (int i = 0; i < 300; ++i) {
    const int last = i < 200 ? i + 300 : i;
    for (Client* by : {client.get(), reader.get()}) {
      EXPECT_EQ(get(*by, "key" + std::to_string(i)), pattern(static_cast<size_t>(last) * 7, 3));
    }
  }
}

TEST_F(PutRunServerTest, ExpiriesAreKept) {
  start(64 << 20, 1);
  const auto client = open();
  ASSERT_TRUE(client->connect_and_wait());
  const int64_t now = client->server_clock_ms("a");
  EXPECT_EQ(put_all(*client, {{"a", "1", now + 3'600'000}, {"b", "2", 1}, {"c", "3"}}), 3u);
  EXPECT_EQ(get(*client, "a"), "1");
  EXPECT_EQ(get(*client, "b").substr(0, 1), "(") << "had expired when it came";
  EXPECT_EQ(get(*client, "c"), "3");
  TestOperation inspect(OperationKind::kInspect, "a");
  client->submit(inspect);
  client->wait(inspect);
  EXPECT_EQ(inspect.expiry, now + 3'600'000);
}

// What a run told of an entry's place is right: GETs that follow need no server.
TEST_F(PutRunServerTest, TellWhereEntriesLie) {
  start(64 << 20, 1);
  const auto client = open();
  ASSERT_TRUE(client->connect_and_wait());
  std::vector<Put> puts;
  for (int i = 0; i < 50; ++i) puts.push_back({"key" + std::to_string(i), pattern(100, 5)});
  ASSERT_EQ(put_all(*client, puts), 50u);
  ASSERT_EQ(put_all(*client, puts), 50u);
  const ClientCounters before = client->counters();
  for (const Put& put : puts) EXPECT_EQ(get(*client, put.key), put.value);
  const ClientCounters after = client->counters();
  EXPECT_EQ(after.direct.cached - before.direct.cached, 50u);
  EXPECT_EQ(after.requests, before.requests);
}

// Puts and CAS of one key: neither is lost on the other's account.
TEST_F(PutRunServerTest, AnEntryThatClientsSwapIsReplacedToo) {
  start(64 << 20, 1);
  const auto client = open();
  ASSERT_TRUE(client->connect_and_wait());
  const auto cas = [&](uint64_t version, std::string value) {
    return async(*client, "k", std::move(value),
                 [version](Operation& op) {
                   op.kind = OperationKind::kPut;
                   op.condition = Condition::kIfVersion;
                   op.expected_version = version;
                 })
        .wait();
  };
  EXPECT_EQ(put_all(*client, {{"k", "0"}}), 1u);
  uint64_t version = 1;
  for (int i = 0; i < 50; ++i) {
    auto won = cas(version, "cas" + std::to_string(i));
    if (won.code == Code::kVersionMismatch) won = cas(version = won.version, "cas");
    ASSERT_EQ(won.code, Code::kOk);
    version = won.version;
    ASSERT_EQ(cas(version, "again").code, Code::kOk);
    EXPECT_EQ(put_all(*client, {{"k", "put" + std::to_string(i)}}), 1u);
    version += 2;
    EXPECT_EQ(get(*client, "k"), "put" + std::to_string(i));
    EXPECT_EQ(cas(version - 1, "stale").code, Code::kVersionMismatch);
  }
}

TEST_F(PutRunServerTest, AFullPoolIsTold) {
  start(16 << 20, 1);
  const auto client = open();
  ASSERT_TRUE(client->connect_and_wait());
  const std::string value(3000, 'v');
  TestRun run;
  for (int i = 0; run.failed == 0; ++i) {
    ASSERT_LT(i, 10'000);
    run.dones = 0;
    std::string keys[20];
    wire::PutView puts[20];
    for (int k = 0; k < 20; ++k) {
      keys[k] = "key" + std::to_string(20 * i + k);
      puts[k] = {keys[k], std::as_bytes(std::span(value)), 0};
    }
    ASSERT_EQ(put_runner(*client)->put_run(puts, run), 20u);
    client->flush();
    while (run.dones == 0) client->poll();
  }
  EXPECT_EQ(run.codes[19], Code::kNoSpace);
  EXPECT_EQ(get(*client, "key0"), value) << "what is stored stays";
}

}  // namespace
}  // namespace rdmakv
