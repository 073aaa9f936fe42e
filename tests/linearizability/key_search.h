// The search behind one answer (key_checker.h): from the configurations in which an operation has
// not taken effect yet to all in which it just has, by way of others under way and unseen changes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "tests/linearizability/key_checker.h"

namespace rdmakv::linearizability {

class KeySearch {
 public:
  // `target` is the slot of the operation that is answered now.
  KeySearch(const KeyChecker& key, uint32_t target, const KeyLimits& limits)
      : key_(key), target_(target), limits_(limits), now_(key.under_way_[target].step.return_ns) {}

  // False: more configurations than the limit.
  bool run(const std::vector<Configuration>& from);
  std::vector<Configuration>& found() { return found_; }

 private:
  bool search(const std::vector<Configuration>& from, size_t limit);
  void reach(Configuration&& configuration);
  void expand(const Configuration& from);
  void advance(const Configuration& from, uint32_t slot, const RegisterState& state);
  void expand_unseen(const Configuration& from);
  void expand_unseen_cas(const Configuration& from);
  void use(const Configuration& from, Unseen what);
  void spend(Configuration& configuration, Unseen what) const {
    if (counting_) ++configuration.used[static_cast<size_t>(what)];
  }
  bool settle(Configuration& configuration) const;
  bool worth_raising(const Configuration& from) const;
  bool has_come(uint64_t deadline) const { return deadline != 0 && deadline <= now_; }
  auto first_unseen_cas(uint64_t expected) const {
    return std::lower_bound(
        key_.unseen_cas_.begin(), key_.unseen_cas_.end(), expected,
        [](const KeyChecker::UnseenCas& one, uint64_t v) { return one.expected < v; });
  }
  bool available(const Configuration& from, Unseen what) const {
    const auto index = static_cast<size_t>(what);
    return from.used[index] < key_.unseen_[index];
  }

  const KeyChecker& key_;
  const uint32_t target_;
  const KeyLimits& limits_;
  const uint64_t now_;
  bool counting_ = true;                // how many unseen changes are used
  std::vector<Configuration> visited_;  // without the target; none covered by one before it
  std::vector<Configuration> found_;    // with it; none covered by another
};

}  // namespace rdmakv::linearizability
