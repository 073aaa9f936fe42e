#include "rdmakv/server/cas_entry.h"

#include <cstring>

namespace rdmakv::server {
namespace {

constexpr uint64_t kWord = sizeof(uint64_t);
constexpr uint64_t kMetaAt = 24;

uint64_t load_word(const std::byte* extent, uint64_t at, int order = __ATOMIC_RELAXED) {
  return __atomic_load_n(reinterpret_cast<const uint64_t*>(extent + at), order);
}

}  // namespace

bool copy_entry(const std::byte* extent, uint64_t seed, EntryCopy& copy) {
  copy.first_word = load_word(extent, 0, __ATOMIC_ACQUIRE);
  const uint64_t meta = load_word(extent, kMetaAt);
  const uint64_t size = wire::entry_bytes(wire::meta_key_length(meta),
                                          wire::meta_value_length(meta), /*has_expiry=*/false);
  if (wire::meta_flags(meta) != 0 || size > wire::kCasExtentBytes) return false;
  for (uint64_t at = kWord; at < size; at += kWord) {
    const uint64_t word = at == kMetaAt ? meta : load_word(extent, at);
    std::memcpy(copy.bytes + at, &word, kWord);
  }
  const auto* key = reinterpret_cast<const char*>(copy.bytes + wire::kEntryHeaderBytes);
  return wire::verify_entry({copy.bytes, size}, seed, {key, wire::meta_key_length(meta)},
                            copy.view);
}

bool key_equals(const std::byte* extent, std::string_view key) {
  const uint64_t meta = load_word(extent, kMetaAt);
  if (wire::meta_key_length(meta) != key.size() ||
      key.size() > wire::kCasExtentBytes - wire::kEntryHeaderBytes || wire::meta_flags(meta) != 0) {
    return false;
  }
  for (uint64_t at = 0; at < key.size(); at += kWord) {
    const uint64_t there = load_word(extent, wire::kEntryHeaderBytes + at);
    const uint64_t bytes = key.size() - at < kWord ? key.size() - at : kWord;
    if (std::memcmp(&there, key.data() + at, bytes) != 0) return false;
  }
  return true;
}

}  // namespace rdmakv::server
