// AtOnceReader with values read where they lie, against the real server over shared memory: nobody
// changes them before read_in_place(), whatever becomes of their keys.
#include "rdmakv/client/load_reader.h"
#include "tests/rdmakv/client/client_server_fixture.h"

namespace rdmakv {
namespace {

class InPlaceTest : public ClientServerTest {
 protected:
  static constexpr size_t kBytes = 200'000;

  // Takes values in place, and none else.
  struct Taken final : AtOnce {
    std::vector<ValueAtOnce> answers;
    void take(size_t, const ValueAtOnce& answer) override { answers.push_back(answer); }
    bool wants_in_place(uint64_t) override { return true; }
  };

  void SetUp() override {
    ClientServerTest::SetUp();
    start(64 << 20, 1);
    reader = open();
    writer = open();
    ASSERT_EQ(put("connected", "1"), Code::kOk);
    TestOperation get(OperationKind::kGet, "connected");
    reader->submit(get);
    reader->wait(get);
  }
  Code put(std::string key, std::string bytes) const {
    return async_put(*writer, std::move(key), std::move(bytes)).wait().code;
  }
  void remove(std::string key) const {
    ASSERT_EQ(async_delete(*writer, std::move(key)).wait().code, Code::kOk);
  }
  // Not given back yet. Empty: not at once, or not in place.
  std::span<const std::byte> get(std::string_view key) const {
    Taken taken;
    at_once_reader(*reader)->get_at_once({&key, 1}, taken);
    if (taken.answers.empty() || !taken.answers[0].in_place) return {};
    return taken.answers[0].value;
  }
  void give_back() const { at_once_reader(*reader)->read_in_place(); }
  uint64_t quarantined() const {
    TestOperation stats(OperationKind::kStats, {});
    writer->submit(stats);
    writer->wait(stats);
    constexpr std::string_view kName = "quarantined_extents ";
    const size_t at = stats.lent.find("\n" + std::string(kName));
    return at == std::string::npos ? ~uint64_t{0}
                                   : std::stoull(stats.lent.substr(at + 1 + kName.size()));
  }
  // Whether in the end so many stay in quarantine.
  bool quarantine_keeps(uint64_t extents) const {
    for (int i = 0; i < 1'000'000; ++i) {  // only ends a hang
      if (quarantined() == extents) return true;
    }
    return false;
  }
  // Values of the same size, as often as the pool has room for, and again.
  void fill_the_pool() const {
    for (int round = 0; round < 2; ++round) {
      size_t stored = 0;
      while (put("fill" + std::to_string(stored), pattern(kBytes, stored)) == Code::kOk) ++stored;
      ASSERT_GT(stored, 10u);
      for (size_t i = 0; i < stored; ++i) remove("fill" + std::to_string(i));
    }
  }

