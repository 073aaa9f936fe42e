#include "rdmakv/transport/verbs/completion_queue.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>

#include "rdmakv/transport/verbs/endpoint.h"

namespace rdmakv::verbs {
namespace {

// What an epoll event is of; larger values are EndpointKeys, of which the smallest is 1 << 24.
enum Source : uint64_t { kDeviceSource = 1, kCmSource, kWakeupSource, kTimerSource };

constexpr long kTickNanoseconds = 100'000'000;
constexpr uint32_t kAcknowledgeBatch = 64;
constexpr uint32_t kMaxMembers = (1u << 16) - 1;  // index + 1 has 16 bits in a work request id

uint32_t index_of(EndpointKey key) {
  return static_cast<uint32_t>(key >> kGenerationBits);
}
uint32_t generation_of(EndpointKey key) {
  return static_cast<uint32_t>(key & kGenerationMask);
}
uint32_t next_generation(uint32_t generation) {
  const uint32_t next = (generation + 1) & kGenerationMask;
  return next == 0 ? 1 : next;
}

Status set_non_blocking(int fd, const char* what) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
    return Status::from_errno(std::string("cannot make non-blocking: ") + what, errno);
  }
  return Status::ok();
}

Status add_to_epoll(int epoll, int fd, uint64_t source, uint32_t events = EPOLLIN) {
  epoll_event event = {};
  event.events = events;
  event.data.u64 = source;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
    return Status::from_errno("epoll_ctl", errno);
  }
  return Status::ok();
}

}  // namespace

VerbsCompletionQueue::VerbsCompletionQueue(std::shared_ptr<const Device> device)
    : device_(std::move(device)) {}

Result<std::unique_ptr<VerbsCompletionQueue>> VerbsCompletionQueue::create(
    std::shared_ptr<const Device> device, uint32_t depth) {
  const uint32_t deepest = device->limits().max_completions;
  if (depth == 0 || depth > deepest) {
    return {Code::kInvalidArgument, "a completion queue of " + std::to_string(depth) +
                                        " entries: " + device->name() + " takes 1 to " +
                                        std::to_string(deepest)};
  }
  std::unique_ptr<VerbsCompletionQueue> queue(
      new VerbsCompletionQueue(std::move(device)));  // NOLINT
  if (Status status = queue->open(depth); !status) return status;
  return queue;
}

Status VerbsCompletionQueue::open(uint32_t wanted) {
  // Whoever asks counts receive_slots + max_work per connection; each also has some requests of its
  // own (send_queue_depth()), for which there is room on top, as far as the device goes.
  const uint32_t depth = std::min(wanted + wanted / 2, device_->limits().max_completions);
  epoll_ = FileDescriptor(epoll_create1(EPOLL_CLOEXEC));
  wakeup_ = FileDescriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  timer_ = FileDescriptor(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!epoll_ || !wakeup_ || !timer_) return Status::from_errno("cannot make an event loop", errno);
  channel_.reset(ibv_create_comp_channel(device_->context()));
  if (!channel_) return Status::from_errno("cannot make a completion channel", errno);
  if (Status status = set_non_blocking(channel_->fd, "completion channel"); !status) return status;
  queue_.reset(
      ibv_create_cq(device_->context(), static_cast<int>(depth), nullptr, channel_.get(), 0));
  if (!queue_) {
    return Status::from_errno("cannot make a completion queue of " + std::to_string(depth) +
                                  " entries on " + device_->name(),
                              errno);
  }
  depth_ = depth;
  // The smallest Endpoint has one receive, one request, and those it keeps for itself.
  member_count_ = std::clamp(depth / (2 + kReservedWork), 1u, kMaxMembers);
  members_ = std::make_unique<Member[]>(member_count_);
  free_members_.reserve(member_count_);
  for (uint32_t index = member_count_; index-- > 0;) {
    free_members_.push_back(index);
  }
  Status status = add_to_epoll(epoll_.get(), channel_->fd, kDeviceSource);
  if (status) status = add_to_epoll(epoll_.get(), wakeup_.get(), kWakeupSource);
  if (status) status = add_to_epoll(epoll_.get(), timer_.get(), kTimerSource);
  return status;
}

