// Several operations in one step, of the real server over shared memory.
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "protocol/kv_hash.h"
#include "protocol/kv_transaction.h"
#include "tests/rdmakv/client/client_server_fixture.h"

namespace rdmakv {
namespace {

using wire::TransactionBuilder;

class Transaction {
 public:
  explicit Transaction(std::string key) : key_(std::move(key)) {}
  void require(std::string_view key, uint64_t version) { builder_.require(key, version); }
  void put(std::string_view key, std::string_view value) {
    wire::RequestHeader header;
    header.opcode = wire::Opcode::kPut;
    builder_.add(header, key, std::as_bytes(std::span(value.data(), value.size())));
  }
  void get(std::string_view key) { builder_.add({}, key, {}); }

  // To be submitted; refers to this.
  Operation& operation() {
    operation_.kind = OperationKind::kTransaction;
    operation_.key = key_;
    operation_.input = builder_.finish();
    return operation_;
  }
  Code run(Client& client) {
    client.submit(operation());
    client.wait(operation_);
    return operation_.code;
  }
  // A pinned reply, piece by piece.
  std::string read_pinned(Client& client) {
    std::string whole;
    while (whole.size() < operation_.value_length) {
      Operation read;
      read.kind = OperationKind::kReadPinned;
      read.ticket = operation_.ticket;
      read.offset = whole.size();
      read.length = static_cast<uint32_t>(
          std::min<uint64_t>(operation_.value_length - whole.size(), 256 * 1024));
      read.buffer = client.allocate(read.length);
      client.submit(read);
      client.wait(read);
      EXPECT_EQ(read.code, Code::kOk);
      if (read.code != Code::kOk) break;
      whole.append(reinterpret_cast<const char*>(read.value.data()), read.value.size());
    }
    Operation release;
    release.kind = OperationKind::kRelease;
    release.ticket = operation_.ticket;
    client.submit(release);
    client.wait(release);
    return whole;
  }

