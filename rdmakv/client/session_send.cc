// Session: from the queue to the Endpoint.
#include <algorithm>
#include <cassert>
#include <cstring>

#include "protocol/kv_transaction.h"
#include "rdmakv/client/operation_message.h"
#include "rdmakv/client/session.h"

namespace rdmakv {
namespace {

bool needs_ticket(const Operation& operation) {
  const OperationKind kind = operation.kind;
  if (kind == OperationKind::kModify) return static_cast<bool>(operation.ticket);
  return kind == OperationKind::kReadPinned || kind == OperationKind::kRelease ||
         kind == OperationKind::kUploadChunk || kind == OperationKind::kUploadCommit ||
         kind == OperationKind::kUploadAbort;
}

bool carries_value(OperationKind kind) {
  return kind == OperationKind::kPut || kind == OperationKind::kUploadChunk ||
         kind == OperationKind::kTransaction || has_function(kind) ||
         kind == OperationKind::kCopy || kind == OperationKind::kRename ||
         kind == OperationKind::kCombine;
}

// visit(count in KeyOrder) for each key of such a request; until it returns false.
template <typename Visit>
bool for_each_order(const Operation& operation, uint64_t seed, Visit&& visit) {
  const auto visit_keys = [&](const wire::RequestView& request) {
    return wire::for_each_key(request, [&](std::string_view key, bool) {
      return visit(KeyOrder::of(wire::hash_key(key, seed)));
    });
  };
  if (operation.kind == OperationKind::kTransaction) {
    return wire::for_each_request(input_of(operation), visit_keys);
  }
  wire::RequestView request;
  request.header = request_of(operation);
  request.key = operation.key;
  request.value = input_of(operation);
  return visit_keys(request);
}

bool clears(const Operation& operation) {
  return operation.kind == OperationKind::kTransaction &&
         !wire::for_each_request(input_of(operation), [](const wire::RequestView& request) {
           return request.header.opcode != wire::Opcode::kClear;
         });
}

// The bytes of a computed value in the reply, as far as they depend on what is asked alone.
uint64_t result_bytes(const Operation& operation) {
  const bool fields =
      has_function(operation.kind) && (operation.function == wire::Function::kSetFields ||
                                       operation.function == wire::Function::kGetFields);
  return fields ? operation.input.size() / sizeof(wire::FieldOperation) * sizeof(wire::FieldResult)
                : 0;
}

}  // namespace

void Session::pump(uint64_t now) {
  if (state_ == State::kIdle && (wanted_ || !queue_.empty())) connect(now);
  if (state_ == State::kBackoff) {
    if ((wanted_ || !queue_.empty()) && now >= retry_at_) {
      connect(now);
    } else if (!failed_ && !queue_.empty()) {
      context_.due(retry_at_);
    }
  }
  // Also while the next attempt is under way, which may take seconds.
  if (failed_ && state_ != State::kReady) end_waiting();
  if (state_ == State::kDying) context_.mark_dirty(*this);  // until it is buried
  if (state_ != State::kReady) return;
  blocked_ = false;
  now_ns_ = now;
  if (send_unsent() && send_releases()) {
    wind_up_upload();
    send_grant_request();
    while (!detours_.empty() && send_plain(*detours_.front(), detours_)) {
    }
    while (detours_.empty() && !queue_.empty() && send_operation(*queue_.front())) {
    }
  }
  close_message();
  if (reader_.pump(*endpoint_)) blocked_ = true;
  if (direct_.pump(*endpoint_, now)) blocked_ = true;
  if (swaps_.pump(*endpoint_)) blocked_ = true;
  endpoint_->flush();
  if (blocked_) context_.due(now + kRetryNs);
}

// True: the operation has left the queue. The default timeout counts from here on, or from when its
// upload begins.
bool Session::send_operation(Operation& operation) {
  if (operation.internal[kUploaded] != 0) return try_send(operation);
  const uint64_t deadline = operation.internal[kDeadline];
  count_from(operation, now_ns_);
  if (try_send(operation)) return true;
  if (operation.internal[kUploaded] == 0) operation.internal[kDeadline] = deadline;
  return false;
}

void Session::count_from(Operation& operation, uint64_t ns) {
  const uint64_t allowed = operation.internal[kAllowed];
  if (allowed != 0) operation.internal[kDeadline] = ns + allowed;
}

bool Session::try_send(Operation& operation) {
  if (needs_ticket(operation)) return send_ticket_operation(operation);
  if (operation.kind == OperationKind::kPut && send_swap(operation)) return true;
  const bool may_be_large = operation.kind == OperationKind::kPut ||
                            operation.kind == OperationKind::kModify ||
                            operation.kind == OperationKind::kTransaction;
  if (operation.kind == OperationKind::kTransaction && operation.epoch != 0 &&
      operation.epoch != epoch_) {
    queue_.pop_front();
    operation.number = 0;
    end(operation, Code::kVersionMismatch);
    return true;
  }
  if (may_be_large && needs_upload(operation)) return pump_upload(operation);
  if (operation.kind == OperationKind::kGet) {
    DirectReader::Begun begun = DirectReader::Begun::kNo;
    if (send_direct(operation, begun)) return begun == DirectReader::Begun::kTaken;
    const Shared shared = share_get(operation, is_before_a_get(operation), now_ns_);
    if (shared != Shared::kNo) return shared == Shared::kTaken;
  }
  return send_plain(operation);
}

// False: it is to go by request.
bool Session::send_direct(Operation& operation, DirectReader::Begun& begun) {
  const GetPath path = context_.options.get_path;
  if (path == GetPath::kRequest || operation.internal[kByRequest] != 0) return false;
  const bool look_up = path == GetPath::kOneSided || context_.reads_are_loads;
  const uint64_t hash = hash_of(operation.key);
  if (path == GetPath::kAuto && context_.emulated && has_company(operation) &&
      may_share(hash, operation.key, expected_value(hash, operation.key))) {
    return false;
  }
  begun = direct_.begin(operation, hash, look_up);
  if (begun == DirectReader::Begun::kTaken) queue_.pop_front();
  return begun != DirectReader::Begun::kNo;
}

bool Session::send_ticket_operation(Operation& operation) {
  if (operation.ticket.session != ticket_session()) {
    queue_.pop_front();
    // A pin ended with its connection.
    end(operation, operation.kind == OperationKind::kRelease ? Code::kOk : Code::kUnavailable);
    return true;
  }
  if (operation.kind == OperationKind::kReadPinned) {
    const uint64_t from = operation.ticket.location;
    const bool sound = operation.offset <= wire::kMaxValueBytes &&
                       reader_.fits(from, operation.offset + operation.length);
    queue_.pop_front();
    if (!sound || operation.length == 0) {
      operation.value = {};
      end(operation, sound ? Code::kOk : Code::kInvalidArgument);
      return true;
    }
    reader_.add(operation);
    return true;
  }
  // The READs of a value come before its release.
  if (operation.kind == OperationKind::kRelease && reader_.reading(operation.ticket.id)) {
    if (reader_.pump(*endpoint_)) blocked_ = true;
    return false;
  }
  return send_plain(operation);
}

wire::RequestHeader Session::header_of(const Operation& operation) {
  wire::RequestHeader header = request_of(operation);
  if (needs_ticket(operation)) header.ticket = operation.ticket.id;
  return header;
}

// What goes before a function's input.
void Session::add_operands(Operation& operation, Outgoing& out) {
  const wire::ValueParts parts = value_parts(operation);
  out.operands = parts.operands;
  out.comparison = parts.comparison;
}

uint32_t Session::landing_wish(const Operation& operation) const {
  if (operation.kind == OperationKind::kGet && operation.destination.data() != nullptr) {
    if (operation.destination.size() < wire::kLargeValue) return 0;
    const uint64_t whole =
        operation.destination.size() + sizeof(wire::MessageHeader) + wire::reply_bytes(0);
    return static_cast<uint32_t>(std::min<uint64_t>(wire::padded(whole), BufferArena::kLargest));
  }
  const uint64_t results = sizeof(wire::MessageHeader) + wire::reply_bytes(result_bytes(operation));
  if (results >= wire::kLargeValue) {
    return static_cast<uint32_t>(std::min<uint64_t>(results, BufferArena::kLargest));
  }
  const bool lends = operation.kind == OperationKind::kGet || operation.want_previous ||
                     operation.want_if_unmet || operation.kind == OperationKind::kTransaction ||
                     operation.kind == OperationKind::kEvaluate;
  if (!lends || operation.lend_most < wire::kLargeValue) return 0;
  const uint64_t whole =
      sizeof(wire::MessageHeader) + wire::reply_bytes(uint64_t{operation.lend_most});
  return static_cast<uint32_t>(
      std::min<uint64_t>({context_.options.landing_bytes, BufferArena::kLargest, whole}));
}

bool Session::send_plain(Operation& operation, OperationQueue& from) {
  Outgoing out;
  out.header = header_of(operation);
  // A ticket says which key is meant; the commit names it once more, to be sure.
  if (!needs_ticket(operation) || operation.kind == OperationKind::kUploadCommit ||
      operation.kind == OperationKind::kModify) {
    out.key = operation.key;
  }
  add_operands(operation, out);
  out.operation = &operation;
  out.landing = landing_wish(operation);
  if (carries_value(operation.kind)) {
    out.value = input_of(operation);
    if (operation.input_buffer) out.take = &operation.input_buffer;
  }
  out.stored = operation.kind == OperationKind::kUploadCommit ? operation.total : out.value.size();
  const uint64_t value_length = out.parts().size();
  if (!fits_message(out.key.size(), value_length) && !fits_ring(out.key.size(), value_length)) {
    from.pop_front();
    end(operation, Code::kTooLarge);
    return true;
  }
  if (!send_request(out)) return false;
  from.pop_front();
  return true;
}

// Whether what is on its way by READ and ATOMIC lets it go now (key_order.h).
bool Session::may_send(const Outgoing& out, uint64_t hash) const {
  if (out.step != RequestStep::kOperation) return true;
  if (out.header.opcode == wire::Opcode::kClear) return order_.may_clear();
  if (wire::is(out.header.opcode, wire::opcode::kSeveralKeys))
    return may_change_all(*out.operation);
  if (!wire::is(out.header.opcode, wire::opcode::kOrdered)) return true;
  return order_.may_ask(KeyOrder::of(hash));
}

bool Session::may_change_all(const Operation& operation) const {
  if (clears(operation) && !order_.may_clear()) return false;
  bool all = true;
  for_each_order(operation, welcome().seed, [&](uint32_t at) { return all = order_.may_ask(at); });
  return all;
}

void Session::begin_order(RequestSlot& slot, const Outgoing& out, uint64_t hash) {
  slot.hash = hash;
  slot.order = KeyOrder::kNone;
  if (out.step != RequestStep::kOperation) return;
  if (out.header.opcode == wire::Opcode::kClear || clears(*out.operation)) {
    slot.order = KeyOrder::kAll;
    order_.clear_begins();
  } else if (wire::is(out.header.opcode, wire::opcode::kSeveralKeys)) {
    slot.order = KeyOrder::kSeveral;
    slot.orders.clear();
    for_each_order(*out.operation, welcome().seed, [&](uint32_t at) {
      slot.orders.push_back(at);
      return true;
    });
    std::sort(slot.orders.begin(), slot.orders.end());
    slot.orders.erase(std::unique(slot.orders.begin(), slot.orders.end()), slot.orders.end());
    for (const uint32_t at : slot.orders) order_.request_begins(at);
  } else if (wire::is(out.header.opcode, wire::opcode::kOrdered)) {
    slot.order = KeyOrder::of(hash);
    order_.request_begins(slot.order);
  }
}

void Session::give_back(uint32_t index) {
  const uint32_t order = table_.slot(index).order;
  if (order == KeyOrder::kAll) {
    order_.clear_ends();
  } else if (order == KeyOrder::kSeveral) {
    for (const uint32_t at : table_.slot(index).orders) order_.request_ends(at);
  } else if (order != KeyOrder::kNone) {
    order_.request_ends(order);
  }
  table_.give_back(index);
}

bool Session::send_releases() {
  while (!releases_.empty()) {
    Outgoing out;
    out.header.opcode = releases_.back().opcode;
    out.header.ticket = releases_.back().ticket;
    out.step = RequestStep::kBackground;
    if (!send_request(out)) return false;
    releases_.pop_back();
  }
  return true;
}

bool Session::fits_message(uint64_t key_length, uint64_t value_length) const {
  return value_length < wire::kLargeValue &&
         sizeof(wire::MessageHeader) + wire::request_bytes(key_length, value_length) <=
             endpoint_->options().message_bytes;
}

bool Session::fits_ring(uint64_t key_length, uint64_t value_length) const {
  return sizeof(wire::MessageHeader) + wire::request_bytes(key_length, value_length) <=
         ring_.bytes();
}

// Whether it asks for a value that comes inside the message of its reply, as far as is known. If it
// has grown since it is kept for us by a pin, as one for which we have no memory.
bool Session::fits_reply(const Outgoing& out, uint64_t hash) const {
  if (out.header.opcode != wire::Opcode::kGet) return false;
  const uint32_t entry = context_.locations->length_of(hash, index_);
  return entry != 0 && entry <= wire::inline_room(endpoint_->options().message_bytes);
}

bool Session::send_request(Outgoing& out) {
  if (table_.full()) return false;
  const bool keyed =
      out.step == RequestStep::kOperation && wire::is(out.header.opcode, wire::opcode::kOrdered);
  const uint64_t hash = keyed ? hash_of(out.operation->key) : 0;
  if (!may_send(out, hash)) return false;
  const uint32_t index = table_.take();
  RequestSlot& slot = table_.slot(index);
  begin_order(slot, out, hash);
  if (keyed) context_.locations->prefetch(hash);  // the reply tells the location
  slot.sent_ns = now_ns_;
  slot.operation = out.step == RequestStep::kOperation ? out.operation : nullptr;
  slot.step = out.step;
  slot.opcode = out.header.opcode;
  slot.ticket = out.header.ticket;
  slot.bytes =
      static_cast<uint32_t>(out.step == RequestStep::kOperation ? out.stored : out.value.size());
  if (out.landing != 0 && !fits_reply(out, hash)) {
    slot.landing = context_.arena->allocate(out.landing);
  }
  if (slot.landing) {
    const auto offset =
        static_cast<uint64_t>(slot.landing.data() - context_.arena->region().data());
    out.header.landing_offset = static_cast<uint32_t>(offset / wire::kRingUnit);
    out.header.landing_bytes = slot.landing.capacity();
  }
  out.header.id = table_.id(index);
  out.header.sequence = context_.next_sequence++;
  out.header.key_length = static_cast<uint32_t>(out.key.size());
  const uint64_t value_length = out.parts().size();
  out.header.value_length = static_cast<uint32_t>(value_length);
  const bool done = fits_message(out.key.size(), value_length) ? append(out, index)
                    : may_lend(out)                            ? send_lent(out, index)
                                                               : write_to_ring(out, index);
  if (!done) {
    blocked_ = true;
    give_back(index);
    return false;
  }
  ++context_.counts.requests;
  if (out.header.opcode == wire::Opcode::kPut && out.header.condition == Condition::kIfVersion) {
    ++context_.counts.cas.requests;
  }
  return true;
}

// Whether the server can take the value from where it lies in our memory, by loads.
bool Session::may_lend(const Outgoing& out) const {
  return context_.reads_are_loads && (welcome().flags & wire::kTakesFromLanding) != 0 &&
         out.header.opcode == wire::Opcode::kPut && fits_message(out.key.size(), 0) &&
         context_.arena->region().size() <= wire::ValuePlace::kMostOffset;
}

// The request goes with others in a message; its value stays in registered memory, whether it is
// there already or is copied to it, until the reply.
bool Session::send_lent(Outgoing& out, uint32_t index) {
  RequestSlot& slot = table_.slot(index);
  const std::byte* at = out.value.data();
  if (out.take == nullptr) {
    slot.source = context_.arena->allocate(static_cast<uint32_t>(out.value.size()));
    if (!slot.source) return false;
    std::memcpy(slot.source.data(), out.value.data(), out.value.size());
    at = slot.source.data();
  }
  out.header.flags |= wire::kValueInLanding;
  out.header.value_length = 0;
  out.header.value_place =
      wire::ValuePlace{static_cast<uint64_t>(at - context_.arena->region().data()),
                       static_cast<uint32_t>(out.value.size())}
          .encode();
  out.value = {};
  if (!append(out, index)) return false;
  if (out.take != nullptr) slot.value = std::move(*out.take);
  return true;
}

bool Session::write_to_ring(Outgoing& out, uint32_t index) {
  if (!close_message()) return false;  // order
  const uint64_t bytes =
      sizeof(wire::MessageHeader) + wire::request_bytes(out.key.size(), out.parts().size());
  const std::optional<RingAllocator::Stretch> stretch = ring_.allocate(bytes);
  if (!stretch) return false;
  const wire::RegionGrant& ring = handshake_->welcome().ring;
  const RemoteAddress to{ring.base + uint64_t{stretch->offset} * wire::kRingUnit, ring.key};
  RequestSlot& slot = table_.slot(index);
  if (!post_to_ring(out, slot, out.header, to, stretch->offset)) {
    ring_.release(stretch->number);
    return false;
  }
  slot.stretch = stretch->number;
  ++context_.counts.messages;
  return true;
}

// [message header | request header | key | operands] from a message buffer, or from the arena when
// the key is too long for one, then the value from registered memory.
bool Session::post_to_ring(Outgoing& out, RequestSlot& slot, const wire::RequestHeader& header,
                           RemoteAddress to, uint32_t immediate) {
  const uint64_t head_bytes =
      sizeof(wire::MessageHeader) + sizeof(header) + out.key.size() + out.parts().head_size();
  const bool copies_value = out.take == nullptr && !out.registered;
  const bool head_in_arena = head_bytes > endpoint_->options().message_bytes;
  const uint64_t copied = (head_in_arena ? head_bytes : 0) + (copies_value ? out.value.size() : 0);
  ValueBuffer copy;
  if (copied != 0) {
    copy = context_.arena->allocate(static_cast<uint32_t>(copied));
    if (!copy) return false;
  }
  const MessageBuffer message = head_in_arena ? MessageBuffer{} : endpoint_->acquire_message();
  if (!head_in_arena && !message) return false;

  wire::MessageBuilder builder(head_in_arena ? std::span<std::byte>{copy.data(), copy.capacity()}
                                             : std::span<std::byte>{message.data, message.capacity},
                               wire::MessageKind::kRequests);
  const bool built = builder.add_request_head(header, out.key, out.parts());
  assert(built);
  static_cast<void>(built);
  const uint32_t head_length = builder.finish(0);

  LocalBuffer body[2];
  size_t pieces = 0;
  uint32_t at = head_in_arena ? head_length : 0;
  if (copies_value && !out.value.empty()) {
    std::memcpy(copy.data() + at, out.value.data(), out.value.size());
    at += static_cast<uint32_t>(out.value.size());
  }
  if (at != 0) body[pieces++] = context_.arena->local(copy, 0, at);
  if (!copies_value && !out.value.empty()) {
    // A registered buffer of ours: only its place in the arena is needed.
    body[pieces++] = {const_cast<std::byte*>(out.value.data()),
                      static_cast<uint32_t>(out.value.size()),
                      context_.arena->region().local_key()};
  }
  if (!endpoint_->write_with_imm(message, head_in_arena ? 0 : head_length, {body, pieces}, to,
                                 immediate, 0, false)) {
    return false;
  }
  slot.source = std::move(copy);
  if (out.take != nullptr) slot.value = std::move(*out.take);
  return true;
}

}  // namespace rdmakv
