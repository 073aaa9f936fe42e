#include "tests/linearizability/brute_force.h"

#include <algorithm>
#include <cassert>
#include <set>
#include <utility>
#include <vector>

namespace rdmakv::linearizability {

namespace {

constexpr int kNobody = -1;

struct Register {
  bool live = false;
  uint64_t version = 0;
  uint64_t highest = 0;  // ever
  uint64_t value = 0;
  int writer = kNobody;
  auto operator<=>(const Register&) const = default;
};

class Trial {
 public:
  Trial(std::span<const Record> records, uint64_t late_ns) : late_ns_(late_ns) {
    for (const Record& record : records) {
      if (!is_void(record)) records_.push_back(record);
    }
    assert(records_.size() <= 24);
    for (const Record& record : records_) {
      top_ = std::max({top_, record.version_in, record.version_out});
    }
    top_ += 2;
  }
  bool run() { return go(0, {}); }

 private:
  bool open(const Record& record) const { return is_unknown(record); }
  uint64_t returned(const Record& record) const {
    if (record.kind == Kind::kRestart && record.outcome == Outcome::kOpen) return kNever;
    return open(record) ? kNever : record.return_ns;
  }
  bool is_over(uint32_t done) const {
    for (size_t i = 0; i < records_.size(); ++i) {
      if (((done >> i) & 1) == 0 && returned(records_[i]) != kNever) return false;
    }
    return true;
  }
  // When the next event has to have happened at the latest.
  uint64_t limit(uint32_t done) const {
    uint64_t earliest = kNever;
    for (size_t i = 0; i < records_.size(); ++i) {
      if (((done >> i) & 1) == 0) earliest = std::min(earliest, returned(records_[i]));
    }
    return earliest;
  }

  bool go(uint32_t done, const Register& state) {
    if (is_over(done)) return true;
    if (!seen_.insert({done, state}).second) return false;
    const uint64_t by = limit(done);
    if (state.live && state.writer != kNobody) {
      const uint64_t deadline = records_[static_cast<size_t>(state.writer)].deadline_ns;
      if (deadline != 0 && deadline <= by) {
        Register gone = state;
        gone.live = false;
        gone.writer = kNobody;
        gone.version = gone.value = 0;
        if (go(done, gone)) return true;
      }
    }
    for (size_t i = 0; i < records_.size(); ++i) {
      if (((done >> i) & 1) != 0 || records_[i].invoke_ns > by) continue;
      if (too_late(records_[i], state)) continue;
      for (const Register& after : results(static_cast<int>(i), state, by)) {
        if (go(done | (1u << i), after)) return true;
      }
    }
    return false;
  }
  bool too_late(const Record& record, const Register& state) const {
    if (!state.live || late_ns_ == kNever || record.kind == Kind::kRestart) return false;
    const uint64_t deadline = records_[static_cast<size_t>(state.writer)].deadline_ns;
    return deadline != 0 && record.invoke_ns > deadline + late_ns_;
  }

  // Every state the operation can lead to from `state`, its outcome as recorded.
  std::vector<Register> results(int index, const Register& state, uint64_t by) const {
    const Record& record = records_[static_cast<size_t>(index)];
    const uint64_t current = state.live ? state.version : 0;
    const Register gone{false, 0, state.highest, 0, kNobody};
    const auto when = [](bool condition, const Register& after) {
      return condition ? std::vector<Register>{after} : std::vector<Register>{};
    };
    switch (record.kind) {
      case Kind::kRestart:
        return {Register{}};
      case Kind::kGet:
        if (record.outcome == Outcome::kAbsent) return when(!state.live, state);
        return when(record.outcome == Outcome::kOk && state.live && current == record.version_out &&
                        state.value == record.value,
                    state);
      case Kind::kDelete:
        if (open(record)) return when(state.live, gone);
        return record.outcome == Outcome::kAbsent ? when(!state.live, state)
                                                  : when(state.live, gone);
      case Kind::kCas:
        if (record.outcome == Outcome::kLost) {
          const bool told = current == record.version_out && current != record.version_in;
          return when(told, state);
        }
        if (current != record.version_in) return {};
        return stores(index, state, by);
      case Kind::kPut:
        return stores(index, state, by);
      case Kind::kExpire:
        return redates(index, state, by);
    }
    return {};
  }
  std::vector<Register> redates(int index, const Register& state, uint64_t by) const {
    const Record& record = records_[static_cast<size_t>(index)];
    const uint64_t current = state.live ? state.version : 0;
    std::vector<Register> after;
    if (record.outcome == Outcome::kAbsent || record.outcome == Outcome::kLost) {
      const uint64_t told = record.outcome == Outcome::kAbsent ? 0 : record.version_out;
      if (current == told && current != record.version_in) after.push_back(state);
      return after;
    }
    if (!state.live || current != record.version_in) return after;
    const bool has_passed = record.deadline_ns != 0 && record.deadline_ns <= by;
    if (has_passed && (open(record) || record.version_out == 0)) {
      after.push_back({false, 0, state.highest, 0, kNobody});
    }
    if (!open(record) && record.version_out == current) after.push_back(state);
    if (open(record) || record.version_out == current + 1) {
      after.push_back({true, current + 1, current + 1, state.value, index});
    }
    return after;
  }
  std::vector<Register> stores(int index, const Register& state, uint64_t by) const {
    const Record& record = records_[static_cast<size_t>(index)];
    const Register gone{false, 0, state.highest, 0, kNobody};
    std::vector<Register> after;
    const bool may_expire = record.deadline_ns != 0 && record.deadline_ns <= by;
    if (may_expire && (open(record) || record.version_out == 0)) after.push_back(gone);
    const uint64_t first = state.live ? state.version + 1 : state.highest + 1;
    const uint64_t last = state.live ? first : std::max(first, top_);
    for (uint64_t version = first; version <= last; ++version) {
      if (!open(record) && record.version_out != version) continue;
      after.push_back({true, version, version, record.value, index});
    }
    return after;
  }

  uint64_t late_ns_;
  std::vector<Record> records_;
  uint64_t top_ = 0;  // no version beyond matters
  std::set<std::pair<uint32_t, Register>> seen_;
};

}  // namespace

bool linearizable_by_brute_force(std::span<const Record> records, uint64_t late_ns) {
  return Trial(records, late_ns).run();
}

}  // namespace rdmakv::linearizability
