// The pins that one connection holds by ticket: entries that stay as they are, for its client to
// READ, until it releases them or goes. Bounded. One thread, that of the Slab, which outlives it.
//
// A ticket is [ how many were given before 54 | place 10 ], so one that was released means nothing
// any more.
#pragma once

#include <cstdint>
#include <memory>

#include "rdmakv/server/slab.h"

namespace rdmakv::server {

class Pins {
 public:
  // A proxy's thread has one connection for all its Redis clients, each of which may want several.
  static constexpr uint32_t kMost = 1024;
  // Of a connection, for its pins.
  static constexpr uint64_t kPrivateBytes = uint64_t{kMost} * 16;

  // Allocates: comes with a connection.
  explicit Pins(Slab& slab);
  ~Pins() { release_all(); }
  Pins(const Pins&) = delete;
  Pins& operator=(const Pins&) = delete;

  bool full() const { return open_ == kMost; }
  uint32_t open() const { return open_; }
  // Takes over one pin of the extent. Must not be full. Returns the ticket, never 0.
  uint64_t add(uint64_t offset);
  // False: no such ticket.
  bool release(uint64_t ticket);
  void release_all();

 private:
  struct Pin {
    uint64_t ticket = 0;  // 0: unused
    uint64_t offset = 0;  // unused: the place of the next that is, kMost: none
  };
  static_assert(sizeof(Pin) * kMost == kPrivateBytes);

  Slab& slab_;
  uint64_t last_ticket_ = 0;
  uint32_t open_ = 0;
  uint64_t first_unused_ = 0;
  std::unique_ptr<Pin[]> pins_;
};

}  // namespace rdmakv::server
