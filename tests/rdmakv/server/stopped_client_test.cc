// Clients over shared memory that are stopped in the middle of a WRITE, or while they read a value
// in its place: what they may still write to stays theirs, what they read stays as it is, and the
// rest of the world goes on.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>

#include "rdmakv/transport/peer_memory.h"
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

// The child: stores a value, reads it in its place, and is stopped. With `says_nonsense` the server
// ends the connection meanwhile.
void read_in_place(Board* board, bool says_nonsense) {
  const std::unique_ptr<Fabric> fabric = std::move(*shm::open_shm_fabric());
  RawClient client(*fabric);
  while (board->port == 0) std::this_thread::sleep_for(std::chrono::microseconds(50));
  if (!client.open(static_cast<uint16_t>(board->port))) _exit(1);
  const auto stored = client.put("key", "to be read");
  PeerMemoryView* const memory = peer_memory_of(client.endpoint());
  if (!stored || !memory->mark(stored->header.location)) _exit(2);
  const std::string nonsense(100, 'x');
  if (says_nonsense) client.send(std::as_bytes(std::span(nonsense)));
  raise(SIGSTOP);
  memory->unmark_all();
  if (says_nonsense) client.wait([&] { return client.gone(); });
  client.drop();
  _exit(0);
}

class StoppedClientTest : public ServerFixture {
 protected:
  using Child = void (*)(Board*);
  explicit StoppedClientTest(Child child = misbehave, int64_t quarantined = 2)
      : child_(child), connections_quarantined_(quarantined) {
    options_.max_connections = 3;
  }
  void SetUp() override {
    void* shared = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(shared, MAP_FAILED);
    board_ = static_cast<Board*>(shared);
    // Before there are threads.
    for (pid_t& child : children_) {
      child = fork();
      if (child == 0) child_(board_);
    }
    start();
    board_->port = port();
    for (const pid_t child : children_) {
      int status = 0;
      ASSERT_EQ(waitpid(child, &status, WUNTRACED), child);
      ASSERT_TRUE(WIFSTOPPED(status)) << "exit status " << WEXITSTATUS(status);
    }
    witness_ = open_client();
    wait_for("connections_quarantined", connections_quarantined_);
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

  const Child child_;
  const int64_t connections_quarantined_;
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

class StoppedReaderTest : public StoppedClientTest {
 protected:
  StoppedReaderTest() : StoppedReaderTest([](Board* board) { read_in_place(board, false); }, 0) {}
  StoppedReaderTest(Child child, int64_t quarantined) : StoppedClientTest(child, quarantined) {
    options_.max_connections = 4;
  }
  // Both have read the key: the second what replaced what the first one reads, and stays linked.
  void what_is_read_stays_until(int signal) {
    wait_for("quarantined_extents", 1);
    EXPECT_TRUE(witness_->put("key", "another"));
    wait_for("quarantined_extents", 2);
    for (int i = 0; i < 1000; ++i) ASSERT_TRUE(witness_->put("other", std::string(500, 'o')));
    wait_for("quarantined_extents", 2);
    end(children_[0], signal);
    wait_for("quarantined_extents", 1);
    end(children_[1], signal);
    wait_for("quarantined_extents", 0);
    wait_for("connections_quarantined", 0);
  }
};

class StoppedGoneReaderTest : public StoppedReaderTest {
 protected:
  StoppedGoneReaderTest()
      : StoppedReaderTest([](Board* board) { read_in_place(board, true); }, 2) {}
};

TEST_F(StoppedReaderTest, WhatItReadsStaysUntilItGoesOn) {
  what_is_read_stays_until(SIGCONT);
}
TEST_F(StoppedReaderTest, WhatItReadsStaysUntilItIsDead) {
  what_is_read_stays_until(SIGKILL);
}
TEST_F(StoppedGoneReaderTest, WhatItReadsStaysUntilItGoesOn) {
  what_is_read_stays_until(SIGCONT);
}
TEST_F(StoppedGoneReaderTest, WhatItReadsStaysUntilItIsDead) {
  what_is_read_stays_until(SIGKILL);
}

// A client that marks what it does not read, all that there can be, for ever.
TEST_F(StoppedReaderTest, NonsenseKeepsNothing) {
  auto hostile = open_client();
  PeerMemoryView* const memory = peer_memory_of(hostile->endpoint());
  for (uint64_t i = 0; memory->mark(i % 2 == 0 ? ~uint64_t{0} - i : i); ++i) {
  }
  EXPECT_TRUE(witness_->put("key", "another"));
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(witness_->put("other", std::string(500, 'o')));
  wait_for("quarantined_extents", 2);
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
