// Transactions of native programs (rdmakv/client/transaction.h), of the real server over shared
// memory.
#include <string>

#include "rdmakv/client/transaction.h"
#include "tests/rdmakv/client/client_server_fixture.h"

namespace rdmakv {
namespace {

class WatchTest : public ClientServerTest {
 protected:
  void SetUp() override {
    ClientServerTest::SetUp();
    start(64 << 20, 2);
    client = open();
  }
  std::string get(std::string key) const {
    const Answer answer = async_get(*client, std::move(key)).wait();
    return answer.code == Code::kOk ? answer.value : std::string(code_name(answer.code));
  }
  Code put(std::string key, std::string value) const {
    return async_put(*client, std::move(key), std::move(value)).wait().code;
  }

  std::unique_ptr<Client> client;
  Transaction transaction;
};

TEST_F(WatchTest, AllInOneStep) {
  ASSERT_EQ(put("{t}a", "old"), Code::kOk);
  uint64_t version = 0;
  ASSERT_EQ(transaction.watch(*client, "{t}a", &version), Code::kOk);
  EXPECT_EQ(version, 1u);
  ASSERT_EQ(transaction.watch(*client, "{t}none"), Code::kOk);
  transaction.get("{t}a");
  transaction.put("{t}a", "new", 4'000'000'000'000);
  transaction.erase("{t}none");
  transaction.put("{t}b", "");
  transaction.get("{t}b");
  ASSERT_EQ(transaction.exec(*client), Code::kOk);
  const std::vector<Answer>& answers = transaction.answers();
  ASSERT_EQ(answers.size(), 5u);
  EXPECT_EQ(answers[0].value, "old");
  EXPECT_EQ(answers[1].version, 2u);
  EXPECT_EQ(answers[1].expiry_ms, 4'000'000'000'000);
  EXPECT_EQ(answers[2].code, Code::kNotFound);
  EXPECT_EQ(answers[4].code, Code::kOk);
  EXPECT_EQ(answers[4].value, "");
  EXPECT_EQ(get("{t}a"), "new");
  transaction.get("{t}b");
  ASSERT_EQ(transaction.exec(*client), Code::kOk);
  EXPECT_EQ(transaction.answers().size(), 1u) << "of the last one";
}

TEST_F(WatchTest, NothingWhenAWatchedKeyHasChanged) {
  ASSERT_EQ(put("{t}a", "1"), Code::kOk);
  for (const char* key : {"{t}z", "{t}a", "{t}new"}) {
    ASSERT_EQ(transaction.watch(*client, key), Code::kOk);
  }
  transaction.put("{t}a", "2");
  ASSERT_EQ(put("{t}new", "x"), Code::kOk);
  EXPECT_EQ(transaction.exec(*client), Code::kVersionMismatch);
  EXPECT_EQ(transaction.unmet(), 2u);
  EXPECT_TRUE(transaction.answers().empty());
  EXPECT_EQ(get("{t}a"), "1");
  // And nothing is left of it.
  transaction.put("{t}a", "3");
  EXPECT_EQ(transaction.exec(*client), Code::kOk);
  EXPECT_EQ(get("{t}a"), "3");
}

TEST_F(WatchTest, AKeyThatCameAndWentHasChanged) {
  ASSERT_EQ(transaction.watch(*client, "{t}a"), Code::kOk);
  ASSERT_EQ(put("{t}a", "x"), Code::kOk);
  ASSERT_EQ(async_delete(*client, "{t}a").wait().code, Code::kOk);
  transaction.put("{t}b", "1");
  EXPECT_EQ(transaction.exec(*client), Code::kVersionMismatch);
}

TEST_F(WatchTest, VersionsFromElsewhere) {
  ASSERT_EQ(put("{t}a", "1"), Code::kOk);
  transaction.require("{t}a", 1);
  transaction.require("{t}b", 0);
  transaction.put("{t}b", "1");
  EXPECT_EQ(transaction.exec(*client), Code::kOk);
  transaction.require("{t}b", 0);
  transaction.put("{t}b", "2");
  EXPECT_EQ(transaction.exec(*client), Code::kVersionMismatch);
}

TEST_F(WatchTest, ConditionsAlone) {
  ASSERT_EQ(transaction.watch(*client, "{t}a"), Code::kOk);
  EXPECT_EQ(transaction.exec(*client), Code::kOk);
  ASSERT_EQ(transaction.watch(*client, "{t}a"), Code::kOk);
  ASSERT_EQ(put("{t}a", "x"), Code::kOk);
  EXPECT_EQ(transaction.exec(*client), Code::kVersionMismatch);
  EXPECT_EQ(transaction.exec(*client), Code::kOk);
}

TEST_F(WatchTest, WhatCannotBe) {
  transaction.put("{t}a", "1");
  transaction.put("{u}a", "1");
  EXPECT_EQ(transaction.exec(*client), Code::kWrongWorker);
  EXPECT_EQ(get("{t}a"), "no such key");
  transaction.put(std::string(wire::kMaxKeyBytes + 1, 'k'), "1");
  EXPECT_EQ(transaction.exec(*client), Code::kTooLarge);
  for (uint32_t i = 0; i <= wire::kMaxRequestsPerTransaction; ++i) transaction.put("k", "1");
  EXPECT_EQ(transaction.exec(*client), Code::kTooLarge);
  EXPECT_EQ(get("k"), "no such key");
  // Not only the first key is looked at.
  for (const char* key : {"{t}a", "{u}a"}) {
    ASSERT_EQ(transaction.watch(*client, key), Code::kOk);
  }
  transaction.put("{t}a", "1");
  EXPECT_EQ(transaction.exec(*client), Code::kWrongWorker);
  const std::string long_key = "{t}" + std::string(wire::kMaxKeyBytes, 'k');
  transaction.put("{t}a", "1");
  transaction.put(long_key, "1");
  EXPECT_EQ(transaction.exec(*client), Code::kTooLarge);
  transaction.require("{t}a", 0);
  transaction.require(long_key, 0);
  EXPECT_EQ(transaction.exec(*client), Code::kTooLarge);
  EXPECT_EQ(get("{t}a"), "no such key");
  transaction.put("k", "1", -1);
  EXPECT_EQ(transaction.exec(*client), Code::kInvalidArgument);
  EXPECT_EQ(get("k"), "no such key");
}

TEST_F(WatchTest, LargeValuesBothWays) {
  const std::string large = pattern(3 << 20, 1);
  transaction.put("{t}a", large);
  transaction.get("{t}a");
  transaction.put("{t}b", "small");
  transaction.get("{t}b");
  transaction.get("{t}a");
  ASSERT_EQ(transaction.exec(*client), Code::kOk);
  ASSERT_EQ(transaction.answers().size(), 5u);
  EXPECT_EQ(transaction.answers()[1].value, large);
  EXPECT_EQ(transaction.answers()[3].value, "small");
  EXPECT_EQ(transaction.answers()[4].value, large);
}

// The server keeps it in place, and there is no registered memory to READ it into.
TEST_F(WatchTest, AReplyThatCannotBeReadIsGivenBack) {
  ASSERT_EQ(put("{t}a", pattern(200'000, 1)), Code::kOk);
  std::vector<ValueBuffer> all;
  for (const uint32_t bytes : {1u << 20, 4096u}) {
    while (ValueBuffer buffer = client->allocate(bytes)) all.push_back(std::move(buffer));
  }
  transaction.get("{t}a");
  EXPECT_EQ(transaction.exec(*client), Code::kUnknownOutcome);
  all.clear();
  for (uint16_t worker = 0; worker < 2; ++worker) {
    TestOperation stats(OperationKind::kStats, {});
    stats.worker = worker;
    client->submit(stats);
    client->wait(stats);
    EXPECT_NE(stats.lent.find("pinned_extents 0\n"), std::string::npos) << stats.lent;
  }
}

TEST_F(WatchTest, AServerThatStartedAnewCountsFromOneAgain) {
  ASSERT_EQ(put("{t}a", "1"), Code::kOk);
  uint64_t before = 0, after = 0;
  ASSERT_EQ(transaction.watch(*client, "{t}a", &before), Code::kOk);
  running.reset();
  start(64 << 20, 2);
  const auto other = open();
  ASSERT_EQ(async_put(*other, "{t}a", "1").wait().code, Code::kOk);
  // Until this client has noticed and is connected again.
  Operation ping;
  ping.kind = OperationKind::kPing;
  do {
    client->submit(ping);
    client->wait(ping);
  } while (ping.code != Code::kOk);
  Transaction fresh;
  while (fresh.watch(*client, "{t}a", &after) != Code::kOk) {
  }
  ASSERT_EQ(before, after) << "else it proves nothing";
  transaction.put("{t}a", "2");
  EXPECT_EQ(transaction.exec(*client), Code::kVersionMismatch);
  EXPECT_EQ(transaction.unmet(), 0u);
  fresh.put("{t}a", "3");
  EXPECT_EQ(fresh.exec(*client), Code::kOk);
  EXPECT_EQ(get("{t}a"), "3");
}

TEST_F(WatchTest, KeysWatchedBeforeAndAfterARestart) {
  ASSERT_EQ(transaction.watch(*client, "{t}a"), Code::kOk);
  running.reset();
  start(64 << 20, 2);
  while (transaction.watch(*client, "{t}b") != Code::kOk) {
  }
  transaction.put("{t}b", "1");
  EXPECT_EQ(transaction.exec(*client), Code::kVersionMismatch);
  EXPECT_EQ(transaction.unmet(), 1u);
}

}  // namespace
}  // namespace rdmakv
