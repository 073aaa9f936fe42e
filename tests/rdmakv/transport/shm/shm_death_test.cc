// Processes that are killed: from when on their peers know, and that nobody reads a dead server's
// memory while its successor is at work.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "rdmakv/transport/shm/life_sign.h"
#include "rdmakv/transport/shm/shm_fabric.h"
#include "rdmakv/transport/shm/unix_socket.h"
#include "tests/rdmakv/transport/conformance.h"

namespace rdmakv::shm {
namespace {

using conformance::kPatience;
using conformance::Party;
using conformance::small_options;

constexpr uint32_t kMaxWork = 4096;

pid_t run_in_child(const std::function<void()>& body) {
  const pid_t child = fork();
  if (child != 0) return child;
  body();
  _exit(0);
}

bool wait_until(const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    sched_yield();
  }
  return true;
}

// What the processes of one test share otherwise than by what is tested.
struct Blackboard {
  std::atomic<uint32_t> port;
  std::atomic<uint32_t> key;
  std::atomic<bool> bound;  // the successor has the port
};

class Shared {
 public:
  Shared() {
    void* data = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(data, MAP_FAILED);
    memory_ = Mapping(static_cast<std::byte*>(data), 4096);
  }
  Blackboard* operator->() const { return reinterpret_cast<Blackboard*>(memory_.data()); }

