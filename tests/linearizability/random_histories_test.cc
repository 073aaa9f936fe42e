// Histories of a simulated register, correct ones and spoiled ones. Small ones are also judged by
// brute force; of large ones only what is certain beforehand is expected.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "tests/linearizability/brute_force.h"
#include "tests/linearizability/checker.h"
#include "tests/linearizability/simulated_register.h"

namespace rdmakv::linearizability {
namespace {

using Histories = std::vector<std::vector<Record>>;

Report judge(const Histories& histories, uint64_t late_ns) {
  History history;
  for (uint32_t i = 0; i < histories.size(); ++i) history.add(histories[i], i);
  const Status status = history.prepare();
  EXPECT_TRUE(status) << status.to_string();
  KeyLimits limits;
  limits.late_ns = late_ns;
  return check(history, limits);
}

std::vector<Record> all_of(const Histories& histories) {
  std::vector<Record> all;
  for (const auto& one : histories) all.insert(all.end(), one.begin(), one.end());
  return all;
}

std::string print(const Histories& histories) {
  std::string text;
  std::vector<Record> all = all_of(histories);
  std::sort(all.begin(), all.end(),
            [](const Record& a, const Record& b) { return a.invoke_ns < b.invoke_ns; });
  for (const Record& r : all) {
    char line[200];
    std::snprintf(line, sizeof(line),
                  "[%lu %lu] kind %d outcome %d value %lu in %lu out %lu deadline %lu\n",
                  r.invoke_ns, r.return_ns, static_cast<int>(r.kind), static_cast<int>(r.outcome),
                  r.value, r.version_in, r.version_out, r.deadline_ns);
    text += line;
  }
  return text;
}

// Changes one record a little, so that the history may or may not be linearizable any more.
void spoil(Histories& histories, std::mt19937_64& random) {
  std::vector<Record*> all;
  for (auto& one : histories) {
    for (Record& record : one) {
      if (record.kind != Kind::kRestart) all.push_back(&record);
    }
  }
  Record& record = *all[random() % all.size()];
  const Record& other = *all[random() % all.size()];
  switch (random() % 7) {
    case 0:
      record.version_out += 1;
      break;
    case 1:
      if (record.version_out > 1) record.version_out -= 1;
      break;
    case 2:
      if (record.kind == Kind::kGet) record.value = other.value;
      break;
    case 3:
      if (record.outcome == Outcome::kOk && !is_write(record)) record.outcome = Outcome::kAbsent;
      break;
    case 4:
      if (record.kind == Kind::kGet && record.outcome == Outcome::kAbsent) {
        record.outcome = Outcome::kOk;
        record.value = other.value;
        record.version_out = other.version_out;
      }
      break;
    case 5:
      if (record.outcome == Outcome::kLost) {
        record.outcome = Outcome::kOk;
        record.version_out = record.version_in + 1;
      }
      break;
    default:
      if (!is_unknown(record)) record.return_ns = record.invoke_ns;
  }
}

struct Tally {
  int legal = 0, illegal = 0;
};

// Both must agree; with `lenient`, the checker may accept what brute force does not.
Tally compare(Simulation options, int histories, bool lenient) {
  Tally tally;
  std::mt19937_64 random(options.seed);
  for (int i = 0; i < histories; ++i) {
    ++options.seed;
    Histories one = simulate(options);
    const uint64_t late = i % 2 == 0 ? options.late_ns : kNever;
    const int spoils = i % 3;
    for (int n = 0; n < spoils; ++n) spoil(one, random);
    const bool expected = linearizable_by_brute_force(all_of(one), late);
    const Report report = judge(one, late);
    EXPECT_EQ(report.undecided(), 0u);
    const bool got = report.violations() == 0;
    if (spoils == 0) {
      EXPECT_TRUE(expected && got) << "seed " << options.seed << "\n" << print(one);
    }
    EXPECT_TRUE(got == expected || (lenient && got))
        << "seed " << options.seed << ": the checker says " << got << ", brute force " << expected
        << "\n"
        << print(one);
    ++(expected ? tally.legal : tally.illegal);
    if (testing::Test::HasFailure()) break;
  }
  EXPECT_GT(tally.legal, histories / 10);
  EXPECT_GT(tally.illegal, histories / 20);
  return tally;
}

TEST(RandomHistories, AgreeWithBruteForce) {
  compare({.seed = 1000, .clients = 3, .operations = 3}, 6000, false);
  compare({.seed = 20000, .clients = 5, .operations = 2}, 3000, false);
}

TEST(RandomHistories, AgreeWithBruteForceOnUnknownOutcomes) {
  compare({.seed = 30000, .clients = 4, .operations = 2, .unknown = 30}, 6000, false);
  compare({.seed = 40000, .clients = 3, .operations = 3, .unknown = 60, .empty = 50}, 3000, false);
}

TEST(RandomHistories, AgreeWithBruteForceOnExpiry) {
  compare({.seed = 50000, .clients = 3, .operations = 3, .expiring = 50, .late_ns = 20}, 6000,
          false);
}

TEST(RandomHistories, AgreeWithBruteForceOnExpire) {
  compare({.seed = 80000, .clients = 3, .operations = 3, .expires = 25}, 6000, false);
  compare({.seed = 90000,
           .clients = 3,
           .operations = 3,
           .expires = 25,
           .expiring = 40,
           .restarts = 1,
           .late_ns = 20},
          6000, false);
}

// The versions that their EXPIREs expect had been seen: so spoiled ones are not compared.
TEST(RandomHistories, CorrectOnesWithUnknownExpiresPass) {
  for (uint64_t seed = 1; seed < 40; ++seed) {
    const Simulation some{.seed = seed,
                          .clients = 8,
                          .operations = 300,
                          .keys = 3,
                          .puts = 20,
                          .expires = 25,
                          .unknown = 15,
                          .expiring = 20,
                          .empty = 2};
    const Histories histories = simulate(some);
    const Report report = judge(histories, some.late_ns);
    ASSERT_EQ(report.violations(), 0u) << "seed " << seed;
    ASSERT_GT(report.unknown, 100u);
  }
}

TEST(RandomHistories, AgreeWithBruteForceOnRestarts) {
  compare({.seed = 60000, .clients = 3, .operations = 3, .restarts = 1}, 6000, false);
}

// Where the checker takes liberties (key_checker.h) it may only be the more lenient one.
TEST(RandomHistories, NeverStricterThanBruteForce) {
  compare({.seed = 70000,
           .clients = 3,
           .operations = 3,
           .unknown = 30,
           .expiring = 40,
           .empty = 20,
           .restarts = 1},
          6000, true);
}

TEST(RandomHistories, LargeCorrectOnesPass) {
  const Simulation large{.seed = 7,
                         .clients = 16,
                         .operations = 4000,
                         .keys = 40,
                         .hot_percent = 30,
                         .unknown = 2,
                         .expiring = 10,
                         .restarts = 3};
  const Histories histories = simulate(large);
  const Report report = judge(histories, large.late_ns);
  EXPECT_EQ(report.findings.size(), 0u);
  EXPECT_EQ(report.operations, 64'000u);
  EXPECT_EQ(report.keys, 40u);
  EXPECT_GT(report.unknown, 300u);
  EXPECT_GT(report.unknown_seen, 50u);
}

TEST(RandomHistories, HundredsUnderWayOnOneKey) {
  Simulation crowd{.seed = 9, .clients = 200, .operations = 40, .deletes = 2};
  Histories histories = simulate(crowd);
  EXPECT_EQ(judge(histories, kNever).findings.size(), 0u);
  for (Record& record : histories[150]) {
    if (record.kind == Kind::kGet && record.outcome == Outcome::kOk) record.version_out += 1;
  }
  EXPECT_EQ(judge(histories, kNever).violations(), 1u);
}

TEST(RandomHistories, SeveralThreadsFindTheSame) {
  Histories histories = simulate({.seed = 8, .clients = 8, .operations = 2000, .keys = 50});
  for (Record& record : histories[3]) {
    if (record.kind == Kind::kGet && record.outcome == Outcome::kOk) record.value = 1'000'000;
  }
  History history;
  for (uint32_t i = 0; i < histories.size(); ++i) history.add(histories[i], i);
  ASSERT_TRUE(history.prepare());
  const Report one = check(history, {}, 1);
  const Report three = check(history, {}, 3);
  EXPECT_EQ(one.operations, three.operations);
  EXPECT_EQ(one.keys, three.keys);
  EXPECT_EQ(one.violations(), three.violations());
  EXPECT_GT(one.violations(), 10u);
}

// ---- spoiled for certain -----------------------------------------------------------------------

// No deletes, no expiry, all outcomes known: what is wrong then can't be explained away.
class Spoiled : public testing::TestWithParam<uint64_t> {
 protected:
  void SetUp() override {
    histories = simulate({.seed = GetParam(),
                          .clients = 8,
                          .operations = 500,
                          .keys = 5,
                          .puts = 30,
                          .deletes = 0,
                          .cas = 30,
                          .empty = 0});
    for (auto& one : histories) {
      for (Record& record : one) {
        all.push_back(&record);
        if (is_write(record) && record.outcome == Outcome::kOk) {
          writes[{record.key, record.version_out}] = &record;
        }
      }
    }
    std::shuffle(all.begin(), all.end(), random);
    ASSERT_EQ(judge(histories, kNever).findings.size(), 0u);
  }
  // The first record that the change applies to.
  template <typename Change>
  void expect_violation_after(Change&& change) {
    for (Record* record : all) {
      const uint64_t key = record->key;
      if (!change(*record)) continue;
      const Report report = judge(histories, kNever);
      ASSERT_EQ(report.violations(), 1u);
      EXPECT_EQ(report.findings[0].key, key);
      return;
    }
    FAIL() << "the change applies nowhere";
  }

  Histories histories;
  std::vector<Record*> all;
  std::map<std::pair<uint64_t, uint64_t>, Record*> writes;
  std::mt19937_64 random{GetParam()};
};

TEST_P(Spoiled, ValueNeverWritten) {
  expect_violation_after([](Record& record) {
    if (record.kind != Kind::kGet || record.outcome != Outcome::kOk) return false;
    record.value = 1'000'000;
    return true;
  });
}

TEST_P(Spoiled, StaleRead) {
  expect_violation_after([this](Record& record) {
    if (record.kind != Kind::kGet || record.outcome != Outcome::kOk || record.version_out < 2) {
      return false;
    }
    // The version read was acknowledged before; so the one below it is too old.
    const Record* current = writes[{record.key, record.version_out}];
    const Record* older = writes[{record.key, record.version_out - 1}];
    if (current == nullptr || older == nullptr || current->return_ns >= record.invoke_ns) {
      return false;
    }
    record.value = older->value;
    record.version_out = older->version_out;
    return true;
  });
}

TEST_P(Spoiled, AcknowledgedKeyNotFound) {
  expect_violation_after([this](Record& record) {
    if (record.kind != Kind::kGet || record.outcome != Outcome::kOk) return false;
    const Record* write = writes[{record.key, record.version_out}];
    if (write == nullptr || write->return_ns >= record.invoke_ns) return false;
    record.outcome = Outcome::kAbsent;
    return true;
  });
}

TEST_P(Spoiled, SecondWinner) {
  expect_violation_after([this](Record& record) {
    if (record.outcome != Outcome::kLost) return false;
    if (!writes.contains({record.key, record.version_in + 1})) return false;
    record.outcome = Outcome::kOk;
    record.version_out = record.version_in + 1;
    return true;
  });
}

TEST_P(Spoiled, LostUpdate) {
  expect_violation_after([this](Record& record) {
    const auto next = writes.find({record.key, record.version_out + 1});
    if (record.kind != Kind::kPut || next == writes.end()) return false;
    record.version_out += 1;
    return true;
  });
}

TEST_P(Spoiled, ReadOfARefusedWrite) {
  expect_violation_after([this](Record& record) {
    if (record.kind != Kind::kGet || record.outcome != Outcome::kOk) return false;
    Record* write = writes[{record.key, record.version_out}];
    if (write == nullptr) return false;
    write->outcome = Outcome::kNoEffect;
    return true;
  });
}

INSTANTIATE_TEST_SUITE_P(Seeds, Spoiled, testing::Range<uint64_t>(1, 11));

}  // namespace
}  // namespace rdmakv::linearizability
