// DirectReader on an Endpoint that does nothing by itself: the test puts into memory what a READ
// brings, and when.
#include "rdmakv/client/direct_reader.h"

#include <gtest/gtest.h>
#include <time.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "rdmakv/client/clock.h"

namespace rdmakv {
namespace {

class HeapRegion final : public MemoryRegion {
 public:
  explicit HeapRegion(size_t bytes)
      : memory_(static_cast<std::byte*>(std::aligned_alloc(4096, bytes))) {
    data_ = memory_.get();
    size_ = bytes;
  }

 private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }  // NOLINT
  };
  std::unique_ptr<std::byte, Free> memory_;
};

class HeldEndpoint final : public Endpoint {
 public:
  struct Read {
    LocalBuffer into;
    RemoteAddress from;
    uint64_t context;
  };
  std::vector<Read> reads;

  bool read(LocalBuffer into, RemoteAddress from, uint64_t context, bool, bool) override {
    reads.push_back({into, from, context});
    return true;
  }
  MessageBuffer acquire_message() override { return {}; }
  void abandon_message(MessageBuffer) override {}
  bool send(MessageBuffer, uint32_t, uint64_t, bool) override { return false; }
  bool write_with_imm(MessageBuffer, uint32_t, std::span<const LocalBuffer>, RemoteAddress,
                      uint32_t, uint64_t, bool) override {
    return false;
  }
  bool write(std::span<const LocalBuffer>, RemoteAddress, uint64_t, bool) override { return false; }
  bool compare_and_swap(LocalBuffer, RemoteAddress, uint64_t, uint64_t, uint64_t, bool,
                        bool) override {
    return false;
  }
  void flush() override {}
  void release_message(uint32_t) override {}
  Status expose(const MemoryRegion&) override { return Status::ok(); }
  void probe() override {}
  void close() override {}
  std::string_view peer_name() const override { return {}; }
  std::string_view error_text() const override { return {}; }
};

class DirectReaderTest : public testing::Test, private DirectReader::Events {
 protected:
  DirectReaderTest() : arena_(std::make_unique<HeapRegion>(BufferArena::kLargest)), cache_(4096) {
    wire::Welcome welcome;
    welcome.seed = 99;
    welcome.bucket_count = 1;
    welcome.index.bytes = sizeof(wire::Bucket);
    welcome.pool.bytes = 1 << 20;
    reader_.reset(RemoteLayout(welcome), 8, 1 << 20);
    operation_.key = "key";
  }

  void direct_done(Operation& operation) override { done_ = &operation; }
  void direct_detour(Operation& operation) override { detoured_ = &operation; }
  void cas_entry_seen(Operation&, uint64_t, const Judgement&, uint64_t) override {}

  void bring(const void* bytes, size_t length) { bring(endpoint_.reads.back(), bytes, length); }
  void bring(const HeldEndpoint::Read& read, const void* bytes, size_t length) {
    ASSERT_GE(read.into.length, length);
    std::memcpy(read.into.address, bytes, length);
    reader_.on_read(read.context, 0);
  }
  // The READ of the entry is on its way.
  void find_slot() {
    const uint64_t hash = wire::hash_key("key", 99);
    ASSERT_EQ(reader_.begin(operation_, hash, true), DirectReader::Begun::kTaken);
    turn_ns_ = steady_ns();
    reader_.pump(endpoint_, turn_ns_);
    wire::Bucket bucket;
    wire::Slot slot;
    slot.offset = 16;
    slot.generation_low = 5;
    slot.size_class = wire::size_class_of(200);
    slot.fingerprint = wire::key_place(hash, 1).fingerprint;
    bucket.slots[2] = slot.encode();
    bring(&bucket, sizeof(bucket));
    reader_.pump(endpoint_, turn_ns_);
    ASSERT_EQ(endpoint_.reads.size(), 2u);
  }
  void bring_entry() { bring_entry(endpoint_.reads.back()); }
  // Of it, what was asked for.
  void bring_entry(const HeldEndpoint::Read& read) {
    alignas(8) std::byte entry[256] = {};
    wire::EntryFields fields;
    fields.version = 3;
    fields.seed = wire::entry_seed(99, 5);
    wire::write_entry(entry, fields, "key", std::as_bytes(std::span("value", 5)));
    const uint64_t word = wire::FirstWord::make_live(5, false).encode();
    std::memcpy(entry, &word, sizeof(word));
    bring(read, entry, std::min<size_t>(read.into.length, wire::entry_bytes(3, 5, false)));
  }

