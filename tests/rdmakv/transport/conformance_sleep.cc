// Sleeping without missing anything, and several threads.
#include <poll.h>

#include <array>
#include <atomic>
#include <deque>
#include <mutex>
#include <random>
#include <thread>

#include "tests/rdmakv/transport/conformance.h"

namespace rdmakv::conformance {
namespace {

constexpr int kPatienceMs = static_cast<int>(kPatience.count()) * 1000;

bool readable(int fd, int timeout_ms) {
  pollfd wanted{fd, POLLIN, 0};
  return poll(&wanted, 1, timeout_ms) == 1;
}

// Sleeps as every user does: arm, look again, wait. What came is in the party's log. False when
// nothing came in time.
bool sleep_until_something(Party& party) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (party.log.empty()) {
    if (std::chrono::steady_clock::now() > deadline || !party.queue->arm()) return false;
    party.poll();
    if (!party.log.empty()) return true;
    if (!readable(party.queue->fd(), kPatienceMs)) return false;
    party.poll();
  }
  return true;
}

// Armed, nothing left to poll, and the descriptor quiet.
bool fall_asleep(Party& party) {
  for (int attempt = 0; attempt < 1000; ++attempt) {
    if (!party.queue->arm()) return false;
    party.poll();
    if (!party.log.empty()) return false;
    if (!readable(party.queue->fd(), 0)) return true;
    party.poll();
  }
  return false;
}

TEST_P(TransportConformance, IdleQueueStaysAsleep) {
  connect_pair();
  pump_rounds(1000);
  ASSERT_TRUE(fall_asleep(client_));
  EXPECT_FALSE(readable(client_.queue->fd(), 50));
}

TEST_P(TransportConformance, WakesForAMessage) {
  connect_pair();
  pump_rounds(1000);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(fall_asleep(client_));
    ASSERT_TRUE(pump_until([&] { return server_.send("wake up"); }));
    ASSERT_TRUE(readable(client_.queue->fd(), kPatienceMs)) << i;
    ASSERT_TRUE(sleep_until_something(client_));
    ASSERT_EQ(text_of(client_.log.front()), "wake up");
    client_.endpoint->release_message(client_.log.front().slot);
    client_.log.clear();
  }
}

TEST_P(TransportConformance, WakesForAnImmediate) {
  connect_pair();
  pump_rounds(1000);
  ASSERT_TRUE(fall_asleep(client_));
  const LocalBuffer body[] = {server_.at(0, 100)};
  ASSERT_TRUE(server_.endpoint->write_with_imm({}, 0, body, remote(*client_.exposed), 6, 0, false));
  server_.endpoint->flush();
  ASSERT_TRUE(sleep_until_something(client_));
  EXPECT_EQ(client_.log.front().kind, CompletionKind::kImmediate);
}

TEST_P(TransportConformance, WakesForItsOwnCompletion) {
  connect_pair();
  pump_rounds(1000);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(fall_asleep(client_));
    ASSERT_TRUE(client_.read(0, 64, remote(*server_.exposed)));
    ASSERT_TRUE(readable(client_.queue->fd(), kPatienceMs)) << i;
    ASSERT_TRUE(sleep_until_something(client_));
    ASSERT_EQ(client_.log.front().kind, CompletionKind::kRead);
    client_.log.clear();
  }
}

TEST_P(TransportConformance, WakesForTheEndOfItsPeer) {
  connect_pair();
  pump_rounds(1000);
  ASSERT_TRUE(fall_asleep(client_));
  server_.endpoint.reset();
  ASSERT_TRUE(sleep_until_something(client_));
  EXPECT_EQ(client_.log.front().kind, CompletionKind::kDisconnected);
}

TEST_P(TransportConformance, WakesForItsOwnClose) {
  connect_pair();
  pump_rounds(1000);
  ASSERT_TRUE(fall_asleep(client_));
  client_.endpoint->close();
  // The peer takes part, as far as the fabric needs it to.
  std::atomic<bool> stop{false};
  std::thread peer([&] {
    while (!stop) server_.poll();
  });
  EXPECT_TRUE(sleep_until_something(client_));
  stop = true;
  peer.join();
  ASSERT_FALSE(client_.log.empty());
  EXPECT_EQ(client_.log.front().kind, CompletionKind::kDisconnected);
}

