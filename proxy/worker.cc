#include "proxy/worker.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "proxy/listener.h"
#include "proxy/peer_address.h"
#include "proxy/proxy.h"
#include "proxy/transaction_run.h"
#include "rdmakv/transport/cores.h"

namespace rdmakv::proxy {
namespace {

constexpr timeval kTick = {1, 0};
constexpr timeval kArenaTick = {0, 5'000};
constexpr timeval kPutTick = {0, 5'000};
constexpr timeval kSampleTick = {0, InstantaneousRates::kPeriodUs};
constexpr timeval kPinTick = {0, 10'000};

// As Redis has it.
constexpr std::string_view kProtected =
    "-DENIED Redis is running in protected mode because protected mode is enabled and no password "
    "is set for the default user. In this mode connections are only accepted from the loopback "
    "interface. If you want to connect from external computers to Redis you may adopt one of the "
    "following solutions: 1) Just disable protected mode sending the command 'CONFIG SET "
    "protected-mode no' from the loopback interface by connecting to Redis from the same host the "
    "server is running, however MAKE SURE Redis is not publicly accessible from internet if you do "
    "so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable "
    "the protected mode by editing the Redis configuration file, and setting the protected mode "
    "option to 'no', and then restarting the server. 3) If you started the server manually just "
    "for testing, restart it with the '--protected-mode no' option. 4) Setup a an authentication "
    "password for the default user. NOTE: You only need to do one of the above things in order for "
    "the server to start accepting connections from the outside.\r\n";

GetRunner* runner_of_gets(Client& client) {
  GetRunner* const runner = get_runner(client);
  return runner != nullptr && runner->takes_gets() ? runner : nullptr;
}

uint64_t steady_us() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                   std::chrono::steady_clock::now().time_since_epoch())
                                   .count());
}

}  // namespace

Worker::Worker(Proxy& proxy, unsigned index, std::unique_ptr<Client> client)
    : proxy_(proxy),
      index_(index),
      commands_(proxy.commands()),
      stats_(commands_.rows().size()),
      stage_times_(proxy.options().stage_times ? std::make_unique<StageTimes>() : nullptr),
      base_(event_base_new()),
      trash_(std::make_unique_for_overwrite<std::byte[]>(kReadBytes)),
      has_company_(available_cores() > 1),
      owned_client_(std::move(client)),
      client_(owned_client_.get()),
      at_once_(at_once_reader(*client_)),
      get_runner_(runner_of_gets(*client_)),
      put_runner_(rdmakv::put_runner(*client_)),
      pinned_memory_(pinned_memory_of(*client_)),
      wakeup_fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  const auto make = [this](int fd, short what, event_callback_fn callback) {
    return EventPointer(event_new(base_.get(), fd, what, callback, this));
  };
  client_event_ = make(client_->fd(), EV_READ | EV_PERSIST, &Worker::on_client);
  wakeup_event_ = make(wakeup_fd_, EV_READ | EV_PERSIST, &Worker::on_wakeup);
  tick_event_ = make(-1, 0, &Worker::on_tick);
  arena_event_ = make(-1, 0, &Worker::on_arena_tick);
  put_event_ = make(-1, 0, &Worker::on_put_tick);
  pin_event_ = make(-1, 0, &Worker::on_pin_tick);
  pause_event_ = make(-1, 0, &Worker::on_pause_end);
  sample_event_ = make(-1, 0, &Worker::on_sample);
  default_user_ = proxy_.access().default_user();
  apply_settings();
  event_add(client_event_.get(), nullptr);
  event_add(wakeup_event_.get(), nullptr);
}

// Everything that holds registered memory goes before the client's arena does, and what is under
// way is cancelled by the client's end, which calls back.
Worker::~Worker() {
  shutting_down_ = true;
  listeners_.clear();
  for (Connection& connection : connections_) connection.close("the proxy ends");
  client_event_.reset();
  sink_.clear();
  for (Upload& upload : uploads_) upload.abandon();
  while (!gathering_.empty()) {
    Request& request = *gathering_.back();
    end_gathering(request);
    request.finish();
  }
  read_buffer_.release();
  owned_client_.reset();
  connections_.clear();
  uploads_.clear();
  streams_.clear();
  wakeup_event_.reset();
  tick_event_.reset();
  arena_event_.reset();
  put_event_.reset();
  pin_event_.reset();
  pause_event_.reset();
  sample_event_.reset();
  if (wakeup_fd_ >= 0) ::close(wakeup_fd_);
}

