#include "rdmakv/server/pins.h"

#include <cassert>

namespace rdmakv::server {

void Pins::release_all() {
  for (Pin& pin : pins_) {
    if (pin.ticket != 0) slab_.unpin(pin.offset);
    pin = {};
  }
  open_ = 0;
}

uint64_t Pins::add(uint64_t offset) {
  assert(!full());
  for (uint32_t i = 0; i < kMost; ++i) {
    if (pins_[i].ticket != 0) continue;
    ++open_;
    pins_[i] = {++last_ticket_ * kMost + i, offset};
    return pins_[i].ticket;
  }
  return 0;
}

bool Pins::release(uint64_t ticket) {
  Pin& pin = pins_[ticket % kMost];
  if (ticket == 0 || pin.ticket != ticket) return false;
  slab_.unpin(pin.offset);
  pin = {};
  --open_;
  return true;
}

}  // namespace rdmakv::server