VerbsCompletionQueue::~VerbsCompletionQueue() {
  assert(reserved_ == retired_ && "an Endpoint outlives its CompletionQueue");
  if (unacknowledged_ != 0) ibv_ack_cq_events(queue_.get(), unacknowledged_);
}

// --- membership ----------------------------------------------------------------------------------

Result<EndpointKey> VerbsCompletionQueue::enroll(VerbsEndpoint* endpoint, uint32_t completions) {
  const std::lock_guard lock(mutex_);
  if (completions > depth_ - reserved_ || free_members_.empty()) {
    return {Code::kBusy, "no room for another connection: it needs " + std::to_string(completions) +
                             " completion queue entries, " + std::to_string(depth_ - reserved_) +
                             " of " + std::to_string(depth_) + " are free"};
  }
  const uint32_t index = free_members_.back();
  free_members_.pop_back();
  reserved_ += completions;
  members_[index].endpoint = endpoint;
  return (EndpointKey{index + 1} << kGenerationBits) | members_[index].generation;
}

void VerbsCompletionQueue::publish(EndpointKey key) {
  members_[index_of(key) - 1].published.store(generation_of(key), std::memory_order_release);
}

void VerbsCompletionQueue::dismiss(EndpointKey key, uint32_t completions, bool used) {
  const std::lock_guard lock(mutex_);
  Member& member = members_[index_of(key) - 1];
  member.published.store(0, std::memory_order_release);
  member.generation = next_generation(generation_of(key));
  member.endpoint = nullptr;
  free_members_.push_back(index_of(key) - 1);
  if (used) {
    retired_.fetch_add(completions, std::memory_order_relaxed);
  } else {
    reserved_ -= completions;
  }
}

EndpointKey VerbsCompletionQueue::renew(EndpointKey key) {
  const std::lock_guard lock(mutex_);
  Member& member = members_[index_of(key) - 1];
  member.generation = next_generation(generation_of(key));
  member.published.store(member.generation, std::memory_order_release);
  return (key & ~kGenerationMask) | member.generation;
}

VerbsEndpoint* VerbsCompletionQueue::find(EndpointKey key) const {
  const uint32_t index = index_of(key) - 1;
  if (index >= member_count_) return nullptr;
  const Member& member = members_[index];
  if (member.published.load(std::memory_order_acquire) != generation_of(key)) return nullptr;
  return member.endpoint;
}

void VerbsCompletionQueue::adopt(EndpointKey key) {
  {
    const std::lock_guard lock(mutex_);
    adoptions_.push_back(key);
  }
  adoptions_waiting_.store(true, std::memory_order_release);
  kick();
}

void VerbsCompletionQueue::kick() {
  const uint64_t one = 1;
  // Fails only when the counter is full, and then the descriptor is readable anyway.
  [[maybe_unused]] const ssize_t written = ::write(wakeup_.get(), &one, sizeof(one));
}

void VerbsCompletionQueue::schedule(VerbsEndpoint* endpoint) {
  if (std::find(scheduled_.begin(), scheduled_.end(), endpoint) != scheduled_.end()) return;
  scheduled_.push_back(endpoint);
  if (mode_ != Mode::kSpinning) kick();
}

void VerbsCompletionQueue::watch(VerbsEndpoint* endpoint) {
  if (std::find(watched_.begin(), watched_.end(), endpoint) != watched_.end()) return;
  watched_.push_back(endpoint);
  if (watched_.size() != 1) return;
  const itimerspec ticks = {{0, kTickNanoseconds}, {0, kTickNanoseconds}};
  timerfd_settime(timer_.get(), 0, &ticks, nullptr);
}

void VerbsCompletionQueue::unwatch(VerbsEndpoint* endpoint) {
  if (std::erase(watched_, endpoint) == 0 || !watched_.empty()) return;
  const itimerspec never = {};
  timerfd_settime(timer_.get(), 0, &never, nullptr);
}

