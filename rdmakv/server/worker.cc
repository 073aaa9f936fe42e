#include "rdmakv/server/worker.h"

#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace rdmakv::server {
namespace {

constexpr size_t kBatch = 64;
constexpr uint64_t kPage = 4096;
constexpr uint64_t kNever = ~uint64_t{0};
constexpr uint64_t kMillisecond = 1'000'000;
constexpr uint64_t kTimerNs = 10 * kMillisecond;       // housekeeping while there is work
constexpr uint64_t kBlockedNs = 5 * kMillisecond;      // looks again for send buffers
constexpr uint64_t kSweepPauseNs = 10 * kMillisecond;  // between the steps of a sweep
constexpr uint32_t kSweepSteps = 512;
constexpr uint32_t kTendSteps = 64;
constexpr uint64_t kShutdownNs = 500 * kMillisecond;
constexpr uint64_t kQuarantineLookNs = 50 * kMillisecond;

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

Worker::Worker(const WorkerOptions& options, const FabricLimits& limits)
    : options_(options),
      limits_(limits),
      log_(options.log, "worker " + std::to_string(options.worker) + ": ") {}

Result<std::unique_ptr<Worker>> Worker::create(Fabric& fabric, const WorkerOptions& options) {
  std::unique_ptr<Worker> worker(new Worker(options, fabric.limits()));
  if (Status status = worker->allocate(fabric); !status) return status;
  return worker;
}

Status Worker::allocate(Fabric& fabric) {
  open_atomics(fabric);
  if (Status status = allocate_memory(fabric); !status) return status;
  if (Status status = create_queue(fabric); !status) return status;
  if (Status status = allocate_rings(fabric); !status) return status;
  create_partition();
  event_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event_fd_ < 0) return Status::from_errno("eventfd", errno);
  return Status::ok();
}

Result<std::unique_ptr<MemoryRegion>> Worker::allocate_region(Fabric& fabric, uint64_t bytes,
                                                              RemoteAccess access,
                                                              const char* what) {
  RegionOptions region;
  region.bytes = bytes;
  region.remote_access = access;
  const bool sealed = access == RemoteAccess::kRead;  // a client could take reserved pages away
  region.pages =
      options_.pages == Pages::kReserved && !sealed ? Pages::kTransparent : options_.pages;
  region.name = "kv_server.worker" + std::to_string(options_.worker) + "." + what;
  return fabric.allocate(region);
}

// One-sided CAS needs atomics of our own that behave. Without them CAS goes by request.
void Worker::open_atomics(Fabric& fabric) {
  const auto without = [&](std::string_view why) {
    one_sided_cas_ = std::string("off (") + std::string(why) + ")";
    atomics_.reset();
    options_.cas_bytes = 0;
  };
  const auto broken = [&](const Status& status) {
    log_.write(LogLevel::kWarning, "CAS goes by request only: " + status.message(),
               options_.clock->steady_ns());
    without(status.message());
  };
  if (options_.cas_bytes / 2 < kPage) {
    without("no memory is set aside for it");
    return;
  }
  Result<std::unique_ptr<LocalAtomics>> atomics = fabric.create_local_atomics();
  if (!atomics) return broken(atomics.status());
  atomics_ = std::move(*atomics);
  Result<std::unique_ptr<MemoryRegion>> scratch =
      allocate_region(fabric, kPage, RemoteAccess::kRead | RemoteAccess::kAtomic, "atomics_test");
  const Status works = scratch ? test_local_atomics(*atomics_, **scratch) : scratch.status();
  if (!works) return broken(works);
  one_sided_cas_ = "on, own atomics " + atomics_->describe();
}

Status Worker::allocate_memory(Fabric& fabric) {
  const uint64_t for_cas = options_.cas_bytes / 2 / kPage * kPage;  // each of the two
  const uint64_t rest = options_.memory_bytes - 2 * for_cas;
  const uint64_t for_index =
      options_.index_bytes != 0 ? options_.index_bytes / kPage * kPage : index_bytes(rest);
  const uint64_t for_pool = (rest - for_index) / kPage * kPage;
  struct Wanted {
    std::unique_ptr<MemoryRegion>& region;
    uint64_t bytes;
    RemoteAccess access;
    const char* name;
    uint64_t& total;
  };
  constexpr RemoteAccess kCasAccess = RemoteAccess::kRead | RemoteAccess::kAtomic;
  for (const Wanted& wanted :
       {Wanted{index_, for_index, RemoteAccess::kRead, "index", memory_.index},
        Wanted{pool_, for_pool, RemoteAccess::kRead, "pool", memory_.pool},
        Wanted{cas_, for_cas, kCasAccess, "cas", memory_.cas},
        Wanted{grants_, for_cas, kCasAccess | RemoteAccess::kWrite, "grants", memory_.grants}}) {
    if (wanted.bytes == 0) continue;
    Result<std::unique_ptr<MemoryRegion>> region =
        allocate_region(fabric, wanted.bytes, wanted.access, wanted.name);
    if (!region) return region.status();
    wanted.region = std::move(*region);
    wanted.total = wanted.region->size();
    if (wanted.access == RemoteAccess::kRead) memory_.huge += wanted.region->huge_bytes();
  }
  return Status::ok();
}

