// Many gets in one request: each as a kGet alone would be answered, whatever the room.
#include <vector>

#include "protocol/kv_gets.h"
#include "protocol/kv_hash.h"
#include "tests/rdmakv/server/cas_fixture.h"

namespace rdmakv::server {
namespace {

struct Got {
  wire::ReplyHeader header;
  std::string value;
};

std::string request_for(const std::vector<std::string>& keys) {
  std::string request;
  for (const std::string& key : keys) {
    const size_t at = request.size();
    request.resize(at + wire::get_bytes(key.size()), '?');
    wire::write_get(reinterpret_cast<std::byte*>(request.data()) + at, key);
  }
  return request;
}

template <typename Box>
std::vector<Got> get_all(Box& box, const std::vector<std::string>& keys, uint8_t flags = 0) {
  const std::string request = request_for(keys);
  const Told told = box.ask({.opcode = Opcode::kGets, .value = request, .flags = flags});
  EXPECT_EQ(told.status, ReplyStatus::kOk);
  EXPECT_LE(told.value.size(), box.session->inline_limit);
  wire::GetResultsReader reader(std::as_bytes(std::span(told.value.data(), told.value.size())),
                                (flags & wire::kValuesOnly) != 0);
  std::vector<Got> all;
  wire::ReplyView view;
  while (reader.next(view)) {
    all.push_back(
        {view.header, {reinterpret_cast<const char*>(view.value.data()), view.value.size()}});
  }
  EXPECT_TRUE(reader.whole());
  EXPECT_EQ(all.size(), keys.size());
  all.resize(keys.size());
  return all;
}

TEST(PartitionGetsTest, EachIsAnsweredAsByItself) {
  PartitionBox box;
  box.put("a", "1");
  box.put("a", "2");
  box.put("", "the empty key");
  box.put("expires", "e", box.now_ms() + 1000);
  box.put("expired", "e", box.now_ms() + 10);
  box.put("empty", "");
  box.clock.pass_ms(20);
  const std::vector<std::string> keys = {"a",       "missing", "",      "expires",
                                         "expired", "expired", "empty", "a"};
  const std::vector<Got> all = get_all(box, keys);
  for (size_t i = 0; i < keys.size(); ++i) {
    const Told alone = box.get(keys[i]);
    EXPECT_EQ(all[i].header.status, alone.status) << keys[i];
    EXPECT_EQ(all[i].header.version, alone.version);
    EXPECT_EQ(all[i].header.expiry_ms, alone.expiry_ms);
    EXPECT_EQ(all[i].header.location, alone.reply.location);
    EXPECT_EQ(all[i].header.generation, alone.reply.generation);
    EXPECT_EQ((all[i].header.flags & wire::kHasValue) != 0, alone.has_value);
    EXPECT_EQ(all[i].value, alone.value);
  }
  EXPECT_TRUE(box.consistent());
}

TEST(PartitionGetsTest, OfShortResultsTheValuesAreTheSame) {
  PartitionBox box;
  box.put("", "the empty key");
  box.put("expires", "e", box.now_ms() + 1000);
  box.put("expired", "e", box.now_ms() + 10);
  box.put("empty", "");
  box.put("large", std::string(100'000, 'l'));
  for (size_t length = 1; length < 10; ++length) {
    box.put(std::to_string(length), std::string(length, 'v'));
  }
  box.clock.pass_ms(20);
  const std::vector<std::string> keys = {
      "missing", "", "expires", "expired", "empty", "large", "1", "2", "3", "4", "5", "9", "1"};
  const std::vector<Got> all = get_all(box, keys, wire::kValuesOnly);
  for (size_t i = 0; i < keys.size(); ++i) {
    const Told alone = box.get(keys[i]);
    EXPECT_EQ(all[i].header.status, alone.status) << keys[i];
    if (keys[i] == "large") continue;
    EXPECT_EQ((all[i].header.flags & wire::kHasValue) != 0, alone.has_value);
    EXPECT_EQ(all[i].value, alone.value);
  }
  const wire::ReplyHeader& large = all[5].header;
  EXPECT_EQ(large.flags & wire::kPinned, wire::kPinned);
  EXPECT_EQ(large.value_length, 100'000u);
  EXPECT_EQ(large.version, 1u);
  EXPECT_EQ(box.ask({.opcode = Opcode::kRelease, .ticket = large.ticket}).status, ReplyStatus::kOk);
  EXPECT_TRUE(box.empty_after_clear());
}

// Whatever comes of each, there is room to say it.
TEST(PartitionGetsTest, ShortResultsHaveRoomForPinsOfAll) {
  PartitionBox box;
  std::vector<std::string> keys;
  for (int i = 0; i < 64; ++i) {
    keys.push_back("key" + std::to_string(i));
    box.put(keys.back(), std::string(5000, 'l'), box.now_ms() + 1000);
  }
  box.session->inline_limit = 64 * wire::kMostShortGetHead;
  for (const Got& got : get_all(box, keys, wire::kValuesOnly)) {
    EXPECT_EQ(got.header.flags & wire::kPinned, wire::kPinned);
  }
  box.session->inline_limit = 64 * wire::kMostShortGetHead - 8;
  const std::string request = request_for(keys);
  EXPECT_EQ(box.ask({.opcode = Opcode::kGets, .value = request, .flags = wire::kValuesOnly}).status,
            ReplyStatus::kBadRequest);
}

TEST(PartitionGetsTest, AnotherWorkersKeysAreNotFound) {
  PartitionBox box(4 << 20, 256 << 10, 0, 2);
  std::vector<std::string> keys;
  for (int i = 0; i < 20; ++i) keys.push_back("key" + std::to_string(i));
  const std::vector<Got> all = get_all(box, keys);
  for (size_t i = 0; i < keys.size(); ++i) {
    const bool mine = wire::worker_of_slot(wire::hash_slot(keys[i]), 2) == 0;
    EXPECT_EQ(all[i].header.status, mine ? ReplyStatus::kNotFound : ReplyStatus::kWrongWorker);
  }
}

// What has no room is pinned: it is there, unchanged, until it is released.
TEST(PartitionGetsTest, WhatHasNoRoomIsPinned) {
  PartitionBox box;
  std::vector<std::string> keys;
  for (int i = 0; i < 64; ++i) {
    keys.push_back("key" + std::to_string(i));
    box.put(keys.back(), std::string(i % 2 == 0 ? 10 : 1500, static_cast<char>('0' + i)));
  }
  box.put(keys[0], std::string(100'000, 'l'));
  const std::vector<Got> all = get_all(box, keys);
  size_t pinned = 0;
  for (size_t i = 0; i < keys.size(); ++i) {
    ASSERT_EQ(all[i].header.status, ReplyStatus::kOk);
    const Told alone = box.get(keys[i]);
    if ((all[i].header.flags & wire::kPinned) == 0) {
      EXPECT_EQ(all[i].value, alone.value);
      continue;
    }
    ++pinned;
    const wire::ReplyHeader& header = all[i].header;
    box.put(keys[i], "overwritten");
    box.clock.pass_ms(10);
    const auto* value =
        reinterpret_cast<const char*>(box.partition->slab().at(header.location) + header.number);
    EXPECT_EQ(std::string(value, header.value_length), alone.value);
    EXPECT_EQ(box.ask({.opcode = Opcode::kRelease, .ticket = header.ticket}).status,
              ReplyStatus::kOk);
  }
  EXPECT_NE(all[0].header.flags & wire::kPinned, 0);
  EXPECT_GT(pinned, 25u);
  EXPECT_LT(pinned, 64u);
  EXPECT_TRUE(box.empty_after_clear());
}

TEST(PartitionGetsTest, WithoutPinsItSaysSo) {
  PartitionBox box;
  box.put("large", std::string(5000, 'l'));
  box.put("small", "s");
  for (int i = 0; i < 64; ++i) {  // all there are
    const std::string key = "key" + std::to_string(i);
    box.put(key, std::string(5000, 'l'));
    EXPECT_EQ(get_all(box, {key})[0].header.status, ReplyStatus::kOk);
  }
  const std::vector<Got> all = get_all(box, {"large", "small"});
  EXPECT_EQ(all[0].header.status, ReplyStatus::kTooMany);
  EXPECT_EQ(all[0].header.version, box.get("small").version);
  EXPECT_EQ(all[1].value, "s");
  EXPECT_TRUE(box.empty_after_clear());
}

// An entry of the cas class cannot be pinned: it leaves the class.
TEST(PartitionGetsTest, EntriesOfTheCasClassLeaveItWhereThereIsNoRoom) {
  CasBox box;
  std::vector<std::string> keys;
  for (int i = 0; i < 12; ++i) {
    keys.push_back("key" + std::to_string(i));
    box.make(keys.back(), std::string(400, static_cast<char>('a' + i)));
  }
  const std::vector<Got> all = get_all(box, keys);
  for (size_t i = 0; i < keys.size(); ++i) {
    ASSERT_EQ(all[i].header.status, ReplyStatus::kOk);
    const bool pinned = (all[i].header.flags & wire::kPinned) != 0;
    const Told alone = box.get(keys[i]);
    EXPECT_EQ(alone.version, all[i].header.version);
    EXPECT_EQ(alone.value, std::string(400, static_cast<char>('a' + i)));
    EXPECT_EQ((alone.reply.flags & wire::kCasClass) != 0, !pinned);
    EXPECT_EQ(all[i].value, pinned ? "" : alone.value);
  }
  EXPECT_EQ(all[0].header.flags & wire::kPinned, 0);
  EXPECT_NE(all[11].header.flags & wire::kPinned, 0);
  EXPECT_TRUE(box.consistent());
}

TEST(PartitionGetsTest, MalformedRequestsGetNothing) {
  PartitionBox box;
  box.put("a", "1");
  const std::string good = request_for({"a", "b"});
  std::vector<std::string> bad;
  for (size_t cut = 1; cut < 8; ++cut) bad.push_back(good.substr(0, good.size() - cut));
  bad.push_back(request_for(std::vector<std::string>(wire::kMostGets + 1, "a")));
  bad.push_back(std::string("\xff\xff", 2) + std::string(6, '\0'));
  bad.push_back(std::string("\x01\x02", 2) +
                std::string(1024 - 2, 'k'));  // longer than a key may be
  bad.push_back(std::string(wire::kMostGetsBytes + 8, '\0'));
  for (const std::string& request : bad) {
    const Told told = box.ask({.opcode = Opcode::kGets, .value = request});
    EXPECT_EQ(told.status, ReplyStatus::kBadRequest);
    EXPECT_FALSE(told.has_value);
  }
  EXPECT_EQ(box.ask({.opcode = Opcode::kGets, .key = "k", .value = good}).status,
            ReplyStatus::kBadRequest);
  // So many that the results might not fit.
  box.session->inline_limit = 3 * wire::kMostGetResultHead;
  EXPECT_EQ(get_all(box, {"a", "a", "a"})[2].value, "1");
  const std::string many = request_for({"a", "a", "a", "a"});
  EXPECT_EQ(box.ask({.opcode = Opcode::kGets, .value = many}).status, ReplyStatus::kBadRequest);
}

}  // namespace
}  // namespace rdmakv::server
