// Histograms and the latency monitor.
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace rdmakv::proxy
