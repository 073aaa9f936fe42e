// The functions of kModify and kEvaluate (protocol/kv_modify.h) on values: what INCR, APPEND,
// SETBIT and the like do to a string, with Redis's results and refusals. Pure functions, no
// allocation; they know nothing of keys, entries and expiry.
//
// A modification has two halves, so that the new value can be built in its final place:
//
//   plan_modification()  looks at the old value: whether it can be done, how long the new one is
//   build_value()        writes the new value
//
// What a request carries may be changed by its sender between the two (and at any time): the second
// half checks again whatever it depends on.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "protocol/kv_message.h"
#include "rdmakv/server/bit_functions.h"

namespace rdmakv::server {

struct Modification {
  wire::Function function = wire::Function::kNone;
  wire::ModifyOperands operands;
  Bytes comparison;
  Bytes bytes;
};

struct Evaluation {
  wire::Function function = wire::Function::kNone;
  wire::EvaluateOperands operands;
  Bytes bytes;
};

// Take a request's value apart; nothing: it makes no sense. `bytes` stay views of it.
std::optional<Modification> parse_modification(wire::Function function, Bytes value);
std::optional<Evaluation> parse_evaluation(wire::Function function, Bytes value);

// Whether the present value (none: there is no key) is one that the modification demands. Nothing:
// the comparison itself is none, Refusal::kBadDigest.
std::optional<bool> comparison_met(const Modification& todo, std::optional<Bytes> old);

struct ModificationPlan {
  // As long as a long double can get in decimal (Redis's MAX_LONG_DOUBLE_CHARS).
  static constexpr size_t kTextBytes = 5120;

  wire::ReplyStatus status = wire::ReplyStatus::kOk;  // or kRefused, kBadRequest: nothing is done
  wire::Refusal refusal = wire::Refusal::kNone;
  bool stores = true;         // false: the value stays, and so does its version
  uint64_t length = 0;        // of the new value
  int64_t number = 0;         // of the reply
  uint64_t result_bytes = 0;  // of the reply's value, which build_value() writes
  uint32_t text_length = 0;
  std::array<char, kTextBytes> text;  // kIncrement, kIncrementFloat: the new value
};

// Fills `plan`. Of kReplace, kAppend, kSetRange, kSetBit, kSetFields, kIncrement, kIncrementFloat
// and kSetVersion.
void plan_modification(const Modification& todo, std::optional<Bytes> old, ModificationPlan& plan);

enum class Built : uint8_t {
  kChanged,
  kSame,      // the new value is the old one, byte for byte, and needs not be stored (kSetFields)
  kNonsense,  // the request is not what it was
};
// Writes the new value of plan.length bytes to `to`, and the reply's of plan.result_bytes to
// `results`. `old` is what the plan was made with.
Built build_value(const Modification& todo, const ModificationPlan& plan, std::optional<Bytes> old,
                  std::span<std::byte> to, std::span<std::byte> results);

// What an evaluation tells: a number, or a part of the value.
struct EvaluationResult {
  int64_t number = 0;
  Bytes range;
};
// Of kRange, kGetBit, kCountBits, kFindBit, kDigest.
EvaluationResult evaluate(const Evaluation& asked, Bytes value);
// kGetFields: how many bytes its results take, and these. False: no such operations.
uint64_t field_result_bytes(Bytes operations);
bool get_fields(Bytes operations, Bytes value, std::span<std::byte> results);

}  // namespace rdmakv::server
