// Clients over shared memory that are stopped in the middle of a WRITE: what they may still write
// to stays theirs, and the rest of the world goes on.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>

#include "tests/rdmakv/server/server_fixture.h"
#include "tests/rdmakv/transport/shm/tripwire.h"

// The children start threads of their own, which ThreadSanitizer does not like in a copy of a
// process that has some; what they do is single-threaded enough for it.
extern "C" const char* __tsan_default_options() {
  return "die_after_fork=0";
}

namespace rdmakv::server {
namespace {

constexpr uint32_t kBytes = 64 << 10;
constexpr uint32_t kTripAt = 32 << 10;

struct Board {
  std::atomic<uint32_t> port;
  std::atomic<int64_t> granted;
};

// The child: is granted extents, begins to WRITE to its ring, says nonsense, for which the server
// ends the connection, and is stopped.
void misbehave(Board* board) {
  const std::unique_ptr<Fabric> fabric = std::move(*shm::open_shm_fabric());
  RawClient client(*fabric);
  while (board->port == 0) std::this_thread::sleep_for(std::chrono::microseconds(50));
  if (!client.open(static_cast<uint16_t>(board->port))) _exit(1);
  wire::RequestHeader wish = RawClient::header(wire::Opcode::kGrants);
  wish.wanted = 4;
  const auto granted = client.ask(wish);
  if (!granted) _exit(2);
  board->granted = static_cast<int64_t>(granted->header.number);
  const std::string nonsense(100, 'x');
  const shm::Tripwire tripwire(client.source().data() + kTripAt,
                               [&] { client.send(std::as_bytes(std::span(nonsense))); });
  const LocalBuffer body{client.source().data(), kBytes, client.source().local_key()};
  const wire::RegionGrant& ring = client.welcome().ring;
  client.endpoint().write({&body, 1}, {ring.base, ring.key}, 0, false);
  client.endpoint().flush();
  client.wait([&] { return client.gone(); });
  client.drop();
  _exit(0);
}

class StoppedClientTest : public ServerFixture {
 protected:
  StoppedClientTest() { options_.max_connections = 3; }
  void SetUp() override {
    void* shared = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(shared, MAP_FAILED);
    board_ = static_cast<Board*>(shared);
    // Before there are threads.
    for (pid_t& child : children_) {
      child = fork();
      if (child == 0) misbehave(board_);
    }
    start();
    board_->port = port();
    for (const pid_t child : children_) {
      int status = 0;
      ASSERT_EQ(waitpid(child, &status, WUNTRACED), child);
      ASSERT_TRUE(WIFSTOPPED(status)) << "exit status " << WEXITSTATUS(status);
    }
    witness_ = open_client();
    wait_for("connections_quarantined", 2);
  }
  void TearDown() override {
    for (const pid_t child : children_) {
      if (child == 0) continue;
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
    munmap(board_, 4096);
  }

  void wait_for(const std::string& name, int64_t wanted) {
    int64_t number = -1;
    witness_->wait([&] { return (number = witness_->stat(name)) == wanted; });
    EXPECT_EQ(number, wanted) << name;
  }
  void end(pid_t& child, int signal) {
    kill(child, signal);
    waitpid(child, nullptr, 0);
    child = 0;
  }

  Board* board_ = nullptr;
  pid_t children_[2] = {};
  std::unique_ptr<RawClient> witness_;
};

TEST_F(StoppedClientTest, RingAndGrantsStayInQuarantineUntilNobodyCanWriteToThem) {
  const int64_t granted = witness_->stat("cas_extents_granted");
  EXPECT_GT(board_->granted, 0);
  EXPECT_GE(granted, board_->granted);

  // The bound: rings are not made, and those in quarantine not given away.
  auto late = client();
  EXPECT_FALSE(late->connect(port()));
  EXPECT_NE(late->error().find("worker 0 has its 3 connections (--max-connections), 2 of them of "
                               "stopped processes that may still write"),
            std::string::npos)
      << late->error();
  EXPECT_TRUE(witness_->put("key", "value")) << "the worker waits for them";

  end(children_[0], SIGCONT);
  wait_for("connections_quarantined", 1);
  EXPECT_LT(witness_->stat("cas_extents_granted"), granted);
  EXPECT_TRUE(late->open(port())) << late->error();
  late.reset();

  end(children_[1], SIGKILL);
  wait_for("connections_quarantined", 0);
  EXPECT_EQ(witness_->stat("cas_extents_granted"), 0);
  EXPECT_EQ(witness_->stat("quarantines"), 2);
}

// And without anything to do with that memory: nobody waits, nothing leaks.
TEST_F(StoppedClientTest, AServerEndsBesideThem) {
  witness_.reset();
  server_.reset();
  start();
  witness_ = open_client();
  EXPECT_EQ(witness_->stat("connections_quarantined"), 0);
}

}  // namespace
}  // namespace rdmakv::server
