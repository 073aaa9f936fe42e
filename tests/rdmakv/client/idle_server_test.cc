// What operations cost, counted: verbs, doorbells, completions, round trips at the client, turns
// and processor time at the server. No test here measures how long anything takes.
#include <dirent.h>
#include <unistd.h>

#include <charconv>
#include <fstream>

#include "rdmakv/client/client_counters.h"
#include "tests/rdmakv/client/client_server_fixture.h"

namespace rdmakv {
namespace {

class IdleServerTest : public ClientServerTest {
 protected:
  static void put(Client& client, std::string_view key, std::string_view value) {
    ASSERT_EQ(async_put(client, std::string(key), std::string(value)).wait().code, Code::kOk);
  }
  static void run(Client& client, Operation& operation) {
    client.submit(operation);
    client.wait(operation);
  }
  template <typename Work>
  static ClientCounters cost_of(Client& client, Work&& work) {
    const ClientCounters before = client.counters();
    work();
    return client.counters() - before;
  }
  // One of the numbers that a worker tells of itself. Costs the worker a few turns.
  static uint64_t told(Client& client, std::string_view name) {
    TestOperation stats(OperationKind::kStats, {});
    client.submit(stats);
    client.wait(stats);
    const std::string wanted = "\n" + std::string(name) + " ";
    const std::string text = "\n" + stats.lent;
    const size_t at = text.find(wanted);
    EXPECT_NE(at, std::string::npos) << name;
    uint64_t number = 0;
    if (at == std::string::npos) return 0;
    const char* from = text.data() + at + wanted.size();
    std::from_chars(from, text.data() + text.size(), number);
    return number;
  }
  // Processor time, in ns, of all threads of this process but the calling one: those of the server.
  static uint64_t others_cpu_ns() {
    uint64_t all = 0;
    DIR* tasks = opendir("/proc/self/task");
    while (const dirent* task = readdir(tasks)) {
      const std::string id = task->d_name;
      if (id[0] == '.' || id == std::to_string(gettid())) continue;
      uint64_t ns = 0;
      std::ifstream("/proc/self/task/" + id + "/schedstat") >> ns;
      all += ns;
    }
    closedir(tasks);
    return all;
  }
};

// The server's threads sleep. What they are allowed: the turns of the two requests that ask for the
// count, and now and then a look at a silent client; in processor time 50 ns for an operation, of
// which the least turn takes many times more.
TEST_F(IdleServerTest, AMillionCachedGetsCostTheServerNothing) {
  constexpr uint64_t kGets = 1'000'000;
  constexpr uint64_t kMostTurns = 100;
  constexpr uint64_t kMostCpuNs = kGets * 50;
  start(64 << 20, 1);
  const auto client = open();
  put(*client, "key", "value");
  TestOperation get(OperationKind::kGet, "key");
  run(*client, get);
  const uint64_t turns = told(*client, "turns");
  const uint64_t cpu_ns = others_cpu_ns();
  const ClientCounters cost = cost_of(*client, [&] {
    Operation plain;
    plain.kind = OperationKind::kGet;
    plain.key = "key";
    for (uint64_t i = 0; i < kGets; ++i) run(*client, plain);
  });
  EXPECT_LE(others_cpu_ns() - cpu_ns, kMostCpuNs);
  EXPECT_LE(told(*client, "turns") - turns, kMostTurns);
  EXPECT_EQ(cost.operations, kGets);
  EXPECT_EQ(cost.verbs.reads, kGets);
  EXPECT_EQ(cost.verbs.sends, 0u);
  EXPECT_EQ(cost.verbs.writes, 0u);
  EXPECT_EQ(cost.verbs.messages, 0u);
  EXPECT_EQ(cost.verbs.doorbells, kGets);
  EXPECT_EQ(cost.verbs.completions, kGets);
  EXPECT_EQ(cost.round_trips, kGets);
}

}  // namespace
}  // namespace rdmakv
