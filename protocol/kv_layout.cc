#include "protocol/kv_layout.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <array>
#include <cstring>

#include "protocol/hashed_copy.h"
#include "protocol/long_hash.h"

namespace rdmakv::wire {
namespace {

// Where the checksummed part begins: behind the first word and the checksum itself.
constexpr uint64_t kChecksummedFrom = 16;
constexpr uint64_t kMetaAt = 24;
// From so many bytes on a choice of vectors is worth a call.
constexpr uint64_t kLongBytes = 1024;

template <typename T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

template <typename T>
void store(std::byte* to, T value) {
  std::memcpy(to, &value, sizeof(T));
}

void write_header(std::byte* extent, const EntryFields& fields, std::string_view key,
                  uint32_t value_length) {
  store(extent + 16, fields.version);
  store(extent + 24, make_meta(value_length, static_cast<uint32_t>(key.size()),
                               (fields.expiry_field ? kEntryHasExpiry : 0) |
                                   (uint32_t{fields.user_flags} << kUserFlagsShift)));
  std::byte* at = extent + kEntryHeaderBytes;
  if (fields.expiry_field) {
    store(at, fields.expiry_ms);
    at += kEntryExpiryBytes;
  }
  if (!key.empty()) std::memcpy(at, key.data(), key.size());
}

// Small entries are put together in the first cache. To hash what has just been stored has to wait
// for the stores, and those for the cache lines of the entry, which nobody has touched for long.
constexpr uint64_t kAssembledBytes = 256;
static_assert(kAssembledBytes < HashedCopy::kWorthwhile);

// Puts a large value into the entry, whose header and key are there; the entry's checksum.
uint64_t copy_in(std::byte* extent, uint64_t value_offset, std::span<const std::byte> value,
                 uint64_t seed) {
  const bool two_steps = value_offset + value.size() >= kTwoStepChecksumBytes;
  HashedCopy copy;
  copy.begin(two_steps ? 0 : seed);
  if (!two_steps) copy.add(extent + kChecksummedFrom, value_offset - kChecksummedFrom);
  copy.copy(extent + value_offset, value.data(), value.size());
  const uint64_t hash = copy.end();
  return two_steps ? entry_checksum_two_step(extent, value_offset, hash, seed) : hash;
}

}  // namespace

uint64_t entry_checksum_two_step(const std::byte* extent, uint64_t value_offset,
                                 uint64_t value_hash, uint64_t seed) {
  XXH3_state_t state;
  XXH3_INITSTATE(&state);  // reset reads two fields of it first
  XXH3_64bits_reset_withSeed(&state, seed);
  XXH3_64bits_update(&state, extent + kChecksummedFrom, value_offset - kChecksummedFrom);
  XXH3_64bits_update(&state, &value_hash, sizeof(value_hash));
  return XXH3_64bits_digest(&state);
}

uint64_t entry_checksum(const std::byte* extent, uint64_t size, uint64_t value_offset,
                        uint64_t seed) {
  if (size < kTwoStepChecksumBytes) {
    const uint64_t bytes = size - kChecksummedFrom;
    return bytes < kLongBytes ? XXH3_64bits_withSeed(extent + kChecksummedFrom, bytes, seed)
                              : long_hash(extent + kChecksummedFrom, bytes, seed);
  }
  return entry_checksum_two_step(extent, value_offset,
                                 long_hash(extent + value_offset, size - value_offset, 0), seed);
}

uint64_t hash_value(std::span<const std::byte> value) {
  return long_hash(value.data(), value.size(), 0);
}

void write_entry(std::byte* extent, const EntryFields& fields, std::string_view key,
                 std::span<const std::byte> value) {
  const uint64_t value_offset = entry_value_offset(key.size(), fields.expiry_field);
  const uint64_t size = value_offset + value.size();
  alignas(64) std::byte built[kAssembledBytes];
  std::byte* const to = size <= kAssembledBytes ? built : extent;
  write_header(to, fields, key, static_cast<uint32_t>(value.size()));
  if (value.size() >= HashedCopy::kWorthwhile) {
    return store(extent + 8, copy_in(extent, value_offset, value, fields.seed));
  }
  if (!value.empty()) std::memcpy(to + value_offset, value.data(), value.size());
  store(to + 8, entry_checksum(to, size, value_offset, fields.seed));
  if (to == built) std::memcpy(extent + 8, built + 8, size - 8);
}

void write_entry_around(std::byte* extent, const EntryFields& fields, std::string_view key,
                        uint32_t value_length, uint64_t value_hash) {
  const uint64_t value_offset = entry_value_offset(key.size(), fields.expiry_field);
  const uint64_t size = value_offset + value_length;
  write_header(extent, fields, key, value_length);
  store(extent + 8, size < kTwoStepChecksumBytes
                        ? entry_checksum(extent, size, value_offset, fields.seed)
                        : entry_checksum_two_step(extent, value_offset, value_hash, fields.seed));
}

bool verify_entry(std::span<const std::byte> bytes, uint64_t seed, std::string_view key,
                  EntryView& out) {
  if (bytes.size() < kEntryHeaderBytes) return false;
  const auto meta = load<uint64_t>(bytes.data() + kMetaAt);
  if (meta_key_length(meta) != key.size()) return false;
  const bool has_expiry = (meta_flags(meta) & kEntryHasExpiry) != 0;
  const uint64_t value_offset = entry_value_offset(key.size(), has_expiry);
  const uint64_t size = value_offset + meta_value_length(meta);
  if (size > bytes.size()) return false;
  const std::byte* const own_key = bytes.data() + value_offset - key.size();
  if (std::string_view(reinterpret_cast<const char*>(own_key), key.size()) != key) return false;
  if (load<uint64_t>(bytes.data() + 8) != entry_checksum(bytes.data(), size, value_offset, seed)) {
    return false;
  }
  out = view_entry(bytes.data(), meta);
  return true;
}

bool verify_entry_parts(std::span<const std::byte> head, std::span<const std::byte> value,
                        uint64_t seed, std::string_view key, EntryView& out) {
  if (head.size() < kEntryHeaderBytes) return false;
  const auto meta = load<uint64_t>(head.data() + 24);
  const bool has_expiry = (meta_flags(meta) & kEntryHasExpiry) != 0;
  const uint64_t value_offset = entry_value_offset(meta_key_length(meta), has_expiry);
  if (value_offset > head.size() || meta_value_length(meta) != value.size()) return false;
  EntryView view = view_entry(head.data(), meta);
  if (view.key != key) return false;
  if (value_offset + value.size() < kTwoStepChecksumBytes) return false;  // never in parts
  if (load<uint64_t>(head.data() + 8) !=
      entry_checksum_two_step(head.data(), value_offset, long_hash(value.data(), value.size(), 0),
                              seed)) {
    return false;
  }
  view.value = value;
  out = view;
  return true;
}

}  // namespace rdmakv::wire
