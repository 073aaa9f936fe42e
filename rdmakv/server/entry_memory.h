// The one space of offsets that slots and pointers use: the pool, and behind it the regions cas and
// grants. What lies in the pool is the server's own and trusted; the rest is not (cas_entry.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocol/kv_layout.h"
#include "rdmakv/server/cas_pool.h"

namespace rdmakv::server {

class EntryMemory {
 public:
  // `cas` null: there is nothing but the pool.
  explicit EntryMemory(std::byte* pool, const CasPool* cas = nullptr) : pool_(pool), cas_(cas) {}

  bool in_cas(uint64_t offset) const { return cas_ != nullptr && cas_->contains(offset); }
  std::byte* at(uint64_t offset) const {
    return in_cas(offset) ? cas_->at(offset) : pool_ + offset * wire::kExtentUnit;
  }

  // Whether a slot that leads to `offset` is that of the key, which has this hash. An entry that a
  // client spoiled counts as that of the key that was linked there: so the key is found, and with
  // it what has to be cleared away.
  bool holds(uint64_t offset, uint64_t hash, std::string_view key) const {
    if (in_cas(offset)) return cas_holds(offset, hash, key);
    return wire::view_entry(pool_ + offset * wire::kExtentUnit).key == key;
  }

 private:
  [[gnu::noinline]] bool cas_holds(uint64_t offset, uint64_t hash, std::string_view key) const {
    if (cas_->hash(offset) != hash) return false;
    if (key_equals(cas_->at(offset), key)) return true;
    EntryCopy copy;
    return !cas_->read(offset, copy) || copy.view.key == key;
  }

  std::byte* pool_;
  const CasPool* cas_;
};

}  // namespace rdmakv::server
