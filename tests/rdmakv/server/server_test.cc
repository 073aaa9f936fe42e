// The server as a whole: starting, several workers, stopping.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <thread>

#include "protocol/kv_hash.h"
#include "tests/protocol/colliding_keys.h"
#include "tests/rdmakv/server/server_fixture.h"

namespace rdmakv::server {
namespace {

using wire::Opcode;
using wire::ReplyStatus;

class ServerTest : public ServerFixture {};

TEST_F(ServerTest, TooLittleMemoryIsSaidClearly) {
  options_.memory_bytes = 4 << 20;
  const auto server = Server::start(*fabric_, options_);
  ASSERT_FALSE(server);
  EXPECT_NE(server.status().message().find("too little memory"), std::string::npos);
}

TEST_F(ServerTest, PortInUseIsSaidClearly) {
  start();
  options_.address.port = port();
  const auto second = Server::start(*fabric_, options_);
  ASSERT_FALSE(second);
  EXPECT_NE(second.status().message().find("in use"), std::string::npos);
}

TEST_F(ServerTest, BadRingAndLimitsAreRefused) {
  for (const uint32_t ring : {0u, 1000u, 100'000u, 1u << 30}) {
    options_.ring_bytes = ring;
    EXPECT_FALSE(Server::start(*fabric_, options_)) << ring;
  }
  options_.ring_bytes = 1 << 20;
  options_.max_connections = 0;
  EXPECT_FALSE(Server::start(*fabric_, options_));
}

TEST_F(ServerTest, EachWorkerHasItsOwnKeys) {
  options_.memory_bytes = 32 << 20;
  options_.workers = 3;
  start();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (uint16_t worker = 0; worker < 3; ++worker) {
    clients.push_back(client());
    ASSERT_TRUE(clients.back()->connect(port(), worker));
    ASSERT_TRUE(clients.back()->admit());
    EXPECT_EQ(clients.back()->welcome().worker, worker);
    EXPECT_EQ(clients.back()->welcome().workers, 3u);
  }
  for (int i = 0; i < 60; ++i) {
    const std::string key = "key" + std::to_string(i);
    const uint32_t owner = wire::worker_of_slot(wire::hash_slot(key), 3);
    for (uint32_t worker = 0; worker < 3; ++worker) {
      EXPECT_EQ(clients[worker]->put(key, "v")->header.status,
                worker == owner ? ReplyStatus::kOk : ReplyStatus::kWrongWorker);
    }
  }
}

TEST_F(ServerTest, AnotherStartHasAnotherEpoch) {
  start();
  const uint64_t epoch = server_->epoch();
  server_.reset();
  start();
  EXPECT_NE(server_->epoch(), epoch);
}

TEST_F(ServerTest, EachStartHasASeedThatIsNeverShown) {
  uint64_t before = 0;
  for (int i = 0; i < 2; ++i) {
    start();
    auto one = open_client();
    const uint64_t seed = one->welcome().seed;
    EXPECT_NE(seed, 0u);
    EXPECT_NE(seed, before);
    EXPECT_NE(seed, server_->epoch());
    before = seed;
    const auto stats = one->ask(RawClient::header(Opcode::kStats));
    ASSERT_TRUE(stats);
    std::string shown = stats->value;
    for (const std::string& line : server_->describe()) shown += line + "\n";
    EXPECT_EQ(shown.find(std::to_string(seed)), std::string::npos);
    server_.reset();
  }
}

TEST_F(ServerTest, KeysOfOneHashUnderNoSeedFillNoBucket) {
  start();
  auto one = open_client();
  for (const std::string& key : wire::colliding_keys(0, 64)) {
    ASSERT_EQ(one->put(key, "v")->header.status, ReplyStatus::kOk);
  }
  EXPECT_EQ(one->stat("index_stashed"), 0);
}

TEST_F(ServerTest, StopClosesConnections) {
  start();
  auto one = open_client();
  std::thread stopper([&] { server_->stop(); });
  EXPECT_TRUE(one->wait([&] { return one->gone(); }));
  stopper.join();
}

TEST_F(ServerTest, StopsWithClientsInEveryState) {
  start();
  auto idle = open_client();
  auto silent = client();
  ASSERT_TRUE(silent->connect(port()));
  auto busy = open_client();
  busy->send(RawClient::message(RawClient::header(Opcode::kPing)));
  server_.reset();
}

TEST_F(ServerTest, KeysExpireWithoutBeingAskedFor) {
  start();
  auto one = open_client();
  wire::RequestHeader header = RawClient::header(Opcode::kPut);
  for (int i = 0; i < 100; ++i) {
    header.expiry_ms = static_cast<int64_t>(one->welcome().clock_ms) + 300;
    ASSERT_EQ(one->ask(header, "k" + std::to_string(i), "v")->header.status, ReplyStatus::kOk);
  }
  // kCount does not look at them.
  EXPECT_TRUE(
      one->wait([&] { return one->ask(RawClient::header(Opcode::kCount))->header.number == 0; }));
}

// A thread of this process, from /proc: how much processor time it has had, and whether it runs or
// would run if there were a processor for it. How loaded the machine is makes no difference.
struct ThreadState {
  uint64_t cpu_ns = 0;
  bool runs = false;
};

std::map<std::string, ThreadState> other_threads() {
  std::map<std::string, ThreadState> threads;
  const std::string own = std::to_string(gettid());
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    if (task.path().filename() == own) continue;
    ThreadState state;
    std::ifstream(task.path() / "schedstat") >> state.cpu_ns;
    std::string stat;
    std::getline(std::ifstream(task.path() / "stat"), stat);
    state.runs = stat.substr(stat.rfind(')') + 2, 1) == "R";
    threads[task.path().filename()] = state;
  }
  return threads;
}

TEST_F(ServerTest, IdleServerUsesNoCpu) {
  options_.workers = 2;
  start();
  auto one = open_client();
  ASSERT_TRUE(one->put("k", "v"));
  const auto all_sleep = [] {
    return std::ranges::none_of(other_threads(), [](const auto& it) { return it.second.runs; });
  };
  EXPECT_TRUE(one->wait(all_sleep)) << "a thread never sleeps";
  const auto before = other_threads();
  ASSERT_GE(before.size(), 3u);  // two workers and the listener
  // Processor time is what counts: on a busy machine a thread that wakes for a moment, to look for
  // silent peers, may wait for its turn much longer than that takes.
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  for (const auto& [id, now] : other_threads()) {
    const auto was = before.find(id);
    ASSERT_NE(was, before.end());
    EXPECT_LT(now.cpu_ns - was->second.cpu_ns, 20'000'000u) << "thread " << id;
  }
}

TEST_F(ServerTest, ClientsOfManyThreadsAreServedTogether) {
  options_.workers = 2;
  start();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      RawClient one(*fabric_);
      const auto worker = static_cast<uint16_t>(t % 2);
      ASSERT_TRUE(one.connect(port(), worker));
      ASSERT_TRUE(one.admit());
      int stored = 0;
      for (int i = 0; stored < 200; ++i) {
        const std::string key = "t" + std::to_string(t) + "." + std::to_string(i);
        if (wire::worker_of_slot(wire::hash_slot(key), 2) != worker) continue;
        const std::string value(static_cast<size_t>(i) * 37 % 6000, 'v');
        ASSERT_EQ(one.put(key, value)->header.status, ReplyStatus::kOk);
        wire::RequestHeader header = RawClient::header(Opcode::kGet);
        header.landing_bytes = 8192;
        one.landings_[1] = 0;
        ASSERT_EQ(one.ask(header, key)->value, value);
        ++stored;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace rdmakv::server
