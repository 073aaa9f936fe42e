#include "proxy/request.h"

#include <cassert>
#include <cstring>

#include "proxy/connection.h"
#include "proxy/error_text.h"
#include "proxy/transaction_run.h"
#include "proxy/worker.h"

namespace rdmakv::proxy {

char* RequestMemory::reserve(size_t bytes, Pool<MemoryBlock>& blocks) {
  assert(block_ == nullptr && heap_ == nullptr);
  if (bytes <= kInlineBytes) return inline_;
  if (bytes <= MemoryBlock::kBytes) {
    block_ = blocks.take();
    return block_->bytes;
  }
  heap_ = std::make_unique_for_overwrite<char[]>(bytes);
  return heap_.get();
}

Request::Request() = default;
Request::~Request() = default;

Worker& Request::worker() const {
  return connection_->worker();
}

void Request::set_key(std::string_view key) {
  set_key_and_value(key, {});
}

void Request::set_key_and_value(std::string_view key, std::string_view value,
                                std::string_view comparison) {
  char* const at =
      memory_.reserve(key.size() + value.size() + comparison.size(), worker().memory_blocks());
  char* const value_at = at + key.size();
  char* const comparison_at = value_at + value.size();
  if (!key.empty()) std::memcpy(at, key.data(), key.size());
  if (!value.empty()) std::memcpy(value_at, value.data(), value.size());
  if (!comparison.empty()) std::memcpy(comparison_at, comparison.data(), comparison.size());
  operation.key = {at, key.size()};
  operation.input = std::as_bytes(std::span(value_at, value.size()));
  operation.comparison = {comparison_at, comparison.size()};
}

LargeArgument* Request::large_argument(size_t index) const {
  return connection_->large_argument(index);
}

void Request::submit(Continuation then) {
  await(then);
  issue(operation);
}

void Request::prepare(Continuation then) {
  await(then);
  connection_->reserve_room(*this, operation);
}

void Request::await(Continuation then) {
  continuation = then;
  operation.done = &Request::operation_done;
  operation.context = this;
}

uint64_t Request::issue(Operation& another) {
  if (part_of_ != nullptr) {
    part_of_->capture(*this, another);
    return 0;
  }
  const uint64_t held = connection_->reserve_room(*this, another);
  worker().submit(another);
  return held;
}

void Request::operation_done(Operation& operation) {
  auto& request = *static_cast<Request*>(operation.context);
  if (request.put_bytes_ != 0) {
    Worker& worker = request.worker();
    worker.put_window().ends(request.put_server_, std::exchange(request.put_bytes_, 0),
                             worker.now_us());
  }
  request.continuation(request);
}

OutputChain& Request::output() {
  if (silent_ || connection_->closed()) return worker().sink();
  return part_of_ == nullptr && is_head() ? connection_->output() : waiting_reply_;
}

resp::ReplyWriter Request::reply() {
  return {output(), protocol_};
}

void Request::error(std::string_view text) {
  ++failed_;
  worker().stats().errors.add();
  worker().stats().error_codes.add(text);
  reply().error(text);
}

void Request::fail(Code code, uint16_t server) {
  if (part_of_ != nullptr && part_of_->discarding()) return;
  if (part_of_ != nullptr && code == Code::kRefused) {
    return error("ERR Command not allowed inside a transaction: it takes more than one step");
  }
  error(error_text(code, command_ != nullptr && (command_->flags & kWrite) != 0, worker().client(),
                   server));
}

bool Request::output_full() const {
  return part_of_ == nullptr && connection_->output_full();
}

bool Request::is_head() const {
  return part_of_ != nullptr || connection_->is_head(*this);
}

void Request::when_head(Continuation then) {
  if (is_head()) return then(*this);
  at_head_ = then;
  if (fanout == nullptr) connection_->settle_room(*this);
}

void Request::finish() {
  assert(!done_);
  done_ = true;
  TransactionRun* const part_of = part_of_;  // we may be gone after the next line
  connection_->request_finished(*this);
  if (part_of != nullptr) part_of->command_finished();
}

}  // namespace rdmakv::proxy
