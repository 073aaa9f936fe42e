// Session: GETs by request that wait next to each other share one (protocol/kv_gets.h), be they
// Operations, which end one by one, or of runs (get_run.h). Of these, whatever is not simply
// answered becomes an Operation, and goes on as one.
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
// While values are as short as that, of those of runs nothing else is asked for, and the location
// cache, by which a longer one would be known beforehand, is left alone.
constexpr uint64_t kShortValue = 256;

uint64_t result_bytes(const GetBatch& batch, uint64_t value_length) {
  return batch.values_only ? wire::short_get_bytes(value_length)
                           : wire::get_result_bytes(value_length, false);
}

}  // namespace

bool Session::is_before_a_get(const Operation& operation) {
  return operation.next != nullptr && operation.next->kind == OperationKind::kGet;
}

// Whether there is a request for the GET at the head of the queue to join, or another GET behind
// it.
bool Session::has_company(const Operation& get) const {
  return gets_ != nullptr || is_before_a_get(get);
}

// About as long is the value that a get will bring.
uint64_t Session::expected_value(uint64_t hash, std::string_view key) const {
  const uint64_t entry = context_.locations->length_of(hash, index_);
  if (entry == 0) return usual_value_;
  const uint64_t around = wire::entry_bytes(key.size(), 0, false);
  return entry > around ? entry - around : 0;
}

// Not beside a READ for an earlier GET of the key, which may come to be asked behind it.
bool Session::may_share(uint64_t hash, std::string_view key, uint64_t expected) const {
  return expected <= kMostSharedValue && key.size() <= wire::kMostGetKeyBytes &&
         fits_message(0, wire::get_bytes(key.size())) &&
         wire::most_gets(endpoint_->options().message_bytes) > 1 &&
         order_.may_ask(KeyOrder::of(hash));
}

void Session::note_value_length(uint64_t bytes) {
  // Rounded up: of values of one length it becomes that length.
  usual_value_ = (usual_value_ * 7 + std::min<uint64_t>(bytes, BufferArena::kLargest) + 7) / 8;
}

// Takes the GET at the head of the queue into the request that takes more of them, or into a new
// one if it has company: another behind it, or about to come.
Session::Shared Session::share_get(Operation& operation, bool company, uint64_t now) {
  const uint64_t hash = hash_of(operation.key);
  const uint64_t expected = expected_value(hash, operation.key);
  if (operation.internal[kByRequest] != 0 || !may_share(hash, operation.key, expected)) {
    return Shared::kNo;
  }
  const bool fits = gets_ != nullptr && !gets_->values_only;
  std::byte* at = fits ? extend_gets(operation.key, expected) : nullptr;
  if (at == nullptr) {
    if (!company) return Shared::kNo;
    at = begin_gets(operation.key, false, now);
    if (at == nullptr) return Shared::kWait;
  }
  queue_.pop_front();
  write_get(at, operation.key, {&operation, nullptr, hash, 0}, expected);
  return Shared::kTaken;
}

// GETs that wait by themselves have company by one of a run. Whether none waits any more, nor
// anything else.
bool Session::send_waiting_gets(uint64_t now) {
  if (queue_.empty()) return passes_queue();
  if (state_ != State::kReady || !detours_.empty() || !unsent_.empty()) return false;
  while (!queue_.empty()) {
    Operation& waiting = *queue_.front();
    if (waiting.kind != OperationKind::kGet) return false;
    count_from(waiting, now);
    if (share_get(waiting, true, now) != Shared::kTaken) return false;
  }
  return true;
}

bool Session::add_get(GetRun& run, uint16_t index, uint64_t now) {
  if (!send_waiting_gets(now) || (gets_ == nullptr && run.keys.size() == 1)) return false;
  const std::string_view key = run.keys[index];
  const uint64_t hash = hash_of(key);
  const bool is_short = usual_value_ <= kShortValue;
  const uint64_t expected = is_short ? usual_value_ : expected_value(hash, key);
  if (!may_share(hash, key, expected)) return false;
  std::byte* at = extend_gets(key, expected);
  if (at == nullptr) at = begin_gets(key, is_short, now);
  if (at == nullptr) return false;
  write_get(at, key, {nullptr, &run, hash, index}, expected);
  ++gets_->of_runs;
  ++run.open;
  context_.due(gets_->deadline_ns);
  return true;
}

