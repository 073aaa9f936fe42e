#include "rdmakv/client/swap_writer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "tests/fakes/fake_fabric.h"

namespace rdmakv {
namespace {

// Records what is posted, in order; takes no more than it is told to.
class RecordingEndpoint final : public Endpoint {
 public:
  struct Posted {
    std::string_view kind;
    uint64_t at = 0;
    std::string bytes;  // of a WRITE
  };
  std::vector<Posted> posted;
  size_t room = 100;
  int answer = 0;  // an ATOMIC finds: what it expects, what it stores, something else

  bool write(std::span<const LocalBuffer> body, RemoteAddress to, uint64_t, bool) override {
    if (posted.size() == room) return false;
    std::string bytes;
    for (const LocalBuffer& part : body) {
      bytes.append(reinterpret_cast<const char*>(part.address), part.length);
    }
    posted.push_back({"write", to.address, std::move(bytes)});
    return true;
  }
  bool compare_and_swap(LocalBuffer previous, RemoteAddress at, uint64_t expected, uint64_t desired,
                        uint64_t, bool, bool) override {
    if (posted.size() == room) return false;
    const uint64_t found[] = {expected, desired, expected + 1};
    std::memcpy(previous.address, &found[answer], sizeof(found[answer]));
    posted.push_back({"swap", at.address, {}});
    return true;
  }

  MessageBuffer acquire_message() override { return {}; }
  void abandon_message(MessageBuffer) override {}
  bool send(MessageBuffer, uint32_t, uint64_t, bool) override { return false; }
  bool write_with_imm(MessageBuffer, uint32_t, std::span<const LocalBuffer>, RemoteAddress,
                      uint32_t, uint64_t, bool) override {
    return false;
  }
  bool read(LocalBuffer, RemoteAddress, uint64_t, bool, bool) override { return false; }
  void flush() override {}
  void release_message(uint32_t) override {}
  Status expose(const MemoryRegion&) override { return Status::ok(); }
  void probe() override {}
  void close() override {}
  std::string_view peer_name() const override { return "recorder"; }
  std::string_view error_text() const override { return {}; }
};

class SwapWriterTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kRegion = 1 << 20;
  // Offsets count through pool, cas and grants.
  static constexpr uint64_t kOld = kRegion / wire::kExtentUnit + 32;
  static constexpr uint64_t kNew = 2 * kRegion / wire::kExtentUnit + 64;

  SwapWriterTest()
      : arena_(std::make_unique<fakes::FakeRegion>(BufferArena::kLargest)), writer_(arena_) {
    wire::Welcome welcome;
    welcome.seed = 7;
    welcome.pool = {.base = 1ull << 32, .bytes = kRegion};
    welcome.cas = {.base = 2ull << 32, .bytes = kRegion};
    welcome.grants = {.base = 3ull << 32, .bytes = kRegion};
    layout_ = RemoteLayout(welcome);
    writer_.reset(layout_);
    writer_.add_grant({.offset = kNew, .generation = 5});
    operation_.key = "key";
    operation_.input = std::as_bytes(std::span<const char>(kValue));
    operation_.expected_version = 3;
  }

  static constexpr std::string_view kValue = "the new value";
  BufferArena arena_;
  SwapWriter writer_;
  RemoteLayout layout_;
  RecordingEndpoint endpoint_;
  Operation operation_;
};

// The ATOMIC links the entry, so that it must be there before: WRITE first, on the same connection.
// The first word is the server's, to which late ATOMICs of others may be on their way.
TEST_F(SwapWriterTest, TheWholeEntryIsWrittenBeforeTheSwap) {
  ASSERT_TRUE(writer_.begin(operation_, 1, 0, {kOld, 9, wire::kGenerationMask}));
  EXPECT_FALSE(writer_.pump(endpoint_));
  ASSERT_EQ(endpoint_.posted.size(), 2u);
  EXPECT_EQ(endpoint_.posted[0].kind, "write");
  EXPECT_EQ(endpoint_.posted[0].at, layout_.from(kNew).address.address + sizeof(uint64_t));
  EXPECT_EQ(endpoint_.posted[0].bytes.size(),
            wire::entry_bytes(operation_.key.size(), kValue.size(), false) - sizeof(uint64_t));
  EXPECT_NE(endpoint_.posted[0].bytes.find(kValue), std::string::npos);
  EXPECT_EQ(endpoint_.posted[1].kind, "swap");
  EXPECT_EQ(endpoint_.posted[1].at, layout_.from(kOld).address.address);
}

// No room between the two: the rest follows later, and nothing is posted twice.
TEST_F(SwapWriterTest, ASwapThatHadNoRoomFollowsItsWrite) {
  ASSERT_TRUE(writer_.begin(operation_, 1, 0, {kOld, 9, wire::kGenerationMask}));
  endpoint_.room = 1;
  EXPECT_TRUE(writer_.pump(endpoint_));
  ASSERT_EQ(endpoint_.posted.size(), 1u);
  EXPECT_EQ(endpoint_.posted[0].kind, "write");
  endpoint_.room = 100;
  EXPECT_FALSE(writer_.pump(endpoint_));
  EXPECT_FALSE(writer_.pump(endpoint_));
  ASSERT_EQ(endpoint_.posted.size(), 2u);
  EXPECT_EQ(endpoint_.posted[1].kind, "swap");
}

// The answer to an ATOMIC was lost on the wire, and the adapter carried it out again.
TEST_F(SwapWriterTest, WhatItStoredItselfIsAWin) {
  for (const int answer : {1, 2}) {
    writer_.reset(layout_);
    writer_.add_grant({.offset = kNew, .generation = 5});
    ASSERT_TRUE(writer_.begin(operation_, 1, 0, {kOld, 9, wire::kGenerationMask}));
    endpoint_.answer = answer;
    EXPECT_FALSE(writer_.pump(endpoint_));
    const SwapWriter::Outcome told = writer_.on_swapped(0);
    ASSERT_TRUE(told.known);
    EXPECT_EQ(told.won, answer == 1);
    // Won: the grant is linked, and never used again.
    EXPECT_EQ(writer_.ready(64), answer != 1);
  }
}

// A grant outside its region, by a server that must not be believed, is none.
TEST_F(SwapWriterTest, AGrantOutsideTheGrantsIsNotTaken) {
  const uint64_t first = 2 * kRegion / wire::kExtentUnit;
  const uint64_t end = first + kRegion / wire::kExtentUnit;
  const uint64_t wanted = writer_.wanted();
  for (const uint64_t offset : {uint64_t{0}, kOld, first - 32, first + 1, end, ~uint64_t{0}}) {
    writer_.add_grant({.offset = offset, .generation = 1});
    EXPECT_EQ(writer_.wanted(), wanted) << offset;
  }
}

}  // namespace
}  // namespace rdmakv
