#include "tests/linearizability/campaign/values.h"

#include <algorithm>
#include <cstring>

#include "tests/linearizability/history_record.h"

namespace rdmakv::linearizability {
namespace {

// Different in every word, also between values whose ids are neighbours.
uint64_t word_at(uint64_t id, uint64_t at) {
  uint64_t z = (id + at) * 0x9e3779b97f4a7c15;
  return z ^ (z >> 29);
}

}  // namespace

void write_value(std::span<std::byte> value, uint64_t id, uint64_t key) {
  if (value.size() < kSmallestValue) return;
  std::memcpy(value.data(), &id, sizeof(id));
  std::memcpy(value.data() + sizeof(id), &key, sizeof(key));
  for (size_t at = kSmallestValue; at < value.size(); at += sizeof(uint64_t)) {
    const uint64_t word = word_at(id, at);
    std::memcpy(value.data() + at, &word, std::min(sizeof(word), value.size() - at));
  }
}

bool read_value(std::span<const std::byte> value, uint64_t key, uint64_t& id) {
  id = kEmptyValue;
  if (value.empty()) return true;
  if (value.size() < kSmallestValue) return false;
  uint64_t key_found = 0;
  std::memcpy(&id, value.data(), sizeof(id));
  std::memcpy(&key_found, value.data() + sizeof(id), sizeof(key_found));
  if (id == kEmptyValue || key_found != key) return false;
  for (size_t at = kSmallestValue; at < value.size(); at += sizeof(uint64_t)) {
    const uint64_t word = word_at(id, at);
    if (std::memcmp(value.data() + at, &word, std::min(sizeof(word), value.size() - at)) != 0) {
      return false;
    }
  }
  return true;
}

}  // namespace rdmakv::linearizability
