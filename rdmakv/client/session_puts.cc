// Session: plain puts of runs, many in one request (put_run.h). They are written into the open
// message when they are taken, so only while nothing waits that would have to go before them.
#include <cstring>

#include "protocol/kv_layout.h"
#include "protocol/kv_puts.h"
#include "rdmakv/client/operation_message.h"
#include "rdmakv/client/session.h"

namespace rdmakv {

bool Session::add_put(const wire::PutView& put, PutRun& run, uint16_t index, uint64_t now) {
  if (!passes_queue()) return false;
  const bool expires = put.expiry_ms != 0;
  const uint64_t bytes = wire::put_bytes(put.key.size(), put.value.size(), expires);
  if (put.key.size() > wire::kMostPutKeyBytes || bytes > wire::kLargeValue || put.expiry_ms < 0) {
    return false;
  }
  const uint64_t hash = hash_of(put.key);
  const uint32_t order = KeyOrder::of(hash);
  if (!order_.may_ask(order)) return false;
  std::byte* at = nullptr;
  if (puts_ != nullptr && puts_->count < wire::kMostPuts) {
    at = builder_.extend_request(static_cast<uint32_t>(bytes));
  }
  if (at == nullptr) {
    if (!begin_puts(bytes, now)) return false;
    at = builder_.extend_request(static_cast<uint32_t>(bytes));
  }
  wire::write_put(at, put);
  order_.request_begins(order);
  puts_->puts[puts_->count++] = {
      hash, &run,
      static_cast<uint32_t>(wire::entry_bytes(put.key.size(), put.value.size(), expires)), index};
  ++run.open;
  return true;
}

// A new request, in the open message or a new one, with room for `bytes`.
bool Session::begin_puts(uint64_t bytes, uint64_t now) {
  const uint32_t index = begin_shared(wire::Opcode::kPuts, 0, RequestStep::kPuts, bytes, now);
  if (index == RequestTable::kNone) return false;
  table_.slot(index).puts = puts_ = &context_.put_batches.take();
  puts_->deadline_ns = now + context_.options.timeout_ns;
  context_.due(puts_->deadline_ns);
  return true;
}

// Null, or what is wrong with the reply; then nothing has been ended.
const char* Session::take_puts(uint32_t index, const wire::ReplyView& reply) {
  PutBatch& batch = *table_.slot(index).puts;
  const wire::ReplyHeader& header = reply.header;
  const bool all_refused = header.status != wire::ReplyStatus::kOk;
  if ((header.flags & wire::kPinned) != 0 ||
      reply.value.size() != (all_refused ? 0 : batch.count * sizeof(uint64_t))) {
    return "a reply to puts that does not fit them";
  }
  for (uint32_t i = 0; i < batch.count; ++i) context_.locations->prefetch(batch.puts[i].hash);
  for (uint32_t i = 0; i < batch.count; ++i) {
    wire::PutResult result{header.status};
    if (!all_refused) {
      uint64_t word = 0;
      std::memcpy(&word, reply.value.data() + i * sizeof(word), sizeof(word));
      result = wire::PutResult::decode(word);
    }
    const PutBatch::Put& put = batch.puts[i];
    order_.request_ends(KeyOrder::of(put.hash));
    if (swaps_.enabled()) cas_table_.forget(put.hash);  // we were not told the version
    if (result.status != wire::ReplyStatus::kOk) {
      if (batch.awaited) fail_put(put, code_of(result.status));
    } else if (result.offset == 0) {
      context_.locations->forget(put.hash, index_);
    } else {
      context_.locations->learn(put.hash, index_,
                                {result.offset, result.generation, put.entry_bytes});
    }
  }
  // Whoever is told may put more, and reuse the batch.
  PutRun* const ended = batch.awaited ? close_runs(batch) : nullptr;
  give_back_puts(table_.slot(index));
  give_back(index);
  for (PutRun* run = ended; run != nullptr;) {
    PutRun* const next = run->next;
    context_.finish_now(*run);
    run = next;
  }
  return nullptr;
}

void Session::fail_put(const PutBatch::Put& put, Code code) const {
  PutRun& run = *put.run;
  ++run.failed;
  run.codes[put.index] = code;
  run.servers[put.index] = server_;
}

// The puts of the batch have ended. The runs of which they were the last, as a list.
PutRun* Session::close_runs(PutBatch& batch) {
  PutRun* first = nullptr;
  PutRun** last = &first;
  for (uint32_t i = 0; i < batch.count; ++i) {
    PutRun* const run = batch.puts[i].run;
    if (--run->open > 0) continue;
    run->next = nullptr;
    *last = run;
    last = &run->next;
  }
  batch.awaited = false;
  return first;
}

// Ends all its puts with `code`; the slot stays as it is.
void Session::end_puts(RequestSlot& slot, Code code) {
  PutBatch& batch = *slot.puts;
  if (!batch.awaited) return;
  for (uint32_t i = 0; i < batch.count; ++i) fail_put(batch.puts[i], code);
  for (PutRun* run = close_runs(batch); run != nullptr;) {
    PutRun* const next = run->next;
    context_.finish(*run);
    run = next;
  }
}

void Session::give_back_puts(RequestSlot& slot) {
  if (puts_ == slot.puts) puts_ = nullptr;
  context_.put_batches.give_back(*slot.puts);
  slot.puts = nullptr;
}

}  // namespace rdmakv
