#include "tests/model/history.h"

#include <algorithm>
#include <map>

namespace rdmakv::model {
namespace {

// A state: version 5 | value 4 | highest version 5, then for each thread: effective 1 | version 5 |
// value 4.
constexpr int kRegisterBits = 14;
constexpr int kThreadBits = 10;
constexpr u8 kMostVersion = 30;
// How far above the highest version a key created anew may start.
constexpr u8 kMostJump = 6;

struct Register {
  u8 version, value, highest;
};

Register register_of(uint64_t state) {
  return {static_cast<u8>(state & 31), static_cast<u8>((state >> 5) & 15),
          static_cast<u8>((state >> 9) & 31)};
}
uint64_t with_register(uint64_t state, Register r) {
  const uint64_t mask = (uint64_t{1} << kRegisterBits) - 1;
  return (state & ~mask) | r.version | (uint64_t{r.value} << 5) | (uint64_t{r.highest} << 9);
}
int shift_of(int thread) {
  return kRegisterBits + kThreadBits * thread;
}
bool effective(uint64_t state, int thread) {
  return ((state >> shift_of(thread)) & 1) != 0;
}
Result result_of(uint64_t state, int thread) {
  const uint64_t bits = state >> (shift_of(thread) + 1);
  return {static_cast<u8>(bits & 31), static_cast<u8>((bits >> 5) & 15)};
}
uint64_t without(uint64_t state, int thread) {
  return state & ~(((uint64_t{1} << kThreadBits) - 1) << shift_of(thread));
}
uint64_t with_effect(uint64_t state, int thread, Result result) {
  const uint64_t bits = 1 | (uint64_t{result.version} << 1) | (uint64_t{result.value} << 6);
  return without(state, thread) | (bits << shift_of(thread));
}

// Every state that the operation can lead to.
template <typename Visit>
void take_effect(uint64_t state, int thread, const Pending& op, Visit&& visit) {
  const Register r = register_of(state);
  const auto became = [&](Register now, Result result) {
    visit(with_effect(with_register(state, now), thread, result));
  };
  const auto write = [&] {
    if (r.version != 0) {
      const auto next = static_cast<u8>(r.version + 1);
      return became({next, op.value, std::max(r.highest, next)}, {next, kDone});
    }
    for (int v = r.highest + 1; v <= std::min<int>(r.highest + kMostJump, kMostVersion); ++v) {
      const auto next = static_cast<u8>(v);
      became({next, op.value, next}, {next, kDone});
    }
  };
  switch (op.kind) {
    case Kind::kGet:
      return became(r, {r.version, r.value});
    case Kind::kPut:
      return write();
    case Kind::kDelete:
      return became({0, 0, r.highest}, {0, r.version != 0 ? kDone : kFailed});
    case Kind::kCas:
      if (r.version == op.expected) return write();
      return became(r, {r.version, kFailed});
  }
}

// Every state that can be reached from `from` by operations under way taking effect.
void close(const History::Operations& pending, std::vector<uint64_t>& states) {
  for (size_t i = 0; i < states.size(); ++i) {
    for (int thread = 0; thread < kMostThreads; ++thread) {
      if (!pending[thread].open || effective(states[i], thread)) continue;
      take_effect(states[i], thread, pending[thread], [&](uint64_t next) {
        if (std::find(states.begin(), states.end(), next) == states.end()) states.push_back(next);
      });
    }
  }
}

using Numbers = std::map<std::vector<uint64_t>, uint32_t>;

Numbers& numbers() {
  static Numbers all;
  return all;
}
std::vector<const std::vector<uint64_t>*>& sets() {
  static std::vector<const std::vector<uint64_t>*> all;
  return all;
}

}  // namespace

uint32_t History::intern(std::vector<uint64_t>& states) {
  std::sort(states.begin(), states.end());
  states.erase(std::unique(states.begin(), states.end()), states.end());
  const auto [at, fresh] = numbers().emplace(states, static_cast<uint32_t>(sets().size()));
  if (fresh) sets().push_back(&at->first);
  return at->second;
}

void History::reset(u8 version, u8 value) {
  std::vector<uint64_t> states{with_register(0, {version, value, version})};
  number_ = intern(states);
}

bool History::answered(const Operations& pending, int thread, Result result) {
  std::vector<uint64_t> states = *sets()[number_];
  close(pending, states);
  std::vector<uint64_t> left;
  for (const uint64_t state : states) {
    if (effective(state, thread) && result_of(state, thread) == result) {
      left.push_back(without(state, thread));
    }
  }
  number_ = intern(left);
  return !left.empty();
}

void History::vanishes(const Operations& pending, u8 value) {
  std::vector<uint64_t> states = *sets()[number_];
  close(pending, states);
  for (uint64_t& state : states) {
    const Register r = register_of(state);
    if (r.version != 0 && r.value == value) state = with_register(state, {0, 0, r.highest});
  }
  number_ = intern(states);
}

void History::lost(const Operations& pending) {
  std::vector<uint64_t> states = *sets()[number_];
  close(pending, states);
  for (uint64_t& state : states) state = with_register(state, {0, 0, 0});
  number_ = intern(states);
}

}  // namespace rdmakv::model
