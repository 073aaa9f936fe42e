// Keys that expire: when they are gone, what keeps or drops an expiry, and the sweep.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "rdmakv/server/partition.h"
#include "tests/rdmakv/server/partition_fixture.h"

namespace rdmakv::server {
namespace {

class PartitionExpiryTest : public testing::Test {
 protected:
  // Nothing may be lost in any of these tests.
  void TearDown() override {
    EXPECT_TRUE(box_.consistent());
    EXPECT_TRUE(box_.empty_after_clear());
  }
  PartitionBox box_;
};

TEST_F(PartitionExpiryTest, KeyLivesUpToItsExpiryAndNotAMillisecondLonger) {
  box_.put("k", "v", box_.now_ms() + 10);
  box_.clock.pass_ms(10);
  EXPECT_EQ(box_.get("k").status, ReplyStatus::kOk);
  box_.clock.pass_ms(1);
  EXPECT_EQ(box_.get("k").status, ReplyStatus::kNotFound);
  EXPECT_EQ(box_.ask({.opcode = Opcode::kCount}).number, 0u);
  EXPECT_EQ(box_.put("k", "v").version, 2u);
}

TEST_F(PartitionExpiryTest, PutDropsTheExpiryUnlessItIsKept) {
  const int64_t expiry = box_.now_ms() + 1000;
  box_.put("k", "v", expiry);
  const Ask keep{.opcode = Opcode::kPut, .key = "k", .value = "w", .flags = wire::kKeepExpiry};
  EXPECT_EQ(box_.ask(keep).expiry_ms, expiry);
  EXPECT_EQ(box_.get("k").expiry_ms, expiry);
  box_.put("k", "x");
  EXPECT_EQ(box_.get("k").expiry_ms, 0);
  EXPECT_EQ(box_.partition->sweep_due_ms(), ExpirySweep::kNever);
}

TEST_F(PartitionExpiryTest, PutWithAnExpiryInThePastRemoves) {
  box_.put("k", "v");
  const Told told = box_.put("k", "w", box_.now_ms());
  EXPECT_EQ(told.status, ReplyStatus::kOk);
  EXPECT_EQ(told.version, 0u);
  EXPECT_EQ(box_.get("k").status, ReplyStatus::kNotFound);
  EXPECT_EQ(box_.put("new", "w", 1).version, 0u);
}

TEST_F(PartitionExpiryTest, ExpireInThePastRemoves) {
  box_.put("k", "v");
  const Told told = box_.expire("k", box_.now_ms() - 1);
  EXPECT_EQ(told.status, ReplyStatus::kOk);
  EXPECT_EQ(told.version, 0u);
  EXPECT_EQ(box_.get("k").status, ReplyStatus::kNotFound);
}

TEST_F(PartitionExpiryTest, ExpireConditionsAreRedis) {
  const int64_t now = box_.now_ms();
  EXPECT_EQ(box_.expire("k", now + 1).status, ReplyStatus::kNotFound);
  box_.put("k", "v");
  // No expiry counts as infinite.
  EXPECT_EQ(box_.expire("k", now + 500, Condition::kIfExpiry).status,
            ReplyStatus::kConditionNotMet);
  EXPECT_EQ(box_.expire("k", now + 500, Condition::kIfLater).status, ReplyStatus::kConditionNotMet);
  EXPECT_EQ(box_.expire("k", now + 500, Condition::kIfSooner).status, ReplyStatus::kOk);
  EXPECT_EQ(box_.expire("k", now + 100, Condition::kIfNoExpiry).status,
            ReplyStatus::kConditionNotMet);
  EXPECT_EQ(box_.expire("k", now + 400, Condition::kIfLater).status, ReplyStatus::kConditionNotMet);
  EXPECT_EQ(box_.expire("k", now + 500, Condition::kIfLater).status, ReplyStatus::kConditionNotMet);
  EXPECT_EQ(box_.expire("k", now + 600, Condition::kIfLater).status, ReplyStatus::kOk);
  EXPECT_EQ(box_.expire("k", now + 700, Condition::kIfSooner).status,
            ReplyStatus::kConditionNotMet);
  EXPECT_EQ(box_.expire("k", now + 550, Condition::kIfSooner).status, ReplyStatus::kOk);
  EXPECT_EQ(box_.expire("k", now + 800, Condition::kIfExpiry).status, ReplyStatus::kOk);
  EXPECT_EQ(box_.get("k").expiry_ms, now + 800);
  EXPECT_EQ(box_.get("k").value, "v");
  EXPECT_EQ(box_.expire("k", now + 900, Condition::kIfExpirySooner).status,
            ReplyStatus::kConditionNotMet);
  EXPECT_EQ(box_.expire("k", now + 700, Condition::kIfExpirySooner).status, ReplyStatus::kOk);
  box_.put("k", "v");
  EXPECT_EQ(box_.expire("k", now + 700, Condition::kIfExpirySooner).status,
            ReplyStatus::kConditionNotMet);
}

TEST_F(PartitionExpiryTest, PersistNeedsAnExpiry) {
  EXPECT_EQ(box_.expire("k", 0).status, ReplyStatus::kNotFound);
  box_.put("k", "v", box_.now_ms() + 100);
  EXPECT_EQ(box_.expire("k", 0).status, ReplyStatus::kOk);
  EXPECT_EQ(box_.expire("k", 0).status, ReplyStatus::kConditionNotMet);
  EXPECT_EQ(box_.get("k").expiry_ms, 0);
}

TEST_F(PartitionExpiryTest, SweepFindsWhatNobodyAsksFor) {
  for (int i = 0; i < 500; ++i) {
    box_.put("k" + std::to_string(i), "v", i % 2 == 0 ? box_.now_ms() + 100 : box_.now_ms() + 9000);
  }
  EXPECT_EQ(box_.partition->sweep_due_ms(), box_.now_ms() + 101);
  box_.partition->sweep(1 << 20);
  EXPECT_EQ(box_.partition->index().size(), 500u);
  box_.clock.pass_ms(101);
  box_.new_batch();
  box_.partition->sweep(100);  // bounded steps
  EXPECT_EQ(box_.partition->sweep_due_ms(), 0);
  for (int i = 0; i < 100 && box_.partition->sweep_due_ms() == 0; ++i) box_.partition->sweep(100);
  EXPECT_EQ(box_.partition->index().size(), 250u);
  EXPECT_EQ(box_.partition->sweep_due_ms(), box_.now_ms() - 101 + 9001);
  box_.clock.pass_ms(10'000);
  box_.new_batch();
  box_.partition->sweep(1 << 20);
  EXPECT_EQ(box_.partition->index().size(), 0u);
  EXPECT_EQ(box_.partition->sweep_due_ms(), ExpirySweep::kNever);
}

}  // namespace
}  // namespace rdmakv::server
