// Session: the message that is being filled, and the one that has to wait.
//
//   requests -> open_ ---- close_message() ----> Endpoint
//                             |                     ^
//                   no room   '---> unsent_ --------' send_unsent(), first of all in a pump()
//
// While there is an unsent message no other one is opened, so nothing passes it. open_slots_ are
// the slots of the requests in the one or the other: when the connection breaks, those have
// certainly not been sent (take_back_unsent()).
#include <cassert>
#include <cstring>

#include "rdmakv/client/session.h"

namespace rdmakv {

bool Session::append(Outgoing& out, uint32_t index) {
  puts_ = nullptr;
  gets_ = nullptr;
  if (open_ && builder_.add_request_in_parts(out.header, out.key, out.parts())) {
    open_slots_.push_back(index);
    return true;
  }
  if (!close_message() || !open_message()) return false;
  if (!builder_.add_request_in_parts(out.header, out.key, out.parts())) {
    endpoint_->abandon_message(open_);
    open_ = {};
    return false;
  }
  open_slots_.push_back(index);
  return true;
}

bool Session::open_message() {
  if (!unsent_.empty()) return false;
  open_ = endpoint_->acquire_message();
  if (!open_) return false;
  builder_ = wire::MessageBuilder({open_.data, open_.capacity}, wire::MessageKind::kRequests);
  return true;
}

// Nothing waits that would have to go before what is written into the open message.
bool Session::passes_queue() const {
  return state_ == State::kReady && queue_.empty() && detours_.empty() && unsent_.empty();
}

// A new request that takes puts or gets, in the open message or a new one, with room for `bytes` of
// them. Its slot; kNone: no credit, or no room.
uint32_t Session::begin_shared(wire::Opcode opcode, uint8_t flags, RequestStep step, uint64_t bytes,
                               uint64_t now) {
  puts_ = nullptr;
  gets_ = nullptr;
  if (table_.full()) return RequestTable::kNone;
  const uint64_t whole = sizeof(wire::RequestHeader) + bytes;
  if (!open_ || builder_.room() < whole || builder_.count() == wire::kMaxRequestsPerMessage) {
    if (!close_message() || !open_message()) {
      blocked_ = true;
      return RequestTable::kNone;
    }
  }
  if (builder_.room() < whole) return RequestTable::kNone;
  wire::RequestHeader header;
  header.opcode = opcode;
  header.flags = flags;
  const uint32_t index = table_.take();
  RequestSlot& slot = table_.slot(index);
  header.id = table_.id(index);
  header.sequence = context_.next_sequence++;
  const bool added = builder_.add_request(header, {}, {});
  assert(added);
  static_cast<void>(added);
  slot.operation = nullptr;
  slot.step = step;
  slot.opcode = opcode;
  slot.order = KeyOrder::kNone;
  slot.sent_ns = now;
  open_slots_.push_back(index);
  ++context_.counts.requests;
  return index;
}

// Sends the open message. False: the Endpoint has no room for it. Then it is kept, and nothing is
// sent before it.
bool Session::close_message() {
  if (!open_) return true;
  const MessageBuffer message = open_;
  open_ = {};
  puts_ = nullptr;
  gets_ = nullptr;
  if (builder_.empty()) {
    endpoint_->abandon_message(message);
    return true;
  }
  const uint32_t length = builder_.finish(0);
  if (!endpoint_->send(message, length, 0, false)) {
    unsent_.assign(message.data, message.data + length);
    blocked_ = true;
    return false;
  }
  open_slots_.clear();
  ++context_.counts.messages;
  return true;
}

bool Session::send_unsent() {
  if (unsent_.empty()) return true;
  const MessageBuffer message = endpoint_->acquire_message();
  blocked_ = true;
  if (!message) return false;
  std::memcpy(message.data, unsent_.data(), unsent_.size());
  if (!endpoint_->send(message, static_cast<uint32_t>(unsent_.size()), 0, false)) return false;
  blocked_ = false;
  unsent_.clear();
  open_slots_.clear();
  ++context_.counts.messages;
  return true;
}

// The connection broke: what waits to be sent goes back into the queue, but for puts, which end.
void Session::take_back_unsent() {
  open_ = {};
  puts_ = nullptr;
  gets_ = nullptr;
  unsent_.clear();
  for (size_t i = open_slots_.size(); i > 0; --i) {
    const uint32_t index = open_slots_[i - 1];
    RequestSlot& slot = table_.slot(index);
    if (slot.step == RequestStep::kBackground) {
      releases_.push_back({slot.opcode, slot.ticket});
    } else if (slot.step == RequestStep::kGrants) {
      asking_grants_ = false;
    } else if (slot.step == RequestStep::kUploadBegin) {
      upload_ = {};
    } else if (slot.step == RequestStep::kUploadChunk) {
      upload_.sent -= slot.bytes;
      --upload_.outstanding;
    } else if (slot.step == RequestStep::kPuts) {
      end_puts(slot, Code::kUnavailable);
      give_back_puts(slot);
    } else if (slot.step == RequestStep::kGets) {
      take_back_gets(index);
    } else if (slot.operation != nullptr) {
      if (slot.value) slot.operation->input_buffer = std::move(slot.value);
      queue_.push_front(*slot.operation);
    }
    --context_.counts.requests;
    give_back(index);
  }
  open_slots_.clear();
}

}  // namespace rdmakv
