#include "tests/linearizability/key_checker.h"

#include <algorithm>

#include "tests/linearizability/key_search.h"

namespace rdmakv::linearizability {

bool Configuration::covers(const Configuration& other) const {
  for (int i = 0; i < kUnseenClasses; ++i) {
    if (used[i] > other.used[i]) return false;
  }
  return taken == other.taken && state.covers(other.state);
}

namespace {

// So many configurations are kept apart that differ only in which unseen changes they used.
constexpr size_t kCrowd = 16;

// Of those that differ only in that, makes one that has used as few of each class as any of them.
void merge_alike(std::vector<Configuration>& all) {
  std::vector<Configuration> merged;
  for (Configuration& one : all) {
    const auto alike =
        std::find_if(merged.begin(), merged.end(), [&one](const Configuration& other) {
          return other.state == one.state && other.taken == one.taken;
        });
    if (alike == merged.end()) {
      merged.push_back(std::move(one));
      continue;
    }
    for (int i = 0; i < kUnseenClasses; ++i) {
      alike->used[i] = std::min(alike->used[i], one.used[i]);
    }
  }
  all.swap(merged);
}

}  // namespace

KeyChecker::KeyChecker() : configurations_(1) {}

uint32_t KeyChecker::open_slot(const Step& step, uint64_t id) {
  uint32_t slot = 0;
  while (slot < under_way_.size() && under_way_[slot].open) ++slot;
  if (slot == under_way_.size()) under_way_.emplace_back();
  under_way_[slot] = {step, id, true};
  ++open_;
  next_return_ = std::min(next_return_, step.return_ns);
  return slot;
}

void KeyChecker::close_slot(uint32_t slot) {
  under_way_[slot].open = false;
  --open_;
  for (Configuration& one : configurations_) one.taken.remove(slot);
  if (open_ == 0) under_way_.clear();
  next_return_ = kNever;
  for (const UnderWay& one : under_way_) {
    if (one.open) next_return_ = std::min(next_return_, one.step.return_ns);
  }
}

KeyChecker::Verdict KeyChecker::begin(const Step& step, uint64_t id, const KeyLimits& limits) {
  const uint32_t slot = open_slot(step, id);
  std::erase_if(configurations_, [&step](const Configuration& configuration) {
    return has_passed(step, configuration.state);
  });
  if (configurations_.empty()) {
    culprit_ = id;
    return Verdict::kViolation;
  }
  if (!is_read(step.action)) return Verdict::kFine;
  for (Configuration& one : configurations_) {
    if (one.state.exact && take(one.state, step, limits.late_ns)) one.taken.add(slot);
  }
  return Verdict::kFine;
}

void KeyChecker::begin_unseen(const Record& record) {
  const bool empty = record.value == kEmptyValue;
  Unseen what = Unseen::kDelete;
  if (record.kind == Kind::kPut) what = empty ? Unseen::kPutEmpty : Unseen::kPut;
  if (record.kind == Kind::kCas || record.kind == Kind::kExpire) {
    if (record.version_in != 0) {
      const UnseenCas cas{record.version_in, empty ? kEmptyValue : kUnseenValue, record.deadline_ns,
                          record.kind == Kind::kExpire};
      const auto after = std::upper_bound(
          unseen_cas_.begin(), unseen_cas_.end(), cas,
          [](const UnseenCas& a, const UnseenCas& b) { return a.expected < b.expected; });
      unseen_cas_.insert(after, cas);
      return;
    }
    what = empty ? Unseen::kCreateEmpty : Unseen::kCreate;
  }
  ++unseen_[static_cast<size_t>(what)];
  if (record.deadline_ns != 0 && (unseen_deadline_ == 0 || record.deadline_ns < unseen_deadline_)) {
    unseen_deadline_ = record.deadline_ns;
  }
}

void KeyChecker::forget(uint64_t id) {
  for (uint32_t slot = 0; slot < under_way_.size(); ++slot) {
    if (under_way_[slot].open && under_way_[slot].id == id) return close_slot(slot);
  }
}

KeyChecker::Verdict KeyChecker::answers_before(uint64_t now, const KeyLimits& limits) {
  while (next_return_ < now) {
    uint32_t slot = 0;
    while (!under_way_[slot].open || under_way_[slot].step.return_ns != next_return_) ++slot;
    if (const Verdict verdict = answer(slot, limits); verdict != Verdict::kFine) return verdict;
  }
  return Verdict::kFine;
}

// The common case: one configuration, and nothing else under way that has not taken effect. What
// the search would find by way of unseen changes is covered by what taking the step at once gives.
bool KeyChecker::take_alone(uint32_t slot, const KeyLimits& limits) {
  if (configurations_.size() != 1) return false;
  Configuration& only = configurations_[0];
  for (uint32_t i = 0; i < under_way_.size(); ++i) {
    if (i != slot && under_way_[i].open && !only.taken.has(i)) return false;
  }
  const Step& step = under_way_[slot].step;
  return only.state.exact && take(only.state, step, limits.late_ns);
}

KeyChecker::Verdict KeyChecker::answer(uint32_t slot, const KeyLimits& limits) {
  const auto taken = [slot](const Configuration& one) { return one.taken.has(slot); };
  const bool everywhere = std::all_of(configurations_.begin(), configurations_.end(), taken);
  if (!everywhere && !take_alone(slot, limits)) {
    culprit_ = under_way_[slot].id;
    KeySearch search(*this, slot, limits);
    if (!search.run(configurations_)) return Verdict::kUndecided;
    if (search.found().empty()) return Verdict::kViolation;
    configurations_.swap(search.found());
    if (configurations_.size() > kCrowd) merge_alike(configurations_);
  }
  close_slot(slot);
  return Verdict::kFine;
}

}  // namespace rdmakv::linearizability
