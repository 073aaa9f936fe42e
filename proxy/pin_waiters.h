// Whoever needs a value that the server would have to pin while it has too many pins of ours, and
// waits for one to be given back, in the order of arrival.
//
// A server bounds the pins of each connection, and a worker has one connection to each worker of
// each server, so one Redis client could keep all others waiting. That nobody waits for ever:
//   - only a head waits (or a command that holds its connection up), and before it does, the pins
//     of later commands of its connection are given back; so each pin is with a command that
//     writes its value out, as fast as its client reads
//   - what comes while others wait keeps a pin only if it is a head
//   - a client that takes nothing for kStalledUs gives up the pins of commands that are not heads
//   - one that takes nothing for `slow-reader-timeout` is closed
// All of that happens only while somebody waits.
//
// One worker's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace rdmakv::proxy {

class Connection;
class Worker;

// Owned by who waits. Stays until one of the two functions is called, or forget().
struct PinWaiter {
  using Call = void (*)(void* context);
  Connection* connection = nullptr;
  uint32_t session = 0;   // Ticket::session of the connection that has too many pins
  uint64_t since_us = 0;  // when it was refused first; 0: now. Keeps its turn when it waits again
  void* context = nullptr;
  Call again = nullptr;    // try now
  Call give_up = nullptr;  // it has waited too long, or its connection has closed
  bool waits = false;
};

class PinWaiters {
 public:
  // Whoever has made no progress for so long gives up what others wait for.
  static constexpr uint64_t kStalledUs = 100'000;
  // Beyond slow-reader-timeout, after which there should be pins.
  static constexpr uint64_t kPatienceUs = 5'000'000;
  // A `session` for who waits for registered memory instead: tried with each tick().
  static constexpr uint32_t kForMemory = 0xffff;

  explicit PinWaiters(Worker& worker) : worker_(worker) {}

  void wait(PinWaiter& waiter);
  void forget(PinWaiter& waiter);
  // `connection` has closed.
  void leave(const Connection& connection);
  // A pin of that connection to a server was given back.
  void given_back(uint32_t session);

  bool empty() const { return waiting_.empty(); }
  // Whether somebody waits for a pin of that connection to a server.
  bool wants(uint32_t session) const;
  // Each such connection once.
  std::vector<uint32_t> sessions() const;
  // From time to time while anybody waits.
  void tick(uint64_t now_us);

 private:
  static bool same(uint32_t a, uint32_t b) { return ((a ^ b) & 0xffff) == 0; }  // but incarnation
  void take_out(size_t index) {
    waiting_[index]->waits = false;
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(index));
  }

  Worker& worker_;
  std::vector<PinWaiter*> waiting_;
};

}  // namespace rdmakv::proxy