 private:
  Mapping memory_;
};

// ---- the sign itself

TEST(ShmLifeTest, TheSignIsMarkedWhenItsProcessIsKilled) {
  int fds[2];
  ASSERT_EQ(pipe(fds), 0);
  // The page is made by the child and found through its pid.
  const pid_t child = run_in_child([&] {
    const std::shared_ptr<LifeSign> sign = std::move(*LifeSign::of_this_process());
    const int fd = sign->fd();
    if (write(fds[1], &fd, sizeof(fd)) != sizeof(fd)) _exit(1);
    for (;;) pause();
  });
  int number = -1;
  ASSERT_EQ(read(fds[0], &number, sizeof(number)), ssize_t{sizeof(number)});
  const UniqueFd fd(
      open(("/proc/" + std::to_string(child) + "/fd/" + std::to_string(number)).c_str(),
           O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(fd);
  Result<Mapping> mapping = map_peer_memory(fd.get(), kLifePageBytes, false);
  ASSERT_TRUE(mapping);
  const auto* page = reinterpret_cast<const LifePage*>(mapping->data());
  EXPECT_TRUE(page->kept());
  EXPECT_FALSE(page->marked_dead());
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(page->marked_dead());
  close(fds[0]);
  close(fds[1]);
}

TEST(ShmLifeTest, TheSignLivesAsLongAsItsLastUser) {
  std::shared_ptr<LifeSign> first = std::move(*LifeSign::of_this_process());
  const std::shared_ptr<LifeSign> second = std::move(*LifeSign::of_this_process());
  EXPECT_EQ(first, second);
  first.reset();
  EXPECT_TRUE(second->page().kept());
  EXPECT_FALSE(second->page().marked_dead());
}

// The thread that made the sign may end before the process.
TEST(ShmLifeTest, TheSignOutlivesTheThreadThatMadeIt) {
  std::shared_ptr<LifeSign> sign;
  std::thread([&] { sign = std::move(*LifeSign::of_this_process()); }).join();
  EXPECT_TRUE(sign->page().kept());
  EXPECT_FALSE(sign->page().marked_dead());
}

TEST(ShmLifeTest, TheSignIsMarkedWhenItsLastUserIsGone) {
  std::shared_ptr<LifeSign> sign = std::move(*LifeSign::of_this_process());
  Result<Mapping> mapping = map_peer_memory(sign->fd(), kLifePageBytes, false);
  ASSERT_TRUE(mapping);
  EXPECT_FALSE(map_peer_memory(sign->fd(), kLifePageBytes, true)) << "a peer could forge it";
  sign.reset();
  EXPECT_TRUE(reinterpret_cast<const LifePage*>(mapping->data())->marked_dead());
}

// ---- a server with a successor

struct Acceptor : ConnectionHandler {
  CompletionQueue* queue = nullptr;
  const MemoryRegion* region = nullptr;
  std::unique_ptr<Endpoint> endpoint;
  Result<Acceptance> route(const wire::ConnectRequest&) override {
    return Acceptance{queue, small_options()};
  }
  void accepted(const wire::ConnectRequest&, std::unique_ptr<Endpoint> fresh) override {
    endpoint = std::move(fresh);
    if (!endpoint->expose(*region)) _exit(1);
  }
};

void serve(const Shared& board) {
  const std::unique_ptr<Fabric> fabric = std::move(*open_shm_fabric());
  Acceptor acceptor;
  const auto region = std::move(*fabric->allocate(
      {1 << 16, RemoteAccess::kRead | RemoteAccess::kWrite | RemoteAccess::kAtomic,
       Pages::kTransparent, "old"}));
  const auto queue = std::move(*fabric->create_completion_queue(64));
  acceptor.queue = queue.get();
  acceptor.region = region.get();
  const auto listener = std::move(*fabric->listen({}, acceptor));
  board->key = region->remote_key();
  board->port = listener->port();
  // Other threads, as a server has them; which of them dies last is up to the kernel.
  for (int i = 0; i < 2; ++i)
    std::thread([] {
      for (;;) sched_yield();
    }).detach();
  Completion completions[16];
  for (;;) {
    listener->dispatch();
    queue->poll(completions);
    sched_yield();
  }
}

// Takes over the port as soon as it can be had.
void succeed(const Shared& board) {
  while (board->port == 0) sched_yield();
  for (;;) {
    auto port = static_cast<uint16_t>(board->port);
    const Result<UniqueFd> socket = listen_on_port(&port);
    if (!socket) continue;
    board->bound = true;
    for (;;) pause();
  }
}

class ShmSuccessorTest : public testing::TestWithParam<CompletionKind> {
 protected:
  void SetUp() override {
    server_ = run_in_child([&] { serve(board_); });
    successor_ = run_in_child([&] { succeed(board_); });
    ASSERT_TRUE(wait_until([&] { return board_->port != 0; }));
    fabric_ = std::move(*open_shm_fabric());
    client_.local =
        std::move(*fabric_->allocate({1 << 16, RemoteAccess::kNone, Pages::kTransparent, "local"}));
    client_.queue = std::move(*fabric_->create_completion_queue(64));
    EndpointOptions options = small_options();
    options.max_work = kMaxWork;
    wire::ConnectRequest request;
    request.receive_slots = options.receive_slots;
    request.message_bytes = options.message_bytes;
    request.max_reads = options.max_reads;
    const auto port = static_cast<uint16_t>(board_->port);
    client_.endpoint =
        std::move(*fabric_->connect({"", port, false}, request, options, *client_.queue));
    ASSERT_TRUE(wait_until([&] {
      client_.poll();
      return client_.find(CompletionKind::kConnected) != nullptr;
    }));
    client_.log.clear();
    ASSERT_TRUE(wait_until([&] { return post() && poll_one() == Code::kOk; }));
  }
  void TearDown() override {
    for (const pid_t child : {server_, successor_}) {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
    client_.endpoint.reset();
  }

  bool post() {
    const RemoteAddress there{64, board_->key};
    const LocalBuffer body[] = {client_.at(0, 64)};
    switch (GetParam()) {
      case CompletionKind::kRead:
        return client_.endpoint->read(client_.at(0, 64), there, 0, true);
      case CompletionKind::kWrite:
        return client_.endpoint->write(body, there, 0, true);
      default:
        return client_.endpoint->compare_and_swap(client_.at(0, 8), there, 0, 0, 0, true);
    }
  }
  Code poll_one() {
    client_.log.clear();
    EXPECT_TRUE(wait_until([&] {
      client_.poll();
      return !client_.log.empty();
    }));
    return client_.log.empty() ? Code::kTimeout : client_.log.front().code;
  }

  Shared board_;
  pid_t server_ = -1;
  pid_t successor_ = -1;
  std::unique_ptr<Fabric> fabric_;
  Party client_;
};
INSTANTIATE_TEST_SUITE_P(Shm, ShmSuccessorTest,
                         testing::Values(CompletionKind::kRead, CompletionKind::kWrite,
                                         CompletionKind::kCompareAndSwap),
                         [](const auto& info) {
                           return info.param == CompletionKind::kRead    ? "Read"
                                  : info.param == CompletionKind::kWrite ? "Write"
                                                                         : "CompareAndSwap";
                         });

// Posts without ever polling, so that nothing but the operation itself can notice the death, until
// well after the successor has the port. What was posted after that must have failed.
TEST_P(ShmSuccessorTest, NothingSucceedsOnTheOldMemoryOnceTheSuccessorHasThePort) {
  std::mt19937 random(std::random_device{}());
  const uint32_t kill_after = random() % 2000;
  SCOPED_TRACE("killed after " + std::to_string(kill_after));
  uint32_t posted = 0;
  uint32_t allowed = 0;  // posted before the successor was known to have the port
  const auto post_one = [&] {
    const bool bound = board_->bound;
    if (!post()) return false;
    ++posted;
    if (!bound) ++allowed;
    return true;
  };
  while (posted < kill_after) ASSERT_TRUE(post_one());
  kill(server_, SIGKILL);
  // Densely at first; then with room left for what comes after the successor.
  while (posted < kMaxWork - 16 && !board_->bound && post_one()) {
  }
  ASSERT_TRUE(wait_until([&] { return board_->bound.load(); }));
  for (int i = 0; i < 8; ++i) post_one();
  client_.endpoint->flush();

  client_.log.clear();
  ASSERT_TRUE(wait_until([&] {
    client_.poll();
    return client_.find(CompletionKind::kDisconnected) != nullptr;
  }));
  EXPECT_EQ(client_.log.size(), posted + 1);
  EXPECT_EQ(client_.log.back().kind, CompletionKind::kDisconnected);
  EXPECT_EQ(client_.log.back().code, Code::kUnavailable);
  uint32_t good = 0;
  while (good < client_.log.size() && client_.log[good].code == Code::kOk) ++good;
  EXPECT_GE(good, kill_after);
  EXPECT_LE(good, allowed) << "the memory of a dead server was used";
  for (size_t i = good; i < client_.log.size(); ++i) EXPECT_NE(client_.log[i].code, Code::kOk);
}

}  // namespace
}  // namespace rdmakv::shm
