// What a client knows of entries of the cas class on one connection: where the newest one of a key
// lies that it has seen, and its version; and which keys are contended, so that their CAS had
// better go by request for a while. Direct mapped and small: a key that is not in it is simply
// asked of the server.
//
// On the client's thread. Allocates in reset() only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "rdmakv/client/entry_judge.h"

namespace rdmakv {

class CasTable {
 public:
  static constexpr uint32_t kEntries = 1024;
  // After a lost ATOMIC a key's CAS goes by request this long, and twice as long after the next.
  static constexpr uint64_t kFirstPauseNs = 200'000;
  static constexpr uint64_t kLongestPauseNs = 50'000'000;

  struct Entry {
    uint64_t hash = 0;
    Pointer pointer;  // offset 0: not known
    uint64_t version = 0;
    uint32_t losses = 0;  // in a row
    uint64_t by_request_until_ns = 0;
  };

  void reset() { entries_.assign(kEntries, Entry{}); }
  bool empty() const { return entries_.empty(); }

  // Null: nothing is known.
  Entry* find(uint64_t hash) {
    if (entries_.empty()) return nullptr;
    Entry& entry = at(hash);
    return entry.hash == hash && entry.pointer.offset != 0 ? &entry : nullptr;
  }
  void learn(uint64_t hash, const Pointer& pointer, uint64_t version) {
    if (entries_.empty()) return;
    Entry& entry = at(hash);
    if (entry.hash != hash) entry = Entry{};
    entry.hash = hash;
    entry.pointer = pointer;
    entry.version = version;
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
  Entry& at(uint64_t hash) { return entries_[(hash >> 10) % kEntries]; }
  std::vector<Entry> entries_;
};

}  // namespace rdmakv
