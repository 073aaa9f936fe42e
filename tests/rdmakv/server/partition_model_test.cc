// Random requests of every kind against a partition that is often full, each answer compared with a
// model of a few lines.
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <random>
#include <string>

#include "tests/rdmakv/server/partition_fixture.h"

namespace rdmakv::server {
namespace {

struct Stored {
  std::string value;
  uint64_t version = 0;
  int64_t expiry_ms = 0;
};

class Model {
 public:
  explicit Model(uint64_t seed) : random_(seed) {}

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      ASSERT_NO_FATAL_FAILURE(step());
      ASSERT_EQ(live_extents(), keys_of_partition() + uploads_.size());
      if (i % 64 == 0) {
        ASSERT_TRUE(box_.consistent());
      }
    }
    for (const auto& [key, stored] : keys_) {
      if (!has_expired(stored.expiry_ms, box_.now_ms())) {
        ASSERT_EQ(box_.get(key).value, stored.value);
      }
    }
    ASSERT_TRUE(box_.consistent());
    ASSERT_TRUE(box_.empty_after_clear());
    EXPECT_GT(no_space_, 0);
    EXPECT_GT(commits_, 0);
  }

 private:
  struct Open {
    uint64_t ticket;
    std::string key;
    std::string value;
  };

  uint64_t live_extents() const { return box_.partition->slab().accounting().live_extents; }
  uint64_t keys_of_partition() const { return box_.partition->index().size(); }
  uint64_t pick(uint64_t below) { return random_() % below; }
  std::string some_key() { return "key" + std::to_string(pick(120)); }
  std::string some_value() {
    const uint64_t kind = pick(40);
    const uint64_t size = kind == 0 ? pick(200'000) : kind < 8 ? pick(20'000) : pick(300);
    return std::string(size, static_cast<char>('a' + pick(26)));
  }
  // The reading that the last request was judged by; waiting for a quarantine moves the clock on.
  int64_t judged_at() const { return box_.partition->now_ms(); }
  int64_t some_expiry() {
    if (pick(3) != 0) return 0;
    return box_.now_ms() + static_cast<int64_t>(pick(60)) - 10;
  }
  Stored* find(const std::string& key) {
    const auto at = keys_.find(key);
    if (at == keys_.end()) return nullptr;
    if (has_expired(at->second.expiry_ms, box_.now_ms())) {
      remove(key);
      return nullptr;
    }
    return &at->second;
  }
  // The floor of the model is a lower bound: the partition may have swept a key that it still has.
  void remove(const std::string& key) {
    gone_[key] = std::max(gone_[key], keys_[key].version);
    keys_.erase(key);
  }

  ReplyStatus expected(Condition condition, uint64_t version, const Stored* stored) {
    switch (condition) {
      case Condition::kIfAbsent:
        return stored == nullptr ? ReplyStatus::kOk : ReplyStatus::kConditionNotMet;
      case Condition::kIfPresent:
        return stored != nullptr ? ReplyStatus::kOk : ReplyStatus::kConditionNotMet;
      case Condition::kIfVersion:
        return (stored == nullptr ? 0 : stored->version) == version ? ReplyStatus::kOk
                                                                    : ReplyStatus::kVersionMismatch;
      default:
        return ReplyStatus::kOk;
    }
  }

  void step() {
    switch (pick(12)) {
      case 0:
      case 1:
      case 2:
      case 3:
        put({});
        break;
      case 4:
      case 5:
        get();
        break;
      case 6:
        erase();
        break;
      case 7:
        expire();
        break;
      case 8:
        upload();
        break;
      case 9: {
        box_.clock.pass_ns(pick(3'000'000));
        box_.new_batch();
        if (pick(3) == 0) box_.partition->sweep(static_cast<uint32_t>(pick(200)));
        break;
      }
      case 10:
        end_upload();
        break;
      default:
        if (pick(400) == 0) {
          box_.ask({.opcode = Opcode::kClear});
          while (!keys_.empty()) remove(keys_.begin()->first);
        }
    }
  }

  void put(std::optional<Open> upload) {
    const std::string key = upload ? upload->key : some_key();
    Ask ask{.opcode = upload ? Opcode::kUploadCommit : Opcode::kPut, .key = key};
    const std::string value = upload ? upload->value : some_value();
    if (upload) {
      ask.ticket = upload->ticket;
    } else {
      ask.value = value;
    }
    ask.condition = static_cast<Condition>(pick(4));
    if (pick(2) == 0) ask.condition = Condition::kAlways;
    Stored* stored = find(key);
    if (ask.condition == Condition::kIfVersion) {
      ask.version = stored != nullptr && pick(3) != 0 ? stored->version : pick(2);
    }
    if (pick(4) == 0) ask.flags |= wire::kKeepExpiry;
    if (pick(4) == 0) ask.flags |= wire::kWantPrevious;
    if ((ask.flags & wire::kKeepExpiry) == 0) ask.expiry_ms = some_expiry();

    const Told told = box_.ask(ask);
    const ReplyStatus wanted = expected(ask.condition, ask.version, stored);
    if (told.status == ReplyStatus::kNoSpace) {
      ASSERT_EQ(wanted, ReplyStatus::kOk);
      ASSERT_FALSE(upload);
      ++no_space_;
      ASSERT_FALSE(told.has_value);
    } else {
      ASSERT_EQ(told.status, wanted);
      if ((ask.flags & wire::kWantPrevious) != 0) {
        ASSERT_EQ(told.has_value, stored != nullptr);
        if (stored != nullptr) {
          ASSERT_EQ(told.value, stored->value);
        }
      }
    }
    if (told.status != ReplyStatus::kOk) {
      ASSERT_EQ(told.version, stored == nullptr ? 0 : stored->version);
      return;
    }
    if (upload) ++commits_;
    if (ask.expiry_ms != 0 && ask.expiry_ms <= judged_at()) {
      ASSERT_EQ(told.version, 0u);
      if (stored != nullptr) remove(key);
      return;
    }
    const int64_t expiry = (ask.flags & wire::kKeepExpiry) != 0
                               ? (stored == nullptr ? 0 : stored->expiry_ms)
                               : ask.expiry_ms;
    if (stored != nullptr) {
      ASSERT_EQ(told.version, stored->version + 1);
    } else {
      ASSERT_GT(told.version, gone_[key]);
    }
    ASSERT_EQ(told.expiry_ms, expiry);
    keys_[key] = {value, told.version, expiry};
  }

