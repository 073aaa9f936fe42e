// An estimate of a server's wall clock, from the time stamps that its messages carry.
//
// A stamp is as old as its message was long on its way, so of several the one that is furthest
// ahead of our own clock is the best; the estimate is never ahead of the server's clock by more
// than the drift of kKeepNs. After kKeepNs a newer stamp replaces the best one, whatever it says:
// clocks are adjusted.
#pragma once

#include <algorithm>
#include <cstdint>

#include "rdmakv/client/clock.h"

namespace rdmakv {

class ServerClock {
 public:
  static constexpr uint64_t kKeepNs = 1'000'000'000;

  // A message that says `clock_ms` has come at `now` (steady clock).
  void heard(uint64_t clock_ms, uint64_t now) {
    if (clock_ms == 0 || clock_ms > kLatestMs) return;
    const auto ahead = static_cast<int64_t>(clock_ms) - static_cast<int64_t>(now / 1'000'000);
    if (known_ && ahead < ahead_ms_ && now - heard_at_ < kKeepNs) return;
    if (!known_ || ahead != ahead_ms_ || now - heard_at_ >= kKeepNs) heard_at_ = now;
    ahead_ms_ = ahead;
    known_ = true;
  }
  // ms since 1970; our own wall clock while nothing has been heard.
  int64_t now_ms(uint64_t now) const {
    return known_ ? static_cast<int64_t>(now / 1'000'000) + ahead_ms_ : wall_ms();
  }
  bool known() const { return known_; }
  void forget() { known_ = false; }

 private:
  static constexpr uint64_t kLatestMs = uint64_t{1} << 53;  // a stamp beyond is nonsense

  int64_t ahead_ms_ = 0;
  uint64_t heard_at_ = 0;
  bool known_ = false;
};

}  // namespace rdmakv
