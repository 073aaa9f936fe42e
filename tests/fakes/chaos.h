// What a ChaosFabric does to the connections of a client, and when: the dice, and the named points
// of a connection's life at which it is cut or the process is killed.
//
// Reproducible as far as one process goes: the same seed throws the same dice in the same order.
// What the threads and processes beside it do in the meantime is the machine's business.
#pragma once

#include <atomic>
#include <cstdint>

namespace rdmakv::fakes {

// Before or after what happens at the point.
enum class ChaosPoint : uint8_t {
  kConnect,
  kExpose,
  kSend,
  kSent,
  kWriteImmediate,
  kWrittenImmediate,
  kWrite,
  kHalfWritten,  // part of a WRITE is in place, the rest is not
  kWritten,      // and before the ATOMIC behind it
  kAtomic,
  kSwapped,  // the ATOMIC took place, its completion has not been seen
  kRead,
  kReadPiece,  // between two pieces of a READ
  kDoorbell,
  kMessage,     // something arrived, and is about to be delivered
  kCompletion,  // own work is done, and about to be told
  kClose,
};
inline constexpr uint32_t kChaosPoints = 17;
const char* chaos_point_name(ChaosPoint point);

struct ChaosOptions {
  uint64_t seed = 1;
  uint32_t delayed_per_mille = 0;   // of work, before it is executed, and of what arrives
  uint64_t longest_delay_ns = 0;    // a delay is anything up to this
  uint32_t mtu = 0;                 // READs are fetched, WRITEs placed, in pieces of it; 0: whole
  uint32_t repeated_per_mille = 0;  // of the pieces of READs: fetched again, later
  uint32_t cut_per_million = 0;     // connections, at each point
  uint64_t kill_at = 0;             // the process, at the so-manieth point it comes to; 0: never
  int kill_point = -1;              // of this kind (a ChaosPoint); -1: of any
  std::atomic<uint32_t>* killed_at = nullptr;  // in shared memory: 1 + ChaosPoint
};

// The dice of one thread. Not for cryptography (splitmix64, Steele et al., OOPSLA 2014).
class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  uint64_t below(uint64_t limit) { return limit == 0 ? 0 : next() % limit; }
  bool per_mille(uint32_t chance) { return chance != 0 && below(1000) < chance; }
  bool per_million(uint32_t chance) { return chance != 0 && below(1'000'000) < chance; }
  bool percent(uint32_t chance) { return chance != 0 && below(100) < chance; }

 private:
  uint64_t state_;
};

// One thread's chaos, shared by its fabric's queues and endpoints.
struct Chaos {
  explicit Chaos(const ChaosOptions& wanted) : options(wanted), dice(wanted.seed) {}
  // The point is reached. May kill the process. True: the connection is to be cut here.
  bool reach(ChaosPoint point);
  // When what could happen now is to happen.
  uint64_t due(uint64_t now_ns) {
    if (!dice.per_mille(options.delayed_per_mille)) return now_ns;
    return now_ns + dice.below(options.longest_delay_ns + 1);
  }

  const ChaosOptions options;
  Dice dice;
  uint64_t points = 0;  // reached so far

 private:
  uint64_t counted_ = 0;
};

}  // namespace rdmakv::fakes
