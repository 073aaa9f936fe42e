#include "tests/linearizability/campaign/server_process.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>

#include "rdmakv/client/clock.h"
#include "rdmakv/server/server.h"
#include "tests/fakes/chaos.h"
#include "tests/linearizability/campaign/child.h"

namespace rdmakv::linearizability {
namespace {

constexpr uint32_t kConnections = 40;
constexpr uint32_t kRingBytes = 256 * 1024;
constexpr uint64_t kPatienceNs = 120'000'000'000;

// Between the stores of a change: where the server stands still for a while, clients see what is
// between them.
void pause_at_times(void* context, int) {
  thread_local fakes::Dice dice(reinterpret_cast<uintptr_t>(&dice) ^ steady_ns());
  if (!dice.per_million(*static_cast<const uint32_t*>(context))) return;
  const timespec pause{0, static_cast<long>(dice.below(300'000))};
  nanosleep(&pause, nullptr);
}

// Tries again while there is nothing to be had: the wire of the device may be down just now.
template <typename Attempt>
auto patiently(Attempt&& attempt) {
  const uint64_t patience = steady_ns() + kPatienceNs;
  for (;;) {
    auto result = attempt();
    if (result || result.status().code() != Code::kUnavailable || steady_ns() > patience) {
      return result;
    }
    const timespec pause{0, 50'000'000};
    nanosleep(&pause, nullptr);
  }
}

// In the child.
int serve(const ServerSetup& setup, uint16_t port, int tell) {
  std::FILE* log = std::fopen(setup.log.c_str(), "a");
  Result<std::unique_ptr<Fabric>> fabric = patiently([&] {
    return open_fabric({setup.transport, setup.device, -1});
  });
  if (!fabric) {
    std::fprintf(stderr, "server: %s\n", fabric.status().to_string().c_str());
    return 2;
  }
  server::ServerOptions options;
  options.address.port = port;
  options.address.host = setup.host;
  options.memory_bytes = setup.memory_mb << 20;
  options.cas_bytes = setup.cas_kb << 10;
  options.workers = setup.workers;
  options.max_connections = kConnections;
  options.ring_bytes = kRingBytes;
  uint32_t pauses = setup.pauses_per_million;
  if (pauses != 0) options.step_hook = pause_at_times;
  options.step_context = &pauses;
  options.log = [log](server::LogLevel, std::string_view text) {
    if (log == nullptr) return;
    std::fprintf(log, "%.*s\n", static_cast<int>(text.size()), text.data());
    std::fflush(log);
  };
  Result<std::unique_ptr<server::Server>> server =
      patiently([&] { return server::Server::start(**fabric, options); });
  if (!server) {
    std::fprintf(stderr, "server: %s\n", server.status().to_string().c_str());
    return 2;
  }
  const uint16_t bound = (*server)->port();
  if (write(tell, &bound, sizeof(bound)) != sizeof(bound)) return 2;
  close(tell);
  for (;;) pause();
}

}  // namespace

Status ServerProcess::start() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Status::from_errno("pipe2", errno);
  Result<pid_t> child = start_child([&] {
    close(ends[0]);
    return serve(setup_, port_, ends[1]);
  });
  close(ends[1]);
  if (!child) {
    close(ends[0]);
    return child.status();
  }
  pid_ = *child;
  uint16_t port = 0;
  const ssize_t got = read(ends[0], &port, sizeof(port));
  close(ends[0]);
  if (got != sizeof(port)) return {Code::kSystemError, "the server did not start"};
  port_ = port;
  return Status::ok();
}

void ServerProcess::kill() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

Status ServerProcess::check() {
  int status = 0;
  if (pid_ < 0 || waitpid(pid_, &status, WNOHANG) != pid_) return Status::ok();
  pid_ = -1;
  return {Code::kSystemError, "the server ended by itself: " + how_it_ended(status)};
}

}  // namespace rdmakv::linearizability
