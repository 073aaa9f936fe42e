// What a one-sided reader makes of the bytes that it READ: the acceptance rules, as one pure
// function.
//
// A pointer is (offset, generation), from the location cache, from a slot (which carries only the
// low bits of the generation) or from a dead first word. An entry is accepted iff
//   - its first word is live, with the pointer's generation;
//   - the key is the one looked for;
//   - the checksum is right under that generation and the server's seed, which also proves that no
//     byte of it is torn;
//   - it has certainly not expired by the server's clock.
// The read linearizes when the first word was read. A dead first word that names a successor leads
// there, under the generation that it names; everything else is for the server to answer.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "protocol/kv_layout.h"

namespace rdmakv {

struct Pointer {
  uint64_t offset = 0;  // units
  uint32_t generation = 0;
  uint32_t generation_mask = wire::kGenerationMask;  // the bits that are known
};

enum class Verdict : uint8_t {
  kAccepted,
  kLonger,    // the entry has `length` bytes: READ that many
  kForward,   // superseded: READ at `next`
  kNoEntry,   // dead, without a successor
  kReused,    // another generation
  kOtherKey,  // a sound entry of another key (only when the generation is not fully known)
  kTorn,      // the checksum is wrong
  kMayBeExpired,
};

struct Judgement {
  Verdict verdict = Verdict::kTorn;
  wire::EntryView entry;    // kAccepted
  uint32_t generation = 0;  // kAccepted: all bits
  bool cas_class = false;   // kAccepted
  uint64_t length = 0;      // kLonger, kAccepted: bytes of the entry
  Pointer next;             // kForward
};

// `bytes` were READ from pointer.offset on. `latest_ms`: the latest that the server's clock may
// show.
Judgement judge_entry(std::span<const std::byte> bytes, const Pointer& pointer,
                      std::string_view key, uint64_t seed, int64_t latest_ms);

// The usual case of judge_entry() by itself, for memory that is loaded, not READ, and may change
// meanwhile: a value below wire::kLargeValue under a generation known in full, in an entry without
// room for an expiry. Copies the entry into `copy`, its first word first, and judges the copy.
// False says nothing: judge_entry() is to be asked.
struct PlainValue {
  uint64_t version = 0;
  std::span<const std::byte> value;  // in `copy`
};
bool copy_plain_entry(std::span<const std::byte> memory, const Pointer& pointer,
                      std::string_view key, uint64_t seed, std::span<std::byte> copy,
                      PlainValue& found);

// judge_entry() in two parts, for an entry READ in pieces: `head` ends where the value begins or
// later, and has been judged kLonger before.
Judgement judge_entry_in_pieces(std::span<const std::byte> head, std::span<const std::byte> value,
                                const Pointer& pointer, std::string_view key, uint64_t seed,
                                int64_t latest_ms);

}  // namespace rdmakv
