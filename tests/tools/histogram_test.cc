#include "tools/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace rdmakv {
namespace {

TEST(Histogram, AnEmptyOneSaysZero) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.percentile(50), 0u);
  EXPECT_EQ(histogram.min(), 0u);
  EXPECT_EQ(histogram.max(), 0u);
}

TEST(Histogram, OneValueIsEveryPercentile) {
  Histogram histogram;
  histogram.record(1'234'567);
  for (const double percent : {0.0, 50.0, 99.9, 100.0}) {
    EXPECT_EQ(histogram.percentile(percent), 1'234'567u) << "never more than the maximum";
  }
}

TEST(Histogram, SmallValuesAreExact) {
  for (uint64_t value = 0; value < 256; ++value) {
    Histogram histogram;
    histogram.record(value);
    histogram.record(1'000'000);
    EXPECT_EQ(histogram.percentile(50), value);
  }
}

TEST(Histogram, TheErrorIsAtMostOneIn128) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 5000; ++i) {
    const uint64_t value = random() >> (random() % 64);
    Histogram histogram;
    histogram.record(value);
    histogram.record(~uint64_t{0});
    const uint64_t told = histogram.percentile(50);
    ASSERT_GE(told, value);
    ASSERT_LE(told - value, value / 128);
  }
}

TEST(Histogram, TheLargestNumberHasABucket) {
  Histogram histogram;
  histogram.record(~uint64_t{0});
  EXPECT_EQ(histogram.percentile(100), ~uint64_t{0});
}

TEST(Histogram, PercentilesAreThoseOfTheSortedValues) {
  std::mt19937_64 random(2);
  std::vector<uint64_t> values;
  Histogram histogram;
  for (int i = 0; i < 20'000; ++i) {
    values.push_back(random() % 10'000'000);
    histogram.record(values.back());
  }
  std::sort(values.begin(), values.end());
  for (const double percent : {1.0, 50.0, 90.0, 99.0, 99.9, 100.0}) {
    const auto rank = static_cast<size_t>(std::ceil(percent / 100 * 20'000));
    const uint64_t exact = values[rank - 1];
    EXPECT_GE(histogram.percentile(percent), exact) << percent;
    EXPECT_LE(histogram.percentile(percent), exact + exact / 128) << percent;
  }
}

TEST(Histogram, RanksAreExactAtTheirBorders) {
  Histogram histogram;
  for (uint64_t value = 1; value <= 100; ++value) histogram.record(value);
  EXPECT_EQ(histogram.percentile(50), 50u);
  EXPECT_EQ(histogram.percentile(99), 99u);
  EXPECT_EQ(histogram.percentile(99.1), 100u);
  EXPECT_EQ(histogram.percentile(0), 1u);
}

TEST(Histogram, MergingIsRecordingBoth) {
  Histogram one, other, both;
  for (uint64_t value = 1; value < 5000; value += 7) {
    (value % 2 == 0 ? one : other).record(value);
    both.record(value);
  }
  one.merge(other);
  EXPECT_EQ(one.count(), both.count());
  EXPECT_EQ(one.min(), both.min());
  EXPECT_EQ(one.max(), both.max());
  EXPECT_DOUBLE_EQ(one.mean(), both.mean());
  for (const double percent : {10.0, 50.0, 99.0}) {
    EXPECT_EQ(one.percentile(percent), both.percentile(percent));
  }
}

TEST(Histogram, ResetForgetsEverything) {
  Histogram histogram;
  histogram.record(5);
  histogram.reset();
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.percentile(50), 0u);
}

}  // namespace
}  // namespace rdmakv