Status Worker::create_queue(Fabric& fabric) {
  const uint32_t per_connection =
      (options_.credits + Connection::kMoreSlots) * 2 + kMoreSendSlots + Replies::kMostWrites;
  const uint64_t depth =
      std::max<uint64_t>(uint64_t{options_.max_connections} * per_connection, 16);
  if (limits_.max_completions != 0 && depth > limits_.max_completions) {
    return {Code::kInvalidArgument, "the device's completion queues hold " +
                                        std::to_string(limits_.max_completions) +
                                        " completions, enough for --max-connections " +
                                        std::to_string(limits_.max_completions / per_connection)};
  }
  Result<std::unique_ptr<CompletionQueue>> queue =
      fabric.create_completion_queue(static_cast<uint32_t>(depth));
  if (!queue) return queue.status();
  queue_ = std::move(*queue);
  return Status::ok();
}

// A region of its own for each connection: a key covers a whole region, and a client must reach no
// other client's ring.
Status Worker::allocate_rings(Fabric& fabric) {
  for (uint32_t i = 0; i < options_.max_connections; ++i) {
    Result<std::unique_ptr<MemoryRegion>> ring =
        allocate_region(fabric, options_.ring_bytes, RemoteAccess::kWrite, "ring");
    if (!ring) return ring.status();
    memory_.rings += (*ring)->size();
    free_rings_.push_back(ring->get());
    rings_.push_back(std::move(*ring));
  }
  return Status::ok();
}

void Worker::create_partition() {
  PartitionOptions partition;
  partition.worker = options_.worker;
  partition.workers = options_.workers;
  partition.index = index_->bytes();
  partition.pool = pool_->bytes();
  if (atomics_ != nullptr) {
    partition.cas = cas_.get();
    partition.grants = grants_.get();
    partition.atomics = atomics_.get();
  }
  partition.most_pins = options_.max_connections * (Pins::kMost + Replies::kMostWrites) + 1;
  partition.reading = this;
  partition.most_marks = size_t{options_.max_connections} * PeerMemoryView::kMostMarks;
  partition.seed = options_.seed;
  partition.clock = options_.clock;
  partition_ = std::make_unique<Partition>(partition);
  partition_->set_more_stats(
      [](void* self, std::string& text) { static_cast<Worker*>(self)->append_stats(text); }, this);
  if (options_.step_hook != nullptr) {
    partition_->set_step_hook(
        [](void* self, Partition::Step step) {
          const WorkerOptions& options = static_cast<Worker*>(self)->options_;
          options.step_hook(options.step_context, static_cast<int>(step));
        },
        this);
  }
  memory_.tables = partition_->private_bytes();

  context_ = std::make_unique<ConnectionContext>(ConnectionContext{*partition_,
                                                                   *index_,
                                                                   *pool_,
                                                                   cas_.get(),
                                                                   grants_.get(),
                                                                   options_.secret,
                                                                   limits_.max_message,
                                                                   !limits_.reads_are_loads,
                                                                   options_.timeouts,
                                                                   {}});
  wire::Welcome& welcome = context_->welcome;
  welcome.epoch = options_.epoch;
  welcome.seed = options_.seed;
  welcome.workers = static_cast<uint16_t>(options_.workers);
  welcome.worker = static_cast<uint16_t>(options_.worker);
  const auto grant = [](const std::unique_ptr<MemoryRegion>& region) -> wire::RegionGrant {
    if (region == nullptr) return {};
    return {region->remote_base(), region->size(), region->remote_key(), 0};
  };
  welcome.index = grant(index_);
  welcome.pool = grant(pool_);
  welcome.cas = grant(cas_);
  welcome.grants = grant(grants_);
  welcome.bucket_count = partition_->index().bucket_count();
  welcome.max_value_bytes = partition_->max_value_bytes();
}

Worker::~Worker() {
  stop();
  if (event_fd_ >= 0) close(event_fd_);
}

void Worker::start() {
  thread_ = std::thread([this] { run(); });
}

void Worker::stop() {
  stopping_.store(true, std::memory_order_release);
  if (event_fd_ >= 0) wake();
  if (thread_.joinable()) thread_.join();
}

