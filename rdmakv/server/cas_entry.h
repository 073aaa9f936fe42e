// Private copies of entries of the cas class. Clients can change the memory in which these lie at
// any time, rightly (the first word, by ATOMIC) or not (anything): so an entry is copied first, and
// only the copy is judged and used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocol/kv_layout.h"

namespace rdmakv::server {

struct EntryCopy {
  uint64_t first_word = 0;  // as it was when it was read, before everything else
  wire::EntryView view;     // into `bytes`
  alignas(8) std::byte bytes[wire::kCasExtentBytes];
};

// Copies the entry in `extent` (wire::kCasExtentBytes of them). True: the copy is sound: an entry
// of a key and a value without an expiry, within the extent, with the right checksum under `seed`.
// Says nothing about the first word.
bool copy_entry(const std::byte* extent, uint64_t seed, EntryCopy& copy);

// Whether the key of the entry in `extent` is this one at the moment: a look without a copy, which
// proves nothing. Touches nothing outside the extent.
bool key_equals(const std::byte* extent, std::string_view key);

}  // namespace rdmakv::server