  void get() {
    const std::string key = some_key();
    const Stored* stored = find(key);
    const Told told = box_.get(key);
    ASSERT_EQ(told.status, stored == nullptr ? ReplyStatus::kNotFound : ReplyStatus::kOk);
    if (stored == nullptr) return;
    ASSERT_EQ(told.value, stored->value);
    ASSERT_EQ(told.version, stored->version);
    ASSERT_EQ(told.expiry_ms, stored->expiry_ms);
    const uint64_t location = told.reply.location;
    wire::EntryView view;
    const std::byte* extent = box_.partition->slab().at(location);
    ASSERT_TRUE(wire::verify_entry({extent, box_.partition->slab().extent_bytes(location)},
                                   told.reply.generation, key, view));
  }

  void erase() {
    const std::string key = some_key();
    const Stored* stored = find(key);
    Ask ask{.opcode = Opcode::kDelete, .key = key};
    if (pick(2) == 0) {
      ask.condition = Condition::kIfVersion;
      ask.version = stored == nullptr ? 1 : stored->version + pick(2);
    }
    const Told told = box_.ask(ask);
    if (stored == nullptr) {
      ASSERT_EQ(told.status, ReplyStatus::kNotFound);
      return;
    }
    ASSERT_EQ(told.status, expected(ask.condition, ask.version, stored));
    if (told.status == ReplyStatus::kOk) remove(key);
  }

  void expire() {
    const std::string key = some_key();
    Stored* stored = find(key);
    const int64_t wanted = some_expiry();
    const Told told = box_.expire(key, wanted);
    if (stored == nullptr) {
      ASSERT_EQ(told.status, ReplyStatus::kNotFound);
    } else if (told.status == ReplyStatus::kNoSpace) {
      ++no_space_;
    } else if (wanted == 0 && stored->expiry_ms == 0) {
      ASSERT_EQ(told.status, ReplyStatus::kConditionNotMet);
    } else if (wanted == stored->expiry_ms) {
      ASSERT_EQ(told.version, stored->version);
    } else if (wanted != 0 && wanted <= judged_at()) {
      ASSERT_EQ(told.version, 0u);
      remove(key);
    } else {
      ASSERT_EQ(told.status, ReplyStatus::kOk);
      ASSERT_EQ(told.version, stored->version + 1);
      stored->version = told.version;
      stored->expiry_ms = wanted;
    }
  }

  void upload() {
    Open open{0, some_key(), some_value()};
    wire::RequestHeader header;
    header.opcode = Opcode::kUploadBegin;
    header.total = open.value.size();
    box_.new_batch();
    const Outcome begun = box_.partition->execute(header, open.key, {}, *box_.session);
    if (begun.reply.status == ReplyStatus::kTooMany) {
      ASSERT_EQ(uploads_.size(), Uploads::kMost);
      return;
    }
    if (begun.reply.status == ReplyStatus::kNoSpace) {
      ++no_space_;
      return;
    }
    ASSERT_EQ(begun.reply.status, ReplyStatus::kOk);
    open.ticket = begun.reply.ticket;
    for (size_t at = 0; at < open.value.size();) {
      const auto piece = std::string_view(open.value).substr(at, 1 + pick(70'000));
      header = {};
      header.opcode = Opcode::kUploadChunk;
      header.ticket = open.ticket;
      header.offset = at;
      const Outcome told = box_.partition->execute(
          header, {}, std::as_bytes(std::span(piece.data(), piece.size())), *box_.session);
      ASSERT_EQ(told.reply.status, ReplyStatus::kOk);
      at += piece.size();
    }
    uploads_.push_back(open);
  }

  void end_upload() {
    if (uploads_.empty()) return;
    std::swap(uploads_[pick(uploads_.size())], uploads_.back());
    const Open open = uploads_.back();
    uploads_.pop_back();
    if (pick(3) == 0) {
      ASSERT_EQ(box_.ask({.opcode = Opcode::kUploadAbort, .ticket = open.ticket}).status,
                ReplyStatus::kOk);
    } else {
      put(open);
    }
  }

  std::mt19937_64 random_;
  PartitionBox box_{1 << 20, 4096};
  std::map<std::string, Stored> keys_;
  std::map<std::string, uint64_t> gone_;
  std::vector<Open> uploads_;
  int no_space_ = 0;
  int commits_ = 0;
};

TEST(PartitionModel, AgreesOverRandomRequests) {
  for (int round = 0; round < 8; ++round) {
    const uint64_t seed = std::random_device{}();
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    ASSERT_NO_FATAL_FAILURE(Model(seed).run(15'000));
  }
}

}  // namespace
}  // namespace rdmakv::server
