// A process that is stopped in the middle of a WRITE, of an ATOMIC, or of reading what it has
// marked, and what its peer may do meanwhile.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "rdmakv/transport/peer_memory.h"
#include "rdmakv/transport/shm/shm_fabric.h"
#include "tests/rdmakv/transport/conformance.h"
#include "tests/rdmakv/transport/shm/tripwire.h"

namespace rdmakv::shm {
namespace {

using conformance::kPatience;
using conformance::Party;
using conformance::small_options;

constexpr uint32_t kBytes = 64 << 10;
constexpr uint32_t kTripAt = 32 << 10;
constexpr uint32_t kBehind =
    40 << 10;  // what the stopped copy has not reached; on a page of its own
constexpr std::byte kInk{0x77};

bool wait_until(const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  return true;
}

enum class Access : uint8_t { kWrite, kAtomic, kMarked };

struct Board {
  std::atomic<uint32_t> port, key;
};

// Stops where the source can't be read any further.
bool write_all(Party& self, uint32_t key) {
  const Tripwire tripwire(self.local->data() + kTripAt, nullptr);
  const LocalBuffer body[] = {self.at(0, kBytes)};
  return self.endpoint->write(body, {0, key}, 0, true);
}

// Stops where the word can't be reached.
bool swap(Party& self, uint32_t key) {
  const RemoteAddress word{kBehind, key};
  const std::byte* target = peer_memory_of(*self.endpoint)->peer_memory(word, sizeof(uint64_t));
  const Tripwire tripwire(const_cast<std::byte*>(target), nullptr);
  uint64_t ink = 0;
  std::memset(&ink, static_cast<int>(kInk), sizeof(ink));
  return self.endpoint->compare_and_swap(self.at(0, sizeof(uint64_t)), word, 0, ink, 0, true);
}

bool read_in_place(Party& self) {
  PeerMemoryView& peer = *peer_memory_of(*self.endpoint);
  if (!peer.mark(kBehind) || !peer.peer_memory_holds()) return false;
  raise(SIGSTOP);
  peer.unmark_all();
  return true;
}

// The child: connects and changes the peer's memory, and is stopped in between.
void change_and_stop(Board* board, Access access) {
  Party self;
  self.fabric = std::move(*open_shm_fabric());
  self.local = std::move(
      *self.fabric->allocate({kBytes, RemoteAccess::kNone, Pages::kTransparent, "source"}));
  self.queue = std::move(*self.fabric->create_completion_queue(64));
  const EndpointOptions options = small_options();
  wire::ConnectRequest request;
  request.receive_slots = options.receive_slots;
  request.message_bytes = options.message_bytes;
  request.max_reads = options.max_reads;
  if (!wait_until([&] { return board->port != 0 && board->key != 0; })) _exit(1);
  self.endpoint = std::move(*self.fabric->connect({"", static_cast<uint16_t>(board->port), false},
                                                  request, options, *self.queue));
  const auto come = [&](CompletionKind kind) {
    return wait_until([&] {
      self.poll();
      return self.find(kind) != nullptr;
    });
  };
  if (!come(CompletionKind::kConnected)) _exit(2);
  std::memset(self.local->data(), static_cast<int>(kInk), kBytes);
  const bool posted = access == Access::kWrite    ? write_all(self, board->key)
                      : access == Access::kAtomic ? swap(self, board->key)
                                                  : read_in_place(self);
  if (!posted) _exit(3);
  self.endpoint->flush();
  if (!come(CompletionKind::kDisconnected)) _exit(4);
  self.endpoint.reset();
  _exit(0);
}

class ShmStoppedTest : public testing::TestWithParam<Access>, public ConnectionHandler {
 protected:
  void SetUp() override {
    void* shared = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(shared, MAP_FAILED);
    board_ = static_cast<Board*>(shared);
    child_ = fork();
    if (child_ == 0) change_and_stop(board_, GetParam());
    fabric_ = std::move(*open_shm_fabric());
    region_ = std::move(*fabric_->allocate(
        {kBytes, RemoteAccess::kRead | RemoteAccess::kWrite | RemoteAccess::kAtomic,
         Pages::kTransparent, "it"}));
    self_.queue = std::move(*fabric_->create_completion_queue(64));
    listener_ = std::move(*fabric_->listen({}, *this));
    board_->key = region_->remote_key();
    board_->port = listener_->port();
    int status = 0;
    ASSERT_TRUE(wait_until([&] {
      listener_->dispatch();
      self_.poll();
      return waitpid(child_, &status, WUNTRACED | WNOHANG) == child_;
    }));
    ASSERT_TRUE(WIFSTOPPED(status)) << "exit status " << WEXITSTATUS(status);
    ASSERT_EQ(byte(kBehind), std::byte{0});
  }
  void TearDown() override {
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
    self_.endpoint.reset();
    munmap(board_, 4096);
  }

