// PinnedMemory against the real server over shared memory: a pinned value stays what it was, where
// it was, until its pin is released or its connection ends.
#include "rdmakv/client/pinned_memory.h"

#include "tests/rdmakv/client/client_server_fixture.h"

namespace rdmakv {
namespace {

class PinnedMemoryTest : public ClientServerTest {
 protected:
  static constexpr size_t kBytes = 300'000;

  void SetUp() override {
    ClientServerTest::SetUp();
    start(64 << 20, 1);
    client = open();
    other = open();
    memory = pinned_memory_of(*client);
    ASSERT_NE(memory, nullptr);
    ASSERT_EQ(put("a", value), Code::kOk);
    pin = pin_of("a");
  }
  Code put(std::string key, std::string bytes) const {
    return async_put(*other, std::move(key), std::move(bytes)).wait().code;
  }
  Ticket pin_of(std::string_view key) const {
    TestOperation get(OperationKind::kGet, key);
    get.lend_most = 0;
    client->submit(get);
    client->wait(get);
    EXPECT_EQ(get.code, Code::kOk);
    EXPECT_TRUE(get.ticket) << "it was lent";
    return get.ticket;
  }
  std::string bytes(uint64_t offset, uint64_t length) const {
    return text_of(memory->pinned(pin, offset, length));
  }
  uint64_t pinned_extents() const {
    TestOperation stats(OperationKind::kStats, {});
    other->submit(stats);
    other->wait(stats);
    constexpr std::string_view kName = "pinned_extents ";
    const size_t at = stats.lent.find(kName);
    return at == std::string::npos ? ~uint64_t{0}
                                   : std::stoull(stats.lent.substr(at + kName.size()));
  }
  // Values of the same size, as often as the pool has room for, and again.
  void fill_the_pool() const {
    for (int round = 0; round < 2; ++round) {
      size_t stored = 0;
      while (put("fill" + std::to_string(stored), pattern(kBytes, stored)) == Code::kOk) ++stored;
      ASSERT_GT(stored, 10u);
      for (size_t i = 0; i < stored; ++i) {
        ASSERT_EQ(async_delete(*other, "fill" + std::to_string(i)).wait().code, Code::kOk);
      }
    }
  }

  const std::string value = pattern(kBytes, 42);
  std::unique_ptr<Client> client, other;
  PinnedMemory* memory = nullptr;
  Ticket pin;
};

TEST_F(PinnedMemoryTest, IsTheValueAndNoMore) {
  EXPECT_TRUE(bytes(0, kBytes) == value);
  EXPECT_EQ(bytes(kBytes - 10, 10), value.substr(kBytes - 10));
  EXPECT_TRUE(memory->pinned_holds(pin));
  EXPECT_TRUE(memory->pinned(pin, 0, 65 << 20).empty()) << "beyond the pool";
  EXPECT_TRUE(memory->pinned(pin, ~uint64_t{0}, 2).empty());
  EXPECT_TRUE(memory->pinned(pin, ~uint64_t{0} - 100, 200).empty());
}

TEST_F(PinnedMemoryTest, StaysWhateverBecomesOfTheKey) {
  const std::span<const std::byte> there = memory->pinned(pin, 0, kBytes);
  ASSERT_EQ(put("a", pattern(kBytes, 1)), Code::kOk);
  fill_the_pool();
  EXPECT_TRUE(text_of(there) == value) << "overwritten";
  ASSERT_EQ(async_delete(*other, "a").wait().code, Code::kOk);
  fill_the_pool();
  EXPECT_TRUE(text_of(there) == value) << "deleted";
  TestOperation clear(OperationKind::kClear, {});
  other->submit(clear);
  other->wait(clear);
  ASSERT_EQ(clear.code, Code::kOk);
  fill_the_pool();
  EXPECT_TRUE(text_of(there) == value) << "with all keys";
  EXPECT_TRUE(memory->pinned_holds(pin));
}

TEST_F(PinnedMemoryTest, IsUsedAgainOnceReleased) {
  const std::span<const std::byte> there = memory->pinned(pin, 0, kBytes);
  ASSERT_EQ(put("a", "small"), Code::kOk);
  EXPECT_EQ(pinned_extents(), 1u);
  TestOperation release(OperationKind::kRelease, {});
  release.ticket = pin;
  client->submit(release);
  client->wait(release);
  EXPECT_EQ(release.code, Code::kOk);
  EXPECT_EQ(pinned_extents(), 0u);
  fill_the_pool();
  EXPECT_FALSE(text_of(there) == value);
}

TEST_F(PinnedMemoryTest, GoesWithItsClient) {
  EXPECT_EQ(pinned_extents(), 1u);
  client.reset();
  for (int i = 0; i < 1'000'000 && pinned_extents() != 0; ++i) {  // only ends a hang
  }
  EXPECT_EQ(pinned_extents(), 0u);
}

// Not even when there is a server again under whose tickets it would make sense.
TEST_F(PinnedMemoryTest, IsVoidFromTheEndOfItsConnectionOn) {
  other.reset();
  running.reset();
  EXPECT_FALSE(memory->pinned_holds(pin)) << "before the end was noticed by poll()";
  start(64 << 20, 1);
  other = open();
  ASSERT_EQ(put("a", value), Code::kOk);
  TestOperation get(OperationKind::kGet, "a");
  client->submit(get);
  client->wait(get);
  ASSERT_EQ(get.code, Code::kOk);
  EXPECT_FALSE(memory->pinned_holds(pin));
  EXPECT_TRUE(memory->pinned(pin, 0, 1).empty());
}

}  // namespace
}  // namespace rdmakv
