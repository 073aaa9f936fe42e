#include "proxy/output_buffer.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "tests/fakes/fake_client.h"

namespace rdmakv::proxy {
namespace {

class OutputChainTest : public ::testing::Test {
 protected:
  OutputChainTest() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair_), 0); }
  ~OutputChainTest() override {
    ::close(pair_[0]);
    ::close(pair_[1]);
  }
  ValueBuffer value(std::string_view text) {
    ValueBuffer buffer = client_.allocate(static_cast<uint32_t>(text.size()));
    std::memcpy(buffer.data(), text.data(), text.size());
    return buffer;
  }
  static void append(OutputChain& chain, ValueBuffer buffer, size_t length) {
    const std::span<const std::byte> bytes(buffer.data(), length);
    chain.append_value(std::move(buffer), bytes);
  }
  std::string drain(OutputChain& chain) {
    std::string all;
    char bytes[4096];
    for (int i = 0; i < 10000; ++i) {
      const bool empty = chain.empty();
      if (!empty) chain.write_to(pair_[0]);
      const ssize_t got = ::read(pair_[1], bytes, sizeof(bytes));
      if (got > 0) all.append(bytes, static_cast<size_t>(got));
      if (empty && got <= 0) break;
    }
    return all;
  }
  fakes::FakeClient client_;
  OutputPools pools_;
  int pair_[2];
};

TEST_F(OutputChainTest, AnEmptyChainHoldsNothing) {
  OutputChain chain(pools_);
  chain.append("hello");
  EXPECT_EQ(chain.pending(), 5u);
  EXPECT_EQ(drain(chain), "hello");
  EXPECT_TRUE(chain.empty());
  EXPECT_EQ(pools_.chunks.in_use(), 0u);
}

