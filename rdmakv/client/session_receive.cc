// Session: from the Endpoint to the operations. Everything here was said by the server: it is
// copied, then checked, then used.
#include <cstring>

#include "protocol/kv_layout.h"
#include "rdmakv/client/operation_message.h"
#include "rdmakv/client/session.h"

namespace rdmakv {

void Session::on_completion(const Completion& completion, uint64_t now) {
  if (state_ == State::kDying || completion.endpoint != endpoint_.get()) return;
  switch (completion.kind) {
    case CompletionKind::kConnected:
      if (state_ == State::kConnecting) connected(now);
      return;
    case CompletionKind::kDisconnected: {
      std::string text(endpoint_->error_text());
      if (text.empty()) {
        text = "the connection to " + address_.to_string(context_.fabric->name()) + " was closed";
      }
      const Code code = completion.code == Code::kOk ? Code::kUnavailable : completion.code;
      return fail({code, std::move(text)}, now);
    }
    case CompletionKind::kMessage: {
      Endpoint* endpoint = endpoint_.get();
      const std::span<const std::byte> bytes{completion.message, completion.length};
      if (state_ == State::kHandshaking) {
        handshake_message(bytes, now);
      } else if (state_ == State::kReady) {
        message(bytes, now);
      } else {
        protocol_error("a message before the connection was up", now);
      }
      endpoint->release_message(completion.slot);
      return;
    }
    case CompletionKind::kImmediate:
      if (state_ != State::kReady) return protocol_error("a WRITE before the handshake", now);
      landed(completion.immediate, completion.length, now);
      endpoint_->release_message(completion.slot);
      return;
    case CompletionKind::kRead:
      if (completion.code != Code::kOk) return;  // kDisconnected follows
      if ((completion.context & DirectReader::kContextBit) != 0) {
        direct_.on_read(completion.context, clock_.latest_ms(now));
      } else {
        reader_.on_read(completion.context);
      }
      go_on();
      return;
    case CompletionKind::kCompareAndSwap:
      if (completion.code == Code::kOk) swapped(completion.context, now);
      return;
    case CompletionKind::kSend:
    case CompletionKind::kWrite:
      return;
  }
}

// After what may have made room for what waits: as a rule nothing does.
void Session::go_on() {
  const bool waits = !queue_.empty() || !detours_.empty() || !releases_.empty() || blocked_ ||
                     cas_wanted_ || upload_.stage != Upload::Stage::kNone || direct_.waits() ||
                     reader_.busy();
  if (waits) context_.mark_dirty(*this);
}

void Session::hear(uint64_t clock_ms, uint64_t now, uint64_t asked_at) {
  heard_at_ = now;
  clock_.heard(clock_ms, now, asked_at);
}

void Session::message(std::span<const std::byte> bytes, uint64_t now) {
  wire::MessageReader reader(bytes);
  if (reader.valid() && reader.header().kind == wire::MessageKind::kRefusal) {
    wire::ConnectRefusal refusal;
    if (reader.body(refusal)) {
      return fail(refusal_status(refusal, !context_.options.secret.empty()), now);
    }
  }
  if (reader.valid()) hear(reader.header().clock_ms, now, 0);
  wire::ReplyView reply;
  while (reader.next(reply)) {
    const uint32_t index = table_.find(reply.header.id);
    if (index == RequestTable::kNone) return protocol_error("a reply that nobody asked for", now);
    clock_.heard(reader.header().clock_ms, now, table_.slot(index).sent_ns);
    if (const char* error = take_reply(index, reply, now); error != nullptr) {
      return protocol_error(error, now);
    }
  }
  if (!reader.valid()) return protocol_error(reader.error(), now);
  go_on();
}

// A reply was written to the landing buffer of request `id`.
void Session::landed(uint32_t id, uint32_t length, uint64_t now) {
  const uint32_t index = table_.find(id);
  if (index == RequestTable::kNone) return protocol_error("a WRITE that nobody asked for", now);
  const ValueBuffer& landing = table_.slot(index).landing;
  if (!landing || length > landing.capacity()) {
    return protocol_error("a WRITE beyond its landing buffer", now);
  }
  wire::MessageReader reader({landing.data(), length});
  wire::ReplyView reply;
  if (!reader.next(reply)) {
    return protocol_error(reader.error() != nullptr ? reader.error() : "an empty reply", now);
  }
  if (reader.header().count != 1 || reply.header.id != id) {
    return protocol_error("a WRITE that holds another reply", now);
  }
  hear(reader.header().clock_ms, now, table_.slot(index).sent_ns);
  if (const char* error = take_reply(index, reply, now); error != nullptr)
    protocol_error(error, now);
  go_on();
}

// Null, or what is wrong with the reply; then nothing has been ended.
const char* Session::take_reply(uint32_t index, const wire::ReplyView& reply, uint64_t now) {
  RequestSlot& slot = table_.slot(index);
  answered_at_ = now;
  if (slot.stretch != RingAllocator::kNone) {
    ring_.release(slot.stretch);
    slot.stretch = RingAllocator::kNone;
  }
  if (slot.step != RequestStep::kBackground && slot.step != RequestStep::kGrants) {
    ++context_.counts.round_trips;
  }
  if (slot.step == RequestStep::kOperation && slot.operation != nullptr) {
    return end_operation(index, reply);
  }
  if (slot.step == RequestStep::kPuts) return take_puts(index, reply);
  if (slot.step == RequestStep::kGets) return take_gets(index, reply);
  const bool pinned = (reply.header.flags & wire::kPinned) != 0;
  switch (slot.step) {
    case RequestStep::kUploadBegin:
    case RequestStep::kUploadChunk:
      upload_reply(slot, reply.header);
      break;
    case RequestStep::kOperation:  // too late; what it reserved at the server is not wanted
      if (pinned && reply.header.ticket != 0) give_up_pin(reply.header.ticket);
      if (slot.opcode == wire::Opcode::kUploadBegin &&
          reply.header.status == wire::ReplyStatus::kOk) {
        releases_.push_back({wire::Opcode::kUploadAbort, reply.header.ticket});
      }
      break;
    case RequestStep::kGrants:
      take_grants(reply, now);
      break;
    case RequestStep::kPuts:
    case RequestStep::kGets:
    case RequestStep::kBackground:
      break;
  }
  give_back(index);
  return nullptr;
}

namespace {

const char* check_reply(const Operation& operation, const wire::ReplyHeader& reply) {
  const bool has_value = (reply.flags & wire::kHasValue) != 0;
  const bool pinned = (reply.flags & wire::kPinned) != 0;
  const bool ok = reply.status == wire::ReplyStatus::kOk;
  const bool is_get = operation.kind == OperationKind::kGet || brings_keys(operation.kind);
  const bool may_bring = is_get || operation.want_previous || operation.want_if_unmet ||
                         operation.kind == OperationKind::kModify ||
                         operation.kind == OperationKind::kEvaluate ||
                         operation.kind == OperationKind::kTransaction;
  if (has_value && pinned) return "a reply with a value that is pinned as well";
  const bool is_transaction = operation.kind == OperationKind::kTransaction;
  if (has_value && !may_bring && operation.kind != OperationKind::kStats) {
    return "a reply with a value where there is none";
  }
  if (pinned && !may_bring) return "a pin where there is no value";
  if (is_transaction && (ok != (has_value || pinned))) return "a transaction without replies";
  if (is_get && ok && !has_value && !pinned) return "a GET's reply without a value";
  if (is_get && !ok && pinned) return "a pin without a value";
  if (reply.expiry_ms < 0) return "a negative expiry";
  if (reply.value_length > wire::kMaxValueBytes) return "a value beyond every limit";
  if (operation.kind == OperationKind::kUploadBegin && ok && reply.ticket == 0) {
    return "an upload without a ticket";
  }
  if (pinned && (reply.ticket == 0 || reply.value_length == 0)) return "a pin of nothing";
  return nullptr;
}

}  // namespace

const char* Session::end_operation(uint32_t index, const wire::ReplyView& reply) {
  RequestSlot& slot = table_.slot(index);
  Operation& operation = *slot.operation;
  const Asked asked{slot.order < KeyOrder::kCounts, slot.hash, slot.bytes};
  const char* const error = take_result(operation, asked, reply, slot.landing);
  if (error != nullptr) return error;
  give_back(index);
  deliver(operation, reply.header);
  return nullptr;
}

// Null, or what is wrong with the reply.
const char* Session::take_result(Operation& operation, const Asked& asked,
                                 const wire::ReplyView& reply, ValueBuffer& landing) {
  const wire::ReplyHeader& header = reply.header;
  if (const char* error = check_reply(operation, header); error != nullptr) return error;
  const bool has_value = (header.flags & wire::kHasValue) != 0;
  const bool pinned = (header.flags & wire::kPinned) != 0;
  if (pinned && !pin_makes_sense(operation, header)) return "a pin of memory outside the pool";

  take_header(operation, header);
  learn(operation, asked, header);
  if (operation.kind == OperationKind::kGet && (has_value || pinned)) {
    note_value_length(header.value_length);
  }
  if (operation.kind == OperationKind::kInspect) operation.epoch = epoch_;
  if (operation.code == Code::kBusy) operation.ticket = {0, ticket_session(), 0, 0};
  if (operation.kind == OperationKind::kUploadBegin && operation.code == Code::kOk) {
    operation.ticket = {header.ticket, ticket_session(), header.generation, 0};
  }
  if (has_value && !pinned) take_value(operation, reply.value, landing);
  return nullptr;
}

void Session::deliver(Operation& operation, const wire::ReplyHeader& reply) {
  if ((reply.flags & wire::kPinned) != 0) return take_pin(operation, reply);
  context_.finish_now(operation);
}

// The value lies in the message that is being handled, or in the landing buffer, which then becomes
// the operation's.
void Session::take_value(Operation& operation, std::span<const std::byte> value,
                         ValueBuffer& landing) {
  if (operation.destination.data() != nullptr &&
      (operation.kind == OperationKind::kGet || brings_keys(operation.kind))) {
    if (value.size() > operation.destination.size()) {
      operation.code = Code::kTooLarge;
      return;
    }
    if (!value.empty()) std::memcpy(operation.destination.data(), value.data(), value.size());
    operation.value = operation.destination.first(value.size());
    return;
  }
  operation.value = value;
  const bool landed = landing && !value.empty() && value.data() > landing.data() &&
                      value.data() < landing.data() + landing.capacity();
  if (!landed) return;
  operation.buffer = std::move(landing);
  operation.buffer.set_length(static_cast<uint32_t>(value.size()));
}

bool Session::pin_makes_sense(const Operation& operation, const wire::ReplyHeader& reply) const {
  const uint64_t location = reply.location;
  // Of a scan it is the key that is pinned, and it begins where a value behind no key would.
  const size_t key_length = brings_keys(operation.kind) ? 0 : operation.key.size();
  // A part of a value begins anywhere in its entry.
  const bool offset_known = operation.kind == OperationKind::kEvaluate ||
                            reply.number == wire::entry_value_offset(key_length, false) ||
                            reply.number == wire::entry_value_offset(key_length, true);
  return location != 0 && offset_known &&
         reader_.fits(location * wire::kExtentUnit, reply.number + reply.value_length);
}

void Session::take_pin(Operation& operation, const wire::ReplyHeader& reply) {
  const uint64_t location = reply.location;
  if (!brings_keys(operation.kind)) operation.number = 0;
  operation.ticket = {reply.ticket, ticket_session(), reply.generation,
                      location * wire::kExtentUnit + reply.number};
  const bool may_copy = operation.kind == OperationKind::kGet || brings_keys(operation.kind);
  if (!may_copy || operation.destination.data() == nullptr) return context_.finish(operation);
  if (operation.destination.size() >= reply.value_length) return reader_.add(operation);
  give_up_pin(reply.ticket);
  operation.ticket = {};
  end(operation, Code::kTooLarge);
}

// Where the key's entry lies, if the reply tells it and its length.
void Session::learn(const Operation& operation, const Asked& asked,
                    const wire::ReplyHeader& reply) {
  if (!asked.keyed || operation.code == Code::kBusy) return;
  const bool is_get = operation.kind == OperationKind::kGet;
  if (is_get && operation.code == Code::kOk && (reply.flags & wire::kPinned) == 0) {
    return learn_value(asked.hash, operation.key, reply);
  }
  if ((reply.flags & wire::kPinned) == 0) {
    learn_cas(asked.hash, operation.key, {reply.location, reply.generation, wire::kGenerationMask},
              reply.version, reply.expiry_ms, (reply.flags & wire::kCasClass) != 0);
  }
  if (reply.location == 0) {
    if (operation.code == Code::kOk || operation.code == Code::kNotFound) {
      context_.locations->forget(asked.hash, index_);
    }
    return;
  }
  uint64_t value_length = 0;
  const bool modified = operation.kind == OperationKind::kModify && operation.code == Code::kOk &&
                        (reply.flags & (wire::kHasValue | wire::kPinned)) == 0;
  if (operation.kind == OperationKind::kGet || operation.kind == OperationKind::kInspect ||
      modified) {
    value_length = reply.value_length;
  } else if (operation.kind == OperationKind::kPut && operation.code == Code::kOk &&
             (reply.flags & wire::kPinned) == 0) {
    value_length = asked.bytes;
  } else {
    return;
  }
  const bool expiry_field =
      (reply.flags & wire::kPinned) != 0
          ? reply.number != wire::entry_value_offset(operation.key.size(), false)
          : (reply.flags & wire::kExpiryField) != 0;
  const uint64_t length = wire::entry_bytes(operation.key.size(), value_length, expiry_field);
  context_.locations->learn(asked.hash, index_,
                            {reply.location, reply.generation, static_cast<uint32_t>(length)});
}

// Likewise from a GET's reply that brings the value, or says that there is none.
void Session::learn_value(uint64_t hash, std::string_view key, const wire::ReplyHeader& reply) {
  learn_cas(hash, key, {reply.location, reply.generation, wire::kGenerationMask}, reply.version,
            reply.expiry_ms, (reply.flags & wire::kCasClass) != 0);
  if (reply.location == 0) return context_.locations->forget(hash, index_);
  const uint64_t length =
      wire::entry_bytes(key.size(), reply.value_length, (reply.flags & wire::kExpiryField) != 0);
  context_.locations->learn(hash, index_,
                            {reply.location, reply.generation, static_cast<uint32_t>(length)});
}

void Session::direct_done(Operation& operation) {
  context_.finish_now(operation);
}

void Session::direct_detour(Operation& operation) {
  operation.value = {};
  detours_.insert(operation, kByRequest);
  context_.mark_dirty(*this);
}

void Session::read_done(Operation& operation) {
  ++context_.counts.round_trips;
  context_.finish(operation);
}

void Session::give_up_pin(uint64_t ticket) {
  releases_.push_back({wire::Opcode::kRelease, ticket});
  context_.mark_dirty(*this);
}

}  // namespace rdmakv