void Worker::wake() {
  has_mail_.store(true, std::memory_order_release);
  const uint64_t one = 1;
  // Cannot fail but when the counter is full, and then the thread is woken already.
  [[maybe_unused]] const ssize_t written = write(event_fd_, &one, sizeof(one));
}

void Worker::adopt(std::unique_ptr<Endpoint> endpoint) {
  connections_.fetch_add(1, std::memory_order_relaxed);
  {
    const std::lock_guard<std::mutex> lock(mail_mutex_);
    mail_.push_back(std::move(endpoint));
  }
  wake();
}

void Worker::run() {
  Completion completions[kBatch];
  bool armed = false;
  bool unended = false;  // the last batch, in what no reply waits for
  uint64_t worked_ns = options_.clock->steady_ns();
  while (!stopping_.load(std::memory_order_acquire)) {
    const size_t count = queue_->poll(completions);
    const uint64_t now_ns = options_.clock->steady_ns();
    const bool mail = has_mail_.load(std::memory_order_acquire);
    if (count > 0 || mail || now_ns >= timer_ns_ || !active_.empty()) {
      partition_->begin_batch(now_ns);
      if (mail) take_mail(now_ns);
      turn({completions, count}, now_ns);
      if (unended) partition_->end_batch(options_.clock->steady_ns());
      unended = !unended;
      if (count > 0 || mail) {
        worked_ns = now_ns;
        armed = false;
        continue;
      }
    } else if (unended) {  // nobody waits, and the clock has been read since
      partition_->end_batch(now_ns);
      unended = false;
    }
    if (now_ns - worked_ns < options_.spin_ns) {
      options_.yield ? static_cast<void>(sched_yield()) : relax();
    } else if (!armed) {
      if (Status status = queue_->arm(); !status) {
        log_.write(LogLevel::kError, "arm: " + status.to_string(), now_ns);
        options_.clock->wait_ns(kMillisecond);
        continue;
      }
      armed = true;  // and poll once more
    } else {
      sleep(now_ns);
      armed = false;
    }
  }
  shut_down();
}

void Worker::take_mail(uint64_t now_ns) {
  has_mail_.store(false, std::memory_order_relaxed);
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t drained = ::read(event_fd_, &count, sizeof(count));
  std::vector<std::unique_ptr<Endpoint>> mail;
  {
    const std::lock_guard<std::mutex> lock(mail_mutex_);
    mail.swap(mail_);
  }
  for (std::unique_ptr<Endpoint>& endpoint : mail) welcome(std::move(endpoint), now_ns);
}

void Worker::turn(std::span<const Completion> completions, uint64_t now_ns) {
  ++turns_;
  for (const Completion& completion : completions) {
    auto* connection = static_cast<Connection*>(completion.endpoint->owner());
    if (connection == nullptr) {
      on_turned_away(completion);
      continue;
    }
    if (!std::exchange(connection->active, true)) active_.push_back(connection);
    connection->on_completion(completion, now_ns);
  }
  finish_active(now_ns);
  if (now_ns >= timer_ns_) housekeeping(now_ns);
  remove_gone(now_ns);
  tell_of_lost_keys(now_ns);
}

// What waited for a send buffer goes on, and what was gathered is sent.
void Worker::finish_active(uint64_t now_ns) {
  size_t blocked = 0;
  for (Connection* const connection : active_) {
    if (connection->blocked()) connection->resume(now_ns);
    connection->flush();
    const bool is_gone = connection->state() == Connection::State::kGone;
    gone_ |= is_gone;
    if (connection->state() != Connection::State::kReady) due_ns_ = 0;  // it has a deadline
    connection->active = connection->blocked() && !is_gone;
    if (connection->active) active_[blocked++] = connection;
  }
  active_.resize(blocked);
}

void Worker::tell_of_lost_keys(uint64_t now_ns) {
  const uint64_t lost = partition_->counters().broken_chains;
  if (lost == lost_keys_told_) return;
  log_.write(LogLevel::kWarning,
             std::to_string(lost - lost_keys_told_) +
                 " keys lost: a client wrote over entries of the regions for one-sided CAS",
             now_ns);
  lost_keys_told_ = lost;
}

// While there is work this comes round every kTimerNs; a sleeping worker sleeps until it is needed.
void Worker::housekeeping(uint64_t now_ns) {
  timer_ns_ = now_ns + kTimerNs;
  connections_due(now_ns);
  if (partition_->sweep_due_ms() <= partition_->now_ms()) partition_->sweep(kSweepSteps);
  if (partition_->wants_tending()) partition_->tend(kTendSteps);
  if (!quarantine_.empty()) end_quarantines(now_ns);
}

