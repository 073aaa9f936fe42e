// The client against the real server, over shared memory, in one process.
#include <atomic>
#include <cstring>
#include <random>
#include <thread>

#include "tests/rdmakv/client/client_server_fixture.h"

namespace rdmakv {
namespace {

TEST_F(ClientServerTest, ConnectsAndKnowsTheWorkers) {
  start(64 << 20, 2);
  const std::unique_ptr<Client> client = open();
  ASSERT_TRUE(client->connect_and_wait());
  EXPECT_EQ(client->servers()[0].workers, 2u);
  EXPECT_EQ(client->servers()[0].epoch, running->epoch());
}

TEST_F(ClientServerTest, ValuesOfEverySizeComeBackAsTheyWere) {
  start(512 << 20, 1);
  const std::unique_ptr<Client> client = open();
  uint64_t seed = 1;
  for (const size_t size :
       {size_t{0}, size_t{1}, size_t{100}, size_t{4095}, size_t{4096}, size_t{4097}, size_t{65'000},
        size_t{65'536}, size_t{262'143}, size_t{262'144}, size_t{262'145}, size_t{1'048'576},
        size_t{5'000'001}, size_t{64} << 20}) {
    const std::string value = pattern(size, ++seed);
    const std::string key = "key" + std::to_string(size);
    ASSERT_EQ(async_put(*client, key, value).wait().code, Code::kOk) << size;
    const Answer answer = async_get(*client, key).wait();
    ASSERT_EQ(answer.code, Code::kOk) << size;
    ASSERT_TRUE(answer.value == value) << size << " bytes differ";
    ASSERT_EQ(answer.version, 1u);
  }
}

TEST_F(ClientServerTest, TheLargestValue) {
  start(uint64_t{700} << 20, 1);
  const std::unique_ptr<Client> client = open();
  std::string value = pattern(wire::kMaxValueBytes, 3);
  TestOperation put(OperationKind::kPut, "largest");
  put.input = bytes_of(value);
  client->submit(put);
  client->wait(put);
  ASSERT_EQ(put.code, Code::kOk);
  std::string back(wire::kMaxValueBytes, '\0');
  TestOperation get(OperationKind::kGet, "largest");
  get.done = nullptr;
  get.destination = std::as_writable_bytes(std::span<char>(back));
  client->submit(get);
  client->wait(get);
  ASSERT_EQ(get.code, Code::kOk);
  EXPECT_TRUE(back == value);
}

TEST_F(ClientServerTest, CasAndDelete) {
  start(64 << 20);
  const std::unique_ptr<Client> client = open();
  EXPECT_EQ(async_cas(*client, "k", 1, "x").wait().code, Code::kVersionMismatch);
  EXPECT_EQ(async_cas(*client, "k", 0, "x").wait().version, 1u);
  const Answer lost = async_cas(*client, "k", 7, "y").wait();
  EXPECT_EQ(lost.code, Code::kVersionMismatch);
  EXPECT_EQ(lost.version, 1u);
  EXPECT_EQ(async_cas(*client, "k", 1, pattern(300'000, 1)).wait().version, 2u);
  EXPECT_EQ(async_delete(*client, "k").wait().code, Code::kOk);
  EXPECT_EQ(async_delete(*client, "k").wait().code, Code::kNotFound);
  EXPECT_EQ(async_get(*client, "k").wait().code, Code::kNotFound);
}

TEST_F(ClientServerTest, LongKeys) {
  start(64 << 20);
  const std::unique_ptr<Client> client = open();
  for (const size_t size : {size_t{1}, size_t{4500}, size_t{65'536}}) {
    const std::string key = pattern(size, 9);
    ASSERT_EQ(async_put(*client, key, "v").wait().code, Code::kOk) << size;
    ASSERT_EQ(async_put(*client, key, pattern(400'000, 2)).wait().code, Code::kOk) << size;
    ASSERT_TRUE(async_get(*client, key).wait().value == pattern(400'000, 2)) << size;
    ASSERT_EQ(async_delete(*client, key).wait().code, Code::kOk) << size;
  }
}

TEST_F(ClientServerTest, AFullPoolIsAnErrorAndNothingIsLost) {
  start(16 << 20, 1);
  const std::unique_ptr<Client> client = open();
  ASSERT_EQ(async_put(*client, "kept", "value").wait().code, Code::kOk);
  const std::string value = pattern(1'000'000, 1);
  Code code = Code::kOk;
  for (int i = 0; i < 100 && code == Code::kOk; ++i) {
    code = async_put(*client, "filler" + std::to_string(i), value).wait().code;
  }
  EXPECT_EQ(code, Code::kNoSpace);
  EXPECT_EQ(async_get(*client, "kept").wait().value, "value");
  const Code beyond = async_put(*client, "beyond", pattern(40 << 20, 1)).wait().code;
  EXPECT_TRUE(beyond == Code::kTooLarge || beyond == Code::kNoSpace);
}

TEST_F(ClientServerTest, CountAndClear) {
  start(64 << 20, 4);
  const std::unique_ptr<Client> client = open();
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(async_put(*client, "key" + std::to_string(i), "v").wait().code, Code::kOk);
  }
  const auto ask = [&](OperationKind kind) {
    return async(*client, {}, {}, [kind](Operation& op) { op.kind = kind; }).wait();
  };
  EXPECT_EQ(ask(OperationKind::kCount).number, 100u);
  EXPECT_EQ(ask(OperationKind::kClear).number, 100u);
  EXPECT_EQ(ask(OperationKind::kCount).number, 0u);
}

TEST_F(ClientServerTest, ClearPieceByPiece) {
  start(64 << 20, 2);
  const std::unique_ptr<Client> client = open();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(async_put(*client, "key" + std::to_string(i), "v").wait().code, Code::kOk);
  }
  const uint64_t requests = client->counters().requests;
  const Answer cleared = async(*client, {}, {}, [](Operation& op) {
                           op.kind = OperationKind::kClear;
                           op.length = 100;
                         }).wait();
  EXPECT_EQ(cleared.code, Code::kOk);
  EXPECT_EQ(cleared.number, 1000u);
  EXPECT_GE(client->counters().requests - requests, 8u);
  const auto count = [](Operation& op) { op.kind = OperationKind::kCount; };
  EXPECT_EQ(async(*client, {}, {}, count).wait().number, 0u);
}

TEST_F(ClientServerTest, StatsAreText) {
  start(64 << 20);
  const std::unique_ptr<Client> client = open();
  const Answer answer =
      async(*client, {}, {}, [](Operation& op) { op.kind = OperationKind::kStats; }).wait();
  EXPECT_EQ(answer.code, Code::kOk);
  EXPECT_NE(answer.value.find('\n'), std::string::npos);
}

TEST_F(ClientServerTest, APreviousValueComesWithTheReply) {
  start(64 << 20);
  const std::unique_ptr<Client> client = open();
  for (const size_t size : {size_t{3}, size_t{20'000}}) {
    const std::string before = pattern(size, 5);
    ASSERT_EQ(async_put(*client, "k", before).wait().code, Code::kOk);
    TestOperation put(OperationKind::kPut, "k");
    put.want_previous = true;
    put.input = bytes_of("new");
    client->submit(put);
    client->wait(put);
    EXPECT_EQ(put.code, Code::kOk);
    EXPECT_TRUE(put.has_previous);
    EXPECT_TRUE(put.lent == before) << size;
    put.buffer.reset();
  }
}

TEST_F(ClientServerTest, AWrongSecretIsRefused) {
  start(64 << 20);
  ClientOptions options;
  options.servers = {address()};
  options.arena_bytes = 1 << 20;
  options.connect_timeout_ns = 60'000'000'000;
  const std::unique_ptr<Client> none = std::move(*Client::create(*fabric, options));
  EXPECT_EQ(none->connect_and_wait().message(), "the server wants a secret");
  options.secret = "another";
  const std::unique_ptr<Client> wrong = std::move(*Client::create(*fabric, options));
  EXPECT_EQ(wrong->connect_and_wait().message(), "the server's secret differs");
}

TEST_F(ClientServerTest, ItFollowsARestartedServer) {
  start(64 << 20, 2);
  const std::unique_ptr<Client> client = open();
  ASSERT_EQ(async_put(*client, "k", "v").wait().code, Code::kOk);
  running.reset();
  start(64 << 20, 3);
  for (Code code = Code::kUnavailable; code != Code::kNotFound;) {
    code = async_get(*client, "k").wait().code;
    ASSERT_TRUE(code == Code::kNotFound || code == Code::kUnavailable);
  }
  // Every worker's keys are reached.
  for (int i = 0; i < 50; ++i) {
    const std::string key = "key" + std::to_string(i);
    Code code = Code::kUnavailable;
    while (code == Code::kUnavailable || code == Code::kUnknownOutcome) {
      code = async_put(*client, key, key).wait().code;
    }
    ASSERT_EQ(code, Code::kOk);
    ASSERT_EQ(async_get(*client, key).wait().value, key);
  }
  EXPECT_EQ(client->servers()[0].workers, 3u);
}

// Every CAS that won is counted, whoever made it: the counter in the value says how many there
// were.
TEST_F(ClientServerTest, ConcurrentClientsCountByCas) {
  start(64 << 20, 2);
  constexpr int kThreads = 3;
  constexpr int kRounds = 200;
  std::atomic<int> failures = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      const std::unique_ptr<Fabric> own = open_fabric();
      const std::unique_ptr<Client> client = open(*own);
      for (int won = 0; won < kRounds;) {
        const Answer now = async_get(*client, "counter").wait();
        const int count = now.code == Code::kNotFound ? 0 : std::stoi(now.value);
        const Answer cas =
            async_cas(*client, "counter", now.version, std::to_string(count + 1)).wait();
        if (cas.code == Code::kOk) {
          ++won;
        } else if (cas.code != Code::kVersionMismatch) {
          ++failures;
          return;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  const std::unique_ptr<Client> client = open();
  EXPECT_EQ(async_get(*client, "counter").wait().value, std::to_string(kThreads * kRounds));
}

TEST_F(ClientServerTest, ADeepPipelineOfMixedSizes) {
  start(256 << 20, 2);
  const std::unique_ptr<Client> client = open();
  constexpr int kCount = 600;
  std::vector<std::string> keys, values, back(kCount);
  for (int i = 0; i < kCount; ++i) {
    keys.push_back("key" + std::to_string(i % 50));
    values.push_back(pattern(static_cast<size_t>(i) * 977 % 40'000, static_cast<uint64_t>(i)));
    back[static_cast<size_t>(i)].resize(40'000);
  }
  std::vector<TestOperation> puts(kCount), gets(kCount);
  for (size_t i = 0; i < kCount; ++i) {
    puts[i].kind = OperationKind::kPut;
    puts[i].key = gets[i].key = keys[i];
    puts[i].input = bytes_of(values[i]);
    gets[i].destination = std::as_writable_bytes(std::span<char>(back[i]));
    client->submit(puts[i]);
    client->submit(gets[i]);
  }
  for (size_t i = 0; i < kCount; ++i) {
    client->wait(puts[i]);
    client->wait(gets[i]);
    ASSERT_EQ(puts[i].code, Code::kOk);
    ASSERT_EQ(gets[i].code, Code::kOk);
    ASSERT_TRUE(gets[i].lent == values[i]) << i;
  }
}

}  // namespace
}  // namespace rdmakv
