#include "rdmakv/client/session.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "protocol/rules.h"

namespace rdmakv {
namespace {

constexpr uint32_t kMaxReads = 8;       // READs of pinned values in flight
constexpr uint32_t kSpareReceives = 8;  // beyond the credits
constexpr uint32_t kLongMessageBytes = 16 * 1024;
constexpr uint32_t kSmallestMessage = 512;
constexpr size_t kReleasesExpected = 256;

bool is_read(OperationKind kind) {
  switch (kind) {
    case OperationKind::kGet:
    case OperationKind::kInspect:
    case OperationKind::kEvaluate:
    case OperationKind::kCount:
    case OperationKind::kPing:
    case OperationKind::kStats:
    case OperationKind::kScan:
    case OperationKind::kRandomKey:
      return true;
    default:
      return false;
  }
}

// Whether it only means something on the connection that its ticket is of.
bool is_bound(const Operation& operation) {
  switch (operation.kind) {
    case OperationKind::kModify:
      return static_cast<bool>(operation.ticket);
    case OperationKind::kReadPinned:
    case OperationKind::kRelease:
    case OperationKind::kUploadChunk:
    case OperationKind::kUploadCommit:
    case OperationKind::kUploadAbort:
      return true;
    default:
      return false;
  }
}

void add(EndpointCounters& to, const EndpointCounters& from) {
  to.sends += from.sends;
  to.writes += from.writes;
  to.reads += from.reads;
  to.atomics += from.atomics;
  to.doorbells += from.doorbells;
  to.completions += from.completions;
  to.messages += from.messages;
  to.wakeups += from.wakeups;
}

}  // namespace

Session::Session(SessionContext& context, const FabricAddress& address, uint16_t server,
                 uint16_t worker, uint16_t index)
    : context_(context),
      address_(address),
      server_(server),
      worker_(worker),
      index_(index),
      reader_(*context.arena, *this),
      direct_(*context.arena, *context.locations, order_, index, *this),
      loads_(*context.locations, order_, index),
      swaps_(*context.arena) {
  handshake_options_ = {context.options.secret, context.client_id, worker,
                        &context.arena->region()};
  releases_.reserve(kReleasesExpected);
}

Session::~Session() {
  quarantine_.clear();
  endpoint_.reset();
  table_.reset(0);
}

void Session::enqueue(Operation& operation) {
  queue_.push_back(operation);
  context_.due(operation.internal[kDeadline]);
  context_.mark_dirty(*this);
}

void Session::want() {
  wanted_ = true;
  if (state_ == State::kBackoff) retry_at_ = 0;
  context_.mark_dirty(*this);
}

void Session::retire() {
  wanted_ = false;
  pause_ns_ = 0;
  if (endpoint_ == nullptr || state_ == State::kDying) return;
  fail({Code::kUnavailable, "the server has no such worker any more"}, steady_ns());
}

OperationQueue Session::take_queue() {
  abandon_upload(true);
  OperationQueue all = detours_.take_all();
  while (!queue_.empty()) all.push_back(*queue_.pop_front());
  return all;
}

void Session::connect(uint64_t now) {
  const FabricLimits limits = context_.fabric->limits();
  const uint32_t credits = std::clamp(context_.options.credits, 1u, RequestTable::kMaxSlots);
  EndpointOptions options;
  options.receive_slots = credits + kSpareReceives;
  options.send_slots = credits + kSpareReceives;
  const bool memory_is_cheap = context_.emulated || limits.reads_are_loads;  // no adapter's
  options.message_bytes = context_.options.message_bytes != 0 ? context_.options.message_bytes
                          : memory_is_cheap                   ? kLongMessageBytes
                                                              : wire::kMessageBytes;
  options.max_work = 2 * credits + 64;
  if (limits.max_work != 0) options.max_work = std::min(options.max_work, limits.max_work);
  if (limits.max_reads != 0) options.max_reads = std::min(options.max_reads, limits.max_reads);
  wire::ConnectRequest request;
  request.worker = worker_;
  request.receive_slots = options.receive_slots;
  request.message_bytes = options.message_bytes;
  request.max_reads = options.max_reads;

  ++incarnation_;
  wanted_ = true;
  attempt_deadline_ = now + context_.options.connect_timeout_ns;
  context_.due(attempt_deadline_);
  state_ = State::kConnecting;
  if (quarantine_.size() == kMostQuarantined) {
    return fail(
        {Code::kUnavailable, "the server's process is stopped: it has left " +
                                 std::to_string(kMostQuarantined) +
                                 " connections in the middle of a WRITE, and may yet complete it"},
        now);
  }
  Result<std::unique_ptr<Endpoint>> endpoint =
      context_.fabric->connect(address_, request, options, *context_.queue);
  if (!endpoint) return fail(endpoint.status(), now);
  endpoint_ = std::move(*endpoint);
  endpoint_->set_owner(this);
}

void Session::connected(uint64_t now) {
  handshaking_since_ = now;
  state_ = State::kHandshaking;
  handshake_.emplace(handshake_options_);
  if (Status status = handshake_->start(*endpoint_); !status) fail(std::move(status), now);
}

void Session::handshake_message(std::span<const std::byte> message, uint64_t now) {
  Result<bool> over = handshake_->on_message(*endpoint_, message);
  if (!over) return fail(over.status(), now);
  if (*over) become_ready(now);
}

void Session::become_ready(uint64_t now) {
  const wire::Welcome& welcome = handshake_->welcome();
  const EndpointOptions& agreed = endpoint_->options();
  if (agreed.message_bytes < kSmallestMessage || agreed.receive_slots < 2) {
    return fail({Code::kProtocolError, "the server agrees only to senselessly small messages"},
                now);
  }
  // Every request may be answered by a message of its own, and one more may be unprocessed.
  const uint32_t credits = std::min({std::max(context_.options.credits, 1u), welcome.credits,
                                     agreed.receive_slots - 1, RequestTable::kMaxSlots});
  const FabricLimits limits = context_.fabric->limits();
  const uint32_t longest = limits.max_message == 0 ? BufferArena::kLargest : limits.max_message;
  table_.reset(credits);
  open_slots_.reserve(credits);
  unsent_.reserve(agreed.message_bytes);
  ring_ = RingAllocator(welcome.ring.bytes, credits);
  reader_.reset(welcome.pool.base, welcome.pool.bytes, welcome.pool.key,
                std::clamp(agreed.max_reads, 1u, kMaxReads),
                std::min(longest, BufferArena::kLargest));
  direct_.reset(RemoteLayout(welcome), credits, longest);
  if (context_.reads_are_loads) loads_.reset(RemoteLayout(welcome), *endpoint_);
  order_.reset();
  // Whoever never swaps takes no grants from those who do.
  const bool swaps = context_.options.cas_path == CasPath::kAuto;
  swaps_.reset(swaps ? RemoteLayout(welcome) : RemoteLayout());
  if (swaps_.enabled()) cas_table_.reset();
  asking_grants_ = false;
  grants_again_ns_ = 0;
  if (epoch_ != welcome.epoch && holds(Rule::kEpoch)) context_.locations->forget_session(index_);
  epoch_ = welcome.epoch;
  clock_.forget();
  hear(welcome.clock_ms, now, handshaking_since_);  // it answers what we have said since then
  state_ = State::kReady;
  failed_ = false;
  last_error_ = {};
  ready_since_ = now;
  ++context_.counts.connects;
  context_.due(now + context_.options.keepalive_ns);
  context_.mark_dirty(*this);
  context_.welcomed(*this);
}

void Session::end(Operation& operation, Code code) {
  operation.code = code;
  context_.finish(operation);
}

void Session::protocol_error(const char* what, uint64_t now) {
  fail({Code::kProtocolError, std::string("the server broke the protocol: ") + what}, now);
}

void Session::fail(Status why, uint64_t now) {
  if (state_ == State::kDying) return;
  loads_.reset();
  const bool was_ready = state_ == State::kReady;
  state_ = State::kDying;
  last_error_ = std::move(why);
  if (endpoint_ != nullptr) endpoint_->close();
  if (was_ready) ++context_.counts.disconnects;
  const bool was_steady = was_ready && now - ready_since_ >= kSteadyNs;
  if (was_steady) pause_ns_ = 0;
  // The first attempt after a connection that worked comes at once.
  retry_at_ = was_steady ? now : now + std::max(pause_ns_, kFirstPauseNs);
  pause_ns_ = std::clamp(pause_ns_ * 2, kFirstPauseNs, kLongestPauseNs);
  failed_ = !was_ready;
  fail_sent(was_ready);
  context_.mark_dirty(*this);  // bury() is wanted
  if (!was_ready) {
    end_waiting();
    context_.connect_failed(*this);
  }
}

// The server can't be reached: nobody waits for that to change.
void Session::end_waiting() {
  queue_.extract([](const Operation&) { return true; },
                 [&](Operation& operation) { end(operation, Code::kUnavailable); });
}

// What was sent. Reads go back to the head of the queue, in their order; a mutation's outcome is
// unknown.
void Session::fail_sent(bool was_ready) {
  if (!was_ready) return;
  take_back_unsent();
  upload_.operation = nullptr;
  queue_.extract([](const Operation& operation) { return is_bound(operation); },
                 [&](Operation& operation) {
                   // A pin ends with its connection: it is released.
                   end(operation,
                       operation.kind == OperationKind::kRelease ? Code::kOk : Code::kUnavailable);
                 });
  OperationQueue again;
  const auto sort = [&](Operation& operation) {
    if (is_read(operation.kind) || !holds(Rule::kNoRepeat)) {
      operation.internal[kAllowed] = 0;  // its deadline counts from when it was sent first
      operation.ticket = {};
      operation.value_length = 0;
      again.push_back(operation);
    } else if (operation.kind == OperationKind::kRelease ||
               operation.kind == OperationKind::kUploadAbort) {
      end(operation, Code::kOk);
    } else if (operation.kind == OperationKind::kReadPinned ||
               operation.kind == OperationKind::kUploadBegin ||
               operation.kind == OperationKind::kUploadChunk) {
      end(operation, Code::kUnavailable);  // nothing changed that lasts
    } else {
      end(operation, Code::kUnknownOutcome);
    }
  };
  // Of one key, what is READ, or came back from that, was there before what is asked of the server:
  // no READ begins beside a request, and who has a pin was answered first.
  reader_.extract([](const Operation&) { return true; }, sort);
  direct_.extract([](const Operation&) { return true; },
                  [&](Operation& operation) {
                    operation.internal[kAllowed] = 0;
                    detours_.insert(operation, kByRequest);
                  });
  while (!detours_.empty()) again.push_back(*detours_.pop_front());
  for (uint32_t index = table_.oldest(); index != RequestTable::kNone;
       index = table_.slot(index).next) {
    RequestSlot& slot = table_.slot(index);
    Operation* operation = std::exchange(slot.operation, nullptr);
    if (operation != nullptr && slot.step == RequestStep::kOperation) {
      if (slot.value) operation->input_buffer = std::move(slot.value);
      sort(*operation);
    }
    if (slot.puts != nullptr) {
      end_puts(slot, Code::kUnknownOutcome);
      give_back_puts(slot);
    }
    if (slot.gets != nullptr) {
      hand_over_all(*slot.gets);
      slot.gets->extract([](const Operation&) { return true; }, sort);
      release_gets(slot);
    }
  }
  swaps_.extract([](const Operation&) { return true; },
                 [&](Operation& operation, bool posted) {
                   if (!posted) return again.push_back(operation);
                   end(operation, Code::kUnknownOutcome);
                 });
  releases_.clear();
  while (!queue_.empty()) again.push_back(*queue_.pop_front());
  queue_ = again;
}

void Session::bury(uint64_t now) {
  if (state_ != State::kDying) return;
  add_counters(context_.counts.verbs);
  if (endpoint_ != nullptr && endpoint_->peer_may_write()) {
    quarantine_.push_back({table_.take_landings(), std::move(endpoint_)});
    ++context_.counts.quarantines;
    context_.due(now + kQuarantineLookNs);
  }
  endpoint_.reset();
  // From here on nobody can reach the buffers that are left: they may be used again.
  table_.reset(0);
  ring_ = {};
  reader_.reset(0, 0, 0, 0, 0);
  direct_.reset({}, 0, 0);
  swaps_.reset({});
  order_.reset();
  upload_ = {};
  state_ = State::kBackoff;
  if (wanted_ || !queue_.empty()) context_.due(std::max(retry_at_, now));
}

// Called when no completion is left that may name one of them.
void Session::end_quarantines(uint64_t now) {
  std::erase_if(quarantine_,
                [](const Quarantined& one) { return !one.endpoint->peer_may_write(); });
  if (!quarantine_.empty()) context_.due(now + kQuarantineLookNs);
}

void Session::end_all(Code code) {
  const auto all = [](const Operation&) { return true; };
  const auto finish = [&](Operation& operation) { end(operation, code); };
  abandon_upload(false);
  detours_.extract(all, finish);
  queue_.extract(all, finish);
  reader_.extract(all, finish);
  direct_.extract(all, finish);
  swaps_.extract(all, [&](Operation& operation, bool) { end(operation, code); });
  for (uint32_t index = table_.oldest(); index != RequestTable::kNone;
       index = table_.slot(index).next) {
    RequestSlot& slot = table_.slot(index);
    Operation* operation = std::exchange(slot.operation, nullptr);
    if (operation != nullptr) end(*operation, code);
    if (slot.puts != nullptr) end_puts(slot, code);
    if (slot.gets != nullptr) {
      hand_over_all(*slot.gets);
      slot.gets->extract(all, finish);
    }
  }
}

std::span<const std::byte> Session::pinned(const Ticket& pin, uint64_t offset,
                                           uint64_t length) const {
  const bool sound = pin.session == ticket_session() && loads_.usable() &&
                     offset <= wire::kMaxValueBytes && reader_.fits(pin.location, offset + length);
  if (!sound) return {};
  return {loads_.pool(pin.location + offset), length};
}

// Until when an operation may wait in the queue: one that has not been sent, without an answer to
// any other; one whose upload has begun, without getting further than it ever did (so that one
// which has to start again and again, as its connections break, comes to an end).
uint64_t Session::patience(const Operation& waiting) const {
  const uint64_t allowed = waiting.internal[kAllowed];
  const bool unsent = allowed != 0 && waiting.internal[kUploaded] == 0;
  return std::max(waiting.internal[kDeadline], unsent ? answered_at_ + allowed : 0);
}

void Session::expire(uint64_t now) {
  const auto late = [&](const Operation& operation) {
    return operation.internal[kDeadline] <= now;
  };
  const auto keep = [&](const Operation& operation) {
    context_.due(operation.internal[kDeadline]);
  };
  const auto is_late = [&](const Operation& operation) { return patience(operation) <= now; };
  const auto keep_waiting = [&](const Operation& operation) { context_.due(patience(operation)); };
  const Code unsent = ready() ? Code::kTimeout : Code::kUnavailable;
  if (upload_.operation != nullptr && is_late(*upload_.operation)) abandon_upload(false);
  for (OperationQueue* waiting : {&detours_, &queue_}) {
    waiting->extract(is_late, [&](Operation& operation) { end(operation, unsent); });
    waiting->for_each(keep_waiting);
  }
  for (uint32_t index = table_.oldest(); index != RequestTable::kNone;
       index = table_.slot(index).next) {
    RequestSlot& slot = table_.slot(index);
    if (slot.puts != nullptr && slot.puts->awaited) {
      slot.puts->deadline_ns <= now ? end_puts(slot, Code::kTimeout)
                                    : context_.due(slot.puts->deadline_ns);
    }
    if (slot.gets != nullptr) {
      if (slot.gets->deadline_ns <= now) hand_over_all(*slot.gets);
      if (slot.gets->of_runs > 0) context_.due(slot.gets->deadline_ns);
      slot.gets->extract(late, [&](Operation& operation) { end(operation, Code::kTimeout); });
      slot.gets->for_each(keep);
    }
    if (slot.operation == nullptr || slot.step != RequestStep::kOperation) continue;
    if (!late(*slot.operation)) {
      keep(*slot.operation);
      continue;
    }
    // The slot stays, and with it whatever the server may still write to.
    Operation& operation = *slot.operation;
    slot.operation = nullptr;
    end(operation, Code::kTimeout);
  }
  reader_.extract(late, [&](Operation& operation) {
    if (operation.kind != OperationKind::kReadPinned) {
      give_up_pin(operation.ticket.id);
      operation.ticket = {};
    }
    end(operation, Code::kTimeout);
  });
  reader_.for_each(keep);
  direct_.extract(late, [&](Operation& operation) { end(operation, Code::kTimeout); });
  direct_.for_each(keep);
  swaps_.extract(late, [&](Operation& operation, bool) { end(operation, Code::kTimeout); });
  swaps_.for_each(keep);
}

void Session::on_time(uint64_t now) {
  expire(now);
  if (!quarantine_.empty()) end_quarantines(now);
  switch (state_) {
    case State::kIdle:
    case State::kDying:
      break;
    case State::kConnecting:
    case State::kHandshaking:
      if (now >= attempt_deadline_) {
        fail({Code::kTimeout,
              "no answer from " + address_.to_string(context_.fabric->name()) + " in " +
                  std::to_string(context_.options.connect_timeout_ns / 1'000'000) + " ms"},
             now);
      } else {
        context_.due(attempt_deadline_);
      }
      break;
    case State::kBackoff:
      if (!wanted_ && queue_.empty()) break;
      if (now >= retry_at_) {
        context_.mark_dirty(*this);
      } else {
        context_.due(retry_at_);
      }
      break;
    case State::kReady:
      if (blocked_) context_.mark_dirty(*this);
      if (now - heard_at_ >= context_.options.keepalive_ns) {
        heard_at_ = now;
        endpoint_->probe();
      }
      context_.due(heard_at_ + context_.options.keepalive_ns);
      break;
  }
}

void Session::add_counters(EndpointCounters& to) const {
  if (endpoint_ != nullptr) add(to, endpoint_->counters());
}

}  // namespace rdmakv
