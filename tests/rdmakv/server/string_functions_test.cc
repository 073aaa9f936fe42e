#include "rdmakv/server/string_functions.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace rdmakv::server {
namespace {

using wire::Function;
using wire::Refusal;
using wire::ReplyStatus;

Bytes bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

struct Result {
  ReplyStatus status = ReplyStatus::kOk;
  Refusal refusal = Refusal::kNone;
  bool stores = false;
  Built built = Built::kSame;
  int64_t number = 0;
  std::string value, results;
};

// Both halves, as the partition does them.
Result modify(const Modification& todo, std::optional<std::string_view> old) {
  static const auto plan = std::make_unique<ModificationPlan>();
  const std::optional<Bytes> before = old ? std::optional<Bytes>(bytes_of(*old)) : std::nullopt;
  plan_modification(todo, before, *plan);
  Result result{plan->status, plan->refusal, plan->stores, Built::kSame, plan->number, {}, {}};
  if (plan->status != ReplyStatus::kOk || !plan->stores) return result;
  result.value.assign(plan->length, '?');
  result.results.assign(plan->result_bytes, '?');
  result.built = build_value(todo, *plan, before, std::as_writable_bytes(std::span(result.value)),
                             std::as_writable_bytes(std::span(result.results)));
  return result;
}

Modification make(Function function, std::string_view bytes, int64_t number = 0,
                  uint8_t flags = 0) {
  Modification todo;
  todo.function = function;
  todo.operands.number = number;
  todo.operands.flags = flags;
  todo.bytes = bytes_of(bytes);
  return todo;
}

Result increment(std::optional<std::string_view> old, int64_t by) {
  return modify(make(Function::kIncrement, {}, by), old);
}

TEST(StringFunctions, AppendAndReplace) {
  EXPECT_EQ(modify(make(Function::kAppend, "cd"), "ab").value, "abcd");
  EXPECT_EQ(modify(make(Function::kAppend, "cd"), "ab").number, 4);
  EXPECT_EQ(modify(make(Function::kAppend, "cd"), std::nullopt).value, "cd");
  EXPECT_TRUE(modify(make(Function::kAppend, ""), std::nullopt).stores);
  EXPECT_EQ(modify(make(Function::kReplace, "x"), "abc").value, "x");
}

TEST(StringFunctions, ARangeIsSetBehindZeros) {
  EXPECT_EQ(modify(make(Function::kSetRange, "XY", 1), "abcd").value, "aXYd");
  EXPECT_EQ(modify(make(Function::kSetRange, "XY", 6), "abcd").value, std::string("abcd\0\0XY", 8));
  EXPECT_EQ(modify(make(Function::kSetRange, "XY", 2), std::nullopt).value,
            std::string("\0\0XY", 4));
  const Result nothing = modify(make(Function::kSetRange, "", 100), "abcd");
  EXPECT_FALSE(nothing.stores);
  EXPECT_EQ(nothing.number, 4);
  const auto most = static_cast<int64_t>(wire::kMaxValueBytes);
  EXPECT_EQ(modify(make(Function::kSetRange, "x", most), "a").refusal, Refusal::kTooLong);
  EXPECT_EQ(modify(make(Function::kSetRange, "x", INT64_MAX), "a").refusal, Refusal::kTooLong);
}

TEST(StringFunctions, IntegersAsRedisReadsThem) {
  EXPECT_EQ(increment(std::nullopt, 5).value, "5");
  EXPECT_EQ(increment("-3", 5).value, "2");
  EXPECT_EQ(increment("9223372036854775806", 1).number, INT64_MAX);
  EXPECT_EQ(increment("9223372036854775807", 1).refusal, Refusal::kOverflow);
  EXPECT_EQ(increment("-9223372036854775808", -1).refusal, Refusal::kOverflow);
  for (const char* text : {"", " 1", "1 ", "+1", "01", "-0", "1.0", "abc", "9223372036854775808"}) {
    EXPECT_EQ(increment(text, 1).refusal, Refusal::kNotAnInteger) << text;
  }
}

TEST(StringFunctions, BoundedIncrements) {
  wire::Bounds bounds;
  bounds.least = -10;
  bounds.most = 10;
  const auto run = [&bounds](std::optional<std::string_view> old, int64_t by) {
    return modify(
        make(Function::kIncrement, {reinterpret_cast<const char*>(&bounds), sizeof(bounds)}, by),
        old);
  };
  EXPECT_EQ(run("5", 5).number, 10);
  EXPECT_EQ(run("5", 6).refusal, Refusal::kOverflow);
  EXPECT_EQ(run("-5", -6).refusal, Refusal::kOverflow);
  bounds.has_initial = 1;
  bounds.initial = 100;  // not held against the bounds
  EXPECT_EQ(run(std::nullopt, 1).number, 100);
  EXPECT_EQ(run("1", 1).number, 2);
  bounds.no_negative = 1;
  EXPECT_EQ(run("1", -5).value, "0");
  EXPECT_EQ(modify(make(Function::kIncrement, "short", 1), "1").status, ReplyStatus::kBadRequest);
}

TEST(StringFunctions, FloatsAsRedisWritesThem) {
  const auto run = [](std::optional<std::string_view> old, std::string_view by) {
    return modify(make(Function::kIncrementFloat, by), old);
  };
  EXPECT_EQ(run("10.50", "0.1").value, "10.6");
  EXPECT_EQ(run("10.50", "0.1").results, "10.6");
  EXPECT_EQ(run("5.0e3", "2.0e2").value, "5200");
  EXPECT_EQ(run(std::nullopt, "-0").value, "0");
  EXPECT_EQ(run("3", "1.1").value, "4.1");
  EXPECT_EQ(run("1e4000", "1").value.size(), 4000u);  // 9.99e3999
  for (const char* text : {"", " 1", "1 ", "x", "nan", "1e99999"}) {
    EXPECT_EQ(run(text, "1").refusal, Refusal::kNotAFloat) << text;
    EXPECT_EQ(run("1", text).refusal, Refusal::kNotAFloat) << text;
  }
  EXPECT_EQ(run("1", "inf").refusal, Refusal::kNotFinite);
  EXPECT_EQ(run(std::string("1\0", 2), "1").refusal, Refusal::kNotAFloat);
  EXPECT_EQ(run(std::string(6000, '1'), "1").refusal, Refusal::kNotAFloat);
}

TEST(StringFunctions, BitsStoreOnlyWhatChanges) {
  const Result set = modify(make(Function::kSetBit, {}, 9, wire::kModifyBit), "a");
  EXPECT_EQ(set.value, "a\x40");
  EXPECT_EQ(set.number, 0);
  const Result same = modify(make(Function::kSetBit, {}, 1, wire::kModifyBit), "a");
  EXPECT_FALSE(same.stores);
  EXPECT_EQ(same.number, 1);
  EXPECT_EQ(modify(make(Function::kSetBit, {}, 1), "a").value, "!");
  EXPECT_EQ(modify(make(Function::kSetBit, {}, 8), std::nullopt).value, std::string(2, '\0'));
}

std::string field_bytes(std::initializer_list<wire::FieldOperation> operations) {
  std::string bytes;
  for (const wire::FieldOperation& operation : operations) {
    bytes.append(reinterpret_cast<const char*>(&operation), sizeof(operation));
  }
  return bytes;
}

int64_t result_at(const Result& result, size_t i) {
  wire::FieldResult field;
  std::memcpy(&field, result.results.data() + i * sizeof(field), sizeof(field));
  return field.failed != 0 ? -999 : field.number;
}

TEST(StringFunctions, FieldsAreExecutedInOrder) {
  using Kind = wire::FieldOperation::Kind;
  wire::FieldOperation set;
  set.kind = Kind::kSet;
  set.bits = 8;
  set.offset = 8;
  set.number = 'Z';
  wire::FieldOperation get = set;
  get.kind = Kind::kGet;
  wire::FieldOperation add = set;
  add.kind = Kind::kIncrement;
  add.number = 1;
  const std::string operations = field_bytes({get, set, get, add, get});
  const Result result = modify(make(Function::kSetFields, operations), "ab");
  EXPECT_EQ(result.value, "a[");
  EXPECT_EQ(result.built, Built::kChanged);
  EXPECT_EQ(result_at(result, 0), 'b');
  EXPECT_EQ(result_at(result, 1), 'b');
  EXPECT_EQ(result_at(result, 2), 'Z');
  EXPECT_EQ(result_at(result, 3), '[');
  EXPECT_EQ(result_at(result, 4), '[');
  set.number = 'b';
  EXPECT_EQ(modify(make(Function::kSetFields, field_bytes({set})), "ab").built, Built::kSame);
  // A key that is made counts as a change, even when nothing was written.
  set.overflow = wire::FieldOperation::Overflow::kFail;
  set.number = 256;
  const Result failed = modify(make(Function::kSetFields, field_bytes({set})), std::nullopt);
  EXPECT_EQ(failed.built, Built::kChanged);
  EXPECT_EQ(failed.value, std::string(2, '\0'));
  EXPECT_EQ(result_at(failed, 0), -999);
}

TEST(StringFunctions, HostileFieldsAreRefused) {
  wire::FieldOperation set;
  set.kind = wire::FieldOperation::Kind::kSet;
  set.bits = 8;
  const auto status = [](std::string_view bytes) {
    return modify(make(Function::kSetFields, bytes), "ab").status;
  };
  EXPECT_EQ(status(field_bytes({set})), ReplyStatus::kOk);
  EXPECT_EQ(status({}), ReplyStatus::kBadRequest);
  EXPECT_EQ(status(field_bytes({set}) + "x"), ReplyStatus::kBadRequest);
  set.offset = wire::kMaxValueBytes * 8 - 7;
  EXPECT_EQ(status(field_bytes({set})), ReplyStatus::kBadRequest);
  set.offset = ~uint64_t{0};
  EXPECT_EQ(status(field_bytes({set})), ReplyStatus::kBadRequest);
  // Changed by its sender between the two halves.
  set.offset = 0;
  std::string bytes = field_bytes({set});
  const Modification todo = make(Function::kSetFields, bytes);
  const auto plan = std::make_unique<ModificationPlan>();
  plan_modification(todo, bytes_of("ab"), *plan);
  set.offset = 1u << 20;
  bytes.replace(0, bytes.size(), field_bytes({set}));
  std::byte to[2];
  std::byte results[sizeof(wire::FieldResult)];
  EXPECT_EQ(build_value(todo, *plan, bytes_of("ab"), to, results), Built::kNonsense);
}

TEST(StringFunctions, Comparisons) {
  using wire::Comparison;
  const auto met = [](Comparison how, std::string_view with, std::optional<std::string_view> old) {
    Modification todo;
    todo.operands.comparison = how;
    todo.comparison = bytes_of(with);
    return comparison_met(todo, old ? std::optional<Bytes>(bytes_of(*old)) : std::nullopt);
  };
  EXPECT_EQ(met(Comparison::kNone, {}, std::nullopt), true);
  EXPECT_EQ(met(Comparison::kEqual, "a", "a"), true);
  EXPECT_EQ(met(Comparison::kEqual, "a", "ab"), false);
  EXPECT_EQ(met(Comparison::kEqual, "", std::nullopt), false);
  EXPECT_EQ(met(Comparison::kNotEqual, "a", "b"), true);
  EXPECT_EQ(met(Comparison::kNotEqual, "a", std::nullopt), true);
  // XXH3-64 of nothing, as the xxHash specification has it.
  EXPECT_EQ(met(Comparison::kDigestEqual, "2d06800538d394c2", ""), true);
  EXPECT_EQ(met(Comparison::kDigestEqual, "2D06800538D394C2", ""), true);
  EXPECT_EQ(met(Comparison::kDigestEqual, "zzzzzzzzzzzzzzzz", ""), false);
  EXPECT_EQ(met(Comparison::kDigestNotEqual, "2d06800538d394c3", ""), true);
  EXPECT_EQ(met(Comparison::kDigestEqual, "2d06", ""), std::nullopt);
  EXPECT_EQ(met(Comparison::kDigestNotEqual, "2d06", std::nullopt), true);
}

EvaluationResult ask(Function function, std::string_view value, int64_t first, int64_t last,
                     uint8_t flags = 0) {
  Evaluation asked;
  asked.function = function;
  asked.operands.first = first;
  asked.operands.last = last;
  asked.operands.flags = flags;
  return evaluate(asked, bytes_of(value));
}

TEST(StringFunctions, RangesAreCountedAsGetrangeCounts) {
  const auto range = [](int64_t first, int64_t last) {
    const Bytes part = ask(Function::kRange, "Hello", first, last).range;
    return std::string(reinterpret_cast<const char*>(part.data()), part.size());
  };
  EXPECT_EQ(range(0, -1), "Hello");
  EXPECT_EQ(range(1, 2), "el");
  EXPECT_EQ(range(-3, -2), "ll");
  EXPECT_EQ(range(-100, 100), "Hello");
  EXPECT_EQ(range(-100, -90), "H");  // as Redis has it
  EXPECT_EQ(range(-90, -100), "");
  EXPECT_EQ(range(3, 2), "");
  EXPECT_EQ(range(5, 9), "");
  EXPECT_EQ(range(INT64_MIN, INT64_MAX), "Hello");
  EXPECT_TRUE(ask(Function::kRange, "", 0, -1).range.empty());
}

TEST(StringFunctions, FindingBitsAsBitposDoes) {
  using wire::kFindSet;
  using wire::kLastGiven;
  using wire::kUnitBits;
  const auto find = [](std::string_view value, uint8_t flags, int64_t first = 0,
                       int64_t last = -1) {
    return ask(Function::kFindBit, value, first, last, flags).number;
  };
  const std::string ones(3, '\xff');
  EXPECT_EQ(find(ones, 0), 24);
  EXPECT_EQ(find(ones, kLastGiven), -1);
  EXPECT_EQ(find(ones, 0, 1), 24);
  EXPECT_EQ(find(ones, kFindSet, 1), 8);
  EXPECT_EQ(find(std::string(3, '\0'), kFindSet), -1);
  EXPECT_EQ(find("", 0), -1);
  EXPECT_EQ(find(ones, 0, 9), -1);
  EXPECT_EQ(find(std::string("\0\xff\xf0", 3), kFindSet | kUnitBits | kLastGiven, 7, 15), 8);
  EXPECT_EQ(find(std::string("\0\xff\xf0", 3), kUnitBits | kLastGiven, 8, 22), 20);
}

}  // namespace
}  // namespace rdmakv::server