  Result<Acceptance> route(const wire::ConnectRequest&) override {
    return Acceptance{self_.queue.get(), small_options()};
  }
  void accepted(const wire::ConnectRequest&, std::unique_ptr<Endpoint> endpoint) override {
    self_.endpoint = std::move(endpoint);
    EXPECT_TRUE(self_.endpoint->expose(*region_));
  }

  std::byte byte(size_t at) const {
    return static_cast<const volatile std::byte*>(region_->data())[at];
  }
  void close_here() {
    self_.endpoint->close();
    ASSERT_TRUE(wait_until([&] {
      self_.poll();
      return self_.find(CompletionKind::kDisconnected) != nullptr;
    })) << "closing waits for a stopped peer";
  }

  std::vector<uint64_t> marks() {
    std::vector<uint64_t> places;
    peer_memory_of(*self_.endpoint)->peer_marks(places);
    return places;
  }

  const bool marked_ = GetParam() == Access::kMarked;
  Board* board_ = nullptr;
  pid_t child_ = -1;
  std::unique_ptr<Fabric> fabric_;
  std::unique_ptr<MemoryRegion> region_;
  std::unique_ptr<Listener> listener_;
  Party self_;
};

TEST_P(ShmStoppedTest, MemoryIsNotFreeBeforeTheStoppedAccessIsOver) {
  const std::vector<uint64_t> read =
      marked_ ? std::vector<uint64_t>{kBehind} : std::vector<uint64_t>{};
  EXPECT_EQ(marks(), read);
  close_here();
  EXPECT_EQ(marks(), read);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(self_.endpoint->peer_may_write());
  }
  EXPECT_EQ(byte(kBehind), std::byte{0});
  kill(child_, SIGCONT);
  ASSERT_TRUE(wait_until([&] { return !self_.endpoint->peer_may_write(); }));
  EXPECT_EQ(byte(kBehind), marked_ ? std::byte{0} : kInk) << "it was still to come";
  EXPECT_TRUE(marks().empty());
  // From here on it is somebody else's.
  std::memset(region_->data(), 0, kBytes);
  int status = 0;
  ASSERT_EQ(waitpid(child_, &status, 0), child_);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  for (size_t at = 0; at < kBytes; ++at) ASSERT_EQ(byte(at), std::byte{0}) << at;
  EXPECT_FALSE(self_.endpoint->peer_may_write());
}

TEST_P(ShmStoppedTest, ADeadProcessWritesNoMore) {
  close_here();
  EXPECT_TRUE(self_.endpoint->peer_may_write());
  kill(child_, SIGKILL);
  ASSERT_EQ(waitpid(child_, nullptr, 0), child_);
  EXPECT_FALSE(self_.endpoint->peer_may_write());
  EXPECT_TRUE(marks().empty());
  EXPECT_EQ(byte(kBehind), std::byte{0});
}

// Killed first: the connection ends by itself, and nothing is left to wait for.
TEST_P(ShmStoppedTest, AProcessThatDiesInsideEndsTheConnection) {
  kill(child_, SIGKILL);
  ASSERT_EQ(waitpid(child_, nullptr, 0), child_);
  ASSERT_TRUE(wait_until([&] {
    self_.poll();
    return self_.find(CompletionKind::kDisconnected) != nullptr;
  }));
  EXPECT_FALSE(self_.endpoint->peer_may_write());
}

INSTANTIATE_TEST_SUITE_P(By, ShmStoppedTest,
                         testing::Values(Access::kWrite, Access::kAtomic, Access::kMarked),
                         [](const auto& info) {
                           return info.param == Access::kWrite    ? "Write"
                                  : info.param == Access::kAtomic ? "Atomic"
                                                                  : "Marked";
                         });

}  // namespace
}  // namespace rdmakv::shm
