// GET without the server's CPU, against the real server, over shared memory and over verbs: what it
// costs, that it says what is true, and that it keeps its place among the other operations on its
// key.
#include <thread>

#include "tests/rdmakv/client/client_server_fixture.h"

namespace rdmakv {
namespace {

class OneSidedGetTest : public ClientServerTest {
 protected:
  OneSidedGetTest() { looking_up.get_path = GetPath::kOneSided; }

  // A GET that is waited for.
  struct Got {
    Code code;
    std::string value;
    uint64_t version;
    ReadPath path;
  };
  static Got get(Client& client, std::string_view key) {
    TestOperation operation(OperationKind::kGet, key);
    client.submit(operation);
    client.wait(operation);
    return {operation.code, operation.lent, operation.version, operation.path};
  }
  static void put(Client& client, std::string_view key, std::string_view value) {
    ASSERT_EQ(async_put(client, std::string(key), std::string(value)).wait().code, Code::kOk);
  }

  ClientOptions looking_up;
};

TEST_F(OneSidedGetTest, ACachedGetIsOneReadAndNothingElse) {
  start(64 << 20, 1);
  const auto client = open();
  put(*client, "key", "value");
  const ClientCounters before = client->counters();
  const Got got = get(*client, "key");
  const ClientCounters after = client->counters();
  EXPECT_EQ(got.value, "value");
  EXPECT_EQ(got.version, 1u);
  EXPECT_EQ(got.path, ReadPath::kCached);
  EXPECT_EQ(after.verbs.reads - before.verbs.reads, 1u);
  EXPECT_EQ(after.verbs.sends - before.verbs.sends, 0u);
  EXPECT_EQ(after.verbs.doorbells - before.verbs.doorbells, 1u);
  EXPECT_EQ(after.verbs.completions - before.verbs.completions, 1u);
  EXPECT_EQ(after.verbs.messages - before.verbs.messages, 0u);
}

TEST_F(OneSidedGetTest, SixteenCachedGetsAreOneDoorbellAndOneCompletion) {
  start(64 << 20, 1);
  const auto client = open(looking_up);
  std::vector<std::string> keys;
  for (int i = 0; i < 16; ++i) {
    keys.push_back("key" + std::to_string(i));
    put(*client, keys.back(), std::to_string(i));
  }
  const ClientCounters before = client->counters();
  std::vector<TestOperation> gets(16);
  for (int i = 0; i < 16; ++i) {
    gets[i].key = keys[i];
    client->submit(gets[i]);
  }
  for (TestOperation& operation : gets) client->wait(operation);
  const ClientCounters after = client->counters();
  for (int i = 0; i < 16; ++i) EXPECT_EQ(gets[i].lent, std::to_string(i));
  EXPECT_EQ(after.verbs.reads - before.verbs.reads, 16u);
  EXPECT_EQ(after.verbs.doorbells - before.verbs.doorbells, 1u);
  EXPECT_EQ(after.verbs.completions - before.verbs.completions, 1u);
  EXPECT_EQ(after.verbs.sends - before.verbs.sends, 0u);
}

// By request, they share a request; where a device is emulated, `auto` has that too.
TEST_F(OneSidedGetTest, SixteenGetsByRequestAreOneMessage) {
  start(64 << 20, 1);
  const auto writer = open();
  std::vector<std::string> keys;
  std::vector<std::string> values;
  for (int i = 0; i < 16; ++i) {
    keys.push_back("key" + std::to_string(i));
    values.push_back(pattern(static_cast<size_t>(i) * 10, 5));
    put(*writer, keys.back(), values.back());
  }
  for (const GetPath path : {GetPath::kRequest, GetPath::kAuto}) {
    ClientOptions options;
    options.get_path = path;
    const bool shares = path == GetPath::kRequest || fabric->limits().emulated;
    const auto client = open(options);
    ASSERT_TRUE(client->connect_and_wait());
    for (int round = 0; round < 2; ++round) {
      const ClientCounters before = client->counters();
      std::vector<TestOperation> gets(16);
      for (int i = 0; i < 16; ++i) {
        gets[i].key = keys[i];
        client->submit(gets[i]);
      }
      for (TestOperation& operation : gets) client->wait(operation);
      const ClientCounters after = client->counters();
      for (int i = 0; i < 16; ++i) {
        EXPECT_EQ(gets[i].code, Code::kOk);
        EXPECT_EQ(gets[i].lent, values[i]);
        EXPECT_EQ(gets[i].version, 1u);
      }
      if (!shares) continue;
      EXPECT_EQ(after.requests - before.requests, 1u);
      EXPECT_EQ(after.verbs.sends - before.verbs.sends, 1u);
      EXPECT_EQ(after.verbs.messages - before.verbs.messages, 1u);
      EXPECT_EQ(after.verbs.reads - before.verbs.reads, 0u);
    }
  }
}

TEST_F(OneSidedGetTest, AnUnknownKeyIsLookedUpByRead) {
  start(64 << 20, 1);
  put(*open(), "key", "value");
  const auto client = open(looking_up);
  ASSERT_TRUE(client->connect_and_wait());
  const ClientCounters before = client->counters();
  const Got got = get(*client, "key");
  const ClientCounters after = client->counters();
  EXPECT_EQ(got.value, "value");
  EXPECT_EQ(after.verbs.sends - before.verbs.sends, after.direct.detours[size_t(Detour::kLate)]);
  if (got.path == ReadPath::kIndexed) {
    EXPECT_EQ(after.verbs.reads - before.verbs.reads, 3u);
    EXPECT_EQ(after.verbs.doorbells - before.verbs.doorbells, 2u);
  }
  EXPECT_EQ(get(*client, "key").path, ReadPath::kCached);
}

TEST_F(OneSidedGetTest, AKeyThatIsNotThereIsNotAskedFor) {
  start(64 << 20, 1);
  const auto client = open(looking_up);
  ASSERT_TRUE(client->connect_and_wait());
  const ClientCounters before = client->counters();
  EXPECT_EQ(get(*client, "nothing").code, Code::kNotFound);
  const ClientCounters after = client->counters();
  EXPECT_EQ(after.verbs.sends - before.verbs.sends, 0u);
  EXPECT_EQ(after.direct.not_found, 1u);
}

TEST_F(OneSidedGetTest, ByRequestMeansByRequest) {
  start(64 << 20, 1);
  ClientOptions by_request;
  by_request.get_path = GetPath::kRequest;
  const auto client = open(by_request);
  put(*client, "key", "value");
  EXPECT_EQ(get(*client, "key").path, ReadPath::kRequest);
  EXPECT_EQ(client->counters().verbs.reads, 0u);
}

TEST_F(OneSidedGetTest, ASupersededEntryLeadsToTheNewOne) {
  start(64 << 20, 1);
  const auto reader = open();
  const auto writer = open();
  put(*writer, "key", "old");
  EXPECT_EQ(get(*reader, "key").value, "old");
  put(*writer, "key", "new");
  const uint64_t sends = reader->counters().verbs.sends;
  const Got got = get(*reader, "key");
  EXPECT_EQ(got.value, "new");
  EXPECT_EQ(got.path, ReadPath::kForwarded);
  EXPECT_EQ(reader->counters().verbs.sends, sends);
  EXPECT_EQ(get(*reader, "key").path, ReadPath::kCached);
}

// Far away, nearer, never: each is another version, which nobody overlooks who knows the one
// before.
TEST_F(OneSidedGetTest, AnExpireIsSeenByWhoeverKnewTheEntry) {
  start(64 << 20, 1);
  const auto reader = open();
  const auto writer = open();
  put(*writer, "key", "value");
  EXPECT_EQ(get(*reader, "key").version, 1u);
  uint64_t version = 1;
  for (const int64_t ahead_ms : {int64_t{7'200'000}, int64_t{3'600'000}, int64_t{0}}) {
    TestOperation expire(OperationKind::kExpire, "key");
    if (ahead_ms != 0) expire.expiry_ms = writer->server_clock_ms("key") + ahead_ms;
    writer->submit(expire);
    writer->wait(expire);
    ASSERT_EQ(expire.code, Code::kOk);
    const uint64_t sends = reader->counters().verbs.sends;
    TestOperation seen(OperationKind::kGet, "key");
    reader->submit(seen);
    reader->wait(seen);
    EXPECT_EQ(seen.version, ++version);
    EXPECT_EQ(seen.expiry, expire.expiry_ms);
    EXPECT_EQ(seen.lent, "value");
    EXPECT_EQ(seen.path, ReadPath::kForwarded);
    EXPECT_EQ(reader->counters().verbs.sends, sends);
  }
}

TEST_F(OneSidedGetTest, SuccessorsOfEverySize) {
  start(64 << 20, 1);
  const auto reader = open();
  const auto writer = open();
  uint64_t seed = 0;
  for (const size_t size : {5u, 500u, 3u, 4095u, 4096u, 70'000u, 0u, 300'000u, 900'000u, 64u}) {
    const std::string value = pattern(size, ++seed);
    put(*writer, "key", value);
    const Got got = get(*reader, "key");
    ASSERT_EQ(got.code, Code::kOk) << size;
    ASSERT_TRUE(got.value == value) << size;
  }
}

TEST_F(OneSidedGetTest, LargeValuesAreReadInPieces) {
  start(128 << 20, 1);
  const auto client = open();
  const std::string value = pattern(5'000'001, 3);
  put(*client, "key", value);
  std::string back(value.size(), '\0');
  TestOperation first(OperationKind::kGet, "key");
  first.destination = std::as_writable_bytes(std::span<char>(back));
  client->submit(first);
  client->wait(first);
  ASSERT_EQ(first.code, Code::kOk);
  back.assign(value.size(), '\0');
  TestOperation second(OperationKind::kGet, "key");
  second.destination = std::as_writable_bytes(std::span<char>(back));
  client->submit(second);
  client->wait(second);
  ASSERT_EQ(second.code, Code::kOk);
  EXPECT_EQ(second.path, ReadPath::kCached);
  EXPECT_EQ(second.value_length, value.size());
  EXPECT_TRUE(back == value);
}

TEST_F(OneSidedGetTest, AValueThatIsNotToBeLentStaysAtTheServer) {
  start(128 << 20, 1);
  const auto client = open();
  const std::string value = pattern(20'000, 3);
  put(*client, "key", value);
  put(*client, "small", "value");
  for (const GetPath path : {GetPath::kRequest, GetPath::kAuto, GetPath::kOneSided}) {
    looking_up.get_path = path;
    const auto other = open(looking_up);
    for (const uint32_t most : {0u, 9'000u, 20'000u, ~0u}) {
      TestOperation large(OperationKind::kGet, "key");
      large.lend_most = most;
      other->submit(large);
      other->wait(large);
      ASSERT_EQ(large.code, Code::kOk);
      EXPECT_EQ(large.value_length, value.size());
      EXPECT_EQ(static_cast<bool>(large.ticket), most < value.size()) << most;
      EXPECT_EQ(large.lent, most < value.size() ? std::string() : value) << most;
      TestOperation small(OperationKind::kGet, "small");
      small.lend_most = most;
      other->submit(small);
      other->wait(small);
      EXPECT_EQ(small.lent, "value");
    }
  }
}

TEST_F(OneSidedGetTest, ADestinationThatIsTooSmall) {
  start(64 << 20, 1);
  const auto client = open();
  put(*client, "key", std::string(100, 'v'));
  char back[99];
  TestOperation operation(OperationKind::kGet, "key");
  operation.destination = std::as_writable_bytes(std::span<char>(back));
  client->submit(operation);
  client->wait(operation);
  EXPECT_EQ(operation.code, Code::kTooLarge);
  EXPECT_EQ(operation.value_length, 100u);
}

TEST_F(OneSidedGetTest, ADeletedKeyIsGone) {
  start(64 << 20, 1);
  const auto reader = open();
  const auto writer = open();
  put(*writer, "key", "value");
  EXPECT_EQ(get(*reader, "key").value, "value");
  EXPECT_EQ(async_delete(*writer, "key").wait().code, Code::kOk);
  EXPECT_EQ(get(*reader, "key").code, Code::kNotFound);
  put(*writer, "key", "again");
  EXPECT_EQ(get(*reader, "key").value, "again");
  EXPECT_GT(get(*reader, "key").version, 1u);
}

TEST_F(OneSidedGetTest, AnExpiredKeyIsGone) {
  start(64 << 20, 1);
  const auto client = open();
  TestOperation operation(OperationKind::kPut, "key");
  operation.input = bytes_of("value");
  operation.expiry_ms = client->server_clock_ms("key") + 300;
  client->submit(operation);
  client->wait(operation);
  const int64_t expiry = operation.expiry_ms;
  for (;;) {
    const Got got = get(*client, "key");
    if (got.code == Code::kNotFound) break;
    ASSERT_EQ(got.value, "value");
  }
  // Nobody may say "gone" before it is.
  EXPECT_GE(server::Clock::system().wall_ms(), expiry);
}

// Whatever goes by READ and whatever by request: the order on one key is that of submit().
TEST_F(OneSidedGetTest, AGetBehindAPutSeesIt) {
  start(64 << 20, 1);
  const auto client = open();
  for (int round = 0; round < times(2000); ++round) {
    const std::string value = std::to_string(round);
    TestOperation before(OperationKind::kGet, "key");
    TestOperation write(OperationKind::kPut, "key");
    TestOperation after(OperationKind::kGet, "key");
    write.input = bytes_of(value);
    for (TestOperation* operation : {&before, &write, &after}) client->submit(*operation);
    client->wait(after);
    client->wait(before);
    client->wait(write);
    ASSERT_EQ(after.lent, value);
    ASSERT_EQ(before.lent, round == 0 ? "" : std::to_string(round - 1));
  }
  EXPECT_GT(client->counters().direct.cached, static_cast<uint64_t>(times(2000)) / 2);
}

TEST_F(OneSidedGetTest, NoGetAfterAClearFindsAKey) {
  start(64 << 20, 2);
  const auto client = open();
  for (int round = 0; round < times(200); ++round) {
    put(*client, "key", "value");
    TestOperation clear(OperationKind::kClear, "");
    TestOperation after(OperationKind::kGet, "key");
    client->submit(clear);
    client->submit(after);
    client->wait(after);
    client->wait(clear);
    ASSERT_EQ(after.code, Code::kNotFound);
  }
}

// Rule 7.
TEST_F(OneSidedGetTest, NothingFromBeforeARestart) {
  start(64 << 20, 1);
  const auto client = open();
  put(*client, "key", "old");
  EXPECT_EQ(get(*client, "key").value, "old");
  running.reset();
  start(64 << 20, 1);
  EXPECT_EQ(get(*client, "key").code, Code::kNotFound);
}

// Neither is an old location tried.
TEST_F(OneSidedGetTest, ARestartEmptiesTheLocationCache) {
  start(64 << 20, 1);
  const auto client = open();
  put(*client, "key", "old");
  running.reset();
  start(64 << 20, 1);
  // Connects again; the first may be sent to the old server.
  while (async_put(*client, "other", "x").wait().code != Code::kOk) {
  }
  EXPECT_EQ(get(*client, "key").code, Code::kNotFound);
  const ClientCounters counters = client->counters();
  for (size_t i = 0; i < kDetours; ++i) EXPECT_EQ(counters.direct.detours[i], 0u) << i;
}

// One writer counts up, readers must never see it go back.
TEST_F(OneSidedGetTest, ValuesNeverGoBackwards) {
  start(64 << 20, 1);
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> acknowledged{0};
  put(*open(), "key", std::string(8, '\0'));
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      const auto fabric_of_mine = open_fabric();
      const auto client = open(*fabric_of_mine);
      uint64_t last = 0;
      while (!stop.load()) {
        const uint64_t at_least = acknowledged.load();
        const Got got = get(*client, "key");
        ASSERT_EQ(got.code, Code::kOk);
        uint64_t seen = 0;
        std::memcpy(&seen, got.value.data(), sizeof(seen));
        ASSERT_EQ(std::string_view(got.value).substr(8), std::string(got.value.size() - 8, 'x'));
        ASSERT_GE(seen, at_least);
        ASSERT_GE(seen, last);
        last = seen;
      }
    });
  }
  const auto writer = open();
  for (uint64_t number = 1; number <= static_cast<uint64_t>(times(20'000)); ++number) {
    std::string value(8 + number % 300, 'x');
    std::memcpy(value.data(), &number, sizeof(number));
    put(*writer, "key", value);
    acknowledged.store(number);
  }
  stop.store(true);
  for (std::thread& reader : readers) reader.join();
}

}  // namespace
}  // namespace rdmakv
