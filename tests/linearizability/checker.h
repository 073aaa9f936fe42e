// Checks a whole history: sorts its operations by key, tells each key's checker what begins and
// what has returned, and collects what they say. Memory is bounded by the number of keys and of
// operations under way, not by the length of the history.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "tests/linearizability/history.h"
#include "tests/linearizability/key_checker.h"

namespace rdmakv::linearizability {

// A key whose history is not linearizable, or could not be decided.
struct Finding {
  uint64_t key = 0;
  uint64_t operation = 0;  // which one fits nowhere: its number in the order of invocation
  bool undecided = false;
};

struct Report {
  uint64_t operations = 0;
  uint64_t keys = 0;
  uint64_t unknown = 0;       // changes of unknown outcome ...
  uint64_t unknown_seen = 0;  // ... of which the value was seen
  uint64_t void_ones = 0;     // told nothing: refused, or GETs without an answer
  uint64_t unchecked = 0;     // on keys that had a finding before
  uint64_t corrupt = 0;
  uint64_t redated = 0;  // EXPIREs that changed a key
  std::array<uint64_t, kPaths> by_path = {};
  std::vector<Finding> findings;

  uint64_t violations() const;
  uint64_t undecided() const { return findings.size() - violations(); }
  // Sums up the reports of several checkers of the same history, each with keys of its own.
  void add(const Report& other);
};

class Checker {
 public:
  // Keys are spread over `shards` checkers; this one does those of `shard`.
  Checker(const History& history, const KeyLimits& limits, uint32_t shard = 0, uint32_t shards = 1)
      : history_(history), limits_(limits), shard_(shard), shards_(shards) {}

  // Once. History::prepare() was called.
  Report run();

 private:
  struct Key {
    KeyChecker checker;
    bool done = false;  // has a finding
  };
  void restart(const Record& record, uint64_t id);
  void operation(const Record& record, uint64_t id);
  Key& key_of(const Record& record);
  bool judge(uint64_t name, Key& key, KeyChecker::Verdict verdict);

  const History& history_;
  const KeyLimits limits_;
  const uint32_t shard_, shards_;
  std::unordered_map<uint64_t, Key> keys_;
  struct RestartUnderWay {
    Step step;
    uint64_t id;
  };
  std::vector<RestartUnderWay> restarts_under_way_;
  Report report_;
};

// Checks with `threads` threads.
Report check(const History& history, const KeyLimits& limits, uint32_t threads = 1);

// What a record means to its key's checker: a step with a place in the order (true), or a change
// that nobody saw (false). Not for void records.
bool interpret(const Record& record, const History& history, Step& out);

}  // namespace rdmakv::linearizability
