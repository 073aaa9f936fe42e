#include "proxy/fanout.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#include "proxy/connection.h"
#include "proxy/value_stream.h"
#include "proxy/worker.h"

namespace rdmakv::proxy {

void Fanout::start(Request& request, Arguments arguments, OperationKind kind, Gather gather,
                   size_t step) {
  Fanout* self = request.worker().fanouts().take();
  self->request_ = &request;
  self->kind_ = kind;
  self->gather_ = gather;
  self->step_ = step;
  self->count_ = (arguments.size() - 1) / step;
  self->window_ = request.in_transaction() ? std::max(kWindow, self->count_) : kWindow;
  if (self->parts_.size() != self->window_) self->parts_.assign(self->window_, nullptr);
  self->issued_ = self->done_ = self->written_ = 0;
  self->sum_ = 0;
  self->failure_ = Code::kOk;
  self->header_written_ = self->writing_ = self->waiting_ = false;
  self->arguments_ = arguments;
  request.fanout = self;
  if (self->count_ > self->window_ || request.connection().has_large_arguments()) {
    self->keep_arguments(arguments);
  }
  self->blocks_ = self->count_ > self->window_;
  if (self->blocks_) request.connection().block(Connection::kIssuing);
  self->issue();
}

// One copy of all that is small; large ones are taken over as they are.
void Fanout::keep_arguments(Arguments arguments) {
  size_t bytes = 0;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (request_->large_argument(i) == nullptr) bytes += arguments[i].size();
  }
  kept_bytes_ = std::make_unique_for_overwrite<char[]>(bytes);
  char* at = kept_bytes_.get();
  for (size_t i = 0; i < arguments.size(); ++i) {
    LargeArgument* large = request_->large_argument(i);
    if (large != nullptr && large->kind() == LargeArgument::Kind::kHeap) {
      kept_.push_back(large->view());
      kept_heaps_.push_back(large->take_heap());
      continue;
    }
    std::memcpy(at, arguments[i].data(), arguments[i].size());
    kept_.emplace_back(at, arguments[i].size());
    at += arguments[i].size();
  }
  arguments_ = kept_;
}

void Fanout::issue() {
  if (request_->worker().shutting_down()) count_ = issued_;
  while (issued_ < count_) {
    // A list holds values until they are written; the others only count.
    const size_t held = issued_ - (gather_ == Gather::kList ? written_ : done_);
    if (held >= window_) return;
    if (parts_[issued_ % window_] != nullptr) return;
    const size_t argument = 1 + issued_ * step_;
    issue_part(arguments_[argument], argument);
  }
  arguments_ = {};
  all_issued();
}

void Fanout::all_issued() {
  if (std::exchange(blocks_, false)) request_->connection().unblock(Connection::kIssuing);
}

void Fanout::issue_part(std::string_view key, size_t argument) {
  Worker& worker = request_->worker();
  Part* part = worker.parts().take();
  parts_[issued_ % window_] = part;
  part->fanout = this;
  part->index = issued_++;
  part->done = part->repeat = part->repeated = false;
  part->value = {};
  Operation& operation = part->operation;
  operation.kind = kind_;
  operation.done = &Fanout::part_done;
  operation.context = part;
  if (!kept_.empty()) {
    operation.key = key;
    if (step_ == 2) operation.input = std::as_bytes(std::span(arguments_[argument + 1]));
  } else {
    const std::string_view value = step_ == 2 ? arguments_[argument + 1] : std::string_view();
    char* const at = part->memory.reserve(key.size() + value.size(), worker.memory_blocks());
    if (!key.empty()) std::memcpy(at, key.data(), key.size());
    if (!value.empty()) std::memcpy(at + key.size(), value.data(), value.size());
    operation.key = {at, key.size()};
    operation.input = std::as_bytes(std::span(at + key.size(), value.size()));
  }
  part->held = request_->issue(operation);
}

