#include "rdmakv/server/pins.h"

#include <cassert>

namespace rdmakv::server {

Pins::Pins(Slab& slab) : slab_(slab), pins_(std::make_unique<Pin[]>(kMost)) {
  for (uint32_t i = 0; i < kMost; ++i) pins_[i].offset = i + 1;
}

void Pins::release_all() {
  for (uint32_t i = 0; i < kMost; ++i) {
    if (pins_[i].ticket != 0) release(pins_[i].ticket);
  }
}

uint64_t Pins::add(uint64_t offset) {
  assert(!full());
  const uint64_t place = first_unused_;
  Pin& pin = pins_[place];
  first_unused_ = pin.offset;
  ++open_;
  pin = {++last_ticket_ * kMost + place, offset};
  return pin.ticket;
}

bool Pins::release(uint64_t ticket) {
  const uint64_t place = ticket % kMost;
  Pin& pin = pins_[place];
  if (ticket == 0 || pin.ticket != ticket) return false;
  slab_.unpin(pin.offset);
  pin = {0, first_unused_};
  first_unused_ = place;
  --open_;
  return true;
}

}  // namespace rdmakv::server
