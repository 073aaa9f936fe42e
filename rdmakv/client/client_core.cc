#include "rdmakv/client/client_core.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <utility>

#include "protocol/kv_transaction.h"
#include "rdmakv/client/operation_message.h"
#include "rdmakv/transport/authentication.h"

namespace rdmakv {
namespace {

constexpr uint32_t kCompletionDepth = 16384;
constexpr size_t kMaxServers = 64;
constexpr double kLeastWeight = 0.001, kMostWeight = 1000;
constexpr int kMaxRounds = 4;  // batches of completions per poll()

bool is_gathered(OperationKind kind) {
  return kind == OperationKind::kCount || kind == OperationKind::kClear;
}

// Codes that say what the key's state is, and not that something went wrong.
bool is_answer(Code code) {
  return code == Code::kOk || code == Code::kNotFound || code == Code::kVersionMismatch ||
         code == Code::kConditionNotMet || code == Code::kInapplicable;
}

}  // namespace

Result<std::unique_ptr<Client>> Client::create(Fabric& fabric, const ClientOptions& options) {
  Result<std::unique_ptr<ClientCore>> core = ClientCore::create(fabric, options);
  if (!core) return core.status();
  return std::unique_ptr<Client>(std::move(*core));
}

Result<std::unique_ptr<ClientCore>> ClientCore::create(Fabric& fabric,
                                                       const ClientOptions& options) {
  if (options.servers.empty()) return {Code::kInvalidArgument, "no server is named"};
  if (options.servers.size() > kMaxServers) {
    return {Code::kInvalidArgument, "more than 64 servers"};
  }
  if (options.arena_bytes == 0 || options.arena_bytes % BufferArena::kLargest != 0) {
    return {Code::kInvalidArgument, "arena_bytes is not a multiple of 1 MiB"};
  }
  if (options.credits == 0 || options.credits > RequestTable::kMaxSlots) {
    return {Code::kInvalidArgument,
            "credits is not between 1 and " + std::to_string(RequestTable::kMaxSlots)};
  }
  std::vector<std::string> names;
  for (const FabricAddress& server : options.servers)
    names.push_back(server.to_string(fabric.name()));
  std::vector<std::string> sorted = names;
  std::sort(sorted.begin(), sorted.end());
  if (const auto twice = std::adjacent_find(sorted.begin(), sorted.end()); twice != sorted.end()) {
    return {Code::kInvalidArgument, "server " + *twice + " is named twice"};
  }
  if (!options.weights.empty() && options.weights.size() != names.size()) {
    return {Code::kInvalidArgument, "there are not as many weights as servers"};
  }
  for (const double weight : options.weights) {
    if (!(weight >= kLeastWeight && weight <= kMostWeight)) {
      return {Code::kInvalidArgument, "a server's weight is not between 0.001 and 1000"};
    }
  }
  std::unique_ptr<ClientCore> core(
      new ClientCore(names, options.weights));  // NOLINT: private constructor
  if (Status status = core->set_up(fabric, options); !status) return status;
  return core;
}

Status ClientCore::set_up(Fabric& on, const ClientOptions& wanted) {
  fabric = &on;
  options = wanted;
  client_id = random_u64();
  RegionOptions region;
  region.bytes = wanted.arena_bytes;
  region.remote_access = RemoteAccess::kWrite;
  // Where a server takes large values from by loads.
  if (on.limits().reads_are_loads)
    region.remote_access = region.remote_access | RemoteAccess::kRead;
  region.name = "rdmakv client buffers";
  Result<std::unique_ptr<MemoryRegion>> memory = on.allocate(region);
  if (!memory) return memory.status();
  buffers_ = std::make_unique<BufferArena>(std::move(*memory));
  arena = buffers_.get();
  location_cache_ = std::make_unique<LocationCache>(wanted.location_cache_bytes);
  locations = location_cache_.get();
  const FabricLimits limits = on.limits();
  reads_are_loads = limits.reads_are_loads;
  emulated = limits.emulated;

  if (!limits.atomics) options.cas_path = CasPath::kRequest;
  const uint32_t depth = limits.max_completions == 0
                             ? kCompletionDepth
                             : std::min(kCompletionDepth, limits.max_completions);
  Result<std::unique_ptr<CompletionQueue>> made = on.create_completion_queue(depth);
  if (!made) return made.status();
  completion_queue_ = std::move(*made);
  queue = completion_queue_.get();

  epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd_ < 0) return Status::from_errno("epoll_create1", errno);
  timer_fd_ = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (timer_fd_ < 0) return Status::from_errno("timerfd_create", errno);
  for (const int watched : {queue->fd(), timer_fd_}) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = watched;
    if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, watched, &event) != 0) {
      return Status::from_errno("epoll_ctl", errno);
    }
  }
  for (const FabricAddress& address : wanted.servers) {
    servers_.push_back({address, address.to_string(on.name()), {}});
    add_session(static_cast<uint16_t>(servers_.size() - 1), 0);
  }
  return Status::ok();
}

