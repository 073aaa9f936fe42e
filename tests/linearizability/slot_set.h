// A set of small numbers. The first 64 need no allocation.
#pragma once

#include <cstdint>
#include <vector>

namespace rdmakv::linearizability {

class SlotSet {
 public:
  bool has(uint32_t slot) const {
    if (slot < 64) return (first_ >> slot) & 1;
    const uint32_t word = slot / 64 - 1;
    return word < rest_.size() && ((rest_[word] >> (slot % 64)) & 1) != 0;
  }
  void add(uint32_t slot) {
    if (slot < 64) {
      first_ |= uint64_t{1} << slot;
      return;
    }
    const uint32_t word = slot / 64 - 1;
    if (word >= rest_.size()) rest_.resize(word + 1, 0);
    rest_[word] |= uint64_t{1} << (slot % 64);
  }
  void remove(uint32_t slot) {
    if (slot < 64) {
      first_ &= ~(uint64_t{1} << slot);
      return;
    }
    const uint32_t word = slot / 64 - 1;
    if (word >= rest_.size()) return;
    rest_[word] &= ~(uint64_t{1} << (slot % 64));
    while (!rest_.empty() && rest_.back() == 0) rest_.pop_back();
  }
  bool operator==(const SlotSet&) const = default;

 private:
  uint64_t first_ = 0;
  std::vector<uint64_t> rest_;  // its last word is not 0
};

}  // namespace rdmakv::linearizability
