// What a client knows of entries of the cas class on one connection: where the newest one of a key
// lies that it has seen, and its version; and which keys are contended, so that their CAS had
// better go by request for a while. Direct mapped and small: a key that is not in it is simply
// asked of the server.
//
// An ATOMIC changes whatever lies where it is sent, if only the generation is right, so unlike a
// hint for a READ what is told here must be true:
// - Keys are told apart by a second hash, under a seed that nobody else knows, besides their hash:
//   else two keys of one hash, which whoever knows the server's seed can construct, would be linked
//   to each other.
// - What was learned wire::kMostPointerAgeNs ago is not told any more: generations repeat.
//
// On the client's thread. Allocates in reset() only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "protocol/rules.h"
#include "rdmakv/client/entry_judge.h"
#include "rdmakv/transport/authentication.h"

namespace rdmakv {

class CasTable {
 public:
  static constexpr uint32_t kEntries = 1024;
  // After a lost ATOMIC a key's CAS goes by request this long, and twice as long after the next.
  static constexpr uint64_t kFirstPauseNs = 200'000;
  static constexpr uint64_t kLongestPauseNs = 50'000'000;

  struct Entry {
    uint64_t hash = 0;
    uint64_t check = 0;  // of the key that pointer and version are about
    Pointer pointer;     // offset 0: not known
    uint64_t version = 0;
    uint64_t learned_ns = 0;
    uint32_t losses = 0;  // in a row
    uint64_t by_request_until_ns = 0;
  };

  void reset() { entries_.assign(kEntries, Entry{}); }
  bool empty() const { return entries_.empty(); }

  // Null: nothing is known of the key, which has this hash.
  const Entry* find(uint64_t hash, std::string_view key, uint64_t now_ns) {
    const Entry* entry = find(hash);
    if (entry == nullptr || entry->check != check(key)) return nullptr;
    const bool aged = now_ns - entry->learned_ns >= wire::kMostPointerAgeNs;
    return aged && holds(Rule::kPointerAge) ? nullptr : entry;
  }
  void learn(uint64_t hash, std::string_view key, const Pointer& pointer, uint64_t version,
             uint64_t now_ns) {
    if (entries_.empty()) return;
    Entry& entry = at(hash);
    if (entry.hash != hash) entry = Entry{};
    entry.hash = hash;
    entry.check = check(key);
    entry.pointer = pointer;
    entry.version = version;
    entry.learned_ns = now_ns;
  }
  void forget(uint64_t hash) {
    if (Entry* entry = find(hash); entry != nullptr) entry->pointer = {};
  }
  void won(uint64_t hash) {
    if (Entry* entry = find(hash); entry != nullptr) entry->losses = 0;
  }
  void lost(uint64_t hash, uint64_t now_ns) {
    Entry* entry = find(hash);
    if (entry == nullptr) return;
    entry->pointer = {};
    const uint32_t doubled = std::min(entry->losses++, 20u);
    entry->by_request_until_ns = now_ns + std::min(kFirstPauseNs << doubled, kLongestPauseNs);
  }

 private:
  uint64_t check(std::string_view key) const { return wire::hash_key(key, seed_); }
  Entry* find(uint64_t hash) {
    if (entries_.empty()) return nullptr;
    Entry& entry = at(hash);
    return entry.hash == hash && entry.pointer.offset != 0 ? &entry : nullptr;
  }
  Entry& at(uint64_t hash) { return entries_[(hash >> 10) % kEntries]; }
  std::vector<Entry> entries_;
  const uint64_t seed_ = random_u64();
};

}  // namespace rdmakv
