// A server over shared memory that is stopped in the middle of the WRITE of a reply: the landing
// buffer that it may still write to stays what it is, and the client goes on. (quarantine_test.cc
// has the bounds, with a fabric that claims to be such a server.)
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

#include "rdmakv/transport/shared_copy.h"
#include "rdmakv/transport/shm/shm_fabric.h"
#include "tests/rdmakv/client/client_server_fixture.h"
#include "tests/rdmakv/transport/shm/tripwire.h"

// The child starts threads of its own, which ThreadSanitizer does not like in a copy of a process
// that has some; what it does is single-threaded enough for it.
extern "C" const char* __tsan_default_options() {
  return "die_after_fork=0";
}

namespace rdmakv {
namespace {

constexpr size_t kValueBytes = 48 << 10;
constexpr size_t kTripAfter = 20 << 10;  // of the value

struct Board {
  std::atomic<uint32_t> port;
  std::atomic<bool> arm, armed;
};

void nap() {
  std::this_thread::sleep_for(std::chrono::microseconds(50));
}

std::string value() {
  return pattern(kValueBytes, 7);
}

// Where in this process's pool, which shared memory names, these bytes lie; null: nowhere.
std::byte* find_in_pool(std::string_view bytes) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("worker0.pool") == std::string::npos) continue;
    uintptr_t from = 0, to = 0;
    char dash = 0;
    std::istringstream(line) >> std::hex >> from >> dash >> to;
    auto* const pool = reinterpret_cast<std::byte*>(from);
    std::string copy(to - from, '\0');
    copy_from_shared(reinterpret_cast<std::byte*>(copy.data()), pool, copy.size());
    if (const size_t at = copy.find(bytes); at != std::string::npos) return pool + at;
  }
  return nullptr;
}

// Shared memory, and the last connection that was made, which the test may close.
class Remembering final : public Fabric {
 public:
  Result<std::unique_ptr<Endpoint>> connect(const FabricAddress& server,
                                            const wire::ConnectRequest& request,
                                            const EndpointOptions& options,
                                            CompletionQueue& queue) override {
    Result<std::unique_ptr<Endpoint>> endpoint = inner_->connect(server, request, options, queue);
    last = endpoint ? endpoint->get() : nullptr;
    return endpoint;
  }
  Result<std::unique_ptr<MemoryRegion>> allocate(const RegionOptions& options) override {
    return inner_->allocate(options);
  }
  Result<std::unique_ptr<CompletionQueue>> create_completion_queue(uint32_t depth) override {
    return inner_->create_completion_queue(depth);
  }
  Result<std::unique_ptr<Listener>> listen(const FabricAddress& address,
                                           ConnectionHandler& handler) override {
    return inner_->listen(address, handler);
  }
  FabricLimits limits() const override { return inner_->limits(); }
  std::string_view name() const override { return inner_->name(); }
  std::string describe() const override { return inner_->describe(); }

  Endpoint* last = nullptr;

 private:
  std::unique_ptr<Fabric> inner_ = std::move(*shm::open_shm_fabric());
};

// The child: serves until it is killed; when it is told to, lays a wire across the value.
void serve(Board* board) {
  const std::unique_ptr<Fabric> fabric = std::move(*shm::open_shm_fabric());
  server::ServerOptions options;
  options.memory_bytes = 16 << 20;
  options.workers = 1;
  options.max_connections = 4;
  Result<std::unique_ptr<server::Server>> server = server::Server::start(*fabric, options);
  if (!server) _exit(1);
  board->port = (*server)->port();
  while (!board->arm) nap();
  std::byte* const found = find_in_pool(value().substr(kTripAfter, 64));
  if (found == nullptr) _exit(2);
  constexpr uintptr_t kPage = shm::Tripwire::kPage;
  const auto page = (reinterpret_cast<uintptr_t>(found) + kPage - 1) / kPage * kPage;
  const shm::Tripwire tripwire(reinterpret_cast<std::byte*>(page), nullptr);
  board->armed = true;
  for (;;) pause();
}

class StoppedServerTest : public testing::Test {
 protected:
  void SetUp() override {
    void* shared = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(shared, MAP_FAILED);
    board_ = static_cast<Board*>(shared);
    child_ = fork();  // before there are threads
    if (child_ == 0) serve(board_);
    while (board_->port == 0) {
      ASSERT_EQ(waitpid(child_, nullptr, WNOHANG), 0) << "the server did not start";
      nap();
    }
    fabric_ = std::make_unique<Remembering>();
    ClientOptions options;
    options.servers = {{"", static_cast<uint16_t>(board_->port), false}};
    options.arena_bytes = 1 << 20;
    options.get_path = GetPath::kRequest;
    options.timeout_ns = 120'000'000'000;  // only ends a hang
    options.connect_timeout_ns = 50'000'000;
    client_ = std::move(*Client::create(*fabric_, options));
    while (!client_->connect_and_wait()) {
      ASSERT_EQ(waitpid(child_, nullptr, WNOHANG), 0) << "the server has gone";
    }
    room_at_first_ = room();
    ASSERT_EQ(async_put(*client_, "key", value()).wait().code, Code::kOk);
    stop_in_a_write();
  }
  void TearDown() override {
    client_.reset();
    if (child_ > 0) end();
    munmap(board_, 4096);
  }

  // A GET's reply is half written when the connection ends; the next one never comes about.
  void stop_in_a_write() {
    board_->arm = true;
    while (!board_->armed) {
      ASSERT_EQ(waitpid(child_, nullptr, WNOHANG), 0) << "the value is not in the pool";
      nap();
    }
    client_->submit(get_);
    client_->flush();
    int status = 0;
    while (waitpid(child_, &status, WUNTRACED | WNOHANG) == 0) client_->poll();
    ASSERT_TRUE(WIFSTOPPED(status)) << "exit status " << WEXITSTATUS(status);
    fabric_->last->close();
    while (get_.dones == 0) client_->poll();
    EXPECT_EQ(get_.code, Code::kUnavailable);
    ASSERT_EQ(client_->counters().quarantined, 1u);
  }
  // Buffers that there are.
  size_t room() {
    std::vector<ValueBuffer> buffers;
    do {
      buffers.push_back(client_->allocate(kValueBytes));
    } while (buffers.back());
    return buffers.size();
  }
  void wait_for_release() {
    while (client_->counters().quarantined != 0) client_->poll();
    EXPECT_EQ(room(), room_at_first_);
  }
  void end() {
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
    child_ = -1;
  }

  Board* board_ = nullptr;
  pid_t child_ = -1;
  std::unique_ptr<Remembering> fabric_;
  std::unique_ptr<Client> client_;
  size_t room_at_first_ = 0;
  TestOperation get_{OperationKind::kGet, "key"};
};

TEST_F(StoppedServerTest, ALandingBufferIsKeptUntilTheWriteIsOver) {
  EXPECT_LT(room(), room_at_first_);
  kill(child_, SIGCONT);
  wait_for_release();
  TestOperation again(OperationKind::kGet, "key");
  do {
    client_->submit(again);
    client_->wait(again);
  } while (again.code == Code::kUnavailable);
  EXPECT_EQ(again.code, Code::kOk);
  EXPECT_TRUE(again.lent == value());
}

TEST_F(StoppedServerTest, ADeadServerWritesNoMore) {
  EXPECT_LT(room(), room_at_first_);
  end();
  wait_for_release();
}

// And without anything to do with that memory: nobody waits.
TEST_F(StoppedServerTest, AClientEndsBesideIt) {
  client_.reset();
}

}  // namespace
}  // namespace rdmakv
