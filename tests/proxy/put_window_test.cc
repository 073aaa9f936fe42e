#include "proxy/put_window.h"

#include <gtest/gtest.h>

namespace rdmakv::proxy {
namespace {

constexpr uint64_t kLarge = 256 * 1024;
constexpr uint64_t kNow = 1'000'000, kSoon = kNow + 1'000, kLater = kNow + 3'000;

TEST(PutWindow, TakesLargeValuesUntilItIsFull) {
  PutWindow window;
  EXPECT_TRUE(window.takes_large(3, kNow));
  window.begins(3, kLarge);
  EXPECT_TRUE(window.takes_large(3, kNow));
  window.begins(3, kLarge);
  window.begins(3, kLarge);
  window.ends(3, kLarge, kNow);
  EXPECT_FALSE(window.takes_large(3, kSoon)) << "two are under way";
  window.ends(3, kLarge, kNow);
  EXPECT_TRUE(window.takes_large(3, kSoon));
}

TEST(PutWindow, OneServersValuesAreNotAnothers) {
  PutWindow window;
  for (int i = 0; i < 3; ++i) window.begins(1, kLarge);
  window.ends(1, kLarge, kNow);
  EXPECT_FALSE(window.takes_large(1, kSoon));
  EXPECT_TRUE(window.takes_large(0, kSoon));
  EXPECT_TRUE(window.takes_large(2, kSoon));
}

TEST(PutWindow, AServerThatDoesNotAnswerIsNotWaitedFor) {
  PutWindow window;
  for (int i = 0; i < 3; ++i) window.begins(0, kLarge);
  window.ends(0, kLarge, kNow);
  EXPECT_FALSE(window.takes_large(0, kSoon));
  EXPECT_TRUE(window.takes_large(0, kLater));
}

TEST(PutWindow, RunsWaitUntilThereIsRoom) {
  PutWindow window;
  EXPECT_TRUE(window.takes_runs(kNow));
  window.runs_full(kNow);
  EXPECT_FALSE(window.takes_runs(kSoon));
  window.runs_have_room();
  EXPECT_TRUE(window.takes_runs(kSoon));
}

TEST(PutWindow, RunsDoNotWaitForLong) {
  PutWindow window;
  window.runs_full(kNow);
  window.runs_full(kSoon);
  EXPECT_FALSE(window.takes_runs(kSoon));
  EXPECT_FALSE(window.takes_runs(kLater));
  EXPECT_TRUE(window.takes_runs(kNow + 21'000)) << "from when it was full first";
}

}  // namespace
}  // namespace rdmakv::proxy
