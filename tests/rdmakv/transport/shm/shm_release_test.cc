// What is left when a peer has gone.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "rdmakv/transport/shm/shm_fabric.h"
#include "tests/rdmakv/transport/conformance.h"
#include "tests/rdmakv/transport/shm/open_descriptors.h"

namespace rdmakv::shm {
namespace {

using conformance::small_options;

size_t shared_mappings() {
  std::ifstream maps("/proc/self/maps");
  size_t count = 0;
  for (std::string line; std::getline(maps, line);) {
    if (line.find("memfd:rdmakv") != std::string::npos) ++count;
  }
  return count;
}

// A client that dies with everything mapped, again and again: afterwards the server holds nothing
// of it.
TEST(ShmReleaseTest, NothingIsLeftOfAKilledClient) {
  int ports[2];
  ASSERT_EQ(pipe(ports), 0);
  constexpr int kClients = 3;
  std::vector<pid_t> children;
  for (int i = 0; i < kClients; ++i) {
    const pid_t child = fork();
    if (child != 0) {
      children.push_back(child);
      continue;
    }
    uint16_t port = 0;
    if (read(ports[0], &port, sizeof(port)) != sizeof(port)) _exit(1);
    const std::unique_ptr<Fabric> fabric = std::move(*open_shm_fabric());
    conformance::Party party;
    party.queue = std::move(*fabric->create_completion_queue(64));
    party.exposed = std::move(*fabric->allocate(
        {1 << 20, RemoteAccess::kRead | RemoteAccess::kWrite, Pages::kTransparent, "landing"}));
    party.endpoint =
        std::move(*fabric->connect({"", port, false}, {}, small_options(), *party.queue));
    while (party.log.empty()) party.poll();
    if (!party.endpoint->expose(*party.exposed)) _exit(1);
    const uint32_t key = party.exposed->remote_key();
    party.send({reinterpret_cast<const char*>(&key), sizeof(key)});
    for (;;) party.poll();
  }

  struct Handler : ConnectionHandler {
    CompletionQueue* queue = nullptr;
    std::vector<std::unique_ptr<Endpoint>> endpoints;
    Result<Acceptance> route(const wire::ConnectRequest&) override {
      return Acceptance{queue, small_options()};
    }
    void accepted(const wire::ConnectRequest&, std::unique_ptr<Endpoint> endpoint) override {
      endpoints.push_back(std::move(endpoint));
    }
  } handler;
  const std::unique_ptr<Fabric> fabric = std::move(*open_shm_fabric());
  const std::unique_ptr<CompletionQueue> queue = std::move(*fabric->create_completion_queue(64));
  const std::unique_ptr<MemoryRegion> local =
      std::move(*fabric->allocate({1 << 20, RemoteAccess::kNone, Pages::kTransparent, "local"}));
  handler.queue = queue.get();
  const std::unique_ptr<Listener> listener = std::move(*fabric->listen({}, handler));
  const size_t descriptors = open_descriptors();
  const size_t mappings = shared_mappings();

  const uint16_t port = listener->port();
  for (int i = 0; i < kClients; ++i) ASSERT_EQ(write(ports[1], &port, sizeof(port)), 2);
  int messages = 0;
  int disconnects = 0;
  const auto deadline = std::chrono::steady_clock::now() + conformance::kPatience;
  while (disconnects < kClients && std::chrono::steady_clock::now() < deadline) {
    listener->dispatch();
    Completion completion[1];
    if (queue->poll(completion) == 0) continue;
    if (completion->kind == CompletionKind::kDisconnected) {
      ++disconnects;
      EXPECT_EQ(completion->code, Code::kUnavailable);
    } else if (completion->kind == CompletionKind::kMessage) {
      ++messages;
      uint32_t key = 0;
      std::memcpy(&key, completion->message, sizeof(key));
      const LocalBuffer body[] = {{local->data(), 4096, local->local_key()}};
      EXPECT_TRUE(completion->endpoint->write(body, {0, key}, 0, false));  // maps it
      completion->endpoint->flush();
    }
    if (messages == kClients) {
      EXPECT_GT(shared_mappings(), mappings);
      for (pid_t child : children) kill(child, SIGKILL);
      messages = 0;
    }
  }
  EXPECT_EQ(disconnects, kClients);
  for (pid_t child : children) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  handler.endpoints.clear();
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_EQ(shared_mappings(), mappings);
  close(ports[0]);
  close(ports[1]);
}

}  // namespace
}  // namespace rdmakv::shm