TEST_F(OutputChainTest, TextAndValuesKeepTheirOrder) {
  OutputChain chain(pools_);
  const std::string big(300'000, 'v');
  chain.append("a");
  append(chain, value(big), big.size());
  chain.append(std::string(10'000, 'b'));
  append(chain, value("cc"), 2);
  EXPECT_EQ(chain.pending(), 310'003u);
  EXPECT_EQ(drain(chain), "a" + big + std::string(10'000, 'b') + "cc");
  EXPECT_EQ(chain.registered_bytes(), 0u);
  EXPECT_EQ(pools_.pieces.in_use(), 0u);
}

TEST_F(OutputChainTest, AValueMayLieAnywhereInItsBuffer) {
  OutputChain chain(pools_);
  ValueBuffer buffer = value("header+VALUE+rest");
  const std::span<const std::byte> bytes(buffer.data() + 7, 5);
  chain.append_value(std::move(buffer), bytes);
  chain.spill();
  EXPECT_EQ(drain(chain), "VALUE");
}

TEST_F(OutputChainTest, SpliceMovesAll) {
  for (const size_t size : {10u, 2000u, 5000u, 20000u}) {
    OutputChain chain(pools_), other(pools_);
    chain.append("first");
    other.append(std::string(size, 'x'));
    append(other, value("VALUE"), 5);
    other.append("tail");
    chain.splice(other);
    EXPECT_TRUE(other.empty());
    chain.append("last");
    other.append("again");
    EXPECT_EQ(drain(chain), "first" + std::string(size, 'x') + "VALUEtaillast") << size;
    EXPECT_EQ(drain(other), "again");
  }
  EXPECT_EQ(pools_.chunks.in_use(), 0u);
}

TEST_F(OutputChainTest, SpillKeepsTheBytesAndGivesTheMemoryBack) {
  const uint64_t free = client_.free_bytes();
  OutputChain chain(pools_);
  chain.append("a");
  append(chain, value("VALUE"), 5);
  chain.append("b");
  chain.spill();
  EXPECT_EQ(client_.free_bytes(), free);
  EXPECT_EQ(drain(chain), "aVALUEb");
}

// Somebody else's bytes.
class Source final : public OutputSource {
 public:
  explicit Source(std::string bytes) : bytes_(std::move(bytes)) {}
  bool holds() override { return holds_left == 0 ? false : holds_left-- > 0; }
  void piece_left() override { ++left; }
  std::span<const std::byte> bytes() { return std::as_bytes(std::span(bytes_)); }
  size_t holds_left = ~size_t{0};
  int left = 0;

 private:
  std::string bytes_;
};

TEST_F(OutputChainTest, NothingBehindAGateIsWrittenWithIt) {
  Source source("0123456789");
  OutputChain chain(pools_);
  chain.append("a");
  chain.append_from(source, source.bytes().first(4), false);
  chain.append_from(source, source.bytes().subspan(4), true);
  chain.append("tail");
  EXPECT_EQ(chain.pending(), 15u);
  EXPECT_EQ(chain.write_to(pair_[0]), 11);
  EXPECT_EQ(source.left, 2);
  EXPECT_EQ(drain(chain), "a0123456789tail");
  EXPECT_EQ(pools_.pieces.in_use(), 0u);
}

TEST_F(OutputChainTest, ASourceThatNoLongerHoldsIsNotWrittenNorWhatIsBehindIt) {
  for (const size_t holds : {0, 1}) {
    Source source("0123456789");
    source.holds_left = holds;
    OutputChain chain(pools_);
    chain.append_from(source, source.bytes(), true);
    chain.append("tail");
    EXPECT_EQ(chain.write_to(pair_[0]), -1);
    EXPECT_EQ(errno, ESTALE);
    char bytes[100];
    EXPECT_EQ(::read(pair_[1], bytes, sizeof(bytes)), holds == 0 ? -1 : 10);
    chain.clear();
    EXPECT_EQ(source.left, 1);
  }
}

TEST_F(OutputChainTest, ASourceIsLeftWhenItsBytesWereCopied) {
  Source source("0123456789");
  OutputChain chain(pools_), first(pools_);
  first.append_from(source, source.bytes(), true);
  first.append("tail");
  chain.splice(first);
  EXPECT_TRUE(first.spill_sources());
  EXPECT_EQ(source.left, 0);
  EXPECT_TRUE(chain.spill_sources());
  EXPECT_EQ(source.left, 1);
  EXPECT_EQ(chain.write_to(pair_[0]), 14) << "no gate any more";
  for (const size_t holds : {0, 1}) {
    OutputChain late(pools_);
    late.append_from(source, source.bytes(), true);
    source.holds_left = holds;
    EXPECT_FALSE(late.spill_sources());
  }
}

// Of two chains made one, the source is told when its pieces are copied there.
TEST_F(OutputChainTest, SourcesAreFoundInAChainThatWasMadeOfOthers) {
  Source source("0123456789");
  OutputChain chain(pools_), first(pools_), second(pools_);
  for (OutputChain* other : {&first, &second}) {
    other->append_from(source, source.bytes(), true);
    chain.splice(*other);
  }
  EXPECT_TRUE(first.spill_sources());
  EXPECT_TRUE(chain.spill_sources());
  EXPECT_EQ(source.left, 2);
  EXPECT_EQ(drain(chain), "01234567890123456789");
}

// As over TLS, which has its bytes from a copy.
TEST_F(OutputChainTest, WhatIsGatheredWasThereAllTheTime) {
  for (const size_t holds : {0, 1, 2, 3, 4, 5}) {
    Source source("0123456789");
    source.holds_left = holds;
    OutputChain chain(pools_);
    chain.append("a");
    chain.append_from(source, source.bytes().first(4), false);
    chain.append_from(source, source.bytes().subspan(4), true);
    chain.append("tail");
    char scratch[20] = {};
    errno = 0;
    EXPECT_EQ(chain.gather(scratch), holds < 4 ? -1 : 15) << holds;
    EXPECT_EQ(errno, holds < 4 ? ESTALE : 0);
    EXPECT_EQ(chain.pending(), 15u);
    const bool is_whole = std::string_view(scratch, 15) == "a0123456789tail";
    EXPECT_EQ(is_whole, holds >= 4);
  }
  OutputChain chain(pools_);
  chain.append("0123456789");
  char scratch[4];
  EXPECT_EQ(chain.gather(scratch), 4);
  EXPECT_EQ(std::string_view(scratch, 4), "0123");
}

// A connection to a server that has ended is unmapped.
TEST_F(OutputChainTest, MemoryThatIsGoneIsNotTouched) {
  constexpr size_t kBytes = 4096;
  void* const gone = ::mmap(nullptr, kBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(gone, MAP_FAILED);
  Source source("");
  source.holds_left = 0;
  OutputChain chain(pools_);
  chain.append_from(source, {static_cast<const std::byte*>(gone), kBytes}, true);
  char scratch[20];
  EXPECT_EQ(chain.gather(scratch), -1);
  EXPECT_FALSE(chain.spill_sources());
  chain.spill();
  EXPECT_EQ(chain.write_to(pair_[0]), -1);
  EXPECT_EQ(errno, ESTALE);
  chain.clear();
  EXPECT_EQ(source.left, 1);
  ::munmap(gone, kBytes);
}

TEST_F(OutputChainTest, ClearGivesEverythingBack) {
  const uint64_t free = client_.free_bytes();
  OutputChain chain(pools_);
  chain.append(std::string(9000, 'x'));
  append(chain, value("VALUE"), 5);
  chain.clear();
  EXPECT_EQ(client_.free_bytes(), free);
  EXPECT_EQ(pools_.chunks.in_use() + pools_.pieces.in_use(), 0u);
}

}  // namespace
}  // namespace rdmakv::proxy
