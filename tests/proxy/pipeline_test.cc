// Pipelines: order, batches, barriers, backpressure, allocations.
#include <array>

#include "tests/proxy/allocation_counter.h"
#include "tests/proxy/harness.h"

namespace rdmakv::proxy {
namespace {

class PipelineTest : public ProxyTest {
 protected:
  TestClient client_ = connect();
};

TEST_F(PipelineTest, RepliesKeepTheOrderOfTheCommandsHoweverTheyEnd) {
  fake_->newest_first = true;
  std::string commands, expected;
  for (int i = 0; i < 100; ++i) {
    fake_->store["k" + std::to_string(i)] = {std::to_string(i), 1, 0};
    commands += command({"GET", "k" + std::to_string(i)});
    expected += bulk(std::to_string(i));
  }
  send(client_, commands);
  EXPECT_EQ(client_.take(), expected);
}

TEST_F(PipelineTest, EveryOrderOfThreeCompletions) {
  fake_->store["a"] = {"1", 1, 0};
  fake_->store["b"] = {pattern(5000), 1, 0};
  fake_->store["c"] = {"3", 1, 0};
  for (const auto& order : {std::array{0, 0, 0}, std::array{0, 1, 0}, std::array{1, 0, 0},
                            std::array{1, 1, 0}, std::array{2, 0, 0}, std::array{2, 1, 0}}) {
    fake_->hold();
    send(client_, "GET a\r\nPING\r\nGET b\r\nPING x\r\nGET c\r\n");
    ASSERT_EQ(fake_->held(), 3u);
    for (const int index : order) fake_->release_at(static_cast<size_t>(index));
    run();
    EXPECT_EQ(client_.take(),
              "$1\r\n1\r\n+PONG\r\n" + bulk(pattern(5000)) + "$1\r\nx\r\n$1\r\n3\r\n");
    fake_->release();
  }
}

TEST_F(PipelineTest, AReplyWaitsForThoseBeforeIt) {
  fake_->hold();
  send(client_, "GET a\r\nPING\r\n");
  EXPECT_EQ(client_.take(), "");
  fake_->release();
  run();
  EXPECT_EQ(client_.take(), "$-1\r\n+PONG\r\n");
}

TEST_F(PipelineTest, APipelineIsOneFlush) {
  std::string commands;
  for (int i = 0; i < 200; ++i) {
    commands += i % 2 == 0 ? command({"SET", "k" + std::to_string(i), "v"})
                           : command({"GET", "k" + std::to_string(i)});
  }
  ASSERT_EQ(client_.send_some(commands), commands.size());
  run();
  EXPECT_EQ(fake_->flushes(), 1u);
  EXPECT_EQ(fake_->submitted(), 200u);
}

TEST_F(PipelineTest, CommandsOfOneKeyRunInOrder) {
  send(client_, "SET a 1\r\nGET a\r\nSET a 2\r\nGET a\r\nDEL a\r\nGET a\r\n");
  EXPECT_EQ(client_.take(), "+OK\r\n$1\r\n1\r\n+OK\r\n$1\r\n2\r\n:1\r\n$-1\r\n");
}

TEST_F(PipelineTest, ABarrierWaitsForEarlierCommandsAndKeepsLaterOnesBack) {
  fake_->hold();
  fake_->record_history();
  send(client_, "SET a 1\r\nDBSIZE\r\nSET b 1\r\n");
  EXPECT_EQ(fake_->history(), (std::vector{OperationKind::kPut}));
  fake_->release(1);
  run();
  EXPECT_EQ(fake_->history(), (std::vector{OperationKind::kPut, OperationKind::kCount}));
  fake_->release();
  run();
  EXPECT_EQ(client_.take(), "+OK\r\n:1\r\n+OK\r\n");
}

TEST_F(PipelineTest, FlushallIsSeenByWhatFollows) {
  send(client_, "SET a 1\r\nFLUSHALL\r\nGET a\r\nSET b 1\r\nFLUSHDB ASYNC\r\nDBSIZE\r\n");
  EXPECT_EQ(client_.take(), "+OK\r\n+OK\r\n$-1\r\n+OK\r\n+OK\r\n:0\r\n");
}

TEST_F(PipelineTest, ABarrierWithASyntaxErrorBlocksNothing) {
  send(client_, "FLUSHALL FOO\r\nPING\r\n");
  EXPECT_EQ(client_.take(), "-ERR syntax error\r\n+PONG\r\n");
}

TEST_F(PipelineTest, CommandsInFlightAreBounded) {
  proxy_.settings().pipeline_limit = 10;
  fake_->hold();
  std::string commands;
  for (int i = 0; i < 100; ++i) commands += "GET a\r\n";
  send(client_, commands);
  EXPECT_EQ(fake_->held(), 10u);
  fake_->release();
  run();
  std::string expected;
  for (int i = 0; i < 100; ++i) expected += "$-1\r\n";
  EXPECT_EQ(client_.take(), expected);
}

TEST_F(PipelineTest, AClientThatDoesNotReadIsPaused) {
  fake_->store["a"] = {pattern(3000), 1, 0};
  const std::string get = command({"GET", "a"});
  size_t sent = 0;
  for (int i = 0; i < 20000; ++i) {
    const size_t bytes = client_.send_some(get);
    if (bytes < get.size() && bytes > 0) FAIL() << "half a command";
    if (bytes > 0) ++sent;
    worker_->turn(false);
  }
  const size_t issued = fake_->submitted();
  // What it does not read stays bounded: the pause, the commands in flight, the kernel's buffers.
  EXPECT_LT(issued * 3000, 8u << 20);
  EXPECT_LT(issued, sent);
  // It reads again, and gets everything.
  size_t received = 0;
  for (int i = 0; i < 100000 && received < sent * bulk(pattern(3000)).size(); ++i) {
    received += client_.take().size();
    worker_->turn(false);
  }
  EXPECT_EQ(received, sent * bulk(pattern(3000)).size());
}

TEST_F(PipelineTest, OtherClientsGoOnWhileOneIsPaused) {
  fake_->store["a"] = {pattern(60000), 1, 0};
  std::string commands;
  for (int i = 0; i < 500; ++i) commands += "GET a\r\n";
  client_.send_some(commands);
  run();
  TestClient other = connect();
  EXPECT_EQ(call(other, "PING"), "+PONG\r\n");
  EXPECT_EQ(call(other, "GET a"), bulk(pattern(60000)));
}

TEST_F(PipelineTest, OutputBeyondTheHardLimitCloses) {
  proxy_.settings().output_pause_bytes = 1 << 20;
  proxy_.settings().output_limit_bytes = 100'000;
  fake_->store["a"] = {pattern(60000), 1, 0};
  std::string commands;
  for (int i = 0; i < 100; ++i) commands += "GET a\r\n";
  client_.send_some(commands);
  run();
  while (!client_.take().empty()) {
  }
  EXPECT_TRUE(client_.ended());
  EXPECT_EQ(fake_->free_bytes(), fakes::FakeClient::Options().arena_bytes);
}

TEST_F(PipelineTest, AClientThatLeavesWithCommandsInFlightLeaksNothing) {
  fake_->store["a"] = {pattern(60000), 1, 0};
  fake_->store["big"] = {pattern(600000), 1, 0};
  fake_->hold();
  send(client_, "GET a\r\nGET big\r\nMGET a big x\r\nSET b 1 GET\r\n");
  client_.close();
  run();
  fake_->release();
  run();
  EXPECT_EQ(fake_->pins(), 0u);
  EXPECT_EQ(fake_->free_bytes(), fakes::FakeClient::Options().arena_bytes);
  EXPECT_EQ(proxy_.clients(), 0u);
  EXPECT_EQ(worker_->requests().in_use(), 0u);
}

TEST_F(PipelineTest, AClientThatClosedItsDirectionStillGetsItsReplies) {
  fake_->hold();
  send(client_, "SET a 1\r\nGET a\r\nGET");
  client_.close_sending();
  run();
  EXPECT_FALSE(client_.ended());
  fake_->release();
  run();
  EXPECT_EQ(client_.take(), "+OK\r\n$1\r\n1\r\n");
  EXPECT_TRUE(client_.ended());
}

TEST_F(PipelineTest, AnIdleClientThatClosesIsGoneAtOnce) {
  client_.close_sending();
  run();
  EXPECT_EQ(proxy_.clients(), 0u);
}

TEST_F(PipelineTest, EndingTheProxyWithCommandsInFlightIsClean) {
  fake_->store["big"] = {pattern(600000), 1, 0};
  fake_->hold();
  send(client_, "GET a\r\nGET big\r\nMGET a big x\r\nSET b 1 GET\r\nDEL a b c\r\nDBSIZE\r\n");
  SUCCEED();  // the sanitizers judge the destructors
}

TEST_F(PipelineTest, OneByteAtATime) {
  for (const char c : command({"SET", "a", "hello"}) + "GET a\r\n" + command({"DEL", "a"})) {
    ASSERT_EQ(client_.send_some({&c, 1}), 1u);
    worker_->turn(false);
  }
  run();
  EXPECT_EQ(client_.take(), "+OK\r\n$5\r\nhello\r\n:1\r\n");
}

TEST_F(PipelineTest, SteadyStateAllocatesNothing) {
  const std::string commands = command({"SET", "key:000000000001", pattern(64)}) +
                               command({"GET", "key:000000000001"}) +
                               command({"EXISTS", "key:000000000001"}) + "PING\r\n";
  std::string batch;
  for (int i = 0; i < 16; ++i) batch += commands;
  for (int i = 0; i < 50; ++i) {
    client_.send_some(batch);
    for (int j = 0; j < 4; ++j) worker_->turn(false);
    client_.take();
  }
  client_.send_some(batch);
  const size_t before = allocation_count();
  for (int j = 0; j < 4; ++j) worker_->turn(false);
  EXPECT_EQ(allocation_count() - before, 0u);
  EXPECT_FALSE(client_.take().empty());
}

}  // namespace
}  // namespace rdmakv::proxy
