// A value that the server keeps pinned for us, where it lies: for those whose READs are loads of
// this CPU (shm), so that a value need not be copied to be passed on. Part of a Client, found by
// pinned_memory_of(); its thread's, as all of it.
//
// What is pinned does not change, and its extent is not used again, until the pin is released or
// the connection that it is of has ended. A server that ends a connection says so before it gives
// the pins back. So what was passed on is the value if holds() says so afterwards, and nobody may
// take it for a whole value before that.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "rdmakv/client/client.h"

namespace rdmakv {

class PinnedMemory {
 public:
  // Bytes [offset, offset + length) of the value pinned under `pin`. Empty: its connection has
  // ended, or there are no such bytes. Valid until the next Client::poll(), and in later turns as
  // long as pinned_holds() says so before they are looked at.
  virtual std::span<const std::byte> pinned(const Ticket& pin, uint64_t offset,
                                            uint64_t length) = 0;
  // Whether this Client's READs are loads at all.
  virtual bool has_pinned_memory() const = 0;
  // False, and for ever: the connection has ended, perhaps before what was read last was read.
  virtual bool pinned_holds(const Ticket& pin) = 0;

 protected:
  ~PinnedMemory() = default;
};

// Null: this Client has none.
inline PinnedMemory* pinned_memory_of(Client& client) {
  auto* const memory = dynamic_cast<PinnedMemory*>(&client);
  return memory != nullptr && memory->has_pinned_memory() ? memory : nullptr;
}

}  // namespace rdmakv
