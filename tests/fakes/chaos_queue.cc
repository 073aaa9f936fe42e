#include "tests/fakes/chaos_queue.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "rdmakv/client/clock.h"
#include "tests/fakes/chaos_endpoint.h"

namespace rdmakv::fakes {

Result<std::unique_ptr<CompletionQueue>> ChaosQueue::create(
    std::unique_ptr<CompletionQueue> inner) {
  std::unique_ptr<ChaosQueue> queue(new ChaosQueue(std::move(inner)));
  queue->epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
  queue->timer_fd_ = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (queue->epoll_fd_ < 0 || queue->timer_fd_ < 0) return Status::from_errno("timer", errno);
  for (const int watched : {queue->inner_->fd(), queue->timer_fd_}) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = watched;
    if (epoll_ctl(queue->epoll_fd_, EPOLL_CTL_ADD, watched, &event) != 0) {
      return Status::from_errno("epoll_ctl", errno);
    }
  }
  return std::unique_ptr<CompletionQueue>(std::move(queue));
}

ChaosQueue::~ChaosQueue() {
  if (timer_fd_ >= 0) close(timer_fd_);
  if (epoll_fd_ >= 0) close(epoll_fd_);
}

void ChaosQueue::remove(ChaosEndpoint* endpoint) {
  std::erase(endpoints_, endpoint);
}

size_t ChaosQueue::poll(std::span<Completion> completions) {
  size_t count = turn(completions);
  if (count > 0 || !armed_) {
    armed_ = false;
    return count;
  }
  // What the inner queue returned ended its sleep, though we hold it back: it has to sleep again.
  for (int i = 0; i < 64; ++i) {
    if (!inner_->arm()) break;
    if (drain_inner(steady_ns()) == 0) break;
  }
  uint64_t due = kNever;
  for (const ChaosEndpoint* endpoint : endpoints_) due = std::min(due, endpoint->due_ns());
  set_timer(due);
  return 0;
}

// Hands what the inner queue has to the Endpoints.
size_t ChaosQueue::drain_inner(uint64_t now_ns) {
  Completion arrived[32];
  const size_t count = inner_->poll(arrived);
  for (size_t i = 0; i < count; ++i) {
    static_cast<ChaosEndpoint*>(arrived[i].endpoint->owner())->on_inner(arrived[i], now_ns);
  }
  return count;
}

size_t ChaosQueue::turn(std::span<Completion> completions) {
  const uint64_t now = steady_ns();
  for (ChaosEndpoint* endpoint : endpoints_) endpoint->advance(now);
  if (drain_inner(now) > 0) {
    for (ChaosEndpoint* endpoint : endpoints_) endpoint->advance(now);
  }
  size_t count = 0;
  for (size_t i = 0; i < endpoints_.size() && count < completions.size(); ++i) {
    ChaosEndpoint* endpoint = endpoints_[(first_ + i) % endpoints_.size()];
    while (count < completions.size() && endpoint->deliver(completions[count], now)) ++count;
  }
  ++first_;
  return count;
}

Status ChaosQueue::arm() {
  armed_ = true;
  uint64_t due = kNever;
  for (const ChaosEndpoint* endpoint : endpoints_) due = std::min(due, endpoint->due_ns());
  set_timer(due);
  return inner_->arm();
}

void ChaosQueue::set_timer(uint64_t due_ns) {
  itimerspec when{};
  if (due_ns != kNever) {
    const uint64_t ns = std::max<uint64_t>(due_ns, 1);
    when.it_value.tv_sec = static_cast<time_t>(ns / 1'000'000'000);
    when.it_value.tv_nsec = static_cast<long>(ns % 1'000'000'000);
  }
  timerfd_settime(timer_fd_, TFD_TIMER_ABSTIME, &when, nullptr);
}

}  // namespace rdmakv::fakes
