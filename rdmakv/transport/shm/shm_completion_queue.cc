#include "rdmakv/transport/shm/shm_completion_queue.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>

namespace rdmakv::shm {
namespace {

// Completions that one connection gives before it is the next one's turn.
constexpr size_t kBurst = 16;
constexpr int kEvents = 64;
// What an epoll event is about: this, a doorbell, or else the Endpoint whose socket it is.
void* const kOwnEvent = nullptr;
char doorbell_tag;

}  // namespace

Result<std::unique_ptr<ShmCompletionQueue>> ShmCompletionQueue::create() {
  std::unique_ptr<ShmCompletionQueue> queue(new ShmCompletionQueue());
  queue->epoll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  if (!queue->epoll_) return Status::from_errno("epoll_create1", errno);
  queue->event_ = UniqueFd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!queue->event_) return Status::from_errno("eventfd", errno);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = kOwnEvent;
  if (epoll_ctl(queue->epoll_.get(), EPOLL_CTL_ADD, queue->event_.get(), &event) != 0) {
    return Status::from_errno("epoll_ctl", errno);
  }
  Result<SharedMemory> page =
      make_shared_memory({"rdmakv:queue", kQueuePageBytes, Pages::kSmall, true, false});
  if (!page) return page.status();
  queue->page_ = std::move(page).value();
  return queue;
}

ShmCompletionQueue::~ShmCompletionQueue() {
  assert(turns_.all().empty() && "a CompletionQueue outlives its Endpoints");
}

// The two ends of a sleep. A poll() that returns 0 while armed leaves the queue armed, whatever it
// did meanwhile, so the caller may wait; one that returns something after the caller was entitled
// to wait ends the sleep. The events that woke us are taken later, off the way of what they
// announced.
size_t ShmCompletionQueue::poll(std::span<Completion> completions) {
  if (inbox_filled_.load(std::memory_order_acquire)) adopt();
  // Whoever is about to sleep must not miss a peer that did not ring.
  size_t count = scan(completions, armed_);
  const bool must_service =
      --until_service_ == 0 || (count == 0 && (drain_due_ || (armed_ && may_sleep_)));
  if (must_service) {
    // The peers that rang do so once per epoch, so what was taken must not be the last of it.
    if (service() && armed_) set_epoch(epoch_ + 2);
    if (count == 0) {
      if (inbox_filled_.load(std::memory_order_acquire)) adopt();
      count = scan(completions, true);
    }
  }
  if (!armed_) return count;
  if (count == 0) {
    may_sleep_ = true;
  } else if (may_sleep_) {
    armed_ = may_sleep_ = false;
    drain_due_ = true;
    set_epoch(epoch_ + 1);
  }
  return count;
}

size_t ShmCompletionQueue::scan(std::span<Completion> completions, bool all) {
  turns_.look_around(all);
  size_t count = 0;
  // Rounds, as long as some connection has more than its burst and there is room. A round ends
  // where it began or where the room ended; the next one goes on behind that.
  for (bool more = true; more && count < completions.size();) {
    more = false;
    const size_t turns = turns_.active();
    for (size_t i = 0; i < turns && count < completions.size(); ++i) {
      if (next_ >= turns_.active()) next_ = 0;
      ShmEndpoint& endpoint = turns_[next_];
      if (endpoint.idle()) {
        ++next_;
        continue;
      }
      const size_t room = std::min(kBurst, completions.size() - count);
      const size_t taken = endpoint.take(completions.subspan(count, room));
      endpoint.turn.had = true;
      count += taken;
      more |= taken == room;
      if (endpoint.done()) {
        turns_.remove(endpoint);
      } else {
        ++next_;
      }
    }
  }
  if (count == 0 && armed_) {
    for (ShmEndpoint* endpoint : turns_.all()) {
      if (endpoint->fed()) nudge();
    }
  }
  return count;
}

bool ShmCompletionQueue::service() {
  until_service_ = kServiceInterval;
  drain_due_ = false;
  std::array<epoll_event, kEvents> events;
  const int count = epoll_wait(epoll_.get(), events.data(), kEvents, 0);
  for (int i = 0; i < count; ++i) {
    void* tag = events[i].data.ptr;
    if (tag == kOwnEvent) {
      uint64_t ignored = 0;
      while (read(event_.get(), &ignored, sizeof(ignored)) < 0 && errno == EINTR) {
      }
    } else if (tag != &doorbell_tag) {
      static_cast<ShmEndpoint*>(tag)->on_socket_ready();
    }
  }
  for (ShmEndpoint* endpoint : turns_.all()) endpoint->wake_if_starved();
  turns_.settle();
  return count > 0;
}

Status ShmCompletionQueue::arm() {
  for (ShmEndpoint* endpoint : turns_.all()) endpoint->wake_if_starved();
  armed_ = true;
  may_sleep_ = false;
  set_epoch(epoch_ + (epoch_ % 2 == 0 ? 1 : 2));
  return Status::ok();
}

void ShmCompletionQueue::set_epoch(uint64_t epoch) {
  epoch_ = epoch;
  page().epoch.store(epoch, std::memory_order_relaxed);
  full_fence();  // before the rings are looked at again
}

void ShmCompletionQueue::nudge() {
  const uint64_t one = 1;
  while (write(event_.get(), &one, sizeof(one)) < 0 && errno == EINTR) {
  }
}

void ShmCompletionQueue::cancel(Handover& handover) {
  const std::lock_guard lock(mutex_);
  handover.endpoint = nullptr;
}

Status ShmCompletionQueue::watch(int socket, int doorbell, ShmEndpoint* endpoint) {
  epoll_event event{};
  event.data.ptr = endpoint;
  event.events = EPOLLIN | EPOLLRDHUP;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket, &event) != 0) {
    return Status::from_errno("epoll_ctl", errno);
  }
  event.data.ptr = &doorbell_tag;
  event.events = EPOLLIN | EPOLLET;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, doorbell, &event) != 0) {
    return Status::from_errno("epoll_ctl", errno);
  }
  return Status::ok();
}

void ShmCompletionQueue::unwatch(int fd) {
  if (fd >= 0) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

void ShmCompletionQueue::hand_over(const std::shared_ptr<Handover>& handover) {
  const std::lock_guard lock(mutex_);
  if (handover->endpoint == nullptr) return;
  inbox_.push_back(handover);
  inbox_filled_.store(true, std::memory_order_release);
  // Under the lock, so that the queue cannot have been destroyed meanwhile: its Endpoint is there.
  nudge();
}

void ShmCompletionQueue::adopt() {
  std::vector<ShmEndpoint*> fresh;
  {
    const std::lock_guard lock(mutex_);
    inbox_filled_.store(false, std::memory_order_relaxed);
    for (const std::shared_ptr<Handover>& handover : inbox_) {
      if (handover->endpoint != nullptr) fresh.push_back(handover->endpoint);
    }
    inbox_.clear();
  }
  // Only this thread destroys Endpoints of this queue, so they stay while it is here.
  for (ShmEndpoint* endpoint : fresh) {
    add(*endpoint);
    endpoint->on_adopted();
  }
}

}  // namespace rdmakv::shm