// From the listener's descriptor on, everything only when a descriptor says so.
TEST_P(TransportConformance, ConnectsByDescriptorsAlone) {
  client_.endpoint = *start_connect();
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  bool sent = false;
  while (server_.find(CompletionKind::kMessage) == nullptr) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    bool quiet = true;
    for (Party* party : {&client_, &server_}) {
      ASSERT_TRUE(party->queue->arm());
      const size_t before = party->log.size();
      party->poll();
      quiet = quiet && party->log.size() == before;
    }
    if (!sent && client_.find(CompletionKind::kConnected) != nullptr) {
      ASSERT_TRUE(client_.send("hello"));
      sent = true;
      continue;
    }
    if (!quiet) continue;
    pollfd fds[] = {{listener_->fd(), POLLIN, 0},
                    {client_.queue->fd(), POLLIN, 0},
                    {server_.queue->fd(), POLLIN, 0}};
    ASSERT_GT(poll(fds, 3, kPatienceMs), 0);
    if (fds[0].revents != 0) listener_->dispatch();
    if (fds[1].revents != 0) client_.poll();
    if (fds[2].revents != 0) server_.poll();
  }
  EXPECT_EQ(text_of(*server_.find(CompletionKind::kMessage)), "hello");
}

// A ping-pong of two threads that sleep and spin as it comes: one lost wake-up and it stands still.
TEST_P(TransportConformance, NoWakeUpIsLost) {
  connect_pair();
  const uint32_t rounds = repetitions(20000);
  const auto play = [&](Party& party, bool begins, uint32_t seed) {
    std::mt19937 random(seed);
    for (uint32_t i = 0; i < rounds; ++i) {
      if (begins && !party.send(std::to_string(i))) return i;
      for (uint32_t spins = random() % 4 == 0 ? 0 : random() % 300; spins > 0 && party.log.empty();
           --spins) {
        party.poll();
      }
      if (party.log.empty() && !sleep_until_something(party)) return i;
      if (party.log.size() != 1 || text_of(party.log.front()) != std::to_string(i)) return i;
      party.endpoint->release_message(party.log.front().slot);
      party.log.clear();
      if (!begins && !party.send(std::to_string(i))) return i;
    }
    return rounds;
  };
  uint32_t echoed = 0;
  std::thread echo([&] { echoed = play(server_, false, 1); });
  EXPECT_EQ(play(client_, true, 2), rounds);
  echo.join();
  EXPECT_EQ(echoed, rounds);
}

// A server's thread: its own queue, Endpoints handed to it by the listener's thread, every message
// sent back.
class Worker {
 public:
  explicit Worker(Fabric& fabric) : queue_(std::move(*fabric.create_completion_queue(1024))) {}
  CompletionQueue* queue() { return queue_.get(); }
  void give(std::unique_ptr<Endpoint> endpoint) {
    const std::lock_guard lock(mutex_);
    given_.push_back(std::move(endpoint));
  }
  void start() {
    thread_ = std::thread([this] { run(); });
  }
  // Waits until so many connections have come and gone.
  bool finish(uint32_t connections) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (gone_ < connections && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
    stop_ = true;
    thread_.join();
    return gone_ == connections;
  }

 private:
  void run() {
    std::array<Completion, 8> completions;
    while (!stop_) {
      size_t count = queue_->poll(completions);
      if (count == 0 && queue_->arm()) {
        count = queue_->poll(completions);
        if (count == 0) readable(queue_->fd(), 20);  // to look at stop_ now and then
      }
      for (size_t i = 0; i < count; ++i) handle(completions[i]);
      for (auto& endpoint : endpoints_) endpoint->flush();
    }
    endpoints_.clear();
    take_given();
    endpoints_.clear();
  }
  void take_given() {
    const std::lock_guard lock(mutex_);
    for (auto& endpoint : given_) endpoints_.push_back(std::move(endpoint));
    given_.clear();
  }
  void handle(const Completion& completion) {
    take_given();
    if (completion.kind == CompletionKind::kDisconnected) {
      std::erase_if(endpoints_, [&](auto& e) { return e.get() == completion.endpoint; });
      ++gone_;
    } else if (completion.kind == CompletionKind::kMessage) {
      MessageBuffer reply = completion.endpoint->acquire_message();
      if (!reply) return;  // the client will miss it
      std::memcpy(reply.data, completion.message, completion.length);
      completion.endpoint->release_message(completion.slot);
      completion.endpoint->send(reply, completion.length, 0, false);
    }
  }

