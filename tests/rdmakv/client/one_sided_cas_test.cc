// CAS without the server's CPU, against the real server, over shared memory and over verbs, and
// update() on top of it.
#include <thread>

#include "rdmakv/client/update.h"
#include "tests/rdmakv/client/client_server_fixture.h"

namespace rdmakv {
namespace {

class OneSidedCasTest : public ClientServerTest {
 protected:
  struct Swapped {
    Code code;
    uint64_t version;
    ReadPath path;
  };
  static Swapped cas(Client& client, std::string_view key, uint64_t expected,
                     std::string_view value) {
    TestOperation operation(OperationKind::kPut, key);
    operation.condition = Condition::kIfVersion;
    operation.expected_version = expected;
    operation.input = bytes_of(value);
    client.submit(operation);
    client.wait(operation);
    return {operation.code, operation.version, operation.path};
  }
  static Answer get(Client& client, std::string_view key) {
    return async_get(client, std::string(key)).wait();
  }
  // Brings the key into the cas class, and the client to grants. Returns the version then.
  static uint64_t warm_up(Client& client, std::string_view key) {
    uint64_t version = async_put(client, std::string(key), "0").wait().version;
    for (int i = 0; i < 5; ++i) version = cas(client, key, version, "0").version;
    // The grants come without anybody waiting for them.
    for (int i = 0; i < 1000 && cas(client, key, version, "0").path != ReadPath::kSwapped; ++i) {
      ++version;
    }
    return get(client, key).version;
  }
};

TEST_F(OneSidedCasTest, IsOneDoorbellWithTwoWorkRequests) {
  start(64 << 20, 1);
  const auto client = open();
  const uint64_t version = warm_up(*client, "key");
  const ClientCounters before = client->counters();
  const Swapped told = cas(*client, "key", version, "fresh");
  const ClientCounters after = client->counters();
  EXPECT_EQ(told.code, Code::kOk);
  EXPECT_EQ(told.version, version + 1);
  ASSERT_EQ(told.path, ReadPath::kSwapped);
  EXPECT_EQ(after.verbs.writes - before.verbs.writes, 1u);
  EXPECT_EQ(after.verbs.atomics - before.verbs.atomics, 1u);
  EXPECT_EQ(after.verbs.doorbells - before.verbs.doorbells, 1u);
  EXPECT_EQ(after.verbs.completions - before.verbs.completions, 1u);
  EXPECT_EQ(after.verbs.sends - before.verbs.sends, 0u);
  EXPECT_EQ(get(*client, "key").value, "fresh");
}

TEST_F(OneSidedCasTest, OthersSeeItAtOnceByEveryPath) {
  start(64 << 20, 1);
  const auto writer = open();
  ClientOptions by_request;
  by_request.get_path = GetPath::kRequest;
  const auto asker = open(by_request);
  const auto reader = open();
  uint64_t version = warm_up(*writer, "key");
  for (int i = 0; i < times(500); ++i) {
    const std::string value = "v" + std::to_string(i);
    const Swapped told = cas(*writer, "key", version, value);
    ASSERT_EQ(told.code, Code::kOk) << i;
    version = told.version;
    const Answer seen = get(*reader, "key");
    ASSERT_EQ(seen.value, value);
    ASSERT_EQ(seen.version, version);
    if (i % 3 == 0) {
      ASSERT_EQ(get(*asker, "key").value, value);
    }
  }
  EXPECT_GT(writer->counters().cas.swaps_won, static_cast<uint64_t>(times(500)) / 2);
}

TEST_F(OneSidedCasTest, AWrongVersionTellsTheCurrentOne) {
  start(64 << 20, 1);
  const auto client = open();
  const uint64_t version = warm_up(*client, "key");
  const Swapped told = cas(*client, "key", version - 1, "x");
  EXPECT_EQ(told.code, Code::kVersionMismatch);
  EXPECT_EQ(told.version, version);
}

// The other writer is faster; the loser's ATOMIC fails, and the server says what is there.
TEST_F(OneSidedCasTest, TheLoserLearnsTheCurrentVersion) {
  start(64 << 20, 1);
  const auto one = open();
  const auto other = open();
  uint64_t version = warm_up(*one, "key");
  version = get(*one, "key").version;
  const Answer known = get(*other, "key");
  ASSERT_EQ(known.version, version);
  ASSERT_EQ(cas(*one, "key", version, "one").code, Code::kOk);
  const Swapped told = cas(*other, "key", version, "other");
  EXPECT_EQ(told.code, Code::kVersionMismatch);
  EXPECT_EQ(told.version, version + 1);
  EXPECT_EQ(get(*other, "key").value, "one");
}

TEST_F(OneSidedCasTest, MixedWithPutsAndDeletes) {
  start(64 << 20, 1);
  const auto one = open();
  const auto other = open();
  uint64_t version = warm_up(*one, "key");
  for (int i = 0; i < times(300); ++i) {
    const Answer put = async_put(*other, "key", "put" + std::to_string(i)).wait();
    ASSERT_EQ(put.code, Code::kOk);
    ASSERT_GT(put.version, version);
    ASSERT_EQ(cas(*one, "key", version, "late").code, Code::kVersionMismatch);
    ASSERT_EQ(get(*one, "key").value, "put" + std::to_string(i));
    const Swapped told = cas(*one, "key", put.version, "cas" + std::to_string(i));
    ASSERT_EQ(told.code, Code::kOk);
    ASSERT_EQ(told.version, put.version + 1);
    ASSERT_EQ(get(*other, "key").value, "cas" + std::to_string(i));
    version = told.version;
    if (i % 10 == 9) {
      ASSERT_EQ(async_delete(*other, "key").wait().code, Code::kOk);
      ASSERT_EQ(cas(*one, "key", version, "dead").code, Code::kVersionMismatch);
      ASSERT_EQ(get(*one, "key").code, Code::kNotFound);
      version = async_put(*other, "key", "born").wait().version;
      ASSERT_GT(version, told.version);
    }
  }
}

// Every extent that was granted is either linked or given back, however often clients come and go.
TEST_F(OneSidedCasTest, NothingIsLostWhenClientsGo) {
  start(64 << 20, 1);
  for (int round = 0; round < times(50); ++round) {
    const auto client = open();
    const uint64_t version = warm_up(*client, "key" + std::to_string(round % 7));
    EXPECT_EQ(cas(*client, "key" + std::to_string(round % 7), version, "last").code, Code::kOk);
  }
  const auto client = open();
  for (int i = 0; i < 7; ++i) EXPECT_EQ(get(*client, "key" + std::to_string(i)).value, "last");
}

TEST_F(OneSidedCasTest, UpdateCountsExactly) {
  start(64 << 20, 1);
  constexpr int kThreads = 3;
  const int kTimes = times(3000);
  std::vector<std::thread> threads;
  std::atomic<uint64_t> swaps{0};
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      const auto fabric_of_mine = open_fabric();
      const auto client = open(*fabric_of_mine);
      for (int n = 0; n < kTimes; ++n) {
        UpdateOptions options;
        options.attempts = 1'000'000;
        const Updated told = update(
            *client, "counter",
            [](const OldValue& old, std::string& fresh) {
              fresh = std::to_string(old ? std::stoull(std::string(*old)) + 1 : 1);
              return true;
            },
            options);
        ASSERT_EQ(told.code, Code::kOk);
      }
      swaps += client->counters().cas.swaps_won;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(get(*open(), "counter").value, std::to_string(kThreads * kTimes));
  EXPECT_GT(swaps.load(), 0u);
}

TEST_F(OneSidedCasTest, UpdateMayDecline) {
  start(64 << 20, 1);
  const auto client = open();
  const Updated told = update(*client, "key", [](const OldValue& old, std::string&) {
    EXPECT_FALSE(old);
    return false;
  });
  EXPECT_EQ(told.code, Code::kCancelled);
  EXPECT_EQ(told.version, 0u);
  EXPECT_EQ(get(*client, "key").code, Code::kNotFound);
}

}  // namespace
}  // namespace rdmakv
