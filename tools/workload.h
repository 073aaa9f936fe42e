// What a load generator asks: which key, which kind of operation, how large a value. The mixes and
// the distributions of keys are those of YCSB (Cooper et al., "Benchmarking cloud serving systems
// with YCSB", SoCC 2010):
//
//        reads  updates  inserts  read-modify-writes   keys
//   A     50 %    50 %                                 zipfian
//   B     95 %     5 %                                 zipfian
//   C    100 %                                         zipfian
//   D     95 %              5 %                        latest
//   F     50 %                         50 %            zipfian
//
//   W             100 %                                zipfian   (not one of YCSB's)
//
// (E scans ranges, which there are none of.) Deterministic for a given seed. One thread each.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rdmakv/transport/status.h"

namespace rdmakv {

// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }  // [0, 1)
  // [0, bound); bound is not 0. Multiply-shift (Lemire 2019), without the rejection step: the bias
  // is bound / 2^64.
  uint64_t below(uint64_t bound) {
    return static_cast<uint64_t>(static_cast<unsigned __int128>(next()) * bound >> 64);
  }

 private:
  uint64_t state_;
};

// Ranks 0, 1, 2, ... with probability proportional to 1 / (rank + 1)^theta: the constant-time
// method of Gray et al., "Quickly generating billion-record synthetic databases" (SIGMOD 1994),
// which YCSB uses too. The constructor takes time linear in `items`.
class Zipfian {
 public:
  Zipfian(uint64_t items, double theta);
  uint64_t rank(Random& random) const;
  uint64_t items() const { return items_; }

 private:
  uint64_t items_;
  double theta_, alpha_, zetan_, eta_;
};

enum class KeyChoice : uint8_t {
  kUniform,
  kZipfian,  // scrambled as in YCSB: the popular keys lie all over the key space (FNV-1a of the
             // rank)
  kLatest,   // zipfian, the newest key first
};
Result<KeyChoice> parse_key_choice(std::string_view word);  // uniform, zipfian, latest

enum class Action : uint8_t { kRead, kUpdate, kInsert, kReadModifyWrite };
inline constexpr size_t kActions = 4;
const char* action_name(Action action);

struct Mix {
  char name = 'C';
  uint32_t percent[kActions] = {};
  KeyChoice keys = KeyChoice::kZipfian;
};
Result<Mix> parse_mix(std::string_view name);  // A, B, C, D, F, W

// Sizes of values, in bytes: "64", "16-4096" (uniform), or "64:90,1024:9,65536:1" (weights).
class ValueSizes {
 public:
  static Result<ValueSizes> parse(std::string_view text);
  uint64_t next(Random& random) const;
  uint64_t largest() const;

 private:
  struct Range {
    uint64_t low = 0, high = 0, weight = 1;
  };
  std::vector<Range> ranges_;
  uint64_t weights_ = 0;
};

// One thread's stream of operations over `items` keys that everybody shares, and those that it
// inserts itself.
class Workload {
 public:
  struct Options {
    Mix mix;
    KeyChoice keys = KeyChoice::kZipfian;
    uint64_t items = 1000;
    const Zipfian* zipfian = nullptr;  // of `items`; not for kUniform
    uint32_t thread = 0;
    uint64_t seed = 1;
  };
  struct Step {
    Action action = Action::kRead;
    uint64_t item = 0;  // below `items`: shared; else inserted by this thread
  };

  explicit Workload(const Options& options) : options_(options), random_(options.seed) {}
  Step next();
  Random& random() { return random_; }

 private:
  Action next_action();
  uint64_t next_item();

  Options options_;
  Random random_;
  uint64_t inserted_ = 0;
};

// The key of an item, kKeyBytes characters: what `thread` inserted is its own.
inline constexpr size_t kKeyBytes = 16;
void write_key(char* to, uint64_t items, uint32_t thread, uint64_t item);

}  // namespace rdmakv