 private:
  const std::string key_;
  TransactionBuilder builder_;
  Operation operation_;
};

class TransactionTest : public ClientServerTest {
 protected:
  static std::vector<std::string> values_of(std::string_view message) {
    std::vector<std::string> values;
    wire::MessageReader reader(std::as_bytes(std::span(message.data(), message.size())),
                               wire::kMaxRequestsPerTransaction);
    wire::ReplyView reply;
    while (reader.next(reply)) {
      values.emplace_back(reinterpret_cast<const char*>(reply.value.data()), reply.value.size());
    }
    EXPECT_TRUE(reader.valid()) << reader.error();
    return values;
  }
};

// `value` of an operation is lent while its `done` runs.
struct Kept {
  std::string value;
  static void keep(Operation& operation) {
    static_cast<Kept*>(operation.context)
        ->value.assign(reinterpret_cast<const char*>(operation.value.data()),
                       operation.value.size());
  }
};

TEST_F(TransactionTest, AllOrNothing) {
  start(64 << 20, 2);
  const auto client = open();
  Kept kept;
  Transaction first("{t}a");
  first.require("{t}a", 0);
  first.put("{t}a", "1");
  first.put("{t}b", "2");
  first.get("{t}a");
  first.operation().done = &Kept::keep;
  first.operation().context = &kept;
  ASSERT_EQ(first.run(*client), Code::kOk);
  EXPECT_EQ(values_of(kept.value), (std::vector<std::string>{"", "", "1"}));
  Transaction second("{t}a");
  second.require("{t}b", 1);
  second.require("{t}a", 7);
  second.put("{t}b", "3");
  EXPECT_EQ(second.run(*client), Code::kVersionMismatch);
  EXPECT_EQ(second.operation().number, 1u);
  EXPECT_EQ(async_get(*client, "{t}b").wait().value, "2");
}

TEST_F(TransactionTest, KeysOfAnotherWorkerAreRefused) {
  start(64 << 20, 2);
  const auto client = open();
  ASSERT_TRUE(client->connect_and_wait());
  std::string keys[2];
  for (int i = 0; keys[0].empty() || keys[1].empty(); ++i) {
    const std::string key = "k" + std::to_string(i);
    keys[wire::worker_of_slot(wire::hash_slot(key), 2)] = key;
  }
  Transaction transaction(keys[0]);
  transaction.put(keys[0], "1");
  transaction.put(keys[1], "1");
  EXPECT_EQ(transaction.run(*client), Code::kWrongWorker);
  EXPECT_EQ(async_get(*client, keys[0]).wait().code, Code::kNotFound);
}

TEST_F(TransactionTest, LongMessagesBothWays) {
  start(256 << 20, 1);
  const auto client = open();
  for (const size_t size : {size_t{1'000}, size_t{30'000}, size_t{200'000}, size_t{3'000'000}}) {
    const std::string value = pattern(size, size);
    Transaction transaction("a");
    transaction.put("a", value);
    transaction.get("a");
    transaction.get("a");
    Kept kept;
    transaction.operation().done = &Kept::keep;
    transaction.operation().context = &kept;
    ASSERT_EQ(transaction.run(*client), Code::kOk) << size;
    const bool pinned = static_cast<bool>(transaction.operation().ticket);
    EXPECT_EQ(pinned, 2 * size > 64 * 1024) << size;
    const auto values = values_of(pinned ? transaction.read_pinned(*client) : kept.value);
    ASSERT_EQ(values.size(), 3u);
    EXPECT_TRUE(values[1] == value && values[2] == value) << size;
    EXPECT_TRUE(async_get(*client, "a").wait().value == value) << size;
  }
}

// What was submitted before it on one of its keys comes before it, what comes after, after.
TEST_F(TransactionTest, KeepsItsPlaceAmongOperationsOnItsKeys) {
  start(64 << 20, 1);
  const auto client = open();
  for (int round = 0; round < 200; ++round) {
    const std::string old = std::to_string(round - 1), now = std::to_string(round);
    Future before_a = async_get(*client, "a"), before_b = async_get(*client, "b");
    Transaction transaction("a");
    transaction.put("a", now);
    transaction.put("b", now);
    client->submit(transaction.operation());
    Future after_a = async_get(*client, "a"), after_b = async_get(*client, "b");
    client->wait(transaction.operation());
    ASSERT_EQ(after_a.wait().value, now);
    ASSERT_EQ(after_b.wait().value, now);
    if (round == 0) continue;
    ASSERT_EQ(before_a.wait().value, old);
    ASSERT_EQ(before_b.wait().value, old);
  }
}

// Two keys always change together. Whoever reads one and then the other, by whatever path, never
// finds the second behind the first; and updates that watch a key are never lost.
TEST_F(TransactionTest, ReadersAndWritersAtTheSameTime) {
  constexpr int kIncrements = 300;
  constexpr int kWriters = 2;
  start(64 << 20, 1);
  {
    const auto client = open();
    async_put(*client, "a", "0").wait();
    async_put(*client, "b", "0").wait();
  }
  std::atomic<int> writing{kWriters};
  const auto write = [&](bool by_cas) {
    const auto fabric = open_fabric();
    const auto client = open(*fabric, {});
    for (int done = 0; done < kIncrements;) {
      const Answer a = async_get(*client, "a").wait();
      const std::string next = std::to_string(std::stoi(a.value) + 1);
      Transaction transaction("a");
      transaction.require("a", a.version);
      transaction.put("a", next);
      transaction.put("b", next);
      const Code code = transaction.run(*client);
      if (code == Code::kOk) {
        ++done;
      } else if (code != Code::kVersionMismatch) {
        ADD_FAILURE() << code_name(code);
        break;
      }
      // "a" goes back to the class of keys that clients change by ATOMIC.
      if (by_cas && done % 3 == 0) {
        const Answer now = async_get(*client, "a").wait();
        async_cas(*client, "a", now.version, now.value).wait();
      }
    }
    --writing;
  };
  const auto read = [&](GetPath path) {
    const auto fabric = open_fabric();
    ClientOptions options;
    options.get_path = path;
    const auto client = open(*fabric, options);
    for (int seen = 0; writing > 0;) {
      for (const char* key : {"a", "b"}) {
        const int now = std::stoi(async_get(*client, key).wait().value);
        ASSERT_GE(now, seen) << key;
        seen = now;
      }
    }
  };
  std::vector<std::thread> threads;
  threads.emplace_back(write, true);
  threads.emplace_back(write, false);
  threads.emplace_back(read, GetPath::kOneSided);
  threads.emplace_back(read, GetPath::kRequest);
  for (std::thread& thread : threads) thread.join();
  const auto client = open();
  EXPECT_EQ(async_get(*client, "a").wait().value, std::to_string(kWriters * kIncrements));
  EXPECT_EQ(async_get(*client, "b").wait().value, std::to_string(kWriters * kIncrements));
}

}  // namespace
}  // namespace rdmakv