ClientCore::~ClientCore() {
  closing_ = true;
  for (const auto& session : sessions_) session->end_all(Code::kCancelled);
  while (anything_finished()) end_finished();
  sessions_.clear();
  if (timer_fd_ >= 0) close(timer_fd_);
  if (epoll_fd_ >= 0) close(epoll_fd_);
  completion_queue_.reset();
}

Session& ClientCore::add_session(uint16_t server, uint16_t worker) {
  const auto index = static_cast<uint16_t>(sessions_.size());
  SessionContext& context = *this;
  sessions_.push_back(
      std::make_unique<Session>(context, servers_[server].address, server, worker, index));
  servers_[server].sessions.push_back(sessions_.back().get());
  dirty_.reserve(sessions_.size());
  pumping_.reserve(sessions_.size());
  return *sessions_.back();
}

Session* ClientCore::session_of(uint16_t server, uint16_t worker) {
  std::vector<Session*>& sessions = servers_[server].sessions;
  return worker < sessions.size() ? sessions[worker] : nullptr;
}

// ---- taking operations -------------------------------------------------------------------------

Code ClientCore::check(const Operation& operation) const {
  const uint64_t input = input_of(operation).size();
  if (operation.key.size() > wire::kMaxKeyBytes) return Code::kTooLarge;
  if (operation.expiry_ms < 0) return Code::kInvalidArgument;
  switch (operation.kind) {
    case OperationKind::kModify:
      if (!wire::is_modify(operation.function)) return Code::kInvalidArgument;
      if (operation.comparison.size() > wire::kMaxValueBytes) return Code::kTooLarge;
      if (operation.ticket && (operation.ticket.session & 0xffff) >= sessions_.size()) {
        return Code::kInvalidArgument;
      }
      [[fallthrough]];
    case OperationKind::kPut:
    case OperationKind::kTransaction:
      return input > wire::kMaxValueBytes ? Code::kTooLarge : Code::kOk;
    case OperationKind::kEvaluate:
      return wire::is_evaluate(operation.function) ? Code::kOk : Code::kInvalidArgument;
    case OperationKind::kUploadBegin:
      return operation.total > wire::kMaxValueBytes ? Code::kTooLarge : Code::kOk;
    case OperationKind::kUploadChunk:
      if (input > wire::kMaxChunk) return Code::kTooLarge;
      [[fallthrough]];
    case OperationKind::kReadPinned:
      if (operation.length > BufferArena::kLargest) return Code::kTooLarge;
      [[fallthrough]];
    case OperationKind::kRelease:
    case OperationKind::kUploadCommit:
    case OperationKind::kUploadAbort:
      return operation.ticket && (operation.ticket.session & 0xffff) < sessions_.size()
                 ? Code::kOk
                 : Code::kInvalidArgument;
    case OperationKind::kCopy:
    case OperationKind::kRename:
      return input > wire::kMaxKeyBytes ? Code::kTooLarge : Code::kOk;
    case OperationKind::kCombine:
      return input > wire::kMaxChunk ? Code::kTooLarge : Code::kOk;
    case OperationKind::kPing:
    case OperationKind::kStats:
    case OperationKind::kScan:
    case OperationKind::kRandomKey:
      return operation.server < servers_.size() && operation.worker < wire::kMaxWorkers
                 ? Code::kOk
                 : Code::kInvalidArgument;
    default:
      return Code::kOk;
  }
}

void ClientCore::submit(Operation& operation) {
  assert(operation.internal[kUnderWay] == 0);
  if (closing_) {
    operation.code = Code::kCancelled;
    return;
  }
  begin(operation);
  if (operation.deadline_ns == 0) {
    if (submitting_ns_ == 0) submitting_ns_ = steady_ns();
    operation.internal[kDeadline] = submitting_ns_ + options.timeout_ns;
  }
  if (const Code code = check(operation); code != Code::kOk) {
    operation.code = code;
    finish(operation);
  } else if (is_gathered(operation.kind)) {
    start_gather(operation);
  } else {
    route(operation);
  }
}

// It is under way from now on, and nothing has come of it yet.
void ClientCore::begin(Operation& operation) {
  operation.internal[kUnderWay] = 1;
  ++under_way_;
  operation.code = Code::kOk;
  operation.version = 0;
  operation.expiry = 0;
  operation.value_length = 0;
  operation.number = 0;
  operation.has_previous = false;
  operation.refusal = wire::Refusal::kNone;
  operation.user_flags = 0;
  operation.one_key = false;
  operation.path = ReadPath::kRequest;
  operation.internal[kByRequest] = 0;
  operation.internal[kUploaded] = 0;
  operation.value = {};
  if (operation.kind != OperationKind::kReadPinned) operation.buffer.reset();
  operation.internal[kAllowed] = operation.deadline_ns != 0 ? 0 : options.timeout_ns;
  operation.internal[kDeadline] = operation.deadline_ns;
}