void Fanout::part_done(Operation& operation) {
  auto& part = *static_cast<Part*>(operation.context);
  Fanout& self = *part.fanout;
  if (operation.code == Code::kBusy && self.gather_ == Gather::kList &&
      !self.request_->in_transaction()) {
    return self.refused(part);
  }
  part.done = true;
  ++self.done_;
  if (part.repeated) self.request_->pin_waiter.since_us = 0;  // the next waits anew
  self.collect(part);
  self.issue();
  self.finish_if_done();
}

// The connection reckons with `bytes` of the part's reply from now on.
void Fanout::hold(Part& part, uint64_t bytes) {
  const uint64_t held = std::min(part.held, bytes);
  request_->connection().give_room_back(*request_, part.held - held);
  part.held = held;
}

void Fanout::collect(Part& part) {
  Operation& operation = part.operation;
  if (part.repeated && !part.any_version && operation.version != part.version &&
      (operation.code == Code::kOk || operation.code == Code::kNotFound)) {
    if (operation.ticket) request_->worker().release_pin(operation.ticket);
    operation.ticket = {};
    operation.buffer.reset();
    operation.code = Code::kBusy;
  }
  Worker& worker = request_->worker();
  const bool found = operation.code == Code::kOk;
  if (!found && operation.code != Code::kNotFound && failure_ == Code::kOk && !part.repeated) {
    failure_ = operation.code;
    failed_server_ = operation.server;
  }
  if (gather_ != Gather::kList) {
    sum_ += found ? 1 : 0;
    free_part(part);
    return;
  }
  if (!part.repeated) (found ? worker.stats().hits : worker.stats().misses).add();
  hold(part, operation.value.size());
  if (found && !operation.buffer && !operation.value.empty()) {
    // Lent only until we return. The key is not needed any more.
    const size_t bytes = operation.value.size();
    const std::byte* from = operation.value.data();
    part.memory.reset(worker.memory_blocks());
    char* const at = part.memory.reserve(bytes, worker.memory_blocks());
    std::memcpy(at, from, bytes);
    part.value = {at, bytes};
  }
}

void Fanout::free_part(Part& part) {
  Worker& worker = request_->worker();
  hold(part, 0);
  part.memory.reset(worker.memory_blocks());
  part.operation = Operation{};
  parts_[part.index % window_] = nullptr;
  worker.parts().give(&part);
}

void Fanout::finish_if_done() {
  if (gather_ == Gather::kList) {
    if (request_->is_head()) return write_values();
    request_->when_head([](Request& request) { request.fanout->write_values(); });
    return;
  }
  if (done_ < count_) return;
  Request& request = *request_;
  const Code failure = failure_;
  const uint16_t server = failed_server_;
  const int64_t sum = sum_;
  const Gather gather = gather_;
  end();
  if (failure != Code::kOk) {
    request.fail(failure, server);
    request.finish();
  } else if (gather == Gather::kAllOk) {
    request.finish_ok();
  } else {
    request.finish_integer(sum);
  }
}

void Fanout::write_on() {
  if (gather_ == Gather::kList) write_values();
}

// Writes the values that are there, in order, as long as the client keeps up. Before anything is
// written all of the (first) window must be there: an operation that failed so far turns the whole
// reply into an error; a later one, only its element.
void Fanout::write_values() {
  if (writing_ || waiting_ || !request_->is_head()) return;
  Connection& connection = request_->connection();
  if (!header_written_) {
    if (failure_ != Code::kOk) return fail_all();
    if (done_ < std::min(count_, window_)) return;
    request_->reply().array(count_);
    header_written_ = true;
  }
  writing_ = true;
  const bool was_closed = connection.closed();
  while (written_ < count_ && (connection.closed() || !request_->output_full())) {
    Part* part = parts_[written_ % window_];
    if (part == nullptr || !part->done) break;
    if (part->repeat && !connection.closed() && !request_->silent()) {
      repeat(*part);
      break;
    }
    if (!write_value(*part)) return;  // stream_done() goes on; we may be gone by now
    free_part(*part);
    ++written_;
    issue();
  }
  connection.output_grew();  // may close it, which comes back here, and finds us writing
  writing_ = false;
  if (!was_closed && connection.closed()) return write_values();
  if (written_ < count_) return;
  Request& request = *request_;
  end();
  request.finish();
}

