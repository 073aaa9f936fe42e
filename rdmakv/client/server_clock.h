// An estimate of a server's wall clock, from the time stamps that its messages carry.
//
// A stamp is as old as its message was long on its way, so of several the one that is furthest
// ahead of our own clock is the best; the estimate is never ahead of the server's clock by more
// than the drift of kKeepNs. After kKeepNs a newer stamp replaces the best one, whatever it says:
// clocks are adjusted.
#pragma once

#include <cstdint>

#include "rdmakv/client/clock.h"

namespace rdmakv {

class ServerClock {
 public:
  static constexpr uint64_t kKeepNs = 1'000'000'000;

  // A message that says `clock_ms` has come at `now` (steady clock). `asked_at`: a time before
  // which the stamp was not made, that of a request which the message answers; 0: not known.
  void heard(uint64_t clock_ms, uint64_t now, uint64_t asked_at = 0) {
    if (clock_ms == 0 || clock_ms > kLatestMs) return;
    const auto ahead = static_cast<int64_t>(clock_ms) - static_cast<int64_t>(now / 1'000'000);
    if (asked_at != 0) bound(clock_ms, now, asked_at);
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
  void forget() { known_ = bounded_ = false; }

  // The latest that the server's clock may show now: it cannot have been later than the stamp when
  // we asked for it. kNoBound when no stamp says so that is young enough to trust two clocks to
  // have gone alike since.
  static constexpr int64_t kNoBound = INT64_MAX;
  int64_t latest_ms(uint64_t now) const {
    if (!bounded_ || now - bound_at_ > kTrustNs) return kNoBound;
    return static_cast<int64_t>(now / 1'000'000) + bound_ms_;
  }

 private:
  static constexpr uint64_t kLatestMs = uint64_t{1} << 53;  // a stamp beyond is nonsense

  static constexpr uint64_t kTrustNs = 10'000'000'000;

  void bound(uint64_t clock_ms, uint64_t now, uint64_t asked_at) {
    // One more for the part of a millisecond that either clock does not tell, each.
    const int64_t most =
        static_cast<int64_t>(clock_ms) - static_cast<int64_t>(asked_at / 1'000'000) + 2;
    if (bounded_ && most > bound_ms_ && now - bound_at_ < kKeepNs) return;
    if (!bounded_ || most != bound_ms_ || now - bound_at_ >= kKeepNs) bound_at_ = now;
    bound_ms_ = most;
    bounded_ = true;
  }

  int64_t bound_ms_ = 0;
  uint64_t bound_at_ = 0;
  bool bounded_ = false;
  int64_t ahead_ms_ = 0;
  uint64_t heard_at_ = 0;
  bool known_ = false;
};

}  // namespace rdmakv