// Whether that worker has all keys that the operation names; a malformed one is for it to refuse.
bool ClientCore::all_on(SlotMap::Place place, const Operation& operation) const {
  wire::RequestView request;
  request.header.opcode = request_of(operation).opcode;
  request.key = operation.key;
  request.value = input_of(operation);
  bool all = true;
  wire::for_each_key(
      request, [&](std::string_view key, bool) { return all = map_.place_of_key(key) == place; });
  return all;
}

// To the session it belongs to, as far as that is known now.
void ClientCore::route(Operation& operation) {
  if (operation.internal[kGather] != 0) return route_part(operation);
  Session* session = nullptr;
  switch (operation.kind) {
    case OperationKind::kReadPinned:
    case OperationKind::kRelease:
    case OperationKind::kUploadChunk:
    case OperationKind::kUploadCommit:
    case OperationKind::kUploadAbort:
      session = sessions_[operation.ticket.session & 0xffff].get();
      break;
    case OperationKind::kPing:
    case OperationKind::kStats:
    case OperationKind::kScan:
    case OperationKind::kRandomKey: {
      const bool known = map_.workers(operation.server) != 0;
      if (known && operation.worker >= map_.workers(operation.server)) {
        operation.code = Code::kInvalidArgument;
        return finish(operation);
      }
      session = session_of(operation.server, known ? operation.worker : uint16_t{0});
      break;
    }
    case OperationKind::kCopy:
    case OperationKind::kRename:
    case OperationKind::kCombine: {
      const SlotMap::Place place = map_.place_of_key(operation.key);
      if (!all_on(place, operation)) {
        operation.code = Code::kWrongWorker;
        return finish(operation);
      }
      session = session_of(place.server, place.worker);
      break;
    }
    default: {
      const SlotMap::Place place = map_.place_of_key(operation.key);
      session = session_of(place.server, place.worker);
    }
  }
  operation.server = session->server();
  session->enqueue(operation);
}

// ---- what sessions tell ------------------------------------------------------------------------

void ClientCore::finish(Operation& operation) {
  finished_.push_back(operation);
}

void ClientCore::finish_now(Operation& operation) {
  const bool part = operation.internal[kGather] != 0;
  operation.internal[kUnderWay] = 0;
  operation.internal[kGather] = 0;
  operation.next = nullptr;
  --under_way_;
  if (!part) {
    ++ended_;
    ++counts.operations;
    if (!is_answer(operation.code)) ++counts.errors;
  }
  if (operation.done != nullptr) operation.done(operation);
}

void ClientCore::mark_dirty(Session& session) {
  if (session.dirty) return;
  session.dirty = true;
  dirty_.push_back(&session);
}

void ClientCore::welcomed(Session& session) {
  if (map_.workers(session.server()) != session.welcome().workers) adopt_workers(session);
}

void ClientCore::connect_failed(Session& session) {
  // Perhaps the server came back with fewer workers: its worker 0 knows.
  if (session.worker() == 0) return;
  Session& first = *session_of(session.server(), 0);
  if (!first.ready()) first.want();
}

// The server's number of workers is new, so keys have other places: what waits is spread again. The
// order of each key's operations stays, because all of them wait in one queue.
void ClientCore::adopt_workers(Session& session) {
  const uint16_t server = session.server();
  const uint32_t workers = session.welcome().workers;
  const bool restarted = map_.workers(server) != 0;
  map_.set_workers(server, workers);
  for (auto worker = static_cast<uint32_t>(servers_[server].sessions.size()); worker < workers;
       ++worker) {
    add_session(server, static_cast<uint16_t>(worker));
  }
  OperationQueue again;
  for (Session* other : servers_[server].sessions) {
    if (restarted && other != &session && (other->ready() || other->worker() >= workers)) {
      other->retire();
    }
    OperationQueue waiting = other->take_queue();
    while (Operation* operation = waiting.pop_front()) again.push_back(*operation);
  }
  while (Operation* operation = again.pop_front()) route(*operation);
}

// ---- turns -------------------------------------------------------------------------------------

void ClientCore::flush() {
  // From within a `done`: poll() does it at its end, when every message has been given back.
  if (!polling_) pump_dirty(steady_ns());
}

void ClientCore::pump_dirty(uint64_t now) {
  // pump() may make a session dirty again: that is for the next time.
  submitting_ns_ = 0;
  locations->begin(now);
  pumping_.swap(dirty_);
  for (Session* session : pumping_) session->dirty = false;
  for (Session* session : pumping_) session->pump(now);
  pumping_.clear();
}

