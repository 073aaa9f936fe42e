#include "rdmakv/server/uploads.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/rdmakv/server/partition_fixture.h"

namespace rdmakv::server {
namespace {

class UploadsTest : public testing::Test {
 protected:
  void TearDown() override {
    EXPECT_TRUE(box_.consistent());
    EXPECT_TRUE(box_.empty_after_clear());
  }
  wire::ReplyHeader run(wire::RequestHeader header, std::string_view key = {},
                        std::string_view value = {}) {
    header.key_length = static_cast<uint32_t>(key.size());
    header.value_length = static_cast<uint32_t>(value.size());
    box_.new_batch();
    return box_.partition
        ->execute(header, key, std::as_bytes(std::span(value.data(), value.size())), *box_.session)
        .reply;
  }
  wire::ReplyHeader begin(std::string_view key, uint64_t total) {
    wire::RequestHeader header;
    header.opcode = Opcode::kUploadBegin;
    header.total = total;
    return run(header, key);
  }
  ReplyStatus chunk(uint64_t ticket, uint64_t offset, std::string_view bytes) {
    wire::RequestHeader header;
    header.opcode = Opcode::kUploadChunk;
    header.ticket = ticket;
    header.offset = offset;
    return run(header, {}, bytes).status;
  }
  wire::ReplyHeader commit(uint64_t ticket, std::string_view key = {},
                           Condition condition = Condition::kAlways, int64_t expiry_ms = 0) {
    wire::RequestHeader header;
    header.opcode = Opcode::kUploadCommit;
    header.ticket = ticket;
    header.condition = condition;
    header.expiry_ms = expiry_ms;
    return run(header, key);
  }
  std::string upload(std::string_view key, uint64_t total, uint64_t step) {
    std::string value(total, '\0');
    for (uint64_t i = 0; i < total; ++i) value[i] = static_cast<char>(i * 31 + i / 977);
    const wire::ReplyHeader begun = begin(key, total);
    EXPECT_EQ(begun.status, ReplyStatus::kOk);
    for (uint64_t at = 0; at < total; at += step) {
      EXPECT_EQ(chunk(begun.ticket, at, std::string_view(value).substr(at, step)),
                ReplyStatus::kOk);
    }
    EXPECT_EQ(commit(begun.ticket).status, ReplyStatus::kOk);
    return value;
  }
  PartitionBox box_;
};

TEST_F(UploadsTest, ValueArrivesInChunks) {
  for (const uint64_t total : {0, 1, 5000, 65'000, 66'000, 1'000'000}) {
    const std::string value = upload("key", total, 7000);
    const Told got = box_.get("key");
    ASSERT_EQ(got.value, value);
    wire::EntryView view;
    const uint64_t location = got.reply.location;
    const std::byte* extent = box_.partition->slab().at(location);
    EXPECT_TRUE(wire::verify_entry({extent, wire::entry_bytes(3, total, true)},
                                   got.reply.generation, "key", view));
    box_.clock.pass_ms(5);
  }
}

TEST_F(UploadsTest, NothingIsSeenBeforeTheCommit) {
  box_.put("key", "old");
  const wire::ReplyHeader begun = begin("key", 10);
  EXPECT_EQ(chunk(begun.ticket, 0, "0123456789"), ReplyStatus::kOk);
  EXPECT_EQ(box_.get("key").value, "old");
  const wire::ReplyHeader done = commit(begun.ticket);
  EXPECT_EQ(done.version, 2u);
  EXPECT_EQ(box_.get("key").value, "0123456789");
}

TEST_F(UploadsTest, ChunksMustComeInOrderAndFit) {
  const wire::ReplyHeader begun = begin("key", 10);
  EXPECT_EQ(chunk(begun.ticket, 5, "56789"), ReplyStatus::kBadRequest);
  EXPECT_EQ(chunk(begun.ticket, 0, "01234"), ReplyStatus::kOk);
  EXPECT_EQ(chunk(begun.ticket, 0, "01234"), ReplyStatus::kBadRequest);
  EXPECT_EQ(chunk(begun.ticket, 5, "567890"), ReplyStatus::kBadRequest);
  EXPECT_EQ(chunk(begun.ticket, ~uint64_t{0} - 2, "567"), ReplyStatus::kBadRequest);
  EXPECT_EQ(chunk(begun.ticket, 5, "56789"), ReplyStatus::kOk);
  EXPECT_EQ(commit(begun.ticket, "key").status, ReplyStatus::kOk);
  EXPECT_EQ(box_.get("key").value, "0123456789");
}

TEST_F(UploadsTest, IncompleteUploadCannotBeCommittedAndIsGone) {
  const wire::ReplyHeader begun = begin("key", 10);
  EXPECT_EQ(chunk(begun.ticket, 0, "01234"), ReplyStatus::kOk);
  EXPECT_EQ(commit(begun.ticket).status, ReplyStatus::kBadRequest);
  EXPECT_EQ(commit(begun.ticket).status, ReplyStatus::kNoSuchTicket);
  EXPECT_EQ(box_.get("key").status, ReplyStatus::kNotFound);
}

TEST_F(UploadsTest, CommitUnderAnotherKeyIsRefused) {
  const wire::ReplyHeader begun = begin("key", 0);
  EXPECT_EQ(commit(begun.ticket, "other").status, ReplyStatus::kBadRequest);
}

TEST_F(UploadsTest, FailedConditionEndsTheUpload) {
  box_.put("key", "old");
  const wire::ReplyHeader begun = begin("key", 0);
  EXPECT_EQ(commit(begun.ticket, {}, Condition::kIfAbsent).status, ReplyStatus::kConditionNotMet);
  EXPECT_EQ(box_.session->uploads.open(), 0u);
  EXPECT_EQ(box_.get("key").value, "old");
}

TEST_F(UploadsTest, CommitWithAnExpiry) {
  const wire::ReplyHeader begun = begin("key", 2);
  chunk(begun.ticket, 0, "ab");
  const int64_t expiry = box_.now_ms() + 5;
  EXPECT_EQ(commit(begun.ticket, {}, Condition::kAlways, expiry).expiry_ms, expiry);
  EXPECT_EQ(box_.get("key").value, "ab");
  box_.clock.pass_ms(6);
  EXPECT_EQ(box_.get("key").status, ReplyStatus::kNotFound);
}

TEST_F(UploadsTest, AbortGivesTheRoomBack) {
  const wire::ReplyHeader begun = begin("key", 1'000'000);
  wire::RequestHeader header;
  header.opcode = Opcode::kUploadAbort;
  header.ticket = begun.ticket;
  EXPECT_EQ(run(header).status, ReplyStatus::kOk);
  EXPECT_EQ(run(header).status, ReplyStatus::kNoSuchTicket);
  EXPECT_EQ(chunk(begun.ticket, 0, "a"), ReplyStatus::kNoSuchTicket);
}

TEST_F(UploadsTest, OneConnectionHasSoMany) {
  for (uint32_t i = 0; i < Uploads::kMost; ++i) {
    EXPECT_EQ(begin("key", 100).status, ReplyStatus::kOk);
  }
  EXPECT_EQ(begin("key", 100).status, ReplyStatus::kTooMany);
}

TEST_F(UploadsTest, ConnectionThatGoesLeavesNothing) {
  begin("a", 100'000);
  begin("b", 100);
  EXPECT_EQ(box_.partition->slab().accounting().live_extents, 2u);
  box_.session = std::make_unique<Session>(*box_.partition);
  EXPECT_EQ(box_.partition->slab().accounting().live_extents, 0u);
}

TEST_F(UploadsTest, NoRoomIsSaidAtOnce) {
  EXPECT_EQ(begin("a", 3 << 20).status, ReplyStatus::kOk);
  EXPECT_EQ(begin("b", 3 << 20).status, ReplyStatus::kNoSpace);
  EXPECT_EQ(begin("c", 5 << 20).status, ReplyStatus::kTooLarge);
}

}  // namespace
}  // namespace rdmakv::server