// False: the value is being streamed.
bool Fanout::write_value(Part& part) {
  Operation& operation = part.operation;
  resp::ReplyWriter reply = request_->reply();
  if (operation.code == Code::kNotFound) {
    reply.null();
  } else if (operation.code != Code::kOk) {
    request_->fail(operation.code, operation.server);
  } else if (operation.buffer) {
    reply.bulk_header(operation.value.size());
    request_->output().append_value(std::move(operation.buffer), operation.value);
    reply.bulk_end();
  } else if (operation.ticket && operation.value_length > 0) {
    reply.bulk_header(operation.value_length);
    request_->worker().stream_value(request_, operation.ticket, operation.value_length,
                                    &Fanout::stream_done);
    return false;
  } else {
    reply.bulk(part.value);
  }
  return true;
}

void Fanout::stream_done(Request& request) {
  Fanout& self = *request.fanout;
  request.reply().bulk_end();
  self.free_part(*self.parts_[self.written_ % self.window_]);
  ++self.written_;
  self.writing_ = false;
  self.issue();
  self.write_values();
}

// ---- pins are short (pin_waiters.h) ------------------------------------------------------------

size_t Fanout::give_back_pins(uint32_t session) {
  if (gather_ != Gather::kList || request_->in_transaction()) return 0;
  size_t count = 0;
  for (Part* part : parts_) {
    if (part == nullptr || !part->done || !part->operation.ticket) continue;
    if (((part->operation.ticket.session ^ session) & 0xffff) != 0) continue;
    if (part == next_to_write() && request_->is_head()) continue;
    request_->worker().release_pin(std::exchange(part->operation.ticket, {}));
    if (!part->repeated) part->version = part->operation.version;
    part->repeat = true;
    ++count;
  }
  return count;
}

// The next to be written.
void Fanout::repeat(Part& part) {
  part.repeat = part.done = false;
  part.repeated = true;
  --done_;
  part.any_version = !request_->connection().order_matters(*request_, part.operation.key);
  hold(part, 0);
  request_->worker().stats().repeated_reads.add();
  part.held = request_->issue(part.operation);
}

// The first time it goes on as if it were done; at its turn it waits.
void Fanout::refused(Part& part) {
  part.done = part.repeat = true;
  ++done_;
  hold(part, 0);
  const uint32_t session = std::exchange(part.operation.ticket, {}).session;
  if (!part.repeated) {
    request_->worker().stats().hits.add();
    part.version = part.operation.version;
    issue();
    return finish_if_done();
  }
  if (request_->connection().closed()) return give_up();
  if (request_->connection().give_back_pins(session) > 0) return repeat(part);
  waiting_ = true;
  PinWaiter& waiter = request_->pin_waiter;
  waiter.connection = &request_->connection();
  waiter.session = session;
  waiter.context = this;
  waiter.again = [](void* context) {
    auto& self = *static_cast<Fanout*>(context);
    self.waiting_ = false;
    self.repeat(*self.next_to_write());
  };
  waiter.give_up = [](void* context) { static_cast<Fanout*>(context)->give_up(); };
  request_->worker().pin_waiters().wait(waiter);
}

// The element is an error.
void Fanout::give_up() {
  waiting_ = false;
  next_to_write()->repeat = false;
  request_->pin_waiter.since_us = 0;
  write_values();
}

// Nothing more is issued; ends when what was issued has come back.
void Fanout::fail_all() {
  count_ = issued_;
  all_issued();
  if (done_ < issued_) return;
  Request& request = *request_;
  const Code failure = failure_;
  const uint16_t server = failed_server_;
  for (Part* part : parts_) {
    if (part == nullptr) continue;
    if (part->operation.ticket) request.worker().release_pin(part->operation.ticket);
    free_part(*part);
  }
  end();
  request.fail(failure, server);
  request.finish();
}

void Fanout::end() {
  kept_.clear();
  kept_bytes_.reset();
  kept_heaps_.clear();
  arguments_ = {};
  request_->fanout = nullptr;
  request_->worker().fanouts().give(this);
}

}  // namespace rdmakv::proxy