  const std::string value = pattern(kBytes, 42);
  std::unique_ptr<Client> reader, writer;
};

TEST_F(InPlaceTest, LargeValuesLieWhereTheyAre) {
  const DirectCounters before = reader->counters().direct;
  for (const size_t size : {4095u, 4096u, 16384u, 65537u, 262144u, 262145u}) {
    const std::string key = std::to_string(size);
    ASSERT_EQ(put(key, pattern(size, size)), Code::kOk);
    const bool large = size >= wire::kLargeValue && size <= LoadReader::kLargestInPlace;
    for (int i = 0; i < 2; ++i) {  // found by the index, and where it is known to be
      const std::span<const std::byte> there = get(key);
      EXPECT_TRUE(text_of(there) == (large ? pattern(size, size) : "")) << size;
      give_back();
    }
  }
  const DirectCounters direct = reader->counters().direct;
  EXPECT_EQ(direct.indexed - before.indexed, 5u) << "the small one, too";
  EXPECT_EQ(direct.cached - before.cached, 5u);
  ASSERT_EQ(put("4096", pattern(5000, 1)), Code::kOk);
  EXPECT_TRUE(text_of(get("4096")) == pattern(5000, 1)) << "by the link from the entry before";
}

TEST_F(InPlaceTest, StaysWhateverBecomesOfTheKey) {
  ASSERT_EQ(put("a", value), Code::kOk);
  const std::span<const std::byte> there = get("a");
  ASSERT_TRUE(text_of(there) == value);
  ASSERT_EQ(put("a", pattern(kBytes, 1)), Code::kOk);
  fill_the_pool();
  EXPECT_TRUE(text_of(there) == value) << "overwritten";
  remove("a");
  fill_the_pool();
  EXPECT_TRUE(text_of(there) == value) << "deleted";
  TestOperation clear(OperationKind::kClear, {});
  writer->submit(clear);
  writer->wait(clear);
  fill_the_pool();
  EXPECT_TRUE(text_of(there) == value) << "with all keys";
  EXPECT_TRUE(quarantine_keeps(1));
  give_back();
  EXPECT_TRUE(quarantine_keeps(0));
  fill_the_pool();
  EXPECT_FALSE(text_of(there) == value) << "nobody reads it";
}

TEST_F(InPlaceTest, IsGivenUpWithItsClient) {
  ASSERT_EQ(put("a", value), Code::kOk);
  ASSERT_FALSE(get("a").empty());
  remove("a");
  fill_the_pool();
  EXPECT_TRUE(quarantine_keeps(1));
  reader.reset();
  EXPECT_TRUE(quarantine_keeps(0));
}

TEST_F(InPlaceTest, NoMoreThanThereAreMarks) {
  std::vector<std::span<const std::byte>> there;
  ASSERT_EQ(put("a", value), Code::kOk);
  while (there.size() <= PeerMemoryView::kMostMarks) {
    const std::span<const std::byte> one = get("a");
    if (one.empty()) break;
    there.push_back(one);
  }
  EXPECT_EQ(there.size(), PeerMemoryView::kMostMarks);
  give_back();
  EXPECT_FALSE(get("a").empty());
}

// A place that is known from before, where a value lies by now that looks like the entry that was
// there: all of it that is checked but for the checksum is right.
TEST_F(InPlaceTest, AValueThatLooksLikeAnEntryIsNone) {
  constexpr size_t kPage = 4096;
  // Neighbours, whose places one value takes afterwards.
  std::vector<std::string> keys;
  for (int i = 0; i < 8; ++i) keys.push_back("victim" + std::to_string(i));
  std::vector<const std::byte*> places;
  std::vector<std::string> headers;
  for (const std::string& key : keys) {
    ASSERT_EQ(put(key, pattern(5 * kPage, 7)), Code::kOk);
    const std::span<const std::byte> there = get(key);
    ASSERT_FALSE(there.empty());
    const uint64_t before = wire::entry_value_offset(key.size(), false);
    places.push_back(there.data() - before);
    headers.push_back(text_of({places.back(), before}));
    give_back();
  }
  for (const std::string& key : keys) remove(key);
  ASSERT_TRUE(quarantine_keeps(0));
  int covered = 0;
  for (size_t victim = 0; victim < keys.size(); ++victim) {
    // At the beginning of every page of its extent.
    std::string forged(50 * kPage, '!');
    const std::string forger = "forger" + std::to_string(victim);
    const uint64_t before = wire::entry_value_offset(forger.size(), false);
    for (size_t page = kPage; page < forged.size(); page += kPage) {
      forged.replace(page - before, headers[victim].size(), headers[victim]);
    }
    ASSERT_EQ(put(forger, forged), Code::kOk);
    const std::span<const std::byte> there = get(forger);
    give_back();
    ASSERT_FALSE(there.empty());
    covered += text_of({places[victim], headers[victim].size()}) == headers[victim] ? 1 : 0;
    Taken taken;
    const std::string_view key = keys[victim];
    at_once_reader(*reader)->get_at_once({&key, 1}, taken);
    for (const ValueAtOnce& answer : taken.answers) EXPECT_FALSE(answer.found) << key;
    give_back();
    remove(forger);
    ASSERT_TRUE(quarantine_keeps(0));
  }
  EXPECT_GT(covered, 0) << "no place was where one had been, and this tests nothing";
}

}  // namespace
}  // namespace rdmakv