const Settings& Worker::settings() const {
  return proxy_.settings();
}

resp::Limits Worker::parser_limits() const {
  resp::Limits limits;
  limits.max_bulk = static_cast<int64_t>(settings().max_bulk_bytes.load());
  return limits;
}

uint64_t Worker::now_us() const {
  if (clock_stale_) {
    clock_stale_ = false;
    now_us_ = steady_us();
  }
  return now_us_;
}

// ---- the loop ----------------------------------------------------------------------------------

void Worker::run() {
  while (!stop_.load(std::memory_order_relaxed)) turn(true);
}

void Worker::stop() {
  stop_.store(true);
  const uint64_t one = 1;
  (void)!::write(wakeup_fd_, &one, sizeof(one));
}

void Worker::turn(bool may_sleep) {
  const bool block = may_sleep && may_block();
  clock_stale_ = true;
  event_base_loop(base_.get(), block ? EVLOOP_ONCE : EVLOOP_ONCE | EVLOOP_NONBLOCK);
  finish_turn();
}

// True: answers have come.
bool Worker::poll_a_while(uint64_t spin_us) {
  const StageTimer timer(stage_times(), Stage::kWait);
  for (const uint64_t end = steady_us() + spin_us; steady_us() < end;) {
    clock_stale_ = true;
    if (client_->poll() > 0) return true;
  }
  return false;
}

// Nothing left to do? Polls a while when answers are due, then arms the client.
bool Worker::may_block() {
  if (progressed_ || !runnable_.empty() || !dirty_.empty()) return false;
  const uint64_t spin_us = settings().spin_us;
  if (has_company_ && client_->busy() && spin_us > 0 && poll_a_while(spin_us)) {
    finish_turn();
    return false;
  }
  if (!client_sleeps_) client_sleeps_ = client_->arm();
  return client_sleeps_;
}

void Worker::flush() {
  if (!submitted_) return;
  submitted_ = false;
  stats_.flushes.add();
  const StageTimer timer(stage_times(), Stage::kIssue);
  client_->flush();
}

void Worker::finish_turn() {
  flush();
  clock_stale_ = true;
  if (client_sleeps_) {
    progressed_ = false;
  } else {
    const StageTimer timer(stage_times(), Stage::kReply);
    progressed_ = client_->poll() > 0;
  }
  if (!arena_waiters_.empty()) serve_arena_waiters();
  if (put_window_.runs_are_full() && put_runner_->has_room()) put_window_.runs_have_room();
  if (!put_waiters_.empty()) serve_put_waiters();
  if (!runnable_.empty()) {
    progressed_ = true;
    runnable_now_.swap(runnable_);
    for (Connection* connection : runnable_now_) {
      connection->runnable_ = false;
      connection->resume();
    }
    runnable_now_.clear();
  }
  flush();
  if (progressed_ || !dirty_.empty()) arm_tick();
  if (!dirty_.empty()) {
    dirty_now_.swap(dirty_);
    for (Connection* connection : dirty_now_) {
      connection->dirty_ = false;
      connection->write_pending();
    }
    dirty_now_.clear();
  }
  flush();
  read_buffer_.tidy();
  if (reap_ || !uploads_.empty() || !streams_.empty()) reap();
}

void Worker::mark_dirty(Connection& connection) {
  if (!std::exchange(connection.dirty_, true)) dirty_.push_back(&connection);
}

void Worker::schedule(Connection& connection) {
  if (!std::exchange(connection.runnable_, true)) runnable_.push_back(&connection);
}

// ---- registered memory is short ----------------------------------------------------------------

void Worker::wait_for_arena(Connection& connection) {
  if (std::exchange(connection.waits_for_arena_, true)) return;
  arena_waiters_.push_back(&connection);
  if (!event_pending(arena_event_.get(), EV_TIMEOUT, nullptr)) {
    event_add(arena_event_.get(), &kArenaTick);
  }
}

void Worker::serve_arena_waiters() {
  arena_waiters_now_.swap(arena_waiters_);
  for (Connection* connection : arena_waiters_now_) {
    connection->waits_for_arena_ = false;
    connection->arena_available();
  }
  arena_waiters_now_.clear();
}

