// The rings alone, one side of which is played by the test: a peer that breaks every rule.
#include "rdmakv/transport/shm/message_rings.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <memory>

namespace rdmakv::shm {
namespace {

constexpr uint32_t kSlots = 4;
constexpr uint32_t kBytes = 1024;
constexpr uint32_t kBuffers = 10;

struct FreeMemory {
  void operator()(std::byte* memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<std::byte, FreeMemory>;

// Descriptors, returns and messages come and go independently: none shares a cache line with
// another.
TEST(OutboxLayout, EachPartHasCacheLinesOfItsOwn) {
  static_assert(offsetof(OutboxControl, accessing) % kCacheLine == 0);
  static_assert(sizeof(OutboxControl) <= OutboxLayout::kDescriptors);
  static_assert(OutboxLayout::kDescriptors % kCacheLine == 0);
  for (const uint32_t slots : {1u, 3u, 4u, 64u, 100u}) {
    for (const uint32_t bytes : {1u, 63u, 64u, 65u, 4608u}) {
      const OutboxLayout layout = OutboxLayout::of(slots, bytes, 2 * slots);
      EXPECT_EQ(layout.returns % kCacheLine, 0u);
      EXPECT_EQ(layout.buffers % kCacheLine, 0u);
      EXPECT_EQ(layout.stride % kCacheLine, 0u);
      EXPECT_GE(layout.returns, OutboxLayout::kDescriptors + slots * sizeof(Descriptor));
      EXPECT_GE(layout.buffers, layout.returns + slots * sizeof(ReturnedBuffer));
      EXPECT_GE(layout.stride, bytes);
    }
  }
}

class MessageRingsTest : public testing::Test {
 protected:
  MessageRingsTest() {
    const RingSizes sizes{kSlots, kBytes, 6, kBuffers, kBuffers};
    a_.start(a_memory_.get(), b_memory_.get(), sizes);
    b_.start(b_memory_.get(), a_memory_.get(), sizes);
  }

  static Memory make_outbox() {
    const size_t bytes = (layout().bytes + 4095) / 4096 * 4096;
    auto* memory = static_cast<std::byte*>(std::aligned_alloc(4096, bytes));
    std::fill_n(memory, bytes, std::byte{0});
    return Memory(memory);
  }
  static OutboxLayout layout() { return OutboxLayout::of(kSlots, kBytes, kBuffers); }

  // Writes into B's outbox as a hostile B would.
  void forge(uint32_t place, uint32_t kind, uint32_t buffer, uint32_t length) {
    auto* descriptors = reinterpret_cast<Descriptor*>(b_memory_.get() + OutboxLayout::kDescriptors);
    descriptors[place].kind_and_buffer = kind << 24 | buffer;
    descriptors[place].length = length;
    descriptors[place].sequence = place + 1;
  }
  void forge_return(uint32_t place, uint32_t buffer) {
    auto* returns = reinterpret_cast<ReturnedBuffer*>(b_memory_.get() + layout().returns);
    returns[place] = uint64_t{place + 1} << 32 | buffer;
  }
  MessageRings::Receive receive() { return a_.receive(message_); }

  Memory a_memory_ = make_outbox();
  Memory b_memory_ = make_outbox();
  MessageRings a_, b_;
  MessageRings::Message message_;
};

TEST_F(MessageRingsTest, EmptyAtFirst) {
  EXPECT_FALSE(a_.ready());
  EXPECT_EQ(receive(), MessageRings::Receive::kNothing);
}

TEST_F(MessageRingsTest, MessageArrivesWhereItWasBuilt) {
  const uint32_t buffer = b_.acquire();
  b_.buffer(buffer)[0] = std::byte{42};
  ASSERT_TRUE(b_.may_publish());
  b_.publish(RingMessage::kSend, buffer, 1, 0);
  ASSERT_EQ(receive(), MessageRings::Receive::kMessage);
  EXPECT_EQ(message_.length, 1u);
  EXPECT_EQ(message_.data, b_.buffer(buffer));
}

TEST_F(MessageRingsTest, NoMoreThanReceiveSlotsInFlight) {
  for (uint32_t i = 0; i < kSlots; ++i) {
    ASSERT_TRUE(b_.may_publish());
    b_.publish(RingMessage::kSend, b_.acquire(), 8, 0);
  }
  EXPECT_FALSE(b_.may_publish());
  EXPECT_TRUE(b_.starving());
  EXPECT_FALSE(b_.fed());
  ASSERT_EQ(receive(), MessageRings::Receive::kMessage);
  EXPECT_FALSE(b_.may_publish()) << "received is not released";
  ASSERT_TRUE(a_.release(message_.slot));
  EXPECT_TRUE(a_.peer_waits());
  EXPECT_TRUE(b_.fed());
  EXPECT_TRUE(b_.may_publish());
  EXPECT_FALSE(a_.peer_waits());
}

TEST_F(MessageRingsTest, SequenceNumbersWrap) {
  for (uint32_t i = 0; i < 100000; ++i) {
    ASSERT_TRUE(b_.may_publish());
    b_.publish(RingMessage::kImmediate, b_.acquire(), i, i * 3);
    ASSERT_EQ(receive(), MessageRings::Receive::kMessage);
    ASSERT_EQ(message_.immediate, i * 3);
    ASSERT_TRUE(a_.release(message_.slot));
  }
}

TEST_F(MessageRingsTest, ReleasingTwiceIsNoticed) {
  forge(0, 1, 3, 8);
  ASSERT_EQ(receive(), MessageRings::Receive::kMessage);
  EXPECT_TRUE(a_.release(message_.slot));
  EXPECT_FALSE(a_.release(message_.slot));
  EXPECT_FALSE(a_.release(kSlots));
}

TEST_F(MessageRingsTest, BufferBeyondTheOutboxBreaks) {
  forge(0, 1, kBuffers, 8);
  EXPECT_EQ(receive(), MessageRings::Receive::kBroken);
  EXPECT_NE(a_.violation(), nullptr);
}

TEST_F(MessageRingsTest, LengthBeyondTheBufferBreaks) {
  forge(0, 1, 0, kBytes + 1);
  EXPECT_EQ(receive(), MessageRings::Receive::kBroken);
}

TEST_F(MessageRingsTest, UnknownKindBreaks) {
  forge(0, 0, 0, 8);
  EXPECT_EQ(receive(), MessageRings::Receive::kBroken);
}

TEST_F(MessageRingsTest, SameBufferTwiceBreaks) {
  forge(0, 1, 2, 8);
  forge(1, 1, 2, 8);
  ASSERT_EQ(receive(), MessageRings::Receive::kMessage);
  EXPECT_EQ(receive(), MessageRings::Receive::kBroken);
}

TEST_F(MessageRingsTest, MoreMessagesThanSlotsBreak) {
  for (uint32_t i = 0; i < kSlots; ++i) {
    forge(i, 1, i, 8);
    ASSERT_EQ(receive(), MessageRings::Receive::kMessage);
  }
  forge(0, 1, 5, 8);
  reinterpret_cast<Descriptor*>(b_memory_.get() + OutboxLayout::kDescriptors)->sequence =
      kSlots + 1;
  EXPECT_EQ(receive(), MessageRings::Receive::kBroken);
}

TEST_F(MessageRingsTest, ReturnOfABufferThatWasNotSentBreaks) {
  a_.publish(RingMessage::kSend, a_.acquire(), 8, 0);
  forge_return(0, kBuffers - 1);
  EXPECT_FALSE(a_.fed());
  EXPECT_NE(a_.violation(), nullptr);
}

TEST_F(MessageRingsTest, ReturnOfABufferThatDoesNotExistBreaks) {
  a_.publish(RingMessage::kSend, a_.acquire(), 8, 0);
  forge_return(0, ~uint32_t{0});
  EXPECT_FALSE(a_.fed());
  EXPECT_NE(a_.violation(), nullptr);
}

TEST_F(MessageRingsTest, UnsolicitedReturnsAreIgnored) {
  forge_return(0, 0);
  EXPECT_TRUE(a_.may_publish());
  const uint32_t first = a_.acquire();
  const uint32_t second = a_.acquire();
  EXPECT_NE(first, second);
  EXPECT_EQ(a_.violation(), nullptr);
}

}  // namespace
}  // namespace rdmakv::shm
