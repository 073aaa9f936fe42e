#include "proxy/value_gather.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "proxy/connection.h"
#include "proxy/value_stream.h"
#include "proxy/worker.h"

namespace rdmakv::proxy {

void ValueGather::start(Request& request, Arguments keys, Then then) {
  auto owner = std::make_unique<ValueGather>(request, std::move(then));
  ValueGather* const self = owner.get();
  self->self_ = std::move(owner);
  request.connection().block(Connection::kIssuing);
  self->keys_.assign(keys.begin(), keys.end());
  self->values_.resize(keys.size());
  for (size_t i = 0; i < std::min(keys.size(), kWindow); ++i) {
    self->parts_.push_back(std::make_unique<Part>());
    self->parts_.back()->gather = self;
  }
  for (const std::unique_ptr<Part>& part : self->parts_) self->ask_next(*part);
}

void ValueGather::start_pinned(Request& request, Then then) {
  auto owner = std::make_unique<ValueGather>(request, std::move(then));
  ValueGather* const self = owner.get();
  self->self_ = std::move(owner);
  self->keeps_pin_ = true;
  self->values_.resize(1);
  self->under_way_ = 1;
  auto part = std::make_unique<Part>();
  part->gather = self;
  part->pin = request.operation.ticket;
  part->value.resize(request.operation.value_length);
  self->parts_.push_back(std::move(part));
  self->read_on(*self->parts_.front());
}

void ValueGather::release(Request& request) {
  request.connection().unblock(Connection::kIssuing);
}

void ValueGather::ask_next(Part& part) {
  ++under_way_;
  part.index = next_++;
  part.read = 0;
  part.waiter.since_us = 0;
  part.operation = Operation{};
  part.operation.kind = OperationKind::kGet;
  part.operation.key = keys_[part.index];
  part.operation.done = &ValueGather::got;
  part.operation.context = &part;
  request_.issue(part.operation);
}

void ValueGather::got(Operation& operation) {
  auto& part = *static_cast<Part*>(operation.context);
  part.gather->take(part);
}

void ValueGather::take(Part& part) {
  Operation& operation = part.operation;
  if (operation.code == Code::kBusy && may_wait()) {
    return wait(part, std::exchange(operation.ticket, {}).session, [](void* waiting) {
      auto& again = *static_cast<Part*>(waiting);
      again.gather->request_.issue(again.operation);
    });
  }
  const bool found = operation.code == Code::kOk;
  if (!found && operation.code != Code::kNotFound) fail(operation.code);
  if (found) bytes_ += operation.value_length;
  if (bytes_ > kMostBytes) too_large_ = true;
  part.pin = std::exchange(operation.ticket, Ticket{});
  if (found && !part.pin && !too_large_) {
    part.value.assign(reinterpret_cast<const char*>(operation.value.data()),
                      operation.value.size());
  }
  operation.buffer.reset();
  if (part.pin && failure_ == Code::kOk && !too_large_) {
    part.value.resize(operation.value_length);
    return read_on(part);
  }
  if (part.pin) request_.worker().release_pin(part.pin);
  part_over(part);
}

bool ValueGather::may_wait() const {
  return failure_ == Code::kOk && !too_large_ && !request_.in_transaction() &&
         !request_.connection().closed() && !request_.worker().shutting_down();
}

void ValueGather::wait(Part& part, uint32_t session, PinWaiter::Call again) {
  part.waiter = {&request_.connection(), session, part.waiter.since_us, &part, again};
  part.waiter.give_up = [](void* waiting) {
    auto& late = *static_cast<Part*>(waiting);
    late.gather->fail(Code::kBusy);
    if (late.pin) return late.gather->read_on(late);
    late.gather->part_over(late);
  };
  request_.worker().pin_waiters().wait(part.waiter);
}

// The next piece of a pinned value.
void ValueGather::read_on(Part& part) {
  const uint64_t left = part.value.size() - part.read;
  ValueBuffer buffer;
  if (left > 0 && failure_ == Code::kOk) {
    buffer = request_.worker().client().allocate(
        static_cast<uint32_t>(std::min<uint64_t>(left, ValueStream::kPieceBytes)));
    if (!buffer && may_wait()) {
      request_.worker().wait_for_arena(request_.connection());
      return wait(part, PinWaiters::kForMemory, [](void* waiting) {
        auto& again = *static_cast<Part*>(waiting);
        again.gather->read_on(again);
      });
    }
    if (!buffer) fail(Code::kBusy);
  }
  if (!buffer) {
    if (!keeps_pin_ || failure_ != Code::kOk) request_.worker().release_pin(part.pin);
    return part_over(part);
  }
  Operation& operation = part.operation;
  operation = Operation{};
  operation.kind = OperationKind::kReadPinned;
  operation.ticket = part.pin;
  operation.offset = part.read;
  operation.length = static_cast<uint32_t>(std::min<uint64_t>(left, ValueStream::kPieceBytes));
  operation.buffer = std::move(buffer);
  operation.done = &ValueGather::piece_read;
  operation.context = &part;
  request_.worker().submit(operation);
}

void ValueGather::piece_read(Operation& operation) {
  auto& part = *static_cast<Part*>(operation.context);
  if (operation.code == Code::kOk) {
    std::memcpy(part.value.data() + part.read, operation.buffer.data(), operation.length);
    part.read += operation.length;
  } else {
    part.gather->fail(operation.code);
  }
  operation.buffer.reset();
  part.gather->read_on(part);
}

void ValueGather::fail(Code code) {
  if (failure_ == Code::kOk) failure_ = code;
}

void ValueGather::part_over(Part& part) {
  --under_way_;
  values_[part.index] = std::exchange(part.value, {});
  if (next_ < keys_.size() && request_.worker().shutting_down()) fail(Code::kCancelled);
  if (next_ < keys_.size() && failure_ == Code::kOk && !too_large_) return ask_next(part);
  if (under_way_ == 0) finish();
}

void ValueGather::finish() {
  const std::unique_ptr<ValueGather> self = std::move(self_);
  Request& request = request_;
  if (failure_ != Code::kOk || too_large_) {
    if (!keeps_pin_) release(request);
    too_large_ ? request.error("ERR the values are larger than the proxy takes")
               : request.fail(failure_);
    return request.finish();
  }
  then_(request, std::move(values_));
}

}  // namespace rdmakv::proxy