void VerbsCompletionQueue::forget(VerbsEndpoint* endpoint) {
  std::erase(scheduled_, endpoint);
  unwatch(endpoint);
}

Result<rdma_event_channel*> VerbsCompletionQueue::event_channel() {
  if (cm_channel_) return cm_channel_.get();
  EventChannelHandle channel(rdma_create_event_channel());
  if (!channel) return Status::from_errno("cannot use the RDMA CM (module rdma_ucm)", errno);
  if (Status status = set_non_blocking(channel->fd, "RDMA CM channel"); !status) return status;
  if (Status status = add_to_epoll(epoll_.get(), channel->fd, kCmSource); !status) return status;
  cm_channel_ = std::move(channel);
  return cm_channel_.get();
}

Status VerbsCompletionQueue::watch_socket(int fd, EndpointKey key, uint32_t events, bool modify) {
  if (!modify) return add_to_epoll(epoll_.get(), fd, key, events);
  epoll_event event = {};
  event.events = events;
  event.data.u64 = key;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0) {
    return Status::from_errno("epoll_ctl", errno);
  }
  return Status::ok();
}

// --- polling -------------------------------------------------------------------------------------

Status VerbsCompletionQueue::arm() {
  // What was asked for before and has not been read is there, or comes.
  if (mode_ == Mode::kSpinning) {
    if (const int error = ibv_req_notify_cq(queue_.get(), 0); error != 0) {
      return Status::from_errno("cannot arm the completion queue", error);
    }
  }
  mode_ = Mode::kArming;
  return Status::ok();
}

size_t VerbsCompletionQueue::poll(std::span<Completion> completions) {
  size_t count = take(completions);
  if (count != 0 || completions.empty()) return count;

  switch (mode_) {
    case Mode::kSpinning:
      if (watched_.empty() && !adoptions_waiting_.load(std::memory_order_relaxed) &&
          ++empty_polls_ < kEmptyPollsPerCheck) {
        return 0;
      }
      empty_polls_ = 0;
      progress();
      return take(completions);
    case Mode::kArming:
      // A notification read here would be missed by the sleep that follows: ask again, and look
      // again, as what arrived before asking does not notify.
      if (progress() && ibv_req_notify_cq(queue_.get(), 0) != 0) kick();
      count = take(completions);
      if (count == 0) mode_ = Mode::kArmed;
      empty_polls_ = kArmedPollsPerCheck;
      return count;
    case Mode::kArmed:
      // The first look after sleeping reads what ended the sleep; who goes on looking spins.
      if (watched_.empty() && !adoptions_waiting_.load(std::memory_order_relaxed) &&
          ++empty_polls_ < kArmedPollsPerCheck) {
        return 0;
      }
      empty_polls_ = 0;
      if (progress()) mode_ = Mode::kSpinning;
      return take(completions);
  }
  return 0;
}

size_t VerbsCompletionQueue::take(std::span<Completion> completions) {
  size_t count = scheduled_.empty() ? 0 : take_scheduled(completions);
  while (count < completions.size()) {
    const int wanted = static_cast<int>(std::min<size_t>(kBatch, completions.size() - count));
    const int got = ibv_poll_cq(queue_.get(), wanted, batch_);
    for (int i = 0; i < got; ++i) {
      const ibv_wc& work = batch_[i];
      VerbsEndpoint* endpoint = find(work.wr_id >> (kPositionBits + 1));
      if (endpoint == nullptr) [[unlikely]]
        continue;
      if (endpoint->complete(work, completions[count])) ++count;
    }
    if (got < wanted) {
      if (retired_.load(std::memory_order_relaxed) != 0) [[unlikely]] {
        // Empty: no completion of an Endpoint that left is among the entries any more.
        const std::lock_guard lock(mutex_);
        reserved_ -= retired_.exchange(0, std::memory_order_relaxed);
      }
      break;
    }
  }
  if (!scheduled_.empty()) count += take_scheduled(completions.subspan(count));
  return count;
}

