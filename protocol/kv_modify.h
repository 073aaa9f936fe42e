// Functions on a key's value that the owning worker executes in one step: what the requests kModify
// (the value may change) and kEvaluate (it does not) carry. The function is named in the request's
// header; condition, expiry, kKeepExpiry and kWantPrevious mean there what they mean for kPut. The
// request's value is
//
//   kModify    | ModifyOperands   | comparison_length bytes | bytes ...
//   kEvaluate  | EvaluateOperands | bytes ...
//
// without padding between. "bytes" is what the function works with besides: the string to append,
// the new value, an array of FieldOperation. Where they are too large for one request they are
// uploaded before: then the request names the upload by its ticket and carries none.
//
// All of it is a peer's word: the server copies each struct before it looks at it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace rdmakv::wire {

enum class Function : uint8_t {
  kNone = 0,
  // kModify. They keep the key's expiry when the flags say so, like any change; INCR and the like
  // say so. Number and value are the reply's.
  kReplace = 1,         // by `bytes`
  kRemove = 2,          // the key; kNotFound if there is none
  kAppend = 3,          // `bytes`; number: the new length
  kSetRange = 4,        // `bytes` from byte `number` on, zeros before; number: the new length
  kSetBit = 5,          // bit `number` to kModifyBit; number: the bit before
  kSetFields = 6,       // FieldOperations; value: as many FieldResults
  kIncrement = 7,       // by `number`; `bytes`: nothing, or Bounds; number: the new value
  kIncrementFloat = 8,  // by `bytes` in decimal; value: the new value
  kSetVersion = 9,      // to `set_version`, the value stays; kNotFound if there is none
  // kEvaluate
  kRange = 10,      // bytes first..last as GETRANGE counts; value: these
  kGetBit = 11,     // bit `first`; number
  kCountBits = 12,  // from first to last, as BITCOUNT counts; number
  kFindBit = 13,    // as BITPOS; number
  kGetFields = 14,  // FieldOperations that only get; value: as many FieldResults
  kDigest = 15,     // number: XXH3-64 of the value
};
inline constexpr Function kLastModify = Function::kSetVersion;
inline constexpr Function kLastFunction = Function::kDigest;

constexpr bool is_modify(Function function) {
  return function > Function::kNone && function <= kLastModify;
}
constexpr bool is_evaluate(Function function) {
  return function > kLastModify && function <= kLastFunction;
}

// What a modification may demand of the present value, in addition to its Condition. Where there is
// no key kNotEqual and kDigestNotEqual are met, the others are not.
enum class Comparison : uint8_t {
  kNone = 0,
  kEqual = 1,
  kNotEqual = 2,
  // With the XXH3-64 of the value as 16 hexadecimal digits of either case.
  kDigestEqual = 3,
  kDigestNotEqual = 4,
};

// Why a function did nothing: ReplyStatus::kRefused, number.
enum class Refusal : uint8_t {
  kNone = 0,
  kNotAnInteger = 1,  // the present value
  kOverflow = 2,
  kNotAFloat = 3,  // the present value, or the increment
  kNotFinite = 4,  // the result
  kTooLong = 5,    // the result, beyond kMaxValueBytes
  kBadDigest = 6,  // not of 16 characters
};

#pragma pack(push, 1)

// ModifyOperands.flags
inline constexpr uint8_t kModifyBit = 1;       // kSetBit: to 1
inline constexpr uint8_t kSetUserFlags = 2;    // to user_flags; else they stay
inline constexpr uint8_t kModifyFlagsAll = 3;  // of all flags

// The highest version that can be set, so that none ever overflows.
inline constexpr uint64_t kMostSetVersion = uint64_t{1} << 62;

struct ModifyOperands {
  int64_t number = 0;
  uint64_t set_version = 0;  // of the key after the change; 0: one more than before
  uint32_t comparison_length = 0;
  uint16_t user_flags = 0;
  Comparison comparison = Comparison::kNone;
  uint8_t flags = 0;
};

// kIncrement: what its result must keep to, else Refusal::kOverflow.
struct Bounds {
  int64_t least = INT64_MIN;
  int64_t most = INT64_MAX;
  int64_t initial = 0;      // the new value where there is no key, instead of 0 + number
  uint8_t has_initial = 0;  // 0 or 1
  uint8_t no_negative = 0;  // 0 or 1: a negative result becomes 0
  uint8_t reserved[6] = {};
};

// EvaluateOperands.flags
inline constexpr uint8_t kUnitBits = 1;   // first and last count bits, not bytes
inline constexpr uint8_t kFindSet = 2;    // kFindBit: a 1
inline constexpr uint8_t kLastGiven = 4;  // kFindBit: `last` counts, and nothing lies behind it
inline constexpr uint8_t kEvaluateFlagsAll = 7;  // of all flags

struct EvaluateOperands {
  int64_t first = 0;
  int64_t last = -1;  // negative: counted from the end
  uint8_t flags = 0;
  uint8_t reserved[7] = {};  // 0
};

// An integer of `bits` bits from bit `offset` on, most significant bit first, as BITFIELD has it.
struct FieldOperation {
  enum class Kind : uint8_t { kGet = 0, kSet = 1, kIncrement = 2 };
  enum class Overflow : uint8_t { kWrap = 0, kSaturate = 1, kFail = 2 };
  uint64_t offset = 0;
  int64_t number = 0;  // to set, or to add
  Kind kind = Kind::kGet;
  Overflow overflow = Overflow::kWrap;
  uint8_t bits = 1;       // 1 to 64, 63 if unsigned
  uint8_t is_signed = 0;  // 0 or 1
  uint32_t reserved = 0;  // 0
};

struct FieldResult {
  int64_t number = 0;
  uint8_t failed = 0;  // 1: Overflow::kFail, there is no number
};

#pragma pack(pop)

static_assert(sizeof(ModifyOperands) == 24);
static_assert(sizeof(Bounds) == 32);
static_assert(sizeof(EvaluateOperands) == 24);
static_assert(sizeof(FieldOperation) == 24);
static_assert(sizeof(FieldResult) == 9);

// Whether a reader of the wire may take them for what they say.
constexpr bool is_sound(const ModifyOperands& operands) {
  return operands.comparison <= Comparison::kDigestNotEqual &&
         (operands.flags & ~kModifyFlagsAll) == 0 && operands.set_version <= kMostSetVersion &&
         (operands.comparison_length == 0 || operands.comparison != Comparison::kNone);
}
constexpr bool is_sound(const EvaluateOperands& operands) {
  bool zeros = (operands.flags & ~kEvaluateFlagsAll) == 0;
  for (const uint8_t byte : operands.reserved) zeros = zeros && byte == 0;
  return zeros;
}
// Also that it lies within the longest value there can be (of `most_bytes`).
constexpr bool is_sound(const FieldOperation& field, uint64_t most_bytes) {
  return field.kind <= FieldOperation::Kind::kIncrement &&
         field.overflow <= FieldOperation::Overflow::kFail && field.is_signed <= 1 &&
         field.bits >= 1 && field.bits <= (field.is_signed != 0 ? 64 : 63) && field.reserved == 0 &&
         field.offset < most_bytes * 8 && field.bits <= most_bytes * 8 - field.offset;
}

}  // namespace rdmakv::wire