  std::unique_ptr<CompletionQueue> queue_;
  std::thread thread_;
  std::atomic<bool> stop_{false};
  std::atomic<uint32_t> gone_{0};
  std::vector<std::unique_ptr<Endpoint>> endpoints_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Endpoint>> given_;
};

struct Workers : ConnectionHandler {
  std::deque<Worker> workers;
  std::atomic<uint32_t> accepted_count{0};
  Result<Acceptance> route(const wire::ConnectRequest& request) override {
    if (request.worker >= workers.size()) return {Code::kNotFound, "no such worker"};
    return Acceptance{workers[request.worker].queue(), small_options()};
  }
  void accepted(const wire::ConnectRequest& request, std::unique_ptr<Endpoint> endpoint) override {
    ++accepted_count;
    workers[request.worker].give(std::move(endpoint));
  }
};

// Connects, has `rounds` messages echoed, closes. Returns how many came back right.
uint32_t echo_client(Fabric& fabric, const FabricAddress& address, uint16_t worker,
                     uint32_t rounds) {
  Party party;
  party.queue = std::move(*fabric.create_completion_queue(256));
  wire::ConnectRequest request;
  const EndpointOptions options = small_options();
  request.worker = worker;
  request.receive_slots = options.receive_slots;
  request.message_bytes = options.message_bytes;
  request.max_reads = options.max_reads;
  party.endpoint = std::move(*fabric.connect(address, request, options, *party.queue));
  if (!sleep_until_something(party) || party.log.front().kind != CompletionKind::kConnected)
    return 0;
  party.log.clear();
  uint32_t right = 0;
  for (uint32_t i = 0; i < rounds; ++i) {
    const std::string text = std::to_string(worker) + ":" + std::to_string(i);
    if (!party.send(text) || !sleep_until_something(party)) break;
    if (party.log.size() != 1 || text_of(party.log.front()) != text) break;
    party.endpoint->release_message(party.log.front().slot);
    party.log.clear();
    ++right;
  }
  return right;
}

TEST_P(TransportConformance, SeveralThreadsEachWithItsQueue) {
  constexpr uint16_t kWorkers = 2;
  constexpr uint32_t kClients = 3;
  constexpr uint32_t kConnectionsEach = 8;
  const uint32_t rounds = repetitions(200);
  Workers handler;
  for (uint16_t i = 0; i < kWorkers; ++i) handler.workers.emplace_back(*server_.fabric);
  for (Worker& worker : handler.workers) worker.start();
  listener_.reset();
  auto listener = server_.fabric->listen(GetParam().listen_at, handler);
  ASSERT_TRUE(listener) << listener.status().to_string();
  listener_ = std::move(listener).value();
  const FabricAddress address = server_address();

  std::atomic<uint32_t> right{0};
  std::atomic<uint32_t> finished{0};
  std::vector<std::thread> clients;
  for (uint32_t c = 0; c < kClients; ++c) {
    clients.emplace_back([&, c] {
      for (uint32_t i = 0; i < kConnectionsEach; ++i) {
        right += echo_client(*client_.fabric, address, static_cast<uint16_t>((c + i) % kWorkers),
                             rounds);
      }
      ++finished;
    });
  }
  while (finished < kClients) {
    if (readable(listener_->fd(), 20)) listener_->dispatch();
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(right, kClients * kConnectionsEach * rounds);
  for (Worker& worker : handler.workers) {
    EXPECT_TRUE(worker.finish(kClients * kConnectionsEach / kWorkers));
  }
  listener_.reset();  // before its handler
}

}  // namespace
}  // namespace rdmakv::conformance
