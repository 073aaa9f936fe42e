// Small histories with names, each judged by the checker and by brute force.
#include <gtest/gtest.h>

#include "tests/linearizability/brute_force.h"
#include "tests/linearizability/checker.h"

namespace rdmakv::linearizability {
namespace {

using Records = std::vector<Record>;

Record make(Kind kind, Outcome outcome, uint64_t from, uint64_t to) {
  Record record;
  record.kind = kind;
  record.outcome = outcome;
  record.invoke_ns = from;
  record.return_ns = to;
  return record;
}
Record put(uint64_t from, uint64_t to, uint64_t value, uint64_t version) {
  Record record = make(Kind::kPut, Outcome::kOk, from, to);
  record.value = value;
  record.version_out = version;
  return record;
}
Record get(uint64_t from, uint64_t to, uint64_t value, uint64_t version) {
  Record record = make(Kind::kGet, Outcome::kOk, from, to);
  record.value = value;
  record.version_out = version;
  return record;
}
Record get_absent(uint64_t from, uint64_t to) {
  return make(Kind::kGet, Outcome::kAbsent, from, to);
}
Record del(uint64_t from, uint64_t to) {
  return make(Kind::kDelete, Outcome::kOk, from, to);
}
Record del_absent(uint64_t from, uint64_t to) {
  return make(Kind::kDelete, Outcome::kAbsent, from, to);
}
Record won(uint64_t from, uint64_t to, uint64_t expected, uint64_t value, uint64_t version) {
  Record record = make(Kind::kCas, Outcome::kOk, from, to);
  record.version_in = expected;
  record.value = value;
  record.version_out = version;
  return record;
}
Record lost(uint64_t from, uint64_t to, uint64_t expected, uint64_t current) {
  Record record = make(Kind::kCas, Outcome::kLost, from, to);
  record.version_in = expected;
  record.value = 999;
  record.version_out = current;
  return record;
}
Record put_unknown(uint64_t from, uint64_t value) {
  Record record = make(Kind::kPut, Outcome::kUnknown, from, from);
  record.value = value;
  return record;
}
Record cas_unknown(uint64_t from, uint64_t expected, uint64_t value) {
  Record record = make(Kind::kCas, Outcome::kOpen, from, 0);
  record.version_in = expected;
  record.value = value;
  return record;
}
Record expire(uint64_t from, uint64_t to, uint64_t expected, uint64_t version) {
  Record record = make(Kind::kExpire, Outcome::kOk, from, to);
  record.version_in = expected;
  record.version_out = version;
  return record;
}
Record del_unknown(uint64_t from) {
  return make(Kind::kDelete, Outcome::kOpen, from, 0);
}
Record restart(uint64_t from, uint64_t to) {
  return make(Kind::kRestart, Outcome::kOk, from, to);
}
Record expiring(Record record, uint64_t deadline) {
  record.deadline_ns = deadline;
  return record;
}

bool accepted(const Records& records, uint64_t late_ns) {
  History history;
  for (uint32_t i = 0; i < records.size(); ++i) history.add({&records[i], 1}, i);
  const Status status = history.prepare();
  EXPECT_TRUE(status) << status.to_string();
  KeyLimits limits;
  limits.late_ns = late_ns;
  const Report report = check(history, limits);
  EXPECT_EQ(report.undecided(), 0u);
  return report.violations() == 0;
}
void legal(const Records& records, uint64_t late_ns = kNever) {
  EXPECT_TRUE(accepted(records, late_ns));
  EXPECT_TRUE(linearizable_by_brute_force(records, late_ns)) << "brute force";
}
void illegal(const Records& records, uint64_t late_ns = kNever) {
  EXPECT_FALSE(accepted(records, late_ns));
  EXPECT_FALSE(linearizable_by_brute_force(records, late_ns)) << "brute force";
}

TEST(NamedHistories, Nothing) {
  legal({});
  legal({get_absent(1, 2)});
  legal({del_absent(1, 2), get_absent(3, 4)});
}

TEST(NamedHistories, OneAfterTheOther) {
  legal({put(1, 2, 10, 1), get(3, 4, 10, 1), put(5, 6, 11, 2), get(7, 8, 11, 2), del(9, 10),
         get_absent(11, 12), put(13, 14, 12, 3), won(15, 16, 3, 13, 4), lost(17, 18, 3, 4)});
}

TEST(NamedHistories, ExpireKeepsTheValue) {
  legal({put(1, 2, 10, 1), expire(3, 4, 1, 2), get(5, 6, 10, 2), put(7, 8, 11, 3)});
  legal({put(1, 2, 10, 1), expiring(expire(3, 4, 1, 2), 20), get_absent(21, 22)});
  legal({expiring(put(1, 2, 10, 1), 20), expire(3, 4, 1, 2), get(90, 91, 10, 2)}, 5);
  legal({put(1, 2, 10, 1), expire(3, 4, 1, 1), get(5, 6, 10, 1)});  // nothing to change
  legal({put(1, 2, 10, 1), expiring(expire(5, 6, 1, 0), 4), get_absent(7, 8)});

  illegal({put(1, 2, 10, 1), expire(3, 4, 1, 2), get(5, 6, 10, 1)});  // stale
  illegal({put(1, 2, 10, 1), expire(3, 4, 1, 2), get_absent(5, 6)});  // it has no deadline
  illegal({put(1, 2, 10, 1), put(3, 4, 11, 2), expire(5, 6, 1, 2)});  // of a version that had gone
  illegal({put(1, 2, 10, 1), expire(3, 9, 1, 2), put(4, 8, 11, 2)});  // one of them is lost
  illegal({put(1, 2, 10, 1), expire(3, 4, 1, 2), get(5, 6, 12, 2), put(1, 7, 12, 3)});
  illegal({put(1, 2, 10, 1), expiring(expire(3, 4, 1, 2), 20), get(40, 41, 10, 2)}, 5);
}

TEST(NamedHistories, ExpireOfUnknownOutcome) {
  Record unknown = expire(3, 3, 1, 0);
  unknown.outcome = Outcome::kUnknown;
  legal({put(1, 2, 10, 1), unknown, get(5, 6, 10, 1), get(7, 8, 10, 2)});
  legal({put(1, 2, 10, 1), expiring(unknown, 20), get(5, 6, 10, 1), get_absent(21, 22)});
  legal({put(1, 2, 10, 1), unknown, put(5, 6, 11, 2)});
  legal({put_unknown(1, 10), get(2, 3, 10, 1), unknown, get(5, 6, 10, 2)});
  illegal({put(1, 2, 10, 1), unknown, get(5, 6, 10, 2), get(7, 8, 10, 1)});
  illegal({put(1, 2, 10, 1), unknown, get(5, 6, 10, 3)});
  illegal({put(1, 2, 10, 1), unknown, get_absent(5, 6)});
}

TEST(NamedHistories, ConcurrentReadsMaySeeEither) {
  legal({put(1, 2, 10, 1), put(3, 9, 11, 2), get(4, 5, 10, 1), get(6, 7, 11, 2)});
  legal({put(1, 9, 10, 1), get_absent(2, 8), get(3, 7, 10, 1)});
}

TEST(NamedHistories, NewThenOldReadDuringOneWrite) {
  illegal({put(1, 2, 10, 1), put(3, 9, 11, 2), get(4, 5, 11, 2), get(6, 7, 10, 1)});
}

TEST(NamedHistories, StaleReadAfterAcknowledgedWrite) {
  illegal({put(1, 2, 10, 1), put(3, 4, 11, 2), get(5, 6, 10, 1)});
}

TEST(NamedHistories, ReadFromTheFuture) {
  illegal({get(1, 2, 10, 1), put(3, 4, 10, 1)});
}

TEST(NamedHistories, AcknowledgedWriteNotSeen) {
  illegal({put(1, 2, 10, 1), get_absent(3, 4)});
}

TEST(NamedHistories, LostUpdate) {
  illegal({put(1, 2, 10, 1), put(3, 9, 11, 2), put(4, 8, 12, 2)});
  // The first of two acknowledged writes is not counted.
  illegal({put(1, 2, 10, 1), put(3, 4, 11, 2), put(5, 6, 12, 2)});
}

TEST(NamedHistories, TwoWinnersOfOneVersion) {
  illegal({put(1, 2, 10, 1), won(3, 9, 1, 11, 2), won(4, 8, 1, 12, 2)});
  illegal({won(1, 9, 0, 10, 1), won(2, 8, 0, 11, 1)});
}

TEST(NamedHistories, CasAgainstAnotherVersion) {
  illegal({put(1, 2, 10, 1), put(3, 4, 11, 2), won(5, 6, 1, 12, 2)});
  illegal({put(1, 2, 10, 1), won(3, 4, 1, 11, 3)});
  illegal({put(1, 2, 10, 1), won(3, 4, 0, 11, 2)});
  legal({put(1, 2, 10, 1), put(3, 9, 11, 2), won(4, 8, 2, 12, 3)});
}

TEST(NamedHistories, CasThatLostToTheVersionItExpected) {
  illegal({put(1, 2, 10, 1), lost(3, 4, 1, 1)});
}

TEST(NamedHistories, CasThatLostToAVersionNeverReached) {
  illegal({put(1, 2, 10, 1), lost(3, 4, 5, 2)});
  illegal({put(1, 2, 10, 1), put(3, 4, 11, 2), lost(5, 6, 7, 1)});
  illegal({put(1, 2, 10, 1), lost(3, 4, 5, 0)});
  legal({lost(1, 2, 5, 0), put(3, 4, 10, 1)});
}

TEST(NamedHistories, ValueNeverWritten) {
  illegal({put(1, 2, 10, 1), get(3, 4, 99, 1)});
  illegal({get(1, 2, 99, 1)});
}

TEST(NamedHistories, ValueUnderAnotherVersion) {
  illegal({put(1, 2, 10, 1), get(3, 4, 10, 2)});
  illegal({put(1, 2, 10, 1), put(3, 4, 11, 2), get(5, 6, 10, 2)});
}

TEST(NamedHistories, TornValue) {
  Record torn = get(3, 4, 0, 1);
  torn.outcome = Outcome::kCorrupt;
  illegal({put(1, 2, 10, 1), torn});
}

TEST(NamedHistories, ValueFromBeforeADelete) {
  illegal({put(1, 2, 10, 1), del(3, 4), get(5, 6, 10, 1)});
  illegal({put(1, 2, 10, 1), del(3, 4), put(5, 6, 11, 2), get(7, 8, 10, 1)});
}

TEST(NamedHistories, ResurrectedValue) {
  illegal({put(1, 2, 10, 1), del(3, 4), get_absent(5, 6), get(7, 8, 10, 1)});
  illegal({put(1, 2, 10, 1), del(3, 9), get_absent(4, 5), get(6, 7, 10, 1)});
}

TEST(NamedHistories, DeletedTwice) {
  illegal({put(1, 2, 10, 1), del(3, 4), del(5, 6)});
  illegal({put(1, 2, 10, 1), del(3, 9), del(4, 8)});
  legal({put(1, 2, 10, 1), del(3, 9), del_absent(4, 8)});
  legal({put(1, 2, 10, 1), del(3, 9), put(4, 8, 11, 2), del(5, 7)});
}

TEST(NamedHistories, VersionGoingBack) {
  illegal({put(1, 2, 10, 5), del(3, 4), put(5, 6, 11, 5)});
  illegal({put(1, 2, 10, 5), del(3, 4), put(5, 6, 11, 1)});
  illegal({put(1, 2, 10, 5), put(3, 4, 11, 4)});
}

TEST(NamedHistories, VersionLeapsOnlyWhenCreated) {
  legal({put(1, 2, 10, 5), del(3, 4), put(5, 6, 11, 9)});
  illegal({put(1, 2, 10, 5), put(3, 4, 11, 7)});
  illegal({put(1, 2, 10, 5), put(3, 9, 11, 7), get(4, 8, 10, 5)});
  // A delete under way makes room for a leap.
  legal({put(1, 2, 10, 5), del(3, 9), put(4, 8, 11, 7)});
}

TEST(NamedHistories, UnknownChangeMayTakeEffectLateOrNever) {
  legal({put(1, 2, 10, 1), put_unknown(3, 11), get(10, 11, 10, 1), get(12, 13, 11, 2)});
  legal({put(1, 2, 10, 1), put_unknown(3, 11), get(10, 11, 10, 1), put(12, 13, 12, 2)});
  legal({put(1, 2, 10, 1), put_unknown(3, 11), put(12, 13, 12, 3)});
  legal({put(1, 2, 10, 1), del_unknown(3), get(5, 6, 10, 1), get_absent(7, 8)});
  legal({put(1, 2, 10, 1), cas_unknown(3, 1, 11), put(12, 13, 12, 3)});
}

TEST(NamedHistories, UnknownChangeBeforeItsInvocation) {
  illegal({put(1, 2, 10, 1), put(3, 4, 12, 3), put_unknown(5, 11)});
  illegal({put(1, 2, 10, 1), get(3, 4, 11, 2), put_unknown(5, 11)});
  illegal({put(1, 2, 10, 1), get_absent(3, 4), del_unknown(5)});
}

TEST(NamedHistories, UnknownChangeThatTookEffectTwice) {
  illegal(
      {put(1, 2, 10, 1), put_unknown(3, 11), get(4, 5, 11, 2), put(6, 7, 12, 3), get(8, 9, 11, 4)});
  illegal({put(1, 2, 10, 1), put_unknown(3, 11), put(4, 5, 12, 3), put(6, 7, 13, 5)});
  illegal({put(1, 2, 10, 1), del_unknown(3), get_absent(4, 5), put(6, 7, 11, 2), get_absent(8, 9)});
}

TEST(NamedHistories, UnknownCasThatHadToLose) {
  illegal({put(1, 2, 10, 5), cas_unknown(3, 4, 11), put(6, 7, 12, 7)});
  illegal({put(1, 2, 10, 5), cas_unknown(3, 4, 11), get(6, 7, 11, 6)});
  legal({put(1, 2, 10, 5), cas_unknown(3, 5, 11), get(6, 7, 11, 6)});
}

TEST(NamedHistories, UnknownChangesFillVersions) {
  legal({put(1, 2, 10, 1), put_unknown(3, 11), cas_unknown(3, 2, 12), put(6, 7, 13, 4)});
  illegal({put(1, 2, 10, 1), put_unknown(3, 11), cas_unknown(3, 3, 12), put(6, 7, 13, 4)});
  // Which of the two PUTs comes first does not matter to anyone.
  legal({put(1, 2, 10, 1), put_unknown(3, 11), put_unknown(3, 12), lost(6, 7, 9, 3)});
  illegal({put(1, 2, 10, 1), put_unknown(3, 11), put_unknown(3, 12), lost(6, 7, 9, 4)});
}

TEST(NamedHistories, UnknownChangeCreatesAKey) {
  legal({put_unknown(1, 10), del(3, 4)});
  legal({put_unknown(1, 10), lost(3, 4, 9, 7), lost(5, 6, 9, 7)});
  illegal({put_unknown(1, 10), lost(3, 4, 9, 7), lost(5, 6, 9, 8)});
  legal({cas_unknown(1, 0, 10), lost(3, 4, 9, 7), del(5, 6)});
  illegal({cas_unknown(1, 3, 10), del(3, 4)});
  legal({put(1, 2, 10, 1), del(3, 4), put_unknown(5, 11), put(6, 7, 12, 9), get(8, 9, 12, 9)});
}

TEST(NamedHistories, EmptyValuesHaveNoName) {
  legal({put(1, 2, kEmptyValue, 1), put(3, 4, kEmptyValue, 2), get(5, 6, kEmptyValue, 2)});
  illegal({put(1, 2, 10, 1), get(3, 4, kEmptyValue, 1)});
  legal({put(1, 2, 10, 1), put_unknown(3, kEmptyValue), get(4, 5, kEmptyValue, 2)});
  illegal({put(1, 2, 10, 1), put_unknown(3, 11), get(4, 5, kEmptyValue, 2)});
  legal({put_unknown(1, 11), put_unknown(1, kEmptyValue), get(4, 5, kEmptyValue, 6),
         lost(6, 7, 1, 7)});
}

TEST(NamedHistories, ExpiredEntriesVanishFromTheirDeadlineOn) {
  legal({expiring(put(1, 2, 10, 1), 20), get(15, 16, 10, 1), get_absent(21, 22)});
  legal({expiring(put(1, 2, 10, 1), 20), get(30, 31, 10, 1), get_absent(33, 34)});
  illegal({expiring(put(1, 2, 10, 1), 20), get_absent(15, 16)});
  legal({expiring(put(1, 2, 10, 1), 20), get_absent(15, 25)});
  illegal({expiring(put(1, 2, 10, 1), 20), get_absent(21, 22), get(23, 24, 10, 1)});
  // The deadline is that of the entry, not of the key.
  illegal({expiring(put(1, 2, 10, 1), 20), put(3, 4, 11, 2), get_absent(25, 26)});
  legal({put(1, 2, 10, 1), expiring(won(3, 4, 1, 11, 2), 20), get_absent(25, 26),
         put(27, 28, 12, 9)});
}

TEST(NamedHistories, ExpiredEntriesAreGoneInTime) {
  legal({expiring(put(1, 2, 10, 1), 20), get(30, 31, 10, 1)}, 10);
  illegal({expiring(put(1, 2, 10, 1), 20), get(31, 32, 10, 1)}, 10);
  illegal({expiring(put(1, 2, 10, 1), 20), won(31, 32, 1, 11, 2)}, 10);
  legal({expiring(put(1, 2, 10, 1), 20), put(31, 32, 11, 2)}, 10);
}

TEST(NamedHistories, StoredWithADeadlineThatHadPassed) {
  legal({put(1, 2, 10, 1), expiring(put(3, 9, 11, 0), 5), get_absent(11, 12), put(13, 14, 12, 2)});
  illegal({put(1, 2, 10, 1), expiring(put(3, 9, 11, 0), 5), get(11, 12, 10, 1)});
  illegal({put(1, 2, 10, 1), expiring(put(3, 4, 11, 0), 5)});
  legal(
      {put(1, 2, 10, 1), expiring(put_unknown(3, 11), 5), get_absent(11, 12), put(13, 14, 12, 2)});
  legal({put(1, 2, 10, 1), expiring(cas_unknown(3, 1, 11), 5), get_absent(11, 12),
         put(13, 14, 12, 2)});
}

TEST(NamedHistories, RestartForgetsEverything) {
  legal({put(1, 2, 10, 7), restart(3, 5), get_absent(6, 7), put(8, 9, 11, 1)});
  illegal({put(1, 2, 10, 7), restart(3, 5), get(6, 7, 10, 7)});
  legal({put(1, 2, 10, 7), restart(3, 9), get(4, 5, 10, 7), get_absent(6, 7)});
  illegal({put(1, 2, 10, 7), restart(3, 9), get_absent(4, 5), get(6, 7, 10, 7)});
  // Versions of both lives under way at the same time.
  legal({put(1, 2, 10, 7), put(3, 20, 11, 8), restart(4, 9), put(10, 11, 12, 1)});
  legal(
      {put(1, 2, 10, 7), put(3, 20, 11, 2), restart(4, 9), put(10, 11, 12, 1), lost(12, 30, 1, 2)});
  illegal({put(1, 2, 10, 7), restart(4, 9), put(10, 11, 12, 1), put(12, 13, 14, 8)});
  legal({restart(1, 20), put(2, 3, 10, 1), get_absent(4, 5)});
}

TEST(NamedHistories, RefusedOperationsTellNothing) {
  Record refused = put(3, 4, 11, 0);
  refused.outcome = Outcome::kNoEffect;
  legal({put(1, 2, 10, 1), refused, get(5, 6, 10, 1)});
  illegal({put(1, 2, 10, 1), refused, get(5, 6, 11, 2)});
}

}  // namespace
}  // namespace rdmakv::linearizability
