// kModify and kEvaluate through the partition: one step, one version, expiry kept or set, whatever
// goes wrong leaves everything as it was.
#include <gtest/gtest.h>

#include <string>

#include "protocol/kv_transaction.h"
#include "tests/rdmakv/server/cas_fixture.h"
#include "tests/rdmakv/server/partition_fixture.h"

namespace rdmakv::server {
namespace {

using wire::Function;
using wire::Refusal;

template <typename Operands>
std::string value_of(Operands operands, std::string_view comparison, std::string_view bytes) {
  std::string value(reinterpret_cast<const char*>(&operands), sizeof(operands));
  return value.append(comparison).append(bytes);
}

std::string modify_value(int64_t number, std::string_view bytes, uint8_t flags = 0) {
  wire::ModifyOperands operands;
  operands.number = number;
  operands.flags = flags;
  return value_of(operands, {}, bytes);
}

class ModifyTest : public testing::Test {
 protected:
  void TearDown() override {
    EXPECT_TRUE(box_.consistent());
    EXPECT_TRUE(box_.empty_after_clear());
  }
  Told modify(Function function, std::string_view key, const std::string& value,
              uint8_t flags = wire::kKeepExpiry, Condition condition = Condition::kAlways,
              uint64_t version = 0, int64_t expiry_ms = 0, uint64_t ticket = 0) {
    return box_.ask({.opcode = Opcode::kModify,
                     .key = key,
                     .value = value,
                     .condition = condition,
                     .version = version,
                     .expiry_ms = expiry_ms,
                     .flags = flags,
                     .ticket = ticket,
                     .function = function});
  }
  Told increment(std::string_view key, int64_t by) {
    return modify(Function::kIncrement, key, modify_value(by, {}));
  }
  Told append(std::string_view key, std::string_view bytes) {
    return modify(Function::kAppend, key, modify_value(0, bytes));
  }
  Told evaluate(Function function, std::string_view key, int64_t first, int64_t last = -1,
                uint8_t flags = 0) {
    wire::EvaluateOperands operands;
    operands.first = first;
    operands.last = last;
    operands.flags = flags;
    return box_.ask({.opcode = Opcode::kEvaluate,
                     .key = key,
                     .value = value_of(operands, {}, {}),
                     .function = function});
  }
  std::string value(std::string_view key) { return box_.get(key).value; }