size_t ClientCore::poll() {
  if (polling_) return 0;
  polling_ = true;
  ended_ = 0;
  const uint64_t now = polled_ns_ = steady_ns();
  if (take_completions(now) == 0 && now < timer_at_ && now < next_due && dirty_.empty() &&
      !anything_finished()) {
    polling_ = false;  // as most polls of who waits for an answer end
    return 0;
  }
  if (now >= timer_at_) drain_timer();
  if (now >= next_due) on_time(now);
  bury(now);
  end_finished();
  pump_dirty(now);
  // Where READs are done at once, what follows from them (the entry behind its bucket, the next
  // operations of whoever waited) is done in the same turn.
  for (int more = 0; reads_are_loads && more < kMaxRounds && take_completions(now) > 0; ++more) {
    end_finished();
    pump_dirty(now);
  }
  polling_ = false;
  return ended_;
}

size_t ClientCore::take_completions(uint64_t now) {
  size_t total = held_;
  if (held_ > 0) {
    const size_t held = held_;
    held_ = 0;
    handle({batch_.data(), held}, now);
  }
  for (int round = 0; round < kMaxRounds; ++round) {
    const size_t count = queue->poll(batch_);
    handle({batch_.data(), count}, now);
    total += count;
    if (count < batch_.size()) break;
  }
  return total;
}

void ClientCore::handle(std::span<const Completion> completions, uint64_t now) {
  for (const Completion& completion : completions) {
    auto* session = static_cast<Session*>(completion.endpoint->owner());
    session->on_completion(completion, now);
  }
}

void ClientCore::on_time(uint64_t now) {
  next_due = kNever;
  for (size_t i = 0; i < sessions_.size(); ++i) sessions_[i]->on_time(now);
}

// What ends in the meantime is for the next poll(), so a `done` that submits again and again what
// fails at once can't keep us here.
void ClientCore::end_finished() {
  OperationQueue finished = finished_.take_all();
  PutRun* runs = std::exchange(finished_runs_, nullptr);
  GetRun* get_runs = std::exchange(finished_get_runs_, nullptr);
  while (Operation* operation = finished.pop_front()) finish_now(*operation);
  while (runs != nullptr) finish_now(*std::exchange(runs, runs->next));
  while (get_runs != nullptr) finish_now(*std::exchange(get_runs, get_runs->next));
}

void ClientCore::bury(uint64_t now) {
  // A dying session is dirty.
  for (size_t i = 0; i < dirty_.size(); ++i) dirty_[i]->bury(now);
}

bool ClientCore::busy() const {
  return under_way_ > 0;
}

bool ClientCore::arm() {
  if (held_ > 0 || anything_finished() || !dirty_.empty()) return false;
  if (!queue->arm()) return false;
  held_ = queue->poll(batch_);
  if (held_ > 0) return false;
  const uint64_t now = steady_ns();
  if (next_due <= now) return false;
  return set_timer(now).is_ok();
}

void ClientCore::drain_timer() {
  uint64_t times = 0;
  // When it has not gone off quite yet, the next poll() drains it.
  if (read(timer_fd_, &times, sizeof(times)) == sizeof(times)) timer_at_ = kNever;
}

// A timer that is set too early is left alone: one needless wake-up is cheaper than a system call
// for each sleep.
Status ClientCore::set_timer(uint64_t now) {
  if (next_due == kNever || (timer_at_ <= next_due && timer_at_ > now)) return Status::ok();
  itimerspec when{};
  when.it_value.tv_sec = static_cast<time_t>(next_due / 1'000'000'000);
  when.it_value.tv_nsec = static_cast<long>(next_due % 1'000'000'000);
  if (timerfd_settime(timer_fd_, TFD_TIMER_ABSTIME, &when, nullptr) != 0) {
    return Status::from_errno("timerfd_settime", errno);
  }
  timer_at_ = next_due;
  return Status::ok();
}

bool ClientCore::same_worker(std::string_view a, std::string_view b) const {
  return map_.place_of_key(a) == map_.place_of_key(b);
}

bool ClientCore::has_one_worker() const {
  return servers_.size() == 1 && map_.workers(0) == 1;
}

int64_t ClientCore::server_clock_ms(std::string_view key) const {
  const SlotMap::Place place = map_.place_of_key(key);
  const std::vector<Session*>& sessions = servers_[place.server].sessions;
  const uint64_t now = steady_ns();
  if (place.worker < sessions.size() && sessions[place.worker]->clock().known()) {
    return sessions[place.worker]->clock().now_ms(now);
  }
  return sessions[0]->clock().now_ms(now);  // all workers of a server share its clock
}

}  // namespace rdmakv
