// Many puts in one request: each as a kPut alone would be, and nothing at all of what is malformed.
#include <vector>

#include "protocol/kv_hash.h"
#include "protocol/kv_puts.h"
#include "tests/rdmakv/server/partition_fixture.h"

namespace rdmakv::server {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

class PartitionPutsTest : public testing::Test {
 protected:
  static void add(std::string& request, std::string_view key, std::string_view value,
                  int64_t expiry_ms = 0) {
    const size_t at = request.size();
    request.resize(at + wire::put_bytes(key.size(), value.size(), expiry_ms != 0), '?');
    wire::write_put(reinterpret_cast<std::byte*>(request.data()) + at,
                    {key, bytes_of(value), expiry_ms});
  }
  static std::vector<wire::PutResult> ask(PartitionBox& box, std::string_view request) {
    const Told told = box.ask({.opcode = Opcode::kPuts, .value = request});
    EXPECT_EQ(told.status, ReplyStatus::kOk);
    std::vector<wire::PutResult> results;
    for (size_t at = 0; at < told.value.size(); at += 8) {
      uint64_t word = 0;
      std::memcpy(&word, told.value.data() + at, sizeof(word));
      results.push_back(wire::PutResult::decode(word));
    }
    return results;
  }
  PartitionBox box_;
};

TEST_F(PartitionPutsTest, EachIsStored) {
  box_.put("a", "old");
  std::string request;
  add(request, "a", "1");
  add(request, "", "the empty key");
  add(request, "long", std::string(3000, 'l'), box_.now_ms() + 1000);
  add(request, "a", "2");
  const std::vector<wire::PutResult> results = ask(box_, request);
  ASSERT_EQ(results.size(), 4u);
  EXPECT_EQ(box_.get("a").value, "2");
  EXPECT_EQ(box_.get("a").version, 3u);
  EXPECT_EQ(box_.get("").value, "the empty key");
  const Told told = box_.get("long");
  EXPECT_EQ(told.value, std::string(3000, 'l'));
  EXPECT_EQ(told.expiry_ms, box_.now_ms() + 1000);
  EXPECT_EQ(told.reply.location, results[2].offset);
  EXPECT_EQ(told.reply.generation, results[2].generation);
  EXPECT_EQ(box_.get("a").reply.location, results[3].offset);
  EXPECT_TRUE(box_.consistent());
  EXPECT_TRUE(box_.empty_after_clear());
}

TEST_F(PartitionPutsTest, OneThatHasExpiredAlreadyLeavesNoKey) {
  box_.put("a", "old");
  std::string request;
  add(request, "a", "1", 1);
  const std::vector<wire::PutResult> results = ask(box_, request);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].offset, 0u);
  EXPECT_EQ(box_.get("a").status, ReplyStatus::kNotFound);
}

TEST_F(PartitionPutsTest, AnotherWorkersKeysAreNotStored) {
  PartitionBox box(4 << 20, 256 << 10, 0, 2);
  std::string request;
  std::vector<bool> mine;
  for (int i = 0; i < 20; ++i) {
    const std::string key = "key" + std::to_string(i);
    mine.push_back(wire::worker_of_slot(wire::hash_slot(key), 2) == 0);
    add(request, key, "v");
  }
  const std::vector<wire::PutResult> results = ask(box, request);
  ASSERT_EQ(results.size(), 20u);
  uint64_t stored = 0;
  for (size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(results[i].status, mine[i] ? ReplyStatus::kOk : ReplyStatus::kWrongWorker);
    stored += mine[i] ? 1 : 0;
  }
  EXPECT_GT(stored, 0u);
  EXPECT_LT(stored, 20u);
  EXPECT_EQ(box.ask({.opcode = Opcode::kCount}).number, stored);
}

TEST_F(PartitionPutsTest, AFullPoolRefusesOneByOne) {
  PartitionBox box(256 << 10);
  uint64_t stored = 0, refused = 0;
  for (int i = 0; i < 40; ++i) {
    std::string request;
    for (int k = 0; k < 4; ++k) {
      add(request, "key" + std::to_string(4 * i + k), std::string(3000, 'v'));
    }
    for (const wire::PutResult& result : ask(box, request)) {
      ++(result.status == ReplyStatus::kOk ? stored : refused);
      if (result.status != ReplyStatus::kOk) {
        EXPECT_EQ(result.status, ReplyStatus::kNoSpace);
      }
    }
  }
  EXPECT_GT(stored, 40u);
  EXPECT_GT(refused, 40u);
  EXPECT_EQ(box.ask({.opcode = Opcode::kCount}).number, stored);
  EXPECT_TRUE(box.consistent());
}

TEST_F(PartitionPutsTest, OfAMalformedOneNothingIsStored) {
  std::string good;
  add(good, "a", "1");
  add(good, "b", "a longer value");
  std::vector<std::string> bad;
  for (size_t cut = 1; cut < good.size(); ++cut) {
    if (cut != wire::put_bytes(1, 1, false)) bad.push_back(good.substr(0, cut));
  }
  std::string many;
  for (uint32_t i = 0; i <= wire::kMostPuts; ++i) add(many, "a", "1");
  bad.push_back(many);
  const auto with_header = [&](wire::PutHeader header) {
    std::string changed = good;
    std::memcpy(changed.data(), &header, sizeof(header));
    bad.push_back(changed);
  };
  with_header({1, 1, 2});            // an unknown flag
  with_header({0xffffffff, 1, 0});   // longer than everything
  with_header({0xfffffff0, 16, 0});  // whose sum wraps in 32 bits
  std::string expired;
  add(expired, "a", "1", 5);
  const int64_t negative = -5;
  std::memcpy(expired.data() + 8, &negative, sizeof(negative));
  bad.push_back(expired);
  bad.push_back(std::string(wire::kMostPutsBytes + 8, '\0'));
  for (const std::string& request : bad) {
    const Told told = box_.ask({.opcode = Opcode::kPuts, .value = request});
    EXPECT_EQ(told.status, ReplyStatus::kBadRequest);
    EXPECT_FALSE(told.has_value);
  }
  EXPECT_EQ(box_.ask({.opcode = Opcode::kPuts, .key = "k", .value = good}).status,
            ReplyStatus::kBadRequest);
  EXPECT_EQ(box_.ask({.opcode = Opcode::kCount}).number, 0u);
  EXPECT_EQ(ask(box_, good).size(), 2u);
}

TEST_F(PartitionPutsTest, ResultsComeBackAsTheyWere) {
  for (const wire::PutResult& result :
       {wire::PutResult{ReplyStatus::kOk, true, (1u << 26) - 1, (uint64_t{1} << 36) - 1},
        wire::PutResult{ReplyStatus::kOk, false, 1, 2}, wire::PutResult{ReplyStatus::kNoSpace}}) {
    const auto back = wire::PutResult::decode(result.encode());
    EXPECT_EQ(back.status, result.status);
    EXPECT_EQ(back.cas_class, result.cas_class);
    EXPECT_EQ(back.generation, result.generation);
    EXPECT_EQ(back.offset, result.offset);
  }
}

}  // namespace
}  // namespace rdmakv::server