void Worker::on_arena_tick(evutil_socket_t, short, void* self) {
  auto& worker = *static_cast<Worker*>(self);
  if (worker.arena_waiters_.empty()) return;
  const uint64_t now = worker.now_us();
  for (Connection& connection : worker.connections_) {
    connection.spill_if_stalled(now - std::min(now, PinWaiters::kStalledUs));
  }
  event_add(worker.arena_event_.get(), &kArenaTick);
}

// ---- clients whose puts wait (put_window.h) -----------------------------------------------------

void Worker::wait_for_puts(Connection& connection) {
  if (std::exchange(connection.waits_for_puts_, true)) return;
  if (connection.puts_run_) ++run_waiters_;
  put_waiters_.push_back(&connection);
  if (!event_pending(put_event_.get(), EV_TIMEOUT, nullptr)) event_add(put_event_.get(), &kPutTick);
}

// Those whose server takes more, in the order of their waiting.
void Worker::serve_put_waiters() {
  for (size_t left = put_waiters_.size(); left > 0; --left) {
    Connection& connection = *put_waiters_.front();
    put_waiters_.pop_front();
    if (connection.puts_must_wait()) {
      put_waiters_.push_back(&connection);
      continue;
    }
    progressed_ = true;
    leave_put_waiters(connection);
    connection.read_on();
  }
}

// It is not in the list any more.
void Worker::leave_put_waiters(Connection& connection) {
  if (std::exchange(connection.waits_for_puts_, false) && connection.puts_run_) --run_waiters_;
}

void Worker::on_put_tick(evutil_socket_t, short, void* self) {
  auto& worker = *static_cast<Worker*>(self);
  if (!worker.put_waiters_.empty()) event_add(worker.put_event_.get(), &kPutTick);
}

// ---- pins are short ----------------------------------------------------------------------------

void Worker::arm_pin_tick() {
  if (!event_pending(pin_event_.get(), EV_TIMEOUT, nullptr)) {
    event_add(pin_event_.get(), &kPinTick);
  }
}

void Worker::on_pin_tick(evutil_socket_t, short, void* self) {
  auto& worker = *static_cast<Worker*>(self);
  worker.pin_waiters_.tick(worker.now_us());
  if (!worker.pin_waiters_.empty()) worker.arm_pin_tick();
}

// ---- connections and what belongs to them ------------------------------------------------------

void Worker::listen(int fd, ClientListener::Kind kind, std::function<void(int)> accept_for) {
  if (accept_for == nullptr) accept_for = [this, kind](int accepted) { adopt(accepted, kind); };
  listeners_.push_back(std::make_unique<ClientListener>(*this, fd, std::move(accept_for)));
}

void Worker::adopt(int fd, ClientListener::Kind kind) {
  std::unique_ptr<TlsStream> tls;
  if (kind == ClientListener::Kind::kTls) {
    tls = proxy_.tls()->accept(fd);
    if (tls == nullptr) {
      ::close(fd);
      return proxy_.client_left();
    }
  }
  stats_.connections.add();
  Connection& connection = connections_.emplace_back(
      *this, fd, proxy_.next_client_id(), peer_address(fd), local_address(fd), std::move(tls));
  if (settings().protected_mode && default_user_->no_password() && !connection.is_local()) {
    if (kind == ClientListener::Kind::kPlain) {
      (void)!::write(fd, kProtected.data(), kProtected.size());
    }
    stats_.rejected.add();
    return connection.close("protected mode: no password, and not from this host");
  }
  connection.start();
  arm_tick();
}

void Worker::connection_closed(Connection& connection) {
  if (connection.session().monitor) remove_monitor(connection);
  proxy_.client_left();
  reap_ = true;
}

void Worker::release(Request& request) {
  request.memory_.reset(memory_blocks_);
  if (!request.waiting_reply_.holds_nothing()) request.waiting_reply_.clear();
  request.kept_.reset();
  request.kept_arguments_.reset();
  std::destroy_at(&request.operation);
  std::construct_at(&request.operation);
  request.state.reset();
  request.fanout = nullptr;
  request.stream = nullptr;
  request.run.reset();
  request.gets_ = nullptr;
  if (request.sets_ != nullptr) set_runs_.give(std::exchange(request.sets_, nullptr));
  request.part_of_ = nullptr;
  request.at_head_ = nullptr;
  request.number = 0;
  request.flag = request.counted = request.parked_pin = false;
  request.repeat = {};
  request.pin_waiter = {};
  request.frame = ValueFrame::kNone;
  if (!request.text.empty()) std::string().swap(request.text);
  requests_.give(&request);
}