  BufferArena arena_;
  LocationCache cache_;
  KeyOrder order_;
  DirectReader reader_{arena_, cache_, order_, 0, *this};
  HeldEndpoint endpoint_;
  Operation operation_;
  uint64_t turn_ns_ = 0;
  Operation* done_ = nullptr;
  Operation* detoured_ = nullptr;
};

// A slot tells 12 bits of the generation: they mean what they did only while the extent cannot have
// been used again. That the turn began in time says nothing: the READ may have been carried out
// later.
TEST_F(DirectReaderTest, WhatASlotSaysIsNotUsedTooLate) {
  find_slot();
  const timespec longer{0, static_cast<long>(wire::kQuarantineNs)};
  nanosleep(&longer, nullptr);
  bring_entry();
  EXPECT_EQ(done_, nullptr);
  ASSERT_EQ(detoured_, &operation_);
  EXPECT_EQ(reader_.counters().detours[static_cast<size_t>(Detour::kLate)], 1u);
}

TEST_F(DirectReaderTest, WhatASlotSaysIsUsedAtOnce) {
  // Unless the machine was slow: then it is rightly called late.
  find_slot();
  bring_entry();
  if (detoured_ != nullptr) {
    EXPECT_EQ(reader_.counters().detours[static_cast<size_t>(Detour::kLate)], 1u);
    return;
  }
  ASSERT_EQ(done_, &operation_);
  EXPECT_EQ(operation_.code, Code::kOk);
  EXPECT_EQ(operation_.version, 3u);
  EXPECT_EQ(operation_.value.size(), 5u);
}

// Of two GETs of one key the earlier needs a second READ, since the entry is longer than it was
// thought to be. That may see something newer than what the later one has seen.
TEST_F(DirectReaderTest, ALaterReadDoesNotOvertakeAnEarlierOneOfItsKey) {
  const uint64_t hash = wire::hash_key("key", 99);
  const auto length = static_cast<uint32_t>(wire::entry_bytes(3, 5, false));
  Operation later;
  later.key = "key";
  cache_.begin(steady_ns());
  cache_.learn(hash, 0, {16, 5, wire::kEntryHeaderBytes});
  ASSERT_EQ(reader_.begin(operation_, hash, false), DirectReader::Begun::kTaken);
  reader_.pump(endpoint_, steady_ns());
  cache_.learn(hash, 0, {16, 5, length});
  ASSERT_EQ(reader_.begin(later, hash, false), DirectReader::Begun::kTaken);
  reader_.pump(endpoint_, steady_ns());
  ASSERT_EQ(endpoint_.reads.size(), 2u);
  bring_entry(endpoint_.reads[0]);
  reader_.pump(endpoint_, steady_ns());
  ASSERT_EQ(endpoint_.reads.size(), 3u);
  bring_entry(endpoint_.reads[1]);
  EXPECT_EQ(done_, nullptr);
  EXPECT_EQ(detoured_, &later);
  EXPECT_EQ(reader_.counters().detours[static_cast<size_t>(Detour::kOrder)], 1u);
  bring_entry(endpoint_.reads[2]);
  EXPECT_EQ(done_, &operation_);
  EXPECT_FALSE(reader_.busy());
}

}  // namespace
}  // namespace rdmakv
