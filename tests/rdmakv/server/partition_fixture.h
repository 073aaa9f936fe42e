// A partition on plain memory with a clock of the test's, and short ways to ask it things.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "protocol/kv_layout.h"
#include "protocol/kv_message.h"
#include "rdmakv/server/partition.h"
#include "tests/rdmakv/server/fake_clock.h"

namespace rdmakv::server {

using wire::Condition;
using wire::Opcode;
using wire::ReplyStatus;

struct PageMemory {
  explicit PageMemory(size_t bytes)
      : data(static_cast<std::byte*>(std::aligned_alloc(4096, bytes))), size(bytes) {
    std::memset(data, 0, bytes);
  }
  ~PageMemory() { std::free(data); }  // NOLINT
  PageMemory(const PageMemory&) = delete;
  PageMemory& operator=(const PageMemory&) = delete;
  std::span<std::byte> bytes() const { return {data, size}; }
  std::byte* data;
  size_t size;
};

struct Ask {
  Opcode opcode = Opcode::kGet;
  std::string_view key = {};
  std::string_view value = {};
  Condition condition = Condition::kAlways;
  uint64_t version = 0;
  int64_t expiry_ms = 0;
  uint8_t flags = 0;
  uint64_t ticket = 0;
  wire::Function function = wire::Function::kNone;
  uint64_t wanted = 0;  // instead of expiry_ms, if it is not 0
};

struct Told {
  ReplyStatus status = ReplyStatus::kOk;
  uint64_t version = 0;
  int64_t expiry_ms = 0;
  uint64_t number = 0;
  uint64_t ticket = 0;
  wire::ReplyHeader reply;
  bool has_value = false;
  std::string value;
};

inline wire::RequestHeader header_of(const Ask& ask) {
  wire::RequestHeader header;
  header.opcode = ask.opcode;
  header.condition = ask.condition;
  header.flags = ask.flags;
  header.version = ask.version;
  header.expiry_ms = ask.expiry_ms;
  if (ask.wanted != 0) header.wanted = ask.wanted;
  header.ticket = ask.ticket;
  header.function = ask.function;
  header.key_length = static_cast<uint32_t>(ask.key.size());
  header.value_length = static_cast<uint32_t>(ask.value.size());
  return header;
}

inline std::span<const std::byte> bytes_of_value(const Ask& ask) {
  return std::as_bytes(std::span(ask.value.data(), ask.value.size()));
}

// A pinned value is read and unpinned.
inline Told told_of(const Outcome& outcome, Partition& partition) {
  Told told;
  told.reply = outcome.reply;
  told.status = outcome.reply.status;
  told.version = outcome.reply.version;
  told.expiry_ms = outcome.reply.expiry_ms;
  told.number = outcome.reply.number;
  told.ticket = outcome.reply.ticket;
  told.has_value = outcome.has_value;
  if (outcome.has_value && !outcome.value.empty()) {
    told.value.assign(reinterpret_cast<const char*>(outcome.value.data()), outcome.value.size());
  }
  if (outcome.pinned) partition.slab().unpin(outcome.extent);
  return told;
}

class PartitionBox {
 public:
  explicit PartitionBox(size_t pool_bytes = 4 << 20, size_t index_bytes = 256 << 10,
                        uint32_t worker = 0, uint32_t workers = 1, uint64_t seed = 0)
      : index_memory(index_bytes), pool_memory(pool_bytes) {
    PartitionOptions options;
    options.worker = worker;
    options.workers = workers;
    options.seed = seed;
    options.index = index_memory.bytes();
    options.pool = pool_memory.bytes();
    options.most_pins = 64;
    options.clock = &clock;
    partition = std::make_unique<Partition>(options);
    session = std::make_unique<Session>(*partition);
  }

  // At the time that the clock shows now.
  void new_batch() {
    partition->end_batch(clock.steady_ns());
    partition->begin_batch(clock.steady_ns());
  }
  // Executes; a pinned value is read and unpinned.
  Told ask(const Ask& ask) {
    new_batch();
    return told_of(partition->execute(header_of(ask), ask.key, bytes_of_value(ask), *session),
                   *partition);
  }
  Told get(std::string_view key) { return ask({.opcode = Opcode::kGet, .key = key}); }
  Told put(std::string_view key, std::string_view value, int64_t expiry_ms = 0) {
    return ask({.opcode = Opcode::kPut, .key = key, .value = value, .expiry_ms = expiry_ms});
  }
  Told cas(std::string_view key, uint64_t version, std::string_view value) {
    return ask({.opcode = Opcode::kPut,
                .key = key,
                .value = value,
                .condition = Condition::kIfVersion,
                .version = version});
  }
  Told del(std::string_view key) { return ask({.opcode = Opcode::kDelete, .key = key}); }
  Told expire(std::string_view key, int64_t expiry_ms, Condition condition = Condition::kAlways) {
    return ask(
        {.opcode = Opcode::kExpire, .key = key, .condition = condition, .expiry_ms = expiry_ms});
  }
  int64_t now_ms() { return clock.wall_ms(); }
  bool consistent() const { return partition->consistent(session->uploads.open()); }
  // Everything removed and past its quarantine.
  bool empty_after_clear() {
    session = std::make_unique<Session>(*partition);
    ask({.opcode = Opcode::kClear});
    for (int i = 0; i < 2; ++i) {
      clock.pass_ms(2);
      new_batch();
    }
    const SlabAccounting a = partition->slab().accounting();
    return a.free_pages == a.usable_pages && a.live_extents == 0 && a.doomed_extents == 0 &&
           a.quarantined_extents == 0 && a.pinned_extents == 0 && partition->consistent(0);
  }

  FakeClock clock;
  PageMemory index_memory;
  PageMemory pool_memory;
  std::unique_ptr<Partition> partition;
  std::unique_ptr<Session> session;
};

}  // namespace rdmakv::server
