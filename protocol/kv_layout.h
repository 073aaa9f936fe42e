// Remote memory: how buckets, slots and entries lie in a server's registered memory. Both ends
// include this header, so a client can find and check an entry that it READ without the server's
// CPU.
//
// Entries lie in extents, in three regions that follow one another in one space of offsets. An
// offset counts units of kExtentUnit (16) bytes; 0 is never an extent.
//
//   [ pool | cas | grants ]      pool: READ; every extent size
//                                cas: READ, ATOMIC; entries of the cas class built by the server
//                                grants: READ, WRITE, ATOMIC; extents lent to clients, and the cas
//                                class entries that clients built in them and linked
//
// In cas and grants every extent has kCasExtentBytes, begins at a multiple of that from the
// region's base, and never moves to another region. A client can change these two at will if it
// breaks the rules: the server checks what it reads there. An entry:
//
//    0  first word   u64   the only word of a linked entry that changes
//    8  checksum     u64   of everything behind it and of the generation; see entry_checksum()
//   16  version      u64
//   24  meta         u64   value length 30 | key length 17 | user flags 16 | has expiry 1
//  [32  expiry       i64   ms since 1970; only under kEntryHasExpiry]
//       key, value         unpadded
//
// The generation is not stored a second time in the body: as the checksum's seed it is part of what
// the checksum proves, and costs no bytes (memory aim, docs/memory-layout.md).
//
// First word, live:                  [ live 1 | cas class 1 | own generation 26 | 0 36 ]
//             dead with a successor: [    0   | cas class 1 | its generation 26 | its offset 36 ]
//             dead without one:      [    0   | cas class 1 | 0                 | 0 ]
//
// Index: 64-byte buckets of 8 slots; a key has two candidate buckets. A slot is one word:
//   [ offset 36 | generation low bits 12 | size class 6 | fingerprint 9 | overflow 1 ], 0 = empty.
// The overflow bit is set in every slot of a bucket (and in slot 0 even when it is empty) from
// which keys went to the server's stash: a lookup that fails there must ask the server.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "protocol/kv_hash.h"

namespace rdmakv::wire {

inline constexpr uint32_t kExtentUnit = 16;
inline constexpr uint32_t kOffsetBits = 36;
inline constexpr uint32_t kGenerationBits = 26;
inline constexpr uint32_t kGenerationMask = (1u << kGenerationBits) - 1;
inline constexpr uint64_t kOffsetMask = (uint64_t{1} << kOffsetBits) - 1;
inline constexpr uint64_t kMaxPoolBytes = (uint64_t{1} << kOffsetBits) * kExtentUnit;

// A freed extent is not used again before this time has passed, so a reader that needs less from
// finding a pointer to having read what it points to finds what the pointer meant.
inline constexpr uint64_t kQuarantineNs = 1'000'000;
// Generations repeat after 2^26 ms; a reader does not use a pointer older than this.
inline constexpr uint64_t kMostPointerAgeNs = 3'600'000'000'000;

// ---- first word ------------------------------------------------------------------------------

struct FirstWord {
  bool live = false;
  bool cas_class = false;
  uint32_t generation = 0;  // own when live, the successor's when dead
  uint64_t next = 0;        // dead: the successor's offset in units; 0: none