// When a connection wants on_time() next, at the earliest: all of them are asked only when that has
// come, so that neither a turn nor a sleep costs more for their number.
uint64_t Worker::connections_due(uint64_t now_ns) {
  if (now_ns < due_ns_) return due_ns_;
  due_ns_ = kNever;
  for (const auto& connection : clients_) {
    due_ns_ = std::min(due_ns_, connection->on_time(now_ns));
    gone_ |= connection->state() == Connection::State::kGone;
  }
  return due_ns_;
}

// When the worker has to wake though nothing comes.
uint64_t Worker::wake_time(uint64_t now_ns) {
  uint64_t wake_ns = active_.empty() ? kNever : now_ns + kBlockedNs;
  wake_ns = std::min(wake_ns, connections_due(now_ns));
  for (const TurnedAway& away : turned_away_) wake_ns = std::min(wake_ns, away.until_ns);
  if (partition_->wants_tending()) wake_ns = std::min(wake_ns, now_ns + kTimerNs);
  if (!quarantine_.empty()) wake_ns = std::min(wake_ns, now_ns + kQuarantineLookNs);
  const int64_t sweep_ms = partition_->sweep_due_ms();
  if (sweep_ms != ExpirySweep::kNever) {
    const int64_t away_ms = std::clamp<int64_t>(sweep_ms - options_.clock->wall_ms(), 0, 3'600'000);
    wake_ns = std::min(
        wake_ns, now_ns + std::max(static_cast<uint64_t>(away_ms) * kMillisecond, kSweepPauseNs));
  }
  return wake_ns;
}

void Worker::sleep(uint64_t now_ns) {
  const uint64_t wake_ns = wake_time(now_ns);
  timer_ns_ = wake_ns;
  if (wake_ns <= now_ns) return;
  pollfd fds[2] = {{queue_->fd(), POLLIN, 0}, {event_fd_, POLLIN, 0}};
  timespec timeout{};
  timeout.tv_sec = static_cast<time_t>((wake_ns - now_ns) / 1'000'000'000);
  timeout.tv_nsec = static_cast<long>((wake_ns - now_ns) % 1'000'000'000);
  ++sleeps_;
  // EINTR and timeouts are wake-ups like any other.
  ppoll(fds, 2, wake_ns == kNever ? nullptr : &timeout, nullptr);
  timer_ns_ = 0;
}

void Worker::shut_down() {
  partition_->begin_batch(options_.clock->steady_ns());
  take_mail(options_.clock->steady_ns());
  for (const auto& connection : clients_) {
    connection->flush();
    connection->close();
  }
  Completion completions[kBatch];
  const uint64_t began_ns = options_.clock->steady_ns();
  for (;;) {
    const uint64_t now_ns = options_.clock->steady_ns();
    const size_t count = queue_->poll(completions);
    for (size_t i = 0; i < count; ++i) {
      auto* connection = static_cast<Connection*>(completions[i].endpoint->owner());
      if (connection == nullptr) continue;
      // Too late for requests; their senders see the connection go.
      if (completions[i].kind == CompletionKind::kDisconnected) {
        connection->on_completion(completions[i], now_ns);
        gone_ = true;
      }
    }
    remove_gone(now_ns);
    if (clients_.empty() || now_ns - began_ns > kShutdownNs) break;
    options_.clock->wait_ns(kMillisecond / 2);
  }
  active_.clear();
  clients_.clear();
  quarantine_.clear();  // nobody else gets this memory
  turned_away_.clear();
}

void Worker::append_stats(std::string& text) const {
  ReplyCounters replies = past_replies_;
  uint64_t uploads = 0;
  uint64_t tickets = 0;
  for (const auto& connection : clients_) {
    replies.messages += connection->reply_counters().messages;
    replies.replies += connection->reply_counters().replies;
    replies.writes += connection->reply_counters().writes;
    replies.pinned += connection->reply_counters().pinned;
    uploads += connection->session().uploads.open();
    tickets += connection->session().pins.open();
  }
  const auto line = [&text](std::string_view name, uint64_t number) {
    text.append(name).append(" ").append(std::to_string(number)).append("\n");
  };
  line("connections", clients_.size());
  line("connections_accepted", accepted_);
  line("connections_refused", refused_);
  line("connections_quarantined", quarantine_.size());
  line("quarantines", quarantines_);
  line("uploads_open", uploads);
  line("pins_open", tickets);
  line("replies", replies.replies);
  line("reply_messages", replies.messages);
  line("reply_writes", replies.writes);
  line("reply_pins", replies.pinned);
  line("turns", turns_);
  line("sleeps", sleeps_);
}

}  // namespace rdmakv::server
