// Histograms, the latency monitor and instantaneous rates.
#include <gtest/gtest.h>

#include "proxy/instantaneous.h"
#include "proxy/latency_histogram.h"
#include "proxy/latency_monitor.h"

namespace rdmakv::proxy {
namespace {

TEST(LatencyHistogram, EveryValueLiesInItsBucket) {
  size_t last = 0;
  for (uint64_t value = 0; value < (1ull << 33); value += 1 + value / 7) {
    const size_t bucket = LatencyHistogram::bucket_of(value);
    ASSERT_LT(bucket, LatencyHistogram::kBuckets);
    ASSERT_GE(bucket, last);
    last = bucket;
    if (value > UINT32_MAX) continue;
    ASSERT_LE(value, LatencyHistogram::upper_bound(bucket)) << value;
    if (bucket > 0) {
      ASSERT_GT(value, LatencyHistogram::upper_bound(bucket - 1)) << value;
    }
    ASSERT_LE(LatencyHistogram::upper_bound(bucket), value + value / LatencyHistogram::kParts);
  }
}

TEST(LatencyHistogram, Percentiles) {
  LatencyHistogram histogram;
  for (uint64_t value = 1; value <= 10; ++value) histogram.record(value);
  LatencyHistogram::Counts counts{};
  histogram.add_to(counts);
  EXPECT_EQ(LatencyHistogram::percentile(counts, 50), 5u);
  EXPECT_EQ(LatencyHistogram::percentile(counts, 99), 10u);
  EXPECT_EQ(LatencyHistogram::percentile(counts, 0), 1u);
  EXPECT_EQ(LatencyHistogram::percentile({}, 50), 0u);
}

TEST(LatencyMonitor, KeepsTheWorstOfASecondAndAtMost160) {
  LatencyMonitor monitor;
  for (int64_t second = 0; second < 200; ++second) {
    monitor.add("command", second, 10);
    monitor.add("command", second, 30);
    monitor.add("command", second, 20);
  }
  const LatencyEvent event = monitor.event("command");
  ASSERT_EQ(event.samples.size(), 160u);
  EXPECT_EQ(event.samples.front().time_s, 40);
  EXPECT_EQ(event.samples.back().milliseconds, 30u);
  EXPECT_EQ(monitor.reset({"nosuch"}), 0u);
  EXPECT_EQ(monitor.reset({}), 1u);
  EXPECT_TRUE(monitor.events().empty());
}

// The picture that redis-server 7.0.15 drew of the same samples.
TEST(LatencyMonitor, DrawsAsRedisDoes) {
  const LatencyEvent event{"command", {{100, 30}, {103, 50}}, 50};
  EXPECT_EQ(draw_latency(event, 103), "command - high 50 ms, low 30 ms (all time high 50 ms)\n" +
                                          std::string(80, '-') + "\n #\n |\n |\n_|\n  \n30\nss\n");
}

using Rates = InstantaneousRates;

TEST(InstantaneousRates, AreTheMeanOfSixteenSamples) {
  Rates rates;
  rates.begin(1'000'000, {100, 0, 5000});
  // 10 commands in a tenth of a second: 100 a second, in one sample of sixteen.
  EXPECT_TRUE(rates.sample(1'100'000, {110, 0, 7048}));
  EXPECT_EQ(rates.per_second(Rates::kCommands), 100u / 16);
  EXPECT_EQ(rates.per_second(Rates::kInputBytes), 0u);
  EXPECT_EQ(rates.per_second(Rates::kOutputBytes), 20480u / 16);
  for (uint64_t i = 2; i <= Rates::kSamples; ++i) {
    EXPECT_TRUE(rates.sample(1'000'000 + i * 100'000, {100 + i * 10, 0, 7048}));
  }
  EXPECT_EQ(rates.per_second(Rates::kCommands), 100u);
  // A late sample counts for what it is.
  EXPECT_TRUE(rates.sample(3'600'000, {300, 0, 7048}));
  EXPECT_EQ(rates.per_second(Rates::kCommands), (15u * 100 + 40) / 16);
}

TEST(InstantaneousRates, EndWhenNothingHappensAnyMore) {
  Rates rates;
  rates.begin(0, {});
  EXPECT_FALSE(rates.sample(100'000, {}));
  EXPECT_TRUE(rates.sample(200'000, {1000, 1000, 1000}));
  for (uint64_t i = 1; i < Rates::kSamples; ++i) {
    EXPECT_TRUE(rates.sample(200'000 + i * 100'000, {1000, 1000, 1000}));
  }
  EXPECT_FALSE(rates.sample(2'000'000, {1000, 1000, 1000}));
  EXPECT_EQ(rates.per_second(Rates::kCommands), 0u);
}

TEST(InstantaneousRates, BeginAnewWhenCountersDo) {
  Rates rates;
  rates.begin(0, {});
  rates.sample(100'000, {5000, 5000, 5000});
  rates.reset(150'000);
  EXPECT_EQ(rates.per_second(Rates::kCommands), 0u);
  rates.sample(250'000, {16, 0, 0});
  EXPECT_EQ(rates.per_second(Rates::kCommands), 10u);
}

}  // namespace
}  // namespace rdmakv::proxy
