// AtOnceReader against the real server over shared memory.
#include "rdmakv/client/at_once.h"
#include "tests/rdmakv/client/client_server_fixture.h"
#include "tests/rdmakv/client/test_run.h"

namespace rdmakv {
namespace {

class AtOnceTest : public ClientServerTest {
 protected:
  struct Collected final : AtOnce {
    struct Answer {
      bool found;
      uint64_t version;
      std::string value;
    };
    std::vector<Answer> answers;
    void take(size_t index, const ValueAtOnce& answer) override {
      ASSERT_EQ(index, answers.size()) << "in order";
      answers.push_back(
          {answer.found,
           answer.version,
           {reinterpret_cast<const char*>(answer.value.data()), answer.value.size()}});
    }
  };
  static Collected get(Client& client, const std::vector<std::string_view>& keys) {
    Collected collected;
    const size_t answered = at_once_reader(client)->get_at_once(keys, collected);
    EXPECT_EQ(answered, collected.answers.size());
    return collected;
  }
  static void put(Client& client, std::string key, std::string value) {
    ASSERT_EQ(async_put(client, std::move(key), std::move(value)).wait().code, Code::kOk);
  }
  // The answer for one key: its value, "(none)", or "(not at once)".
  static std::string one(Client& client, std::string_view key) {
    const Collected collected = get(client, {key});
    if (collected.answers.empty()) return "(not at once)";
    return collected.answers[0].found ? collected.answers[0].value : "(none)";
  }
};

TEST_F(AtOnceTest, ValuesAndNothingElse) {
  start(64 << 20, 2);
  const auto client = open();
  std::vector<std::string> keys;
  for (int i = 0; i < 40; ++i) {
    keys.push_back("key" + std::to_string(i));
    put(*client, keys.back(), pattern(static_cast<size_t>(i) * 100, 7));
  }
  const ClientCounters before = client->counters();
  const Collected got = get(*client, {keys.begin(), keys.end()});
  ASSERT_EQ(got.answers.size(), AtOnceReader::kMost) << "at a time";
  for (size_t i = 0; i < got.answers.size(); ++i) {
    EXPECT_TRUE(got.answers[i].found);
    EXPECT_EQ(got.answers[i].version, 1u);
    EXPECT_EQ(got.answers[i].value, pattern(i * 100, 7));
  }
  const ClientCounters after = client->counters();
  EXPECT_EQ(after.direct.cached - before.direct.cached, AtOnceReader::kMost);
  EXPECT_EQ(after.verbs.reads, before.verbs.reads);
  EXPECT_EQ(after.operations - before.operations, AtOnceReader::kMost);
  EXPECT_EQ(after.requests, before.requests);
  EXPECT_EQ(after.verbs.doorbells, before.verbs.doorbells);
}

TEST_F(AtOnceTest, ByAnotherClientThroughTheIndex) {
  start(64 << 20, 2);
  const auto writer = open();
  const auto reader = open();
  put(*writer, "a", "1");
  put(*writer, "b", "2");
  put(*reader, "c", "3");  // connects to one worker at least
  put(*reader, "a", "1");
  put(*reader, "b", "2");
  put(*writer, "a", "one");
  put(*writer, "new", "4");
  EXPECT_EQ(one(*reader, "a"), "one") << "by the link from the entry that it knew";
  EXPECT_EQ(one(*reader, "new"), "4") << "by the index";
  EXPECT_EQ(one(*reader, "new"), "4") << "from the cache";
  EXPECT_EQ(one(*reader, "nothing"), "(none)");
  const DirectCounters direct = reader->counters().direct;
  EXPECT_EQ(direct.forwarded, 1u);
  EXPECT_EQ(direct.indexed, 1u);
  EXPECT_EQ(direct.cached, 1u);
  EXPECT_EQ(direct.not_found, 1u);
}

TEST_F(AtOnceTest, ADeletedKeyIsNotFound) {
  start(64 << 20, 1);
  const auto client = open();
  put(*client, "a", "1");
  EXPECT_EQ(one(*client, "a"), "1");
  EXPECT_EQ(async_delete(*client, "a").wait().code, Code::kOk);
  EXPECT_EQ(one(*client, "a"), "(none)");
}

TEST_F(AtOnceTest, LargeValuesWantRoom) {
  start(64 << 20, 1);
  const auto client = open();
  put(*client, "small", std::string(wire::kLargeValue - 1, 's'));
  put(*client, "large", std::string(wire::kLargeValue, 'l'));
  EXPECT_EQ(one(*client, "small").size(), wire::kLargeValue - 1);
  EXPECT_EQ(one(*client, "large"), "(not at once)");
  EXPECT_EQ(get(*client, {"small", "large", "small"}).answers.size(), 1u);
}

TEST_F(AtOnceTest, LargeValuesLieInTheRoomThatWasGiven) {
  struct WithRoom final : AtOnce {
    std::vector<std::byte> bytes;
    std::vector<std::string> values;
    void take(size_t, const ValueAtOnce& answer) override {
      if (answer.value.size() >= wire::kLargeValue) {
        EXPECT_EQ(answer.value.data() + answer.value.size(), bytes.data() + bytes.size());
      }
      values.emplace_back(reinterpret_cast<const char*>(answer.value.data()), answer.value.size());
    }
    std::byte* room(uint64_t wanted) override {
      bytes.assign(wanted, std::byte{0});
      return bytes.data();
    }
  };
  start(64 << 20, 1);
  const auto client = open();
  const std::vector<size_t> sizes = {4095, 4096, 16384, 65535, 65536, 65537};
  std::vector<std::string> keys;
  for (const size_t size : sizes) {
    keys.push_back(std::to_string(size));
    put(*client, keys.back(), pattern(size, 3));
  }
  const auto other = open();
  put(*other, "connected", "1");
  for (Client* reader : {client.get(), other.get(), other.get()}) {  // cached, indexed, cached
    WithRoom taken;
    const std::vector<std::string_view> views(keys.begin(), keys.end());
    // What a slot names has to be copied within half the quarantine, which a slow machine may not
    // manage for all of them at once. What it has managed is cached from then on.
    for (int attempt = 0; attempt < 100 && taken.values.size() < 5; ++attempt) {
      taken.values.clear();
      at_once_reader(*reader)->get_at_once(views, taken);
    }
    EXPECT_EQ(taken.values.size(), 5u) << "the last is too large";
    for (size_t i = 0; i < taken.values.size(); ++i)
      EXPECT_EQ(taken.values[i], pattern(sizes[i], 3));
  }
}

TEST_F(AtOnceTest, ExpiredIsForTheServerToSay) {
  start(64 << 20, 1);
  const auto client = open();
  const auto put_until = [&](std::string key, int64_t expiry_ms) {
    return async(*client, std::move(key), "v",
                 [expiry_ms](Operation& op) {
                   op.kind = OperationKind::kPut;
                   op.expiry_ms = expiry_ms;
                 })
        .wait()
        .code;
  };
  const int64_t now = client->server_clock_ms("long");
  ASSERT_EQ(put_until("long", now + 3'600'000), Code::kOk);
  EXPECT_EQ(one(*client, "long"), "v");
  ASSERT_EQ(put_until("short", now + 50), Code::kOk);
  // Whenever it is answered at once it has not expired; in the end it is not, or the server, which
  // sweeps what has, was there first.
  std::string told;
  while ((told = one(*client, "short")) == "v") {
  }
  EXPECT_TRUE(told == "(not at once)" || told == "(none)") << told;
}

TEST_F(AtOnceTest, NotBesideAChangeOfTheKeyThatIsUnderWay) {
  start(64 << 20, 1);
  const auto client = open();
  put(*client, "a", "1");
  put(*client, "b", "2");
  TestOperation change(OperationKind::kPut, "a");
  const std::string value = "one";
  change.input = std::as_bytes(std::span(value));
  client->submit(change);
  client->flush();  // sent, and its answer not looked at
  EXPECT_EQ(one(*client, "a"), "(not at once)");
  EXPECT_EQ(one(*client, "b"), "2") << "another key (unless both share a count)";
  client->wait(change);
  EXPECT_EQ(one(*client, "a"), "one");
}

TEST_F(AtOnceTest, NotBesideAPutOfARunThatIsUnderWay) {
  start(64 << 20, 1);
  const auto client = open();
  put(*client, "a", "1");
  const std::string value = "one";
  const wire::PutView change{"a", std::as_bytes(std::span(value)), 0};
  TestRun run;
  ASSERT_EQ(put_runner(*client)->put_run({&change, 1}, run), 1u);
  EXPECT_EQ(one(*client, "a"), "(not at once)") << "not even sent";
  client->flush();
  EXPECT_EQ(one(*client, "a"), "(not at once)");
  while (run.dones == 0) client->poll();
  EXPECT_EQ(one(*client, "a"), "one");
}

TEST_F(AtOnceTest, OnlyWhereGetsMayGoPastTheServer) {
  start(64 << 20, 1);
  ClientOptions options;
  options.get_path = GetPath::kRequest;
  const auto client = open(options);
  put(*client, "a", "1");
  EXPECT_EQ(one(*client, "a"), "(not at once)");
}

TEST_F(AtOnceTest, NothingFromAServerThatHasGone) {
  start(64 << 20, 1);
  const auto client = open();
  put(*client, "a", "1");
  EXPECT_EQ(one(*client, "a"), "1");
  running.reset();
  EXPECT_EQ(one(*client, "a"), "(not at once)");
  start(64 << 20, 1);
  put(*client, "b", "2");
  EXPECT_EQ(one(*client, "a"), "(none)") << "the new server's memory, not the old one's";
}

// A batch of changes rings a sleeping server once, however many messages it is.
TEST_F(AtOnceTest, OneWakeUpForABatch) {
  start(64 << 20, 1);
  const auto client = open();
  put(*client, "a", "1");
  std::vector<std::string> keys;
  for (int i = 0; i < 100; ++i) keys.push_back("key" + std::to_string(i));
  const std::string value(400, 'v');
  for (int round = 0; round < 50; ++round) {
    std::vector<TestOperation> puts;
    puts.reserve(keys.size());
    for (const std::string& key : keys) {
      puts.emplace_back(OperationKind::kPut, key).input = std::as_bytes(std::span(value));
    }
    const ClientCounters before = client->counters();
    for (TestOperation& operation : puts) client->submit(operation);
    client->flush();
    const ClientCounters after = client->counters();
    EXPECT_EQ(after.verbs.doorbells - before.verbs.doorbells, 1u);
    EXPECT_LE(after.verbs.wakeups - before.verbs.wakeups, 1u);
    EXPECT_GE(after.messages - before.messages, 2u) << "or this tests nothing";
    for (TestOperation& operation : puts) client->wait(operation);
  }
}

}  // namespace
}  // namespace rdmakv
