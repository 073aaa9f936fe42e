#include "rdmakv/transport/verbs/bring_up.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace rdmakv::verbs {

Status BringUps::open() {
  event_ = FileDescriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  return event_ ? Status::ok() : Status::from_errno("eventfd", errno);
}

bool BringUps::has_room_for(const std::string& host) const {
  if (running_.size() >= kAtOnce) return false;
  const auto of_host = std::ranges::count_if(
      running_, [&](const Running& running) { return running.accepting.host == host; });
  return static_cast<size_t>(of_host) < kAtOncePerHost;
}

void BringUps::start(Accepting accepting) {
  Running& running = running_.emplace_back();
  running.accepting = std::move(accepting);
  const auto bring_up = [this, &running] {
    Accepting& mine = running.accepting;
    mine.status = mine.connection->bring_up_accepted(*mine.endpoint);
    running.done.store(true, std::memory_order_release);
    const uint64_t one = 1;
    // Cannot fail but when the counter is full, and then the listener is woken already.
    [[maybe_unused]] const ssize_t written = ::write(event_.get(), &one, sizeof(one));
  };
  try {
    running.thread = std::jthread(bring_up);
  } catch (const std::system_error&) {
    bring_up();  // no thread is to be had: then this one, as slow as it may be
  }
}

std::vector<Accepting> BringUps::take_finished() {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t drained = ::read(event_.get(), &count, sizeof(count));
  std::vector<Accepting> finished;
  for (auto it = running_.begin(); it != running_.end();) {
    if (!it->done.load(std::memory_order_acquire)) {
      ++it;
      continue;
    }
    if (it->thread.joinable()) it->thread.join();
    finished.push_back(std::move(it->accepting));
    it = running_.erase(it);
  }
  return finished;
}

}  // namespace rdmakv::verbs
