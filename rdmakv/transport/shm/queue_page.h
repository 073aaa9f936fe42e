// Whether a completion queue sleeps: a page that its thread writes and the peers of all its
// connections map read-only. A peer thus learns that it must ring, and cannot keep others from
// ringing.
//
// No wake-up is lost (Dekker's argument): the sleeper stores `epoch`, then a full fence, then looks
// at the rings a last time; the sender stores its message, then a full fence, then reads `epoch`.
// At least one of them sees the other's store. `epoch` is odd while the queue sleeps and grows with
// each sleep, so a sender that remembers the last epoch it rang in rings once per sleep.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace rdmakv::shm {

struct QueuePage {
  alignas(64) std::atomic<uint64_t> epoch;
};
inline constexpr size_t kQueuePageBytes = 4096;

}  // namespace rdmakv::shm
