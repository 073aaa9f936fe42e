// When keys expire. A key has expired once the server's wall clock is past its expiry (as Redis
// judges: at the very millisecond it still lives). It is removed when a request meets it, or by the
// sweep.
//
// The sweep goes round the whole index in small steps, but only while there is something to find:
// it keeps a lower bound of all expiries, and a pass begins when the clock is past that bound. So
// keys that expire in an hour cost an idle server nothing until then. One thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace rdmakv::server {

constexpr bool has_expired(int64_t expiry_ms, int64_t now_ms) {
  return expiry_ms != 0 && now_ms > expiry_ms;
}

class ExpirySweep {
 public:
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  // A linked entry with an expiry came, or went.
  void added(int64_t expiry_ms) {
    ++keys_;
    bound_ = std::min(bound_, expiry_ms);
    seen_ = std::min(seen_, expiry_ms);
  }
  void removed() {
    if (--keys_ == 0) *this = {};
  }
  uint64_t keys() const { return keys_; }

  // From when on (wall clock) step() has something to do; 0: at once.
  int64_t due_ms() const { return passing_ ? 0 : bound_ == kNever ? kNever : bound_ + 1; }
  bool due(int64_t now_ms) const { return keys_ > 0 && now_ms >= due_ms(); }

  // Names the next of `steps` steps of the pass under way, or `steps` when nothing is left; starts
  // one if there is none. `skip(step)`: the first from there on that may hold keys.
  template <typename Skip>
  uint32_t next(uint32_t steps, Skip&& skip) {
    if (!passing_) {
      passing_ = true;
      cursor_ = 0;
      seen_ = kNever;
    }
    const uint32_t step = skip(cursor_);
    cursor_ = step + 1;
    ending_ = cursor_ >= steps;
    return step;
  }
  // In the step: a key that stays.
  void seen(int64_t expiry_ms) { seen_ = std::min(seen_, expiry_ms); }
  // The step is done.
  void done() {
    if (!passing_ || !ending_) return;
    passing_ = false;
    bound_ = seen_;
  }

 private:
  uint64_t keys_ = 0;
  int64_t bound_ = kNever;  // no expiry is earlier (between passes)
  int64_t seen_ = kNever;   // earliest seen in the pass, or added since it began
  uint32_t cursor_ = 0;
  bool passing_ = false;
  bool ending_ = false;
};

}  // namespace rdmakv::server
