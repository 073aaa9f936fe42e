#include "rdmakv/server/connection.h"

#include <algorithm>
#include <array>
#include <utility>

namespace rdmakv::server {
namespace {

// Of so many operations the replies go out while more are executed, if the client has processors
// of its own, to go on with them; one that shares ours is better woken once. A message's worth.
constexpr uint32_t kUnsentOperations = 192;
constexpr size_t kLookAhead = 64;      // requests
constexpr size_t kLookAheadKey = 256;  // bytes; a longer key takes longer to hash than to fetch

// Has what the requests of a message will need fetched into the processor's cache, for many keys at
// a time instead of one after the other: their buckets, and then the entries that these name for
// them. These are hints: all that the message says is read again, and checked, when it is executed.
[[gnu::noinline]] void look_ahead(const ConnectionContext& context,
                                  std::span<const std::byte> message) {
  const Partition& partition = context.partition;
  std::array<uint64_t, kLookAhead> hashes;
  size_t count = 0;
  wire::MessageReader ahead(message);
  for (wire::RequestView request; count < hashes.size() && ahead.next(request);) {
    if (request.key.empty() || request.key.size() > kLookAheadKey) continue;
    hashes[count] = partition.hash_of(request.key);
    partition.index().prefetch(hashes[count]);
    ++count;
  }
  for (const uint64_t hash : std::span(hashes).first(count)) partition.prefetch_entry(hash);
}

std::string milliseconds(uint64_t ns) {
  return std::to_string(ns / 1'000'000) + " ms";
}

}  // namespace

Connection::Connection(ConnectionContext& context, std::unique_ptr<Endpoint> endpoint,
                       MemoryRegion& ring, uint64_t now_ns)
    : context_(context),
      endpoint_(std::move(endpoint)),
      memory_(peer_memory_of(*endpoint_)),
      ring_(ring),
      session_(std::make_unique<Session>(context.partition)),
      replies_(std::make_unique<Replies>(*endpoint_, context.partition, *session_, context.pool,
                                         context.max_message)),
      handshake_(context.secret),
      credits_(endpoint_->options().receive_slots - kMoreSlots),
      heard_ns_(now_ns),
      probed_ns_(now_ns),
      deadline_ns_(now_ns + context.timeouts.handshake_ns),
      reader_({}),
      waiting_(endpoint_->options().receive_slots) {
  session_->inline_limit = Replies::inline_limit(endpoint_->options().message_bytes);
  session_->lender = memory_;
  endpoint_->set_owner(this);
}

Connection::~Connection() {
  endpoint_.reset();
  replies_.reset();
  session_.reset();
}

// Replies on their way have been written, or never will be: where a peer can be found in the middle
// of a WRITE, work is done when it is posted.
void Connection::quarantine(uint64_t now_ns) {
  quarantined_ns_ = now_ns;
  replies_->give_up();
  session_->pins.release_all();
  session_->uploads.abort_all();
}

void Connection::refuse(wire::RefusalCode code, std::string why, uint64_t now_ns) {
  if (state_ == State::kClosing || state_ == State::kGone) return;
  replies_->flush();
  send_refusal(*endpoint_, code, why, context_.partition.now_ms());
  endpoint_->close();
  why_ = std::move(why);
  state_ = State::kClosing;
  reading_ = false;
  deadline_ns_ = now_ns + context_.timeouts.refusal_ns;
}

[[gnu::flatten]] void Connection::on_completion(const Completion& completion, uint64_t now_ns) {
  switch (completion.kind) {
    case CompletionKind::kMessage:
    case CompletionKind::kImmediate:
      heard_ns_ = now_ns;
      on_message(completion, now_ns);
      return;
    case CompletionKind::kSend:
    case CompletionKind::kWrite:
      heard_ns_ = now_ns;
      replies_->on_sent(completion.context);
      return;
    case CompletionKind::kDisconnected:
      if (why_.empty()) why_ = endpoint_->error_text();
      state_ = State::kGone;
      return;
    case CompletionKind::kConnected:
    case CompletionKind::kRead:
    case CompletionKind::kCompareAndSwap:
      return;
  }
}

void Connection::on_message(const Completion& completion, uint64_t now_ns) {
  if (state_ != State::kHandshake && state_ != State::kReady) {
    endpoint_->release_message(completion.slot);
    return;
  }
  Input input{{completion.message, completion.length}, completion.slot};
  if (completion.kind == CompletionKind::kImmediate) {
    const uint64_t offset = uint64_t{completion.immediate} * wire::kRingUnit;
    if (state_ != State::kReady || offset > ring_.size() ||
        completion.length > ring_.size() - offset) {
      endpoint_->release_message(completion.slot);
      refuse(wire::RefusalCode::kBadRequest, "a WRITE outside the ring", now_ns);
      return;
    }
    input.message = {ring_.data() + offset, completion.length};
  }
  if (state_ == State::kHandshake) {
    greet(input.message, now_ns);
    endpoint_->release_message(completion.slot);
    return;
  }
  if (reading_) {
    if (waiting_count_ == waiting_.size()) {
      endpoint_->release_message(completion.slot);
      refuse(wire::RefusalCode::kBadRequest, "more messages than credits", now_ns);
      return;
    }
    waiting_[(first_waiting_ + waiting_count_) % waiting_.size()] = input;
    ++waiting_count_;
    return;
  }
  start(input);
  run(now_ns);
}

void Connection::greet(std::span<const std::byte> message, uint64_t now_ns) {
  const int64_t clock_ms = context_.partition.now_ms();
  switch (handshake_.on_message(*endpoint_, message, clock_ms)) {
    case Handshake::Progress::kMore:
      return;
    case Handshake::Progress::kAdmitted:
      admit(now_ns);
      return;
    case Handshake::Progress::kRefused:
      why_ = handshake_.refusal();
      endpoint_->close();
      state_ = State::kClosing;
      deadline_ns_ = now_ns + context_.timeouts.refusal_ns;
      return;
    case Handshake::Progress::kBroken:
      why_ = "the handshake could not be answered";
      state_ = State::kGone;
      return;
  }
}

// The peer has proven what it had to: from here on it may reach our memory.
void Connection::admit(uint64_t now_ns) {
  for (const MemoryRegion* region : {&context_.index, &context_.pool, context_.cas, context_.grants,
                                     static_cast<const MemoryRegion*>(&ring_)}) {
    if (region == nullptr) continue;
    if (Status status = endpoint_->expose(*region); !status) {
      refuse(wire::RefusalCode::kBadRequest, status.to_string(), now_ns);
      return;
    }
  }
  replies_->set_landing(handshake_.landing());
  wire::Welcome welcome = context_.welcome;
  welcome.clock_ms = static_cast<uint64_t>(context_.partition.now_ms());
  welcome.credits = credits_;
  welcome.flags = session_->lender != nullptr ? wire::kTakesFromLanding : 0;
  welcome.ring = {ring_.remote_base(), ring_.size(), ring_.remote_key(), 0};
  if (!send_welcome(*endpoint_, welcome, context_.partition.now_ms())) {
    why_ = "the handshake could not be answered";
    state_ = State::kGone;
    return;
  }
  state_ = State::kReady;
}

void Connection::start(const Input& input) {
  reading_ = true;
  input_ = input;
  reader_ = wire::MessageReader(input.message, credits_);  // a request takes a credit each
  executed_ = 0;
  if (reader_.valid() && reader_.header().count > 1) look_ahead(context_, input.message);
}

void Connection::resume(uint64_t now_ns) {
  if (reading_ && state_ == State::kReady) run(now_ns);
}

// Where the value lies if not in the message. False: nowhere within the client's landing region, or
// we cannot reach it, or not any more.
bool Connection::find_value(wire::RequestView& request) {
  if ((request.header.flags & wire::kValueInLanding) == 0) return true;
  const auto place = wire::ValuePlace::decode(std::exchange(request.header.value_place, 0));
  const wire::RegionGrant& landing = handshake_.landing();
  if (session_->lender == nullptr || !request.value.empty() || place.offset > landing.bytes ||
      place.length > landing.bytes - place.offset) {
    return false;
  }
  const std::byte* data =
      session_->lender->peer_memory({landing.base + place.offset, landing.key}, place.length);
  if (data == nullptr) return false;
  request.value = {data, place.length};
  return true;
}

// A message's slot is given back when the replies to it are on their way, or, if that is earlier,
// when the message behind it has been executed. So one slot at most is missing that the credits
// allow the client to use: replies to all but a message's last request give back fewer credits than
// the message took, and it took at least as many as slots. For that one there are kMoreSlots.
void Connection::done_with(uint32_t slot) {
  if (done_slot_ != kNoSlot) endpoint_->release_message(done_slot_);
  done_slot_ = slot;
}

void Connection::run(uint64_t now_ns) {
  for (;;) {
    if (!replies_->ready()) {
      if (replies_->broken()) {
        why_ = "a reply could not be sent";
        state_ = State::kGone;
      }
      return;
    }
    if (reader_.next(request_)) {
      if (!find_value(request_)) {
        refuse(wire::RefusalCode::kBadRequest, "a value outside the landing region", now_ns);
        return;
      }
      Outcome outcome =
          context_.partition.execute(request_.header, request_.key, request_.value, *session_);
      if (++executed_ == reader_.header().count) done_with(input_.slot);
      replies_->add(request_.header, outcome);
      unsent_ += outcome.operations;
      if (context_.far && unsent_ >= kUnsentOperations) flush_replies();
      continue;
    }
    if (!reader_.valid()) {
      refuse(wire::RefusalCode::kBadRequest,
             reader_.header().count > credits_ ? "more requests than credits" : reader_.error(),
             now_ns);
      return;
    }
    if (waiting_count_ == 0) {
      reading_ = false;
      return;
    }
    start(waiting_[first_waiting_]);
    first_waiting_ = (first_waiting_ + 1) % waiting_.size();
    --waiting_count_;
  }
}

void Connection::flush() {
  if (state_ == State::kReady) flush_replies();
}

void Connection::flush_replies() {
  unsent_ = 0;
  replies_->flush();
  done_with(kNoSlot);
}

uint64_t Connection::on_time(uint64_t now_ns) {
  if (state_ == State::kHandshake || state_ == State::kClosing) {
    if (now_ns < deadline_ns_) return deadline_ns_;
    if (state_ == State::kHandshake) {
      refuse(wire::RefusalCode::kBadRequest,
             "no handshake within " + milliseconds(context_.timeouts.handshake_ns), now_ns);
      return deadline_ns_;
    }
    state_ = State::kGone;
  }
  if (state_ == State::kGone) return now_ns;
  const uint64_t silence_ns = context_.timeouts.silence_ns;
  const uint64_t quiet_since = std::max(heard_ns_, probed_ns_);
  if (now_ns - quiet_since >= silence_ns) {
    endpoint_->probe();
    probed_ns_ = now_ns;
    return now_ns + silence_ns;
  }
  return quiet_since + silence_ns;
}

}  // namespace rdmakv::server
