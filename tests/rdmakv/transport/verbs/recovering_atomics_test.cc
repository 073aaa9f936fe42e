// RecoveringAtomics over channels that break: what it says about a swap is what happened.
#include "rdmakv/transport/verbs/recovering_atomics.h"

#include <gtest/gtest.h>

#include <deque>

#include "tests/rdmakv/server/plain_region.h"

namespace rdmakv::verbs {
namespace {

// What the next swap does.
enum class Fault { kNone, kLostBefore, kLostAfter };

struct Script {
  std::deque<Fault> faults;  // none left: no faults
  int alive = 0;             // channels
  int made = 0;
  int swaps = 0;
  Status make_error;
};

class ScriptedChannel final : public SwapChannel {
 public:
  explicit ScriptedChannel(Script& script) : script_(script) {
    ++script_.made;
    ++script_.alive;
  }
  ~ScriptedChannel() override { --script_.alive; }
  Code compare_and_swap(const MemoryRegion& region, uint64_t offset, uint64_t expected,
                        uint64_t desired, uint64_t& previous) override {
    EXPECT_FALSE(broken_) << "a broken channel is used again";
    ++script_.swaps;
    Fault fault = Fault::kNone;
    if (!script_.faults.empty()) {
      fault = script_.faults.front();
      script_.faults.pop_front();
    }
    broken_ = fault != Fault::kNone;
    if (fault == Fault::kLostBefore) return Code::kUnknownOutcome;
    uint64_t found = 0;
    EXPECT_EQ(cpu_->compare_and_swap(region, offset, expected, desired, found), Code::kOk);
    if (broken_) return Code::kUnknownOutcome;
    previous = found;
    return Code::kOk;
  }

 private:
  Script& script_;
  std::unique_ptr<LocalAtomics> cpu_ = make_cpu_atomics();
  bool broken_ = false;
};

class RecoveringAtomicsTest : public testing::Test {
 protected:
  RecoveringAtomicsTest()
      : region(4096),
        atomics(
            std::move(*make()), [this] { return make(); }, "") {
    word() = 1;
  }
  Result<std::unique_ptr<SwapChannel>> make() {
    if (!script.make_error) return script.make_error;
    return std::unique_ptr<SwapChannel>(std::make_unique<ScriptedChannel>(script));
  }
  uint64_t& word() { return *reinterpret_cast<uint64_t*>(region.data() + 8); }
  Code swap(uint64_t expected, uint64_t desired) {
    return atomics.compare_and_swap(region, 8, expected, desired, previous);
  }

  Script script;
  server::PlainRegion region;
  RecoveringAtomics atomics;
  uint64_t previous = 77;
};

TEST_F(RecoveringAtomicsTest, AWorkingChannelIsKept) {
  EXPECT_EQ(swap(1, 2), Code::kOk);
  EXPECT_EQ(previous, 1u);
  EXPECT_EQ(swap(1, 3), Code::kOk);
  EXPECT_EQ(previous, 2u);
  EXPECT_EQ(word(), 2u);
  EXPECT_EQ(script.made, 1);
}

TEST_F(RecoveringAtomicsTest, ASwapWhoseCompletionWasLostIsKnownByItsWord) {
  script.faults = {Fault::kLostAfter};
  EXPECT_EQ(swap(1, 2), Code::kOk);
  EXPECT_EQ(previous, 1u);
  EXPECT_EQ(word(), 2u);
  EXPECT_EQ(script.swaps, 1) << "it was done twice";
  EXPECT_EQ(script.alive, 0) << "the word was looked at while the channel could still do it";
}

TEST_F(RecoveringAtomicsTest, ASwapThatDidNotTakePlaceIsDoneByANewChannel) {
  script.faults = {Fault::kLostBefore};
  EXPECT_EQ(swap(1, 2), Code::kOk);
  EXPECT_EQ(previous, 1u);
  EXPECT_EQ(word(), 2u);
  EXPECT_EQ(script.made, 2);
}

TEST_F(RecoveringAtomicsTest, ALosingSwapWhoseCompletionWasLostStillLoses) {
  script.faults = {Fault::kLostAfter};
  EXPECT_EQ(swap(5, 2), Code::kOk);
  EXPECT_EQ(previous, 1u);
  EXPECT_EQ(word(), 1u);
}

TEST_F(RecoveringAtomicsTest, GivesUpWhenEveryChannelBreaks) {
  script.faults.assign(RecoveringAtomics::kAttempts, Fault::kLostBefore);
  EXPECT_EQ(swap(1, 2), Code::kSystemError);
  EXPECT_EQ(previous, 77u);
  EXPECT_EQ(word(), 1u);
  EXPECT_EQ(script.alive, 0);
  EXPECT_EQ(swap(1, 2), Code::kOk);
}

TEST_F(RecoveringAtomicsTest, SaysWhyNoChannelCanBeMade) {
  script.faults = {Fault::kLostBefore};
  script.make_error = Status(Code::kUnavailable, "the link is down");
  EXPECT_EQ(swap(1, 2), Code::kUnavailable);
  EXPECT_EQ(word(), 1u);
  script.make_error = Status::ok();
  EXPECT_EQ(swap(1, 2), Code::kOk);
  EXPECT_EQ(word(), 2u);
}

TEST_F(RecoveringAtomicsTest, RefusesWhatIsNoWordOfTheRegion) {
  for (const uint64_t offset : {uint64_t{1}, uint64_t{4}, uint64_t{4096}, ~uint64_t{7}}) {
    EXPECT_EQ(atomics.compare_and_swap(region, offset, 0, 1, previous), Code::kInvalidArgument);
  }
  EXPECT_EQ(script.swaps, 0);
}

}  // namespace
}  // namespace rdmakv::verbs