size_t VerbsCompletionQueue::take_scheduled(std::span<Completion> completions) {
  size_t count = 0;
  while (!scheduled_.empty() && count < completions.size()) {
    bool more = false;
    count += scheduled_.front()->emit(completions.subspan(count), &more);
    if (more) break;  // the span is full
    scheduled_.erase(scheduled_.begin());
  }
  return count;
}

bool VerbsCompletionQueue::progress() {
  epoll_event events[16];
  const int ready = epoll_wait(epoll_.get(), events, 16, 0);
  bool notified = false;
  bool ticked = false;
  for (int i = 0; i < ready; ++i) {
    switch (events[i].data.u64) {
      case kDeviceSource:
        notified = consume_notifications() || notified;
        break;
      case kCmSource:
        dispatch_cm_events();
        break;
      case kTimerSource:
        ticked = true;
        break;
      case kWakeupSource: {
        uint64_t count = 0;
        [[maybe_unused]] const ssize_t got = ::read(wakeup_.get(), &count, sizeof(count));
        break;
      }
      default:
        if (VerbsEndpoint* endpoint = find(events[i].data.u64)) {
          endpoint->connection().on_socket_event(*endpoint, events[i].events);
        }
    }
  }
  if (adoptions_waiting_.load(std::memory_order_acquire)) dispatch_adoptions();
  // Last, so that what came in time counts even when this thread was late.
  if (ticked) dispatch_deadlines();
  return notified;
}

bool VerbsCompletionQueue::consume_notifications() {
  ibv_cq* queue = nullptr;
  void* context = nullptr;
  bool any = false;
  while (ibv_get_cq_event(channel_.get(), &queue, &context) == 0) {
    any = true;
    if (++unacknowledged_ == kAcknowledgeBatch) {
      ibv_ack_cq_events(queue_.get(), unacknowledged_);
      unacknowledged_ = 0;
    }
  }
  return any;
}

void VerbsCompletionQueue::dispatch_cm_events() {
  rdma_cm_event* event = nullptr;
  while (rdma_get_cm_event(cm_channel_.get(), &event) == 0) {
    // Acknowledged before it is acted upon: an Endpoint must be able to go at any time.
    rdma_cm_event copy = *event;
    uint8_t data[256] = {};
    if (copy.param.conn.private_data != nullptr) {
      std::memcpy(data, copy.param.conn.private_data, copy.param.conn.private_data_len);
      copy.param.conn.private_data = data;
    }
    const auto key = reinterpret_cast<EndpointKey>(copy.id->context);
    rdma_ack_cm_event(event);
    if (VerbsEndpoint* endpoint = find(key)) endpoint->connection().on_cm_event(*endpoint, copy);
  }
}

void VerbsCompletionQueue::dispatch_adoptions() {
  std::vector<EndpointKey> keys;
  {
    const std::lock_guard lock(mutex_);
    keys.swap(adoptions_);
    adoptions_waiting_.store(false, std::memory_order_relaxed);
    // Those still there: dismissed meanwhile, by either thread, are the others.
    std::erase_if(keys, [this](EndpointKey key) {
      const Member& member = members_[index_of(key) - 1];
      return member.endpoint == nullptr || member.generation != generation_of(key);
    });
  }
  for (const EndpointKey key : keys) {
    publish(key);
    find(key)->adopted();
  }
}

void VerbsCompletionQueue::dispatch_deadlines() {
  uint64_t ticks = 0;
  [[maybe_unused]] const ssize_t got = ::read(timer_.get(), &ticks, sizeof(ticks));
  const auto now = VerbsEndpoint::Clock::now();
  // A deadline may end an Endpoint's being watched, but no Endpoint goes here.
  const std::vector<VerbsEndpoint*> watched = watched_;
  for (VerbsEndpoint* endpoint : watched) endpoint->check_deadline(now);
}

}  // namespace rdmakv::verbs
