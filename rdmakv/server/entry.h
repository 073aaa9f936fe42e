// The first word of an entry: the only word of a linked entry that changes (protocol/kv_layout.h
// draws it). A reader on another machine, or in another process, judges by this word alone whether
// the rest is to be believed, so all stores to it are single 8-byte stores that come after
// (release) everything they vouch for:
//
//   build the rest -> mark_live(new) -> mark_dead(old, naming new) -> flip the slot -> reply
//
// Free functions on memory of the pool, which no peer can write to; the owner of the partition
// alone calls them. First words in the regions cas and grants change by ATOMICs (cas_pool.h).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "protocol/kv_layout.h"

namespace rdmakv::server {

inline std::atomic_ref<uint64_t> first_word(std::byte* extent) {
  return std::atomic_ref<uint64_t>(*reinterpret_cast<uint64_t*>(extent));
}

inline wire::FirstWord load_first_word(std::byte* extent) {
  return wire::FirstWord::decode(first_word(extent).load(std::memory_order_acquire));
}

// Before an entry is built in an extent that held something else. Entries are dead before they are
// freed, so this only matters where pages held a value whose bytes look like a live word. It also
// ends the forward pointer that the extent kept for readers with an old location.
inline void prepare_entry(std::byte* extent) {
  first_word(extent).store(0, std::memory_order_relaxed);
}

// The rest of the entry is complete.
inline void mark_live(std::byte* extent, uint32_t generation) {
  first_word(extent).store(wire::FirstWord::make_live(generation, false).encode(),
                           std::memory_order_release);
}

// An entry that readers are not to find for the moment, nor anything behind it: they ask the
// server. Its word is dead, names no successor, and keeps the entry's own generation. Not of the
// cas class.
inline void mark_hidden(std::byte* extent, uint32_t generation) {
  first_word(extent).store(wire::FirstWord{false, false, generation, 0}.encode(),
                           std::memory_order_release);
}

// `next` is the successor's offset, which is live already, or 0.
inline void mark_dead(std::byte* extent, bool cas_class, uint32_t next_generation, uint64_t next) {
  first_word(extent).store(wire::FirstWord::make_dead(cas_class, next_generation, next).encode(),
                           std::memory_order_release);
}

}  // namespace rdmakv::server
