#include "proxy/pin_waiters.h"

#include <algorithm>

#include "proxy/connection.h"
#include "proxy/worker.h"

namespace rdmakv::proxy {

void PinWaiters::wait(PinWaiter& waiter) {
  if (waiter.since_us == 0) {
    waiter.since_us = worker_.now_us();
    worker_.stats().pin_waits.add();
  }
  waiter.waits = true;
  const auto later = std::find_if(waiting_.begin(), waiting_.end(), [&](const PinWaiter* other) {
    return other->since_us > waiter.since_us;
  });
  waiting_.insert(later, &waiter);
  worker_.arm_pin_tick();
}

void PinWaiters::forget(PinWaiter& waiter) {
  if (!waiter.waits) return;
  waiter.waits = false;
  std::erase(waiting_, &waiter);
}

void PinWaiters::leave(const Connection& connection) {
  for (size_t i = 0; i < waiting_.size();) {
    PinWaiter& waiter = *waiting_[i];
    if (waiter.connection != &connection) {
      ++i;
      continue;
    }
    take_out(i);
    waiter.give_up(waiter.context);
    i = 0;
  }
}

void PinWaiters::given_back(uint32_t session) {
  for (size_t i = 0; i < waiting_.size(); ++i) {
    if (!same(waiting_[i]->session, session)) continue;
    PinWaiter& waiter = *waiting_[i];
    take_out(i);
    return waiter.again(waiter.context);
  }
}

bool PinWaiters::wants(uint32_t session) const {
  return std::any_of(waiting_.begin(), waiting_.end(),
                     [session](const PinWaiter* waiter) { return same(waiter->session, session); });
}

std::vector<uint32_t> PinWaiters::sessions() const {
  std::vector<uint32_t> found;
  for (const PinWaiter* waiter : waiting_) {
    const auto known = [&](uint32_t session) { return same(session, waiter->session); };
    if (std::none_of(found.begin(), found.end(), known)) found.push_back(waiter->session);
  }
  return found;
}

void PinWaiters::tick(uint64_t now_us) {
  const uint64_t slow_us = worker_.settings().slow_reader_timeout_s * 1'000'000;
  while (!waiting_.empty() && now_us - waiting_.front()->since_us >= slow_us + kPatienceUs) {
    PinWaiter& waiter = *waiting_.front();
    take_out(0);
    waiter.give_up(waiter.context);
  }
  worker_.for_each_connection(
      [&](Connection& connection) { connection.make_way(now_us, slow_us); });
  // A pin may have come free without our knowing: the first of each connection looks.
  for (const uint32_t session : sessions()) given_back(session);
}

}  // namespace rdmakv::proxy
