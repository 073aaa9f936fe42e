#include "tests/linearizability/key_search.h"

namespace rdmakv::linearizability {

namespace {

constexpr uint32_t kNone = ~uint32_t{0};

// A search that gets larger is done again without counting.
constexpr size_t kMostCounted = 300;

// Adds `fresh` unless it is covered; drops what it covers.
void add_uncovered(std::vector<Configuration>& all, Configuration&& fresh) {
  for (const Configuration& one : all) {
    if (one.covers(fresh)) return;
  }
  std::erase_if(all, [&fresh](const Configuration& one) { return fresh.covers(one); });
  all.push_back(std::move(fresh));
}

}  // namespace

bool KeySearch::run(const std::vector<Configuration>& from) {
  if (search(from, std::min<size_t>(kMostCounted, limits_.most_configurations))) return true;
  std::vector<Configuration> alike = from;
  for (Configuration& one : alike) {
    for (int i = 0; i < kUnseenClasses; ++i) {
      for (const Configuration& other : from) one.used[i] = std::min(one.used[i], other.used[i]);
    }
  }
  counting_ = false;
  return search(alike, limits_.most_configurations);
}

bool KeySearch::search(const std::vector<Configuration>& from, size_t limit) {
  visited_.clear();
  found_.clear();
  for (const Configuration& one : from) {
    Configuration copy = one;
    reach(std::move(copy));
  }
  for (size_t at = 0; at < visited_.size(); ++at) {
    if (visited_.size() + found_.size() > limit) return false;
    const Configuration one = visited_[at];
    expand(one);
  }
  return true;
}

void KeySearch::reach(Configuration&& configuration) {
  if (!settle(configuration)) return;
  if (configuration.taken.has(target_)) {
    add_uncovered(found_, std::move(configuration));
    return;
  }
  for (const Configuration& one : visited_) {
    if (one.covers(configuration)) return;
  }
  visited_.push_back(std::move(configuration));
}

// Lets the reads that fit take effect. False: an operation can't take effect any more.
bool KeySearch::settle(Configuration& configuration) const {
  RegisterState& state = configuration.state;
  for (uint32_t slot = 0; slot < key_.under_way_.size(); ++slot) {
    const KeyChecker::UnderWay& one = key_.under_way_[slot];
    if (!one.open || configuration.taken.has(slot)) continue;
    if (has_passed(one.step, state)) return false;
    // A read of an entry whose version is open would fix it: that is a step of its own.
    const bool may = is_read(one.step.action) && state.exact;
    if (may && take(state, one.step, limits_.late_ns)) configuration.taken.add(slot);
  }
  return true;
}

void KeySearch::expand(const Configuration& from) {
  // Of several deletions that could take effect, the one that has to be first is: exchanging two of
  // them changes nothing else.
  uint32_t deletion = kNone;
  for (uint32_t slot = 0; slot < key_.under_way_.size(); ++slot) {
    const KeyChecker::UnderWay& one = key_.under_way_[slot];
    if (!one.open || from.taken.has(slot)) continue;
    if (is_discard(one.step.action) && one.step.deadline > now_) continue;
    RegisterState state = from.state;
    if (!take(state, one.step, limits_.late_ns)) continue;
    if (one.step.action != Action::kRemove) {
      advance(from, slot, state);
    } else if (deletion == kNone || one.step.return_ns < key_.under_way_[deletion].step.return_ns) {
      deletion = slot;
    }
  }
  if (deletion != kNone) {
    RegisterState state = from.state;
    vanish(state);
    advance(from, deletion, state);
  }
  expand_unseen(from);
}

void KeySearch::advance(const Configuration& from, uint32_t slot, const RegisterState& state) {
  Configuration next = from;
  next.state = state;
  next.taken.add(slot);
  reach(std::move(next));
}

void KeySearch::expand_unseen(const Configuration& from) {
  expand_unseen_cas(from);
  const RegisterState& state = from.state;
  if (state.live) {
    if (has_come(state.deadline)) {
      Configuration next = from;
      vanish(next.state);
      reach(std::move(next));
    }
    if (available(from, Unseen::kDelete)) use(from, Unseen::kDelete);
    // A PUT whose deadline has passed stores nothing, but what was there is gone.
    for (const Unseen what : {Unseen::kPut, Unseen::kPutEmpty}) {
      if (!has_come(key_.unseen_deadline_) || !available(from, what)) continue;
      Configuration next = from;
      spend(next, what);
      vanish(next.state);
      reach(std::move(next));
    }
    // An entry of open version stands for every higher version already.
    if (!state.exact) return;
  }
  if (!worth_raising(from)) return;
  for (const Unseen what : {Unseen::kPut, Unseen::kPutEmpty}) {
    if (available(from, what)) use(from, what);
  }
  if (state.live) return;
  for (const Unseen what : {Unseen::kCreate, Unseen::kCreateEmpty}) {
    if (available(from, what)) use(from, what);
  }
}

void KeySearch::expand_unseen_cas(const Configuration& from) {
  if (!from.state.live) return;
  const uint64_t version = from.state.version;
  for (auto cas = first_unseen_cas(version); cas != key_.unseen_cas_.end(); ++cas) {
    if (from.state.exact && cas->expected != version) break;
    Configuration next = from;
    const uint64_t value = cas->keeps_value ? from.state.value : cas->value;
    next.state = {true, true, false, cas->expected + 1, value, cas->deadline};
    reach(std::move(next));
    if (!has_come(cas->deadline)) continue;
    next = from;
    next.state.version = cas->expected;
    vanish(next.state);
    reach(std::move(next));
  }
}

void KeySearch::use(const Configuration& from, Unseen what) {
  Configuration next = from;
  spend(next, what);
  RegisterState& state = next.state;
  if (what == Unseen::kDelete) {
    vanish(state);
  } else {
    const bool empty = what == Unseen::kPutEmpty || what == Unseen::kCreateEmpty;
    const bool was_live = state.live;
    state = {
        true,
        was_live,  // a new key's version is anything above
        false,    state.version + 1, empty ? kEmptyValue : kUnseenValue, key_.unseen_deadline_};
  }
  reach(std::move(next));
}

// Whether an unseen PUT could help an operation under way: by raising the version to what it needs,
// as far as there are enough of them; by giving it a key to remove; or by raising the version to
// one that an unseen CAS replaces by an entry that has expired, so that the key is gone.
bool KeySearch::worth_raising(const Configuration& from) const {
  uint64_t spare = key_.unseen_cas_.size();
  for (int i = 0; i < kUnseenClasses; ++i) spare += key_.unseen_[i] - from.used[i];
  const uint64_t version = from.state.version;
  for (uint32_t slot = 0; slot < key_.under_way_.size(); ++slot) {
    const KeyChecker::UnderWay& one = key_.under_way_[slot];
    if (!one.open || from.taken.has(slot)) continue;
    const uint64_t needed = version_needed(one.step);
    if (needed > version && (!from.state.live || needed <= version + spare)) return true;
    if (one.step.action == Action::kRemove && !from.state.live) return true;
  }
  if (!from.state.live) return false;
  for (auto cas = first_unseen_cas(version + 1); cas != key_.unseen_cas_.end(); ++cas) {
    if (cas->expected > version + spare) break;
    if (has_come(cas->deadline)) return true;
  }
  return false;
}

}  // namespace rdmakv::linearizability
