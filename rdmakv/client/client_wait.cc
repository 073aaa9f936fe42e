// ClientCore: the blocking calls.
#include <poll.h>

#include <algorithm>

#include "rdmakv/client/client_core.h"

namespace rdmakv {
namespace {

// How long to look before sleeping: about what it costs to be woken up (docs/architecture.md).
constexpr uint64_t kSpinNs = 50'000;

}  // namespace

// arm() has returned true.
void ClientCore::sleep() {
  pollfd wanted{epoll_fd_, POLLIN, 0};
  ::poll(&wanted, 1, -1);  // a signal: the caller looks again
}

void ClientCore::wait(Operation& operation) {
  flush();
  uint64_t spin_until = steady_ns() + kSpinNs;
  while (operation.internal[kUnderWay] != 0) {
    if (poll() > 0) {
      spin_until = steady_ns() + kSpinNs;
      continue;
    }
    if (operation.internal[kUnderWay] != 0 && steady_ns() >= spin_until && arm()) sleep();
  }
}

Status ClientCore::connect_and_wait() {
  const uint64_t deadline = steady_ns() + options.connect_timeout_ns;
  due(deadline);
  for (const Server& server : servers_) {
    if (!server.sessions[0]->ready()) server.sessions[0]->want();
  }
  flush();
  for (;;) {
    poll();
    size_t ready = 0;
    for (const Server& server : servers_) {
      const Session& session = *server.sessions[0];
      if (session.ready()) {
        ++ready;
      } else if (session.failed() && session.state() == Session::State::kBackoff) {
        return session.last_error();
      }
    }
    if (ready == servers_.size()) return Status::ok();
    if (steady_ns() >= deadline) {
      return {Code::kTimeout, "no connection within " +
                                  std::to_string(options.connect_timeout_ns / 1'000'000) + " ms"};
    }
    if (arm()) sleep();
  }
}

}  // namespace rdmakv