  PartitionBox box_{16 << 20};
};

TEST_F(ModifyTest, OneStepOneVersion) {
  EXPECT_EQ(increment("n", 5).number, 5u);
  const Told told = increment("n", -7);
  EXPECT_EQ(static_cast<int64_t>(told.number), -2);
  EXPECT_EQ(told.version, 2u);
  EXPECT_EQ(told.reply.value_length, 2u);
  EXPECT_EQ(value("n"), "-2");
  EXPECT_EQ(box_.get("n").version, 2u);
}

TEST_F(ModifyTest, TheExpiryIsKeptOrSet) {
  const int64_t later = box_.now_ms() + 5000;
  box_.put("k", "1", later);
  EXPECT_EQ(increment("k", 1).expiry_ms, later);
  EXPECT_EQ(box_.get("k").expiry_ms, later);
  EXPECT_EQ(modify(Function::kIncrement, "k", modify_value(1, {}), 0).expiry_ms, 0);
  EXPECT_EQ(box_.get("k").expiry_ms, 0);
  modify(Function::kIncrement, "k", modify_value(1, {}), 0, Condition::kAlways, 0, later);
  EXPECT_EQ(box_.get("k").expiry_ms, later);
  EXPECT_EQ(value("k"), "4");
  // In the past: the key is gone.
  modify(Function::kIncrement, "k", modify_value(1, {}), 0, Condition::kAlways, 0, 1);
  EXPECT_EQ(box_.get("k").status, ReplyStatus::kNotFound);
  // An expired value is no value.
  box_.put("k", "100", box_.now_ms() + 10);
  box_.clock.pass_ms(11);
  EXPECT_EQ(increment("k", 1).number, 1u);
}

TEST_F(ModifyTest, WhatCannotBeDoneChangesNothing) {
  box_.put("k", "text");
  const Told told = increment("k", 1);
  EXPECT_EQ(told.status, ReplyStatus::kRefused);
  EXPECT_EQ(static_cast<Refusal>(told.number), Refusal::kNotAnInteger);
  EXPECT_EQ(told.version, 1u);
  EXPECT_EQ(box_.get("k").version, 1u);
  // Larger than the pool.
  box_.put("k", std::string(6 << 20, 'x'));
  EXPECT_EQ(modify(Function::kSetRange, "k", modify_value(15 << 20, "end")).status,
            ReplyStatus::kNoSpace);
  EXPECT_EQ(modify(Function::kSetRange, "k", modify_value(100 << 20, "end")).status,
            ReplyStatus::kTooLarge);
  EXPECT_EQ(box_.get("k").version, 2u);
  EXPECT_EQ(value("k").size(), size_t{6} << 20);
}

TEST_F(ModifyTest, LargeValuesAreWhole) {
  std::string expected(200'000, 'a');
  box_.put("k", expected);
  for (int i = 0; i < 5; ++i) {
    const std::string piece(50'000 + i, static_cast<char>('b' + i));
    expected += piece;
    EXPECT_EQ(append("k", piece).number, expected.size());
  }
  modify(Function::kSetRange, "k", modify_value(100'000, "here"));
  expected.replace(100'000, 4, "here");
  EXPECT_EQ(value("k"), expected);
  const Told told = box_.get("k");
  wire::EntryView view;
  const std::byte* extent = box_.partition->at(told.reply.location);
  EXPECT_TRUE(wire::verify_entry({extent, wire::entry_bytes(1, expected.size(), false)},
                                 wire::entry_seed(0, told.reply.generation), "k", view));
}

TEST_F(ModifyTest, AnUploadIsTheInput) {
  const std::string input(300'000, 'u');
  const auto upload = [&](std::string_view key) {
    wire::RequestHeader header;
    header.opcode = Opcode::kUploadBegin;
    header.total = input.size();
    box_.new_batch();
    const uint64_t ticket = box_.partition->execute(header, key, {}, *box_.session).reply.ticket;
    header = {};
    header.opcode = Opcode::kUploadChunk;
    header.ticket = ticket;
    for (size_t at = 0; at < input.size(); at += 100'000) {
      header.offset = at;
      box_.partition->execute(header, {}, std::as_bytes(std::span(input).subspan(at, 100'000)),
                              *box_.session);
    }
    return ticket;
  };
  box_.put("k", "head:");
  const std::string none = modify_value(0, {});
  const Told told = modify(Function::kAppend, "k", none, wire::kKeepExpiry, Condition::kAlways, 0,
                           0, upload("k"));
  EXPECT_EQ(told.number, input.size() + 5);
  EXPECT_EQ(value("k"), "head:" + input);
  EXPECT_EQ(box_.session->uploads.open(), 0u);
  // The key of another upload, an input besides the upload, a ticket of none.
  EXPECT_EQ(modify(Function::kAppend, "k", none, 0, Condition::kAlways, 0, 0, upload("x")).status,
            ReplyStatus::kBadRequest);
  EXPECT_EQ(
      modify(Function::kAppend, "k", none + "y", 0, Condition::kAlways, 0, 0, upload("k")).status,
      ReplyStatus::kBadRequest);
  EXPECT_EQ(modify(Function::kAppend, "k", none, 0, Condition::kAlways, 0, 0, 999).status,
            ReplyStatus::kNoSuchTicket);
  EXPECT_EQ(box_.session->uploads.open(), 0u);
  EXPECT_EQ(value("k"), "head:" + input);
}

TEST_F(ModifyTest, ConditionsAndComparisons) {
  const auto replace = [&](wire::Comparison how, std::string_view with, std::string_view by,
                           Condition condition = Condition::kAlways, uint64_t version = 0) {
    wire::ModifyOperands operands;
    operands.comparison = how;
    operands.comparison_length = static_cast<uint32_t>(with.size());
    return modify(Function::kReplace, "k", value_of(operands, with, by), wire::kWantPrevious,
                  condition, version);
  };
  using wire::Comparison;
  EXPECT_EQ(replace(Comparison::kEqual, "x", "y").status, ReplyStatus::kConditionNotMet);
  EXPECT_EQ(box_.get("k").status, ReplyStatus::kNotFound);
  EXPECT_EQ(replace(Comparison::kNotEqual, "x", "one").status, ReplyStatus::kOk);
  const Told unmet = replace(Comparison::kEqual, "x", "y");
  EXPECT_EQ(unmet.status, ReplyStatus::kConditionNotMet);
  EXPECT_EQ(unmet.value, "one");
  EXPECT_EQ(replace(Comparison::kEqual, "one", "two").status, ReplyStatus::kOk);
  EXPECT_EQ(value("k"), "two");
  const Told bad = replace(Comparison::kDigestEqual, "short", "y");
  EXPECT_EQ(bad.status, ReplyStatus::kRefused);
  EXPECT_EQ(static_cast<Refusal>(bad.number), Refusal::kBadDigest);
  EXPECT_EQ(replace(Comparison::kNone, {}, "v", Condition::kIfVersionOrAbsent, 9).status,
            ReplyStatus::kVersionMismatch);
  EXPECT_EQ(replace(Comparison::kNone, {}, "v", Condition::kIfVersionOrAbsent, 2).version, 3u);
  EXPECT_EQ(replace(Comparison::kNone, {}, "v", Condition::kIfAbsent).status,
            ReplyStatus::kConditionNotMet);
  wire::ModifyOperands remove;
  remove.comparison = Comparison::kEqual;
  remove.comparison_length = 1;
  EXPECT_EQ(modify(Function::kRemove, "k", value_of(remove, "w", {}), 0).status,
            ReplyStatus::kConditionNotMet);
  EXPECT_EQ(modify(Function::kRemove, "k", value_of(remove, "v", {}), 0).status, ReplyStatus::kOk);
  EXPECT_EQ(modify(Function::kRemove, "k", value_of(remove, "v", {}), 0).status,
            ReplyStatus::kNotFound);
}

TEST_F(ModifyTest, VersionsAndFlagsThatUsersSet) {
  wire::ModifyOperands operands;
  operands.set_version = 100;
  operands.user_flags = 0xbeef;
  operands.flags = wire::kSetUserFlags;
  EXPECT_EQ(modify(Function::kReplace, "k", value_of(operands, {}, "v"), 0).version, 100u);
  EXPECT_EQ(box_.get("k").reply.user_flags, 0xbeef);
  EXPECT_EQ(append("k", "w").version, 101u);
  EXPECT_EQ(box_.get("k").reply.user_flags, 0xbeef);
  EXPECT_EQ(box_.expire("k", box_.now_ms() + 1000).reply.user_flags, 0xbeef);
  operands = {};
  operands.set_version = 7;
  EXPECT_EQ(modify(Function::kSetVersion, "k", value_of(operands, {}, {})).version, 7u);
  EXPECT_EQ(value("k"), "vw");
  EXPECT_NE(box_.get("k").expiry_ms, 0);
  EXPECT_EQ(modify(Function::kSetVersion, "none", value_of(operands, {}, {})).status,
            ReplyStatus::kNotFound);
  // A CAS keeps the flags, and so does not bring the key into the cas class; a PUT drops them.
  EXPECT_EQ(box_.cas("k", 7, "x").reply.user_flags, 0xbeef);
  EXPECT_EQ(box_.put("k", "x").reply.user_flags, 0);
  operands.set_version = 0;
  EXPECT_EQ(modify(Function::kSetVersion, "k", value_of(operands, {}, {})).status,
            ReplyStatus::kBadRequest);
  operands.set_version = wire::kMostSetVersion + 1;
  EXPECT_EQ(modify(Function::kSetVersion, "k", value_of(operands, {}, {})).status,
            ReplyStatus::kBadRequest);
}

TEST_F(ModifyTest, EvaluationsReadOnly) {
  box_.put("k", "Hello");
  EXPECT_EQ(evaluate(Function::kRange, "k", 1, 2).value, "el");
  EXPECT_EQ(evaluate(Function::kCountBits, "k", 0).number, 20u);
  EXPECT_EQ(evaluate(Function::kGetBit, "k", 1).number, 1u);
  EXPECT_EQ(evaluate(Function::kFindBit, "k", 0, -1, wire::kFindSet).number, 1u);
  EXPECT_EQ(evaluate(Function::kDigest, "k", 0).number,
            wire::hash_value(std::as_bytes(std::span("Hello", 5))));
  EXPECT_EQ(evaluate(Function::kRange, "none", 0).status, ReplyStatus::kNotFound);
  EXPECT_EQ(box_.get("k").version, 1u);
}

TEST_F(ModifyTest, ASmallRangeOfALargeValueMovesLittle) {
  box_.put("k", std::string(4 << 20, 'x') + "tail");
  const Told small = evaluate(Function::kRange, "k", -4);
  EXPECT_EQ(small.value, "tail");
  const Told large = evaluate(Function::kRange, "k", -100'004);
  EXPECT_EQ(large.value, std::string(100'000, 'x') + "tail");
}

TEST_F(ModifyTest, ManyFieldResultsGetAnExtentOfTheirOwn) {
  wire::FieldOperation set;
  set.kind = wire::FieldOperation::Kind::kIncrement;
  set.bits = 32;
  set.number = 1;
  std::string operations;
  for (int i = 0; i < 2000; ++i) {
    operations.append(reinterpret_cast<const char*>(&set), sizeof(set));
  }
  const Told told = modify(Function::kSetFields, "k", modify_value(0, operations));
  ASSERT_EQ(told.value.size(), 2000 * sizeof(wire::FieldResult));
  wire::FieldResult last;
  std::memcpy(&last, told.value.data() + 1999 * sizeof(last), sizeof(last));
  EXPECT_EQ(last.number, 2000);
  EXPECT_EQ(value("k"), std::string("\0\0\x07\xd0", 4));
  EXPECT_TRUE(box_.consistent());
}

TEST_F(ModifyTest, NonsenseIsRefused) {
  box_.put("k", "v");
  EXPECT_EQ(modify(Function::kAppend, "k", "too short").status, ReplyStatus::kBadRequest);
  EXPECT_EQ(modify(Function::kSetRange, "k", modify_value(-1, "x")).status,
            ReplyStatus::kBadRequest);
  EXPECT_EQ(modify(Function::kSetBit, "k", modify_value(-1, {})).status, ReplyStatus::kBadRequest);
  wire::ModifyOperands operands;
  operands.comparison = wire::Comparison::kEqual;
  operands.comparison_length = 1000;
  EXPECT_EQ(modify(Function::kReplace, "k", value_of(operands, "x", {})).status,
            ReplyStatus::kBadRequest);
  EXPECT_EQ(modify(Function::kAppend, "k", modify_value(0, "x"), wire::kKeepExpiry,
                   Condition::kAlways, 0, 99)
                .status,
            ReplyStatus::kBadRequest);
  EXPECT_EQ(evaluate(Function::kGetBit, "k", -1).status, ReplyStatus::kBadRequest);
  EXPECT_EQ(value("k"), "v");
}

// Several of them, and what they tell, in one step.
TEST_F(ModifyTest, WithinATransaction) {
  box_.put("k", "10");
  wire::TransactionBuilder builder;
  ASSERT_TRUE(builder.require("k", 1));
  const auto add = [&](Opcode opcode, Function function, const std::string& value) {
    wire::RequestHeader header;
    header.opcode = opcode;
    header.function = function;
    if (opcode == Opcode::kModify) header.flags = wire::kKeepExpiry;
    EXPECT_TRUE(builder.add(header, "k", std::as_bytes(std::span(value))));
  };
  wire::FieldOperation get;
  get.bits = 8;
  std::string fields;
  for (int i = 0; i < 700; ++i) {
    fields.append(reinterpret_cast<const char*>(&get), sizeof(get));
  }
  add(Opcode::kModify, Function::kIncrement, modify_value(5, {}));
  add(Opcode::kModify, Function::kAppend, modify_value(0, std::string(20'000, 'x')));
  add(Opcode::kEvaluate, Function::kRange, value_of(wire::EvaluateOperands{}, {}, {}));
  add(Opcode::kEvaluate, Function::kGetFields, value_of(wire::EvaluateOperands{}, {}, fields));
  add(Opcode::kModify, Function::kIncrement, modify_value(1, {}));
  const auto bytes = builder.finish();
  const Told told =
      box_.ask({.opcode = Opcode::kTransaction,
                .key = "k",
                .value = {reinterpret_cast<const char*>(bytes.data()), bytes.size()}});
  ASSERT_EQ(told.status, ReplyStatus::kOk);
  wire::MessageReader reader(std::as_bytes(std::span(told.value)), 10);
  wire::ReplyView reply;
  ASSERT_TRUE(reader.next(reply)) << reader.error();
  EXPECT_EQ(reply.header.number, 15u);
  ASSERT_TRUE(reader.next(reply));
  EXPECT_EQ(reply.header.number, 20'002u);
  ASSERT_TRUE(reader.next(reply));
  ASSERT_EQ(reply.value.size(), 20'002u);
  EXPECT_EQ(std::memcmp(reply.value.data(), "15xxx", 5), 0);
  ASSERT_TRUE(reader.next(reply));
  EXPECT_EQ(reply.value.size(), 700 * sizeof(wire::FieldResult));
  ASSERT_TRUE(reader.next(reply));
  EXPECT_EQ(reply.header.status, ReplyStatus::kRefused);
  EXPECT_FALSE(reader.next(reply));
  EXPECT_TRUE(reader.valid()) << reader.error();
  EXPECT_EQ(box_.get("k").version, 3u);
}

// A command that names an upload, as one could be named that the transaction itself came in.
TEST_F(ModifyTest, NoTicketsWithinATransaction) {
  wire::TransactionBuilder builder;
  wire::RequestHeader header;
  header.opcode = Opcode::kModify;
  header.function = Function::kAppend;
  header.ticket = 1;
  const std::string value = modify_value(0, {});
  ASSERT_TRUE(builder.add(header, "k", std::as_bytes(std::span(value))));
  const auto bytes = builder.finish();
  EXPECT_EQ(box_.ask({.opcode = Opcode::kTransaction,
                      .key = "k",
                      .value = {reinterpret_cast<const char*>(bytes.data()), bytes.size()}})
                .status,
            ReplyStatus::kBadRequest);
}

// A client changes the entry, without the server, at the last moment: the function is applied again
// to what is there then. Nothing is lost.
TEST(ModifyCasClass, AClientThatIsFasterIsNotOverwritten) {
  CasBox box;
  const CasPlace place = box.make("n", "10");
  const wire::Grant grant = box.one_grant(*box.session);
  bool raced = false;
  box.atomics.before = [&] {
    if (raced) return;
    raced = true;
    EXPECT_TRUE(box.cas_by(grant, place, "n", "50"));
  };
  const Told told = box.ask({.opcode = Opcode::kModify,
                             .key = "n",
                             .value = modify_value(1, {}),
                             .flags = wire::kKeepExpiry,
                             .function = Function::kIncrement});
  EXPECT_TRUE(raced);
  EXPECT_EQ(told.number, 51u);
  EXPECT_EQ(told.version, place.version + 2);
  EXPECT_NE(told.reply.flags & wire::kCasClass, 0);
  EXPECT_EQ(box.get("n").value, "51");
  EXPECT_EQ(box.counters().atomics_local_lost, 1u);
  EXPECT_TRUE(box.empty_after_clear());
}

}  // namespace
}  // namespace rdmakv::server
