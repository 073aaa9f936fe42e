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
      spin_until = polled_ns_ + kSpinNs;
      continue;
    }
    if (operation.internal[kUnderWay] != 0 && polled_ns_ >= spin_until && arm()) sleep();
  }
}

Status ClientCore::connect_and_wait() {
  const uint64_t deadline = steady_ns() + options.connect_timeout_ns;
  due(deadline);
  for (const Server& server : servers_) {
    if (!server.sessions[0]->ready()) server.sessions[0]->want();
  }
  flush();
  std::vector<Status> failures(servers_.size());
  for (;;) {
    poll();
    size_t undecided = servers_.size();
    for (size_t i = 0; i < servers_.size(); ++i) {
      const Session& session = *servers_[i].sessions[0];
      if (session.ready()) {
        failures[i] = Status::ok();
        --undecided;
      } else if (session.failed() && session.state() == Session::State::kBackoff) {
        failures[i] = session.last_error();
      }
      if (!failures[i]) --undecided;
    }
    if (undecided == 0) break;
    if (steady_ns() >= deadline) {
      return {Code::kTimeout, "no connection within " +
                                  std::to_string(options.connect_timeout_ns / 1'000'000) + " ms"};
    }
    if (arm()) sleep();
  }
  const auto failed =
      std::find_if(failures.begin(), failures.end(), [](const Status& status) { return !status; });
  return failed == failures.end() ? Status::ok() : *failed;
}

Status Client::connect_to_any() {
  Status status = connect_and_wait();
  const std::vector<ServerState> states = servers();
  const bool any = std::any_of(states.begin(), states.end(),
                               [](const ServerState& server) { return server.reachable; });
  return any ? Status::ok() : status;
}

bool ClientCore::await_server(uint16_t index, uint64_t patience_ns) {
  const uint64_t deadline = steady_ns() + patience_ns;
  for (;;) {
    bool failed = false, under_way = false;
    for (const Session* session : servers_[index].sessions) {
      if (session->ready() || !session->failed()) continue;
      failed = true;
      under_way = under_way || session->state() == Session::State::kConnecting ||
                  session->state() == Session::State::kHandshaking;
    }
    if (!under_way || steady_ns() >= deadline) return !failed;
    due(deadline);
    if (poll() == 0 && arm()) sleep();
  }
}

}  // namespace rdmakv