  constexpr uint64_t encode() const {
    return (uint64_t{live} << 63) | (uint64_t{cas_class} << 62) |
           (uint64_t{generation & kGenerationMask} << kOffsetBits) | (next & kOffsetMask);
  }
  static constexpr FirstWord decode(uint64_t word) {
    return {(word >> 63) != 0, ((word >> 62) & 1) != 0,
            static_cast<uint32_t>(word >> kOffsetBits) & kGenerationMask, word & kOffsetMask};
  }
  static constexpr FirstWord make_live(uint32_t generation, bool cas_class) {
    return {true, cas_class, generation, 0};
  }
  static constexpr FirstWord make_dead(bool cas_class, uint32_t next_generation, uint64_t next) {
    return {false, cas_class, next == 0 ? 0 : next_generation, next};
  }
};

// ---- entry -------------------------------------------------------------------------------------

inline constexpr uint32_t kEntryHeaderBytes = 32;
inline constexpr uint32_t kEntryExpiryBytes = 8;
// Flag bits in meta: whether there is an expiry field, and above it the flags that users attach to
// a value (Tair's FLAGS). Entries of the cas class have none of these.
inline constexpr uint32_t kEntryHasExpiry = 1;
inline constexpr uint32_t kUserFlagsShift = 1;
inline constexpr uint32_t kMostUserFlags = 0xffff;

struct EntryHeader {
  uint64_t first_word = 0;
  uint64_t checksum = 0;
  uint64_t version = 0;
  uint64_t meta = 0;
};
static_assert(sizeof(EntryHeader) == kEntryHeaderBytes);

constexpr uint64_t make_meta(uint32_t value_length, uint32_t key_length, uint32_t flags) {
  return uint64_t{value_length} | (uint64_t{key_length} << 30) | (uint64_t{flags} << 47);
}
constexpr uint32_t meta_value_length(uint64_t meta) {
  return meta & ((1u << 30) - 1);
}
constexpr uint32_t meta_key_length(uint64_t meta) {
  return (meta >> 30) & ((1u << 17) - 1);
}
constexpr uint32_t meta_flags(uint64_t meta) {
  return static_cast<uint32_t>(meta >> 47);
}

// Bytes from the first word to the end of the value.
constexpr uint64_t entry_bytes(uint64_t key_length, uint64_t value_length, bool has_expiry) {
  return kEntryHeaderBytes + (has_expiry ? kEntryExpiryBytes : 0) + key_length + value_length;
}
// Where the value begins in its entry.
constexpr uint64_t entry_value_offset(uint64_t key_length, bool has_expiry) {
  return entry_bytes(key_length, 0, has_expiry);
}

// An entry in readable memory (the server's pool, or a client's copy of it).
struct EntryView {
  uint64_t version = 0;
  int64_t expiry_ms = 0;      // 0: none
  bool expiry_field = false;  // the entry has room for one
  uint16_t user_flags = 0;
  std::string_view key;
  std::span<const std::byte> value;
};

// Entries from this size on are checksummed in two steps, so that a large value can be hashed while
// it arrives, before its version is known.
inline constexpr uint64_t kTwoStepChecksumBytes = uint64_t{64} * 1024;

// The checksum's seed, from Welcome.seed. It keeps out what looks like an entry and is none: bytes
// that a user stored as a value, who does not know the seed, and what another start of the server
// left behind.
constexpr uint64_t entry_seed(uint64_t seed, uint32_t generation) {
  return seed ^ (generation & kGenerationMask);
}

// XXH3-64 under entry_seed(), of bytes [16, size); from kTwoStepChecksumBytes on, of bytes
// [16, value offset) followed by the 8 bytes of `value_hash`, the unseeded XXH3-64 of the value.
uint64_t entry_checksum(const std::byte* extent, uint64_t size, uint64_t value_offset,
                        uint64_t seed);
uint64_t entry_checksum_two_step(const std::byte* extent, uint64_t value_offset,
                                 uint64_t value_hash, uint64_t seed);
// The unseeded XXH3-64 of a value.
uint64_t hash_value(std::span<const std::byte> value);

struct EntryFields {
  uint64_t seed = 0;  // entry_seed()
  uint64_t version = 0;
  bool expiry_field = false;  // whether the entry has room for an expiry
  int64_t expiry_ms = 0;      // 0: none; otherwise needs expiry_field
  uint16_t user_flags = 0;
};
// Writes a whole entry but for its first word, which decides when the entry is live: that is its
// owner's business. `extent` has entry_bytes() bytes at least.
void write_entry(std::byte* extent, const EntryFields& fields, std::string_view key,
                 std::span<const std::byte> value);
// The same, for a value of `value_length` bytes that already lies in its place, with hash
// `value_hash` (used from kTwoStepChecksumBytes on).
void write_entry_around(std::byte* extent, const EntryFields& fields, std::string_view key,
                        uint32_t value_length, uint64_t value_hash);

// The parts of an entry by its meta word, as that was when the caller checked bounds: whoever else
// can write to the memory may have changed it since.
inline EntryView view_entry(const std::byte* extent, uint64_t meta) {
  const auto word = [extent](uint64_t at) {
    uint64_t value;
    std::memcpy(&value, extent + at, sizeof(value));
    return value;
  };
  EntryView view;
  view.version = word(offsetof(EntryHeader, version));
  view.user_flags = static_cast<uint16_t>(meta_flags(meta) >> kUserFlagsShift);
  const std::byte* at = extent + kEntryHeaderBytes;
  if ((meta_flags(meta) & kEntryHasExpiry) != 0) {
    view.expiry_field = true;
    view.expiry_ms = static_cast<int64_t>(word(kEntryHeaderBytes));
    at += kEntryExpiryBytes;
  }
  const uint32_t key_length = meta_key_length(meta);
  view.key = {reinterpret_cast<const char*>(at), key_length};
  view.value = {at + key_length, meta_value_length(meta)};
  return view;
}
// The same of an entry whose memory is trusted (the server's own), or whose bounds are checked by
// what is returned.
inline EntryView view_entry(const std::byte* extent) {
  uint64_t meta;
  std::memcpy(&meta, extent + offsetof(EntryHeader, meta), sizeof(meta));
  return view_entry(extent, meta);
}

// The checks of a one-sided reader on `bytes` READ from an entry: lengths within bytes, key equal,
// checksum right under `seed`. Does not judge first word and expiry.
bool verify_entry(std::span<const std::byte> bytes, uint64_t seed, std::string_view key,
                  EntryView& out);
// The same for an entry whose value lies elsewhere: `head` holds it up to the value at least.
bool verify_entry_parts(std::span<const std::byte> head, std::span<const std::byte> value,
                        uint64_t seed, std::string_view key, EntryView& out);

// ---- size classes ------------------------------------------------------------------------------

// Classes 0..kSlabClasses-1 are slab classes of up to 14 KiB; a larger extent is a run of pages of
// its own, class kLargeClass.
inline constexpr uint32_t kSlabClasses = 62;
inline constexpr uint32_t kLargeClass = 63;
// The class that slots name for extents in the regions cas and grants.
inline constexpr uint32_t kCasSizeClass = 62;
static_assert(kSlabClasses <= kCasSizeClass);
inline constexpr uint32_t kCasExtentBytes = 512;

// 16-byte steps to 256 B, then 8 classes per octave to 8 KiB, then 4 to 14 KiB; beyond, whole pages
// waste no more than classes would. And from 1 KiB on one class a little above each power of two,
// of 1 KiB itself two: values often are a power of two, and come with a header and a key.
constexpr std::array<uint32_t, kSlabClasses> make_class_table() {
  constexpr uint32_t kHeaderAndKey = 64, kHeaderAndShortKey = 48;
  std::array<uint32_t, kSlabClasses> table{};
  uint32_t count = 0;
  for (uint32_t size = 48; size < 256; size += 16) table[count++] = size;
  for (uint32_t octave = 256; octave < 16384; octave *= 2) {
    const uint32_t step = octave / (octave < 8192 ? 8 : 4);
    for (uint32_t size = octave; size < 2 * octave; size += step) {
      table[count++] = size;
      if (size == 1024) table[count++] = size + kHeaderAndShortKey;
      if (size == octave && octave >= 1024) table[count++] = size + kHeaderAndKey;
    }
  }
  return table;
}

inline constexpr std::array<uint32_t, kSlabClasses> kClassTable = make_class_table();
static_assert(kClassTable[0] == 48 && kClassTable[4] == 112 && kClassTable[13] == 256 &&
              kClassTable[kSlabClasses - 1] == 14336);

// Extent size of a slab class.
inline uint32_t size_class_bytes(uint32_t size_class) {
  return kClassTable[size_class];
}

// The smallest that fits, or kLargeClass.
inline uint32_t size_class_of(uint64_t bytes) {
  if (bytes <= 48) return 0;
  if (bytes <= 256) return static_cast<uint32_t>((bytes - 48 + 15) / 16);
  if (bytes > kClassTable[kSlabClasses - 1]) return kLargeClass;
  uint32_t low = 13;
  uint32_t high = kSlabClasses - 1;
  while (low < high) {
    const uint32_t middle = (low + high) / 2;
    if (kClassTable[middle] >= bytes) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

// ---- index -------------------------------------------------------------------------------------

inline constexpr uint32_t kSlotsPerBucket = 8;

struct Slot {
  uint64_t offset = 0;          // units; 0: empty
  uint32_t generation_low = 0;  // 12 bits
  uint32_t size_class = 0;
  uint32_t fingerprint = 0;  // 9 bits
  bool overflow = false;

  constexpr uint64_t encode() const {
    return (offset << 28) | (uint64_t{generation_low & 0xfff} << 16) |
           (uint64_t{size_class & 63} << 10) | (uint64_t{fingerprint & 511} << 1) | overflow;
  }
  static constexpr Slot decode(uint64_t word) {
    return {word >> 28, static_cast<uint32_t>(word >> 16) & 0xfff,
            static_cast<uint32_t>(word >> 10) & 63, static_cast<uint32_t>(word >> 1) & 511,
            (word & 1) != 0};
  }
};

struct alignas(64) Bucket {
  uint64_t slots[kSlotsPerBucket] = {};
};
static_assert(sizeof(Bucket) == 64);

struct KeyPlace {
  uint32_t bucket[2];  // may be equal
  uint32_t fingerprint;
};
// The two candidate buckets and the fingerprint of a key. Multiply-shift range reduction of
// independent bits of the hash (Lemire, "Fast random integer generation in an interval", 2019).
constexpr KeyPlace key_place(uint64_t hash, uint32_t bucket_count) {
  const uint64_t second = (hash ^ 0x9e3779b97f4a7c15ull) * 0xff51afd7ed558ccdull;
  return {{static_cast<uint32_t>(((hash >> 32) * bucket_count) >> 32),
           static_cast<uint32_t>(((second >> 32) * bucket_count) >> 32)},
          static_cast<uint32_t>(hash & 511)};
}

}  // namespace rdmakv::wire
