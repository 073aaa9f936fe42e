// What each opcode of the wire (kv_message.h) is like: one row each, asked by both ends. What else
// there is to know about an opcode than how it is executed belongs here and not in a list of
// opcodes elsewhere. Pure code.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>

#include "protocol/kv_message.h"

namespace rdmakv::wire {

namespace opcode {
// The request is about the key that it names, which must be of the worker that is asked.
inline constexpr uint16_t kOwnKey = 1;
// It names a key; which one is meant a ticket says.
inline constexpr uint16_t kNamesKey = 2;
inline constexpr uint16_t kValue = 4;     // it may have a value
inline constexpr uint16_t kLooks = 8;     // no key is changed
inline constexpr uint16_t kOrdered = 16;  // clients keep it in order with others on its key
// It is about several keys, those that its value names too: in order with others on each.
inline constexpr uint16_t kSeveralKeys = 32;
inline constexpr uint16_t kAllKeys = 64;         // about the worker's keys, of which it names none
inline constexpr uint16_t kInTransaction = 128;  // may be a command of a transaction
inline constexpr uint16_t kNested = 256;         // and of one within a transaction
inline constexpr uint16_t kTakesExtents = 512;   // the server sees to it first that there are some
}  // namespace opcode

namespace detail {
// Conditions besides kAlways, a bit each.
constexpr uint16_t bit(Condition condition) {
  return static_cast<uint16_t>(1u << static_cast<unsigned>(condition));
}
constexpr uint16_t bits(Condition first, Condition last) {
  return static_cast<uint16_t>((bit(last) << 1) - bit(first));
}
inline constexpr uint16_t kStoring = bits(Condition::kIfAbsent, Condition::kIfVersion);
inline constexpr uint16_t kModifying = kStoring | bit(Condition::kIfVersionOrAbsent);
inline constexpr uint16_t kDeleting = bit(Condition::kIfPresent) | bit(Condition::kIfVersion);
inline constexpr uint16_t kExpiring =
    bit(Condition::kIfPresent) | bits(Condition::kIfVersion, Condition::kIfExpirySooner);
}  // namespace detail

struct OpcodeRow {  // NOLINT(clang-analyzer-optin.performance.Padding): as rows are read
  Opcode opcode{};
  uint16_t properties = 0;  // of namespace opcode
  uint8_t flags = 0;        // RequestHeader.flags that it may have
  uint16_t conditions = 0;  // that it may be under; those of preconditions apart
};

namespace detail {
using namespace opcode;  // NOLINT(google-build-using-namespace): of this header, for the table
inline constexpr uint16_t kOneKey = kOwnKey | kOrdered | kInTransaction;
inline constexpr uint16_t kTwoKeys = kOwnKey | kValue | kSeveralKeys | kInTransaction;
inline constexpr uint8_t kStoringFlags = kKeepExpiry | kWantPrevious | kWantIfUnmet;

inline constexpr OpcodeRow kOpcodes[] = {
    {},  // no opcode
    {Opcode::kGet, kOneKey | kLooks},
    {Opcode::kInspect, kOneKey | kLooks},
    {Opcode::kPut, kOneKey | kValue | kNested | kTakesExtents, kStoringFlags | kValueInLanding,
     kStoring},
    {Opcode::kDelete, kOneKey | kNested, kWantPrevious, kDeleting},
    {Opcode::kExpire, kOneKey, kWantPrevious, kExpiring},
    {Opcode::kCount, kAllKeys | kLooks | kInTransaction},
    {Opcode::kClear, kAllKeys | kInTransaction},
    {Opcode::kRelease},
    {Opcode::kUploadBegin, kOwnKey},
    {Opcode::kUploadChunk, kValue},
    {Opcode::kUploadCommit, kNamesKey | kOrdered, kStoringFlags, kStoring},
    {Opcode::kUploadAbort},
    {Opcode::kPing},
    {Opcode::kStats},
    {Opcode::kGrants, kValue | kTakesExtents},
    {Opcode::kTransaction, kTwoKeys},
    {Opcode::kModify, kOneKey | kValue | kTakesExtents, kKeepExpiry | kWantPrevious, kModifying},
    {Opcode::kEvaluate, kOneKey | kValue | kLooks},
    {Opcode::kScan, kAllKeys | kLooks | kInTransaction},
    {Opcode::kRandomKey, kAllKeys | kLooks | kInTransaction},
    {Opcode::kCopy, kTwoKeys, 0, kStoring},
    {Opcode::kRename, kTwoKeys, 0, kStoring},
    {Opcode::kCombine, kTwoKeys},
    {Opcode::kPuts, kValue | kTakesExtents},
    {Opcode::kGets, kValue | kLooks, kValuesOnly},
};

constexpr bool rows_are_in_order() {
  for (size_t i = 0; i < std::size(kOpcodes); ++i) {
    if (static_cast<size_t>(kOpcodes[i].opcode) != i) return false;
  }
  return std::size(kOpcodes) == static_cast<size_t>(kLastOpcode) + 1;
}
static_assert(rows_are_in_order());
}  // namespace detail

// Of what is no opcode: a row without anything.
constexpr const OpcodeRow& row_of(Opcode opcode) {
  return detail::kOpcodes[opcode <= kLastOpcode ? static_cast<size_t>(opcode) : 0];
}
// Whether it has one of these properties.
constexpr bool is(Opcode opcode, uint16_t properties) {
  return (row_of(opcode).properties & properties) != 0;
}
constexpr bool takes_condition(Opcode opcode, Condition condition) {
  return condition == Condition::kAlways ||
         (row_of(opcode).conditions & detail::bit(condition)) != 0;
}

}  // namespace rdmakv::wire
