// The pins that one connection holds by ticket: entries that stay as they are, for its client to
// READ, until it releases them or goes. Bounded. One thread, that of the Slab, which outlives it.
#pragma once

#include <cstdint>

#include "rdmakv/server/slab.h"

namespace rdmakv::server {

class Pins {
 public:
  static constexpr uint32_t kMost = 32;

  explicit Pins(Slab& slab) : slab_(slab) {}
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
    uint64_t offset = 0;
  };

  Slab& slab_;
  uint64_t last_ticket_ = 0;
  uint32_t open_ = 0;
  Pin pins_[kMost];
};

}  // namespace rdmakv::server
