#include "proxy/repeat.h"

#include <utility>

#include "proxy/connection.h"
#include "proxy/worker.h"

namespace rdmakv::proxy {
namespace {

void carry_out_again(Request& request);

bool only_reads(const Operation& operation) {
  return operation.kind == OperationKind::kGet || operation.kind == OperationKind::kEvaluate;
}

void drop_value(Request& request) {
  Operation& operation = request.operation;
  operation.buffer.reset();
  operation.value = {};
  if (operation.ticket) request.worker().release_pin(std::exchange(operation.ticket, {}));
}

void give_up(Request& request) {
  request.operation.ticket = {};
  request.fail(Code::kBusy);
  request.finish();
}

// It is the head, and refused.
void wait_for_pin(Request& request) {
  const uint32_t session = request.operation.ticket.session;
  if (request.connection().closed()) return give_up(request);
  if (request.connection().give_back_pins(session) > 0) return carry_out_again(request);
  PinWaiter& waiter = request.pin_waiter;
  waiter.connection = &request.connection();
  waiter.session = session;
  waiter.context = &request;
  waiter.again = [](void* self) { carry_out_again(*static_cast<Request*>(self)); };
  waiter.give_up = [](void* self) { give_up(*static_cast<Request*>(self)); };
  request.worker().pin_waiters().wait(waiter);
}

void answered(Request& request) {
  Operation& operation = request.operation;
  Request::Repeat& repeat = request.repeat;
  if (operation.code == Code::kBusy) return wait_for_pin(request);
  const bool is_answer = operation.code == Code::kOk || operation.code == Code::kNotFound;
  if (is_answer && !repeat.any_version && operation.version != repeat.version) {
    drop_value(request);
    return give_up(request);
  }
  repeat.pending = false;
  request.continuation = repeat.then;
  request.continuation(request);
}

void carry_out_again(Request& request) {
  Connection& connection = request.connection();
  if (connection.closed()) return give_up(request);
  connection.settle_room(request);
  Operation& operation = request.operation;
  operation.ticket = {};
  request.repeat.any_version = !connection.order_matters(request, operation.key);
  request.submit(&answered);
}

void await_turn(Request& request) {
  request.repeat.pending = true;
  request.repeat.then = request.continuation;
  request.repeat.version = request.operation.version;
  request.worker().stats().repeated_reads.add();
}

}  // namespace

bool repeat_refused(Request& request) {
  if (!only_reads(request.operation) || request.in_transaction() || request.silent() ||
      request.connection().closed() || request.worker().shutting_down()) {
    return false;
  }
  await_turn(request);
  if (request.is_head()) {
    wait_for_pin(request);
  } else {
    request.when_head(&carry_out_again);
  }
  return true;
}

void park_pinned(Request& request, Request::Continuation then) {
  const uint32_t session = request.operation.ticket.session;
  if (request.is_head()) return then(request);
  request.parked_pin = only_reads(request.operation) && !request.in_transaction();
  request.when_head(then);
  if (request.worker().pin_waiters().wants(session)) give_parked_pin_back(request, session);
}

bool give_parked_pin_back(Request& request, uint32_t session) {
  if (!request.parked_pin || request.is_head()) return false;
  if (((request.operation.ticket.session ^ session) & 0xffff) != 0) return false;
  request.parked_pin = false;
  await_turn(request);
  drop_value(request);
  request.when_head(&carry_out_again);
  return true;
}

}  // namespace rdmakv::proxy
