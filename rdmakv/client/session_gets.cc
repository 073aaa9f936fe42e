// Session: GETs by request that wait next to each other share one (protocol/kv_gets.h). They are
// operations like any other, and end one by one.
#include "protocol/kv_gets.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "protocol/kv_layout.h"
#include "rdmakv/client/operation_message.h"
#include "rdmakv/client/session.h"

namespace rdmakv {
namespace {

// A longer value comes at a lower price by itself, into a landing buffer.
constexpr uint64_t kMostSharedValue = 1024;

bool is_before_a_get(const Operation& operation) {
  return operation.next != nullptr && operation.next->kind == OperationKind::kGet;
}

}  // namespace

// Whether there is a request for the GET at the head of the queue to join, or another GET behind
// it.
bool Session::has_company(const Operation& get) const {
  return gets_ != nullptr || is_before_a_get(get);
}

// About as long is the value that it will bring.
uint64_t Session::expected_value(uint64_t hash, const Operation& get) const {
  const uint64_t entry = context_.locations->length_of(hash, index_);
  if (entry == 0) return usual_value_;
  const uint64_t around = wire::entry_bytes(get.key.size(), 0, false);
  return entry > around ? entry - around : 0;
}

// Not beside a READ for an earlier GET of the key, which may come to be asked behind it.
bool Session::may_share(uint64_t hash, const Operation& get) const {
  return get.internal[kByRequest] == 0 && get.key.size() <= wire::kMostGetKeyBytes &&
         fits_message(0, wire::get_bytes(get.key.size())) &&
         wire::most_gets(endpoint_->options().message_bytes) > 1 &&
         order_.may_look(KeyOrder::of(hash)) && expected_value(hash, get) <= kMostSharedValue;
}

void Session::note_value_length(uint64_t bytes) {
  usual_value_ = (usual_value_ * 7 + std::min<uint64_t>(bytes, BufferArena::kLargest)) / 8;
}

// Takes the GET at the head of the queue into the request that takes more of them, or into a new
// one if another is behind it.
Session::Shared Session::share_get(Operation& operation) {
  const uint64_t hash = hash_of(operation.key);
  if (!may_share(hash, operation)) return Shared::kNo;
  const uint32_t message_bytes = endpoint_->options().message_bytes;
  const uint64_t bytes = wire::get_bytes(operation.key.size());
  const uint64_t expected = wire::get_result_bytes(expected_value(hash, operation), false);
  std::byte* at = nullptr;
  if (gets_ != nullptr && gets_->count < wire::most_gets(message_bytes) &&
      gets_->expected + expected <= wire::get_results_room(message_bytes)) {
    at = builder_.extend_request(static_cast<uint32_t>(bytes));
  }
  if (at == nullptr) {
    if (!is_before_a_get(operation)) return Shared::kNo;
    if (!begin_gets(bytes)) return Shared::kWait;
    at = builder_.extend_request(static_cast<uint32_t>(bytes));
  }
  queue_.pop_front();
  wire::write_get(at, operation.key);
  order_.request_begins(KeyOrder::of(hash));
  context_.locations->prefetch(hash);  // the reply tells the location
  gets_->gets[gets_->count++] = {&operation, hash};
  gets_->expected += expected;
  return Shared::kTaken;
}

// A new request, in the open message or a new one, with room for `bytes`.
bool Session::begin_gets(uint64_t bytes) {
  gets_ = nullptr;
  puts_ = nullptr;
  if (table_.full()) return false;
  const uint64_t whole = sizeof(wire::RequestHeader) + bytes;
  if (!open_ || builder_.room() < whole || builder_.count() == wire::kMaxRequestsPerMessage) {
    if (!close_message() || !open_message()) {
      blocked_ = true;
      return false;
    }
  }
  wire::RequestHeader header;
  header.opcode = wire::Opcode::kGets;
  const uint32_t index = table_.take();
  RequestSlot& slot = table_.slot(index);
  header.id = table_.id(index);
  header.sequence = context_.next_sequence++;
  const bool fits = builder_.room() >= whole && builder_.add_request(header, {}, {});
  assert(fits);  // an empty message takes it: may_share()
  static_cast<void>(fits);
  slot.operation = nullptr;
  slot.step = RequestStep::kGets;
  slot.opcode = header.opcode;
  slot.order = KeyOrder::kNone;
  slot.sent_ns = now_ns_;
  slot.gets = gets_ = &context_.get_batches.take();
  open_slots_.push_back(index);
  ++context_.counts.requests;
  return true;
}

// Null, or what is wrong with the reply; what had not ended by then is still waited for.
const char* Session::take_gets(uint32_t index, const wire::ReplyView& reply) {
  GetBatch& batch = *table_.slot(index).gets;
  const bool refused = reply.header.status != wire::ReplyStatus::kOk;
  if ((reply.header.flags & wire::kPinned) != 0 || (refused && !reply.value.empty())) {
    return "a reply to gets that does not fit them";
  }
  for (uint32_t i = 0; i < batch.count; ++i) context_.locations->prefetch(batch.gets[i].hash);
  context_.counts.round_trips += batch.count - 1;
  wire::GetResultsReader reader(reply.value);
  ValueBuffer none;
  for (uint32_t i = 0; i < batch.count; ++i) {
    GetBatch::Get& get = batch.gets[i];
    wire::ReplyView one;
    one.header.status = reply.header.status;
    if (!refused && !reader.next(one)) return "results of gets that make no sense";
    if (get.operation == nullptr) {  // too late; what is kept for it is not wanted
      if ((one.header.flags & wire::kPinned) != 0) give_up_pin(one.header.ticket);
      continue;
    }
    const char* const error = take_result(*get.operation, {true, get.hash, 0}, one, none);
    if (error != nullptr) return error;
    deliver(*std::exchange(get.operation, nullptr), one.header);
  }
  if (!reader.whole()) return "more results than gets";
  release_gets(table_.slot(index));
  give_back(index);
  return nullptr;
}

// They were not sent: back to where they were in the queue.
void Session::take_back_gets(uint32_t index) {
  const GetBatch& batch = *table_.slot(index).gets;
  for (uint32_t i = batch.count; i > 0; --i) {
    if (batch.gets[i - 1].operation != nullptr) queue_.push_front(*batch.gets[i - 1].operation);
  }
  release_gets(table_.slot(index));
}

// They are not under way any more. The slot stays.
void Session::release_gets(RequestSlot& slot) {
  GetBatch& batch = *slot.gets;
  for (uint32_t i = 0; i < batch.count; ++i) order_.request_ends(KeyOrder::of(batch.gets[i].hash));
  if (gets_ == &batch) gets_ = nullptr;
  context_.get_batches.give_back(batch);
  slot.gets = nullptr;
}

}  // namespace rdmakv
