// The generations that are read off the clock: they rise, and do not come again while a location of
// an entry that had them may be in use.
#include "rdmakv/server/generation_clock.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

namespace rdmakv::server {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kPeriodMs = uint64_t{1} << wire::kGenerationBits;
constexpr uint64_t kHourMs = wire::kMostPointerAgeNs / kMs;

uint32_t generation(uint64_t ms) {
  return static_cast<uint32_t>(ms) & wire::kGenerationMask;
}

TEST(GenerationClock, IsTheMillisecond) {
  GenerationClock clock;
  clock.begin(5 * kMs + kMs / 2);
  EXPECT_EQ(clock.now(), 5u);
  clock.begin((kPeriodMs + 7) * kMs);
  EXPECT_EQ(clock.now(), 7u);
}

// An entry that was built 18 hours ago dies: within the hour in which its location may be used its
// generation would come again.
TEST(GenerationClock, TheGenerationOfAnOldEntryIsSkipped) {
  for (const uint64_t before : {uint64_t{1}, uint64_t{15}, uint64_t{16}, uint64_t{1000}, kHourMs}) {
    const uint64_t built = 1'000'000;
    const uint64_t died = built + kPeriodMs - before;
    GenerationClock clock;
    clock.begin(died * kMs);
    clock.died(generation(built));
    for (uint64_t ms = died; ms <= died + std::min<uint64_t>(before + 40, 2000); ++ms) {
      clock.begin(ms * kMs);
      if (ms > died) {
        ASSERT_NE(clock.now(), generation(built)) << before << " ms before";
      }
    }
    clock.begin((built + kPeriodMs) * kMs);
    EXPECT_NE(clock.now(), generation(built)) << before << " ms before";
  }
}

TEST(GenerationClock, AYoungEntrysIsNot) {
  GenerationClock clock;
  clock.begin(50'000'000 * kMs);
  for (uint64_t age = 0; age < kPeriodMs - GenerationClock::kHorizonMs; age += 100'003) {
    clock.died(generation(50'000'000 - age));
  }
  for (uint64_t ms = 50'000'000; ms < 50'000'000 + GenerationClock::kHorizonMs; ms += 1000) {
    clock.begin(ms * kMs);
  }
  EXPECT_EQ(clock.skipped(), 0u);
}

// All that was loaded within ten minutes is removed 18 hours later.
TEST(GenerationClock, AWholeStretchIsSkipped) {
  const uint64_t built = 1'000'000;
  const uint64_t stretch = 600'000;
  const uint64_t died = built + kPeriodMs - 100'000;
  GenerationClock clock;
  clock.begin(died * kMs);
  for (uint64_t ms = 0; ms < stretch; ++ms) clock.died(generation(built + ms));
  for (uint64_t ms = died; ms < died + kHourMs; ms += 7) {
    clock.begin(ms * kMs);
    ASSERT_GE(generation(clock.now() - static_cast<uint32_t>(built)), stretch);
  }
  EXPECT_GE(clock.skipped(), stretch - 16);  // the first of them came between two readings
  EXPECT_LE(clock.skipped(), stretch + 32);
}

// Whatever dies: generations rise by one with each millisecond at least, and a generation of the
// dead does not come for an hour.
TEST(GenerationClock, HoldsWhateverDies) {
  std::mt19937_64 random(7);
  GenerationClock clock;
  uint64_t now_ms = 1'000'000'000;
  uint64_t ticks = 0;  // the generation, without its wrapping
  clock.begin(now_ms * kMs);
  std::vector<std::pair<uint32_t, uint64_t>> dead;  // and until when they must not come
  for (int step = 0; step < 20'000; ++step) {
    const uint64_t passed = random() % 4 == 0 ? random() % 50'000 : random() % 3;
    const uint32_t before = clock.now();
    now_ms += passed;
    clock.begin(now_ms * kMs);
    const uint32_t rise = generation(clock.now() - before);
    ASSERT_GE(rise, passed);
    ticks += rise;
    for (const auto& [of_dead, until] : dead) {
      if (now_ms <= until) {
        ASSERT_NE(clock.now(), of_dead);
      }
    }
    std::erase_if(dead, [&](const auto& one) { return one.second < now_ms; });
    if (dead.size() < 64) {
      // Among them generations that are about to come; never the present one, which the quarantine
      // takes care of.
      const auto of_dead = generation(clock.now() + 1 + random() % 100'000);
      clock.died(of_dead);
      dead.emplace_back(of_dead, now_ms + kHourMs);
    }
  }
}

}  // namespace
}  // namespace rdmakv::server