// Room for the get, of about such a value, in the request that takes more of them. Null: none does,
// or not that one.
std::byte* Session::extend_gets(std::string_view key, uint64_t expected) {
  if (gets_ == nullptr) return nullptr;
  const uint32_t message_bytes = endpoint_->options().message_bytes;
  const uint64_t results = gets_->expected + result_bytes(*gets_, expected);
  // Some values will be longer than usual, where it is not known which.
  const uint64_t room = wire::get_results_room(message_bytes);
  if (gets_->count == wire::most_gets(message_bytes) ||
      results > (gets_->values_only ? room - room / 8 : room)) {
    return nullptr;
  }
  return builder_.extend_request(static_cast<uint32_t>(wire::get_bytes(key.size())));
}

// Room for the get in a new request. Null: not now.
std::byte* Session::begin_gets(std::string_view key, bool values_only, uint64_t now) {
  const uint64_t bytes = wire::get_bytes(key.size());
  const uint32_t index = begin_shared(wire::Opcode::kGets, values_only ? wire::kValuesOnly : 0,
                                      RequestStep::kGets, bytes, now);
  if (index == RequestTable::kNone) return nullptr;
  table_.slot(index).gets = gets_ = &context_.get_batches.take();
  gets_->deadline_ns = now + context_.options.timeout_ns;
  gets_->values_only = values_only;
  return builder_.extend_request(static_cast<uint32_t>(bytes));
}

void Session::write_get(std::byte* at, std::string_view key, const GetBatch::Get& get,
                        uint64_t expected) {
  wire::write_get(at, key);
  order_.request_begins(KeyOrder::of(get.hash));
  if (!gets_->values_only) context_.locations->prefetch(get.hash);  // the reply tells the location
  gets_->gets[gets_->count++] = get;
  gets_->expected += result_bytes(*gets_, expected);
}

// The get of a run is answered, if it is as simple as that.
bool Session::answer_get(const GetBatch::Get& get, bool value_only, const wire::ReplyView& reply) {
  const wire::ReplyHeader& header = reply.header;
  const bool found = header.status == wire::ReplyStatus::kOk;
  const uint16_t brings = header.flags & (wire::kHasValue | wire::kPinned);
  if (!found && header.status != wire::ReplyStatus::kNotFound) return false;
  if (brings != (found ? wire::kHasValue : 0)) return false;
  if (!value_only) learn_value(get.hash, get.run->keys[get.index], header);
  if (found) note_value_length(header.value_length);
  get.run->take(get.index, found, reply.value);
  return true;
}

// The Operation that goes on in the place of the get of a run.
Operation& Session::hand_over(GetBatch& batch, GetBatch::Get& get) {
  GetRun& run = *std::exchange(get.run, nullptr);
  --batch.of_runs;
  get.operation = &context_.stand_in(run, get.index, server_, batch.deadline_ns);
  if (--run.open == 0) context_.finish(run);
  return *get.operation;
}

void Session::hand_over_all(GetBatch& batch) {
  for (uint32_t i = 0; i < batch.count && batch.of_runs > 0; ++i) {
    if (batch.gets[i].run != nullptr) hand_over(batch, batch.gets[i]);
  }
}

// Null, or what is wrong with the reply; what had not ended by then is still waited for.
const char* Session::take_gets(uint32_t index, const wire::ReplyView& reply) {
  GetBatch& batch = *table_.slot(index).gets;
  const bool refused = reply.header.status != wire::ReplyStatus::kOk;
  if ((reply.header.flags & wire::kPinned) != 0 || (refused && !reply.value.empty())) {
    return "a reply to gets that does not fit them";
  }
  for (uint32_t i = 0; i < batch.count && !batch.values_only; ++i) {
    context_.locations->prefetch(batch.gets[i].hash);
  }
  context_.counts.round_trips += batch.count - 1;
  wire::GetResultsReader reader(reply.value, batch.values_only);
  ValueBuffer none;
  for (uint32_t i = 0; i < batch.count; ++i) {
    GetBatch::Get& get = batch.gets[i];
    wire::ReplyView one;
    one.header.status = reply.header.status;
    if (!refused && !reader.next(one)) return "results of gets that make no sense";
    if (get.run != nullptr) {
      if (answer_get(get, batch.values_only, one)) {
        --batch.of_runs;
        GetRun& run = *std::exchange(get.run, nullptr);
        if (--run.open == 0) context_.finish_now(run);
        continue;
      }
      hand_over(batch, get);
    }
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
  GetBatch& batch = *table_.slot(index).gets;
  hand_over_all(batch);
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