void Worker::reap() {
  uploads_.remove_if([](const Upload& upload) { return upload.finished(); });
  streams_.remove_if([](const ValueStream& stream) { return stream.finished(); });
  if (!std::exchange(reap_, false)) return;
  for (auto it = connections_.begin(); it != connections_.end();) {
    Connection* connection = &*it;
    if (!connection->can_be_destroyed()) {
      ++it;
      continue;
    }
    for (auto* list : {&dirty_, &runnable_, &arena_waiters_}) std::erase(*list, connection);
    std::erase(put_waiters_, connection);
    leave_put_waiters(*connection);
    it = connections_.erase(it);
  }
}

void Worker::start_gathering(Request& request) {
  gathering_.push_back(&request);
}

void Worker::end_gathering(Request& request) {
  std::erase(gathering_, &request);
}

Upload& Worker::start_upload(Connection& connection, std::string_view key, uint64_t total) {
  Upload& upload = uploads_.emplace_back(*this, connection, key, total);
  upload.begin();
  return upload;
}

void Worker::stream_value(Request* request, const Ticket& ticket, uint64_t length,
                          ValueStream::Done done, ValueStream::Observe observe) {
  ValueStream& stream = streams_.emplace_back(*this, request, ticket, length, done, observe);
  request->stream = &stream;
  request->connection().stream_begins();
  stream.pump();
}

void Worker::release_pin(const Ticket& ticket) {
  streams_.emplace_back(*this, nullptr, ticket, 0, nullptr, nullptr).give_back();
}

OutputChain& Worker::sink() {
  sink_.clear();
  return sink_;
}

// ---- now and then ------------------------------------------------------------------------------

void Worker::post(std::function<void()> job) {
  {
    const std::lock_guard lock(jobs_mutex_);
    jobs_.push_back(std::move(job));
  }
  const uint64_t one = 1;
  (void)!::write(wakeup_fd_, &one, sizeof(one));
}

void Worker::on_wakeup(evutil_socket_t fd, short, void* self) {
  uint64_t count = 0;
  (void)!::read(fd, &count, sizeof(count));
  static_cast<Worker*>(self)->run_jobs();
}

void Worker::run_jobs() {
  std::vector<std::function<void()>> jobs;
  {
    const std::lock_guard lock(jobs_mutex_);
    jobs.swap(jobs_);
  }
  for (const std::function<void()>& job : jobs) job();
}

// A second after activity, and on until all is quiet: an idle worker does not wake up.
void Worker::arm_tick() {
  if (std::exchange(tick_armed_, true)) return;
  event_add(tick_event_.get(), &kTick);
  if (!sampling_) sample_rates();
}

// Until nothing has happened for as long as samples are kept.
void Worker::on_sample(evutil_socket_t, short, void* self) {
  static_cast<Worker*>(self)->sample_rates();
}

InstantaneousRates::Counts Worker::counts_now() const {
  return {stats_.processed.get(), stats_.input_bytes.get(), stats_.output_bytes.get()};
}

void Worker::sample_rates() {
  const bool goes_on = std::exchange(sampling_, true);
  if (!goes_on) {
    rates_.begin(now_us(), counts_now());
  } else {
    sampling_ = rates_.sample(now_us(), counts_now());
  }
  if (sampling_) event_add(sample_event_.get(), &kSampleTick);
}

void Worker::reset_stats() {
  stats_.reset();
  rates_.reset(now_us());
}

void Worker::on_tick(evutil_socket_t, short, void* self) {
  static_cast<Worker*>(self)->tick();
}

void Worker::tick() {
  tick_armed_ = false;
  const uint64_t now = now_us();
  const uint64_t timeout_us = settings().idle_timeout_s * 1'000'000;
  bool again = false;
  for (Connection& connection : connections_) {
    if (connection.closed()) continue;
    again |= connection.tidy(now);
    if (timeout_us == 0 || connection.session().monitor) continue;
    again = true;
    const uint64_t before = now - std::min(now, timeout_us);
    if (connection.idle_since(before)) connection.read_what_came();
    if (!connection.closed() && connection.idle_since(before)) {
      connection.close("idle for longer than `timeout`");
    }
  }
  if (again) arm_tick();
}

}  // namespace rdmakv::proxy
