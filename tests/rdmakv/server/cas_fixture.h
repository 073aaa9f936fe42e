// A partition with the regions for one-sided CAS, clients that use them as clients do (by WRITE and
// ATOMIC, which on plain memory is a copy and a CPU CAS), and atomics of the server's before which
// a client can be first.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/rdmakv/server/partition_fixture.h"
#include "tests/rdmakv/server/plain_region.h"

namespace rdmakv::server {

using wire::FirstWord;

inline constexpr uint64_t kSeed = 0x1234567890abcdef;

class ScriptedAtomics final : public LocalAtomics {
 public:
  Code compare_and_swap(const MemoryRegion& region, uint64_t offset, uint64_t expected,
                        uint64_t desired, uint64_t& previous) override {
    ++calls;
    if (code != Code::kOk) return code;
    // What the hooks do may need atomics of the server's, too.
    const bool outermost = !std::exchange(inside_, true);
    if (before && outermost) {
      const auto now = before;
      if (once) before = nullptr;
      now();
    }
    const Code done = cpu_->compare_and_swap(region, offset, expected, desired, previous);
    if (after && outermost) after();
    if (outermost) inside_ = false;
    return done;
  }
  std::string describe() const override { return "by the test"; }

  std::function<void()> before;  // a client does something just before the server's swap
  std::function<void()> after;   // and just after it
  bool once = true;              // only before the next one
  Code code = Code::kOk;
  int calls = 0;

 private:
  bool inside_ = false;
  std::unique_ptr<LocalAtomics> cpu_ = make_cpu_atomics();
};

struct CasPlace {  // what a client has in its cache
  uint64_t offset = 0;
  uint32_t generation = 0;
  uint64_t version = 0;
};

class CasBox {
 public:
  explicit CasBox(size_t cas_bytes = 64 << 10, size_t grants_bytes = 64 << 10,
                  size_t pool_bytes = 4 << 20)
      : index_memory(256 << 10), pool_memory(pool_bytes), cas(cas_bytes), grants(grants_bytes) {
    PartitionOptions options;
    options.index = index_memory.bytes();
    options.pool = pool_memory.bytes();
    options.cas = &cas;
    options.grants = &grants;
    options.atomics = &atomics;
    options.seed = kSeed;
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
  Told ask(const Ask& ask, Session& from) {
    new_batch();
    return told_of(partition->execute(header_of(ask), ask.key, bytes_of_value(ask), from),
                   *partition);
  }
  Told ask(const Ask& asked) { return ask(asked, *session); }
  Told get(std::string_view key) { return ask({.opcode = Opcode::kGet, .key = key}); }
  Told put(std::string_view key, std::string_view value, int64_t expiry_ms = 0) {
    return ask({.opcode = Opcode::kPut, .key = key, .value = value, .expiry_ms = expiry_ms});
  }
  Told rpc_cas(std::string_view key, uint64_t version, std::string_view value) {
    return ask({.opcode = Opcode::kPut,
                .key = key,
                .value = value,
                .condition = Condition::kIfVersion,
                .version = version});
  }
  Told del(std::string_view key) { return ask({.opcode = Opcode::kDelete, .key = key}); }
  Told expire(std::string_view key, int64_t expiry_ms) {
    return ask({.opcode = Opcode::kExpire, .key = key, .expiry_ms = expiry_ms});
  }
  // A key of the cas class, and where its entry is.
  CasPlace make(std::string_view key, std::string_view value = "made") {
    const uint64_t version = put(key, "before").version;
    const Told told = rpc_cas(key, version, value);
    EXPECT_EQ(told.status, ReplyStatus::kOk);
    EXPECT_NE(told.reply.flags & wire::kCasClass, 0);
    return place_of(told);
  }
  static CasPlace place_of(const Told& told) {
    return {told.reply.location, told.reply.generation, told.version};
  }
  CasPlace find(std::string_view key) { return place_of(get(key)); }
  bool in_class(std::string_view key) { return (get(key).reply.flags & wire::kCasClass) != 0; }

  // ---- what a client does ----
  // Sends hints, and asks for `wanted` extents.
  std::vector<wire::Grant> ask_grants(Session& from, uint64_t wanted,
                                      const std::vector<uint64_t>& hints = {}) {
    const std::string_view value(reinterpret_cast<const char*>(hints.data()), hints.size() * 8);
    const Told told = ask({.opcode = Opcode::kGrants,
                           .value = value,
                           .expiry_ms = static_cast<int64_t>(wanted)},  // the same field
                          from);
    EXPECT_EQ(told.status, ReplyStatus::kOk);
    std::vector<wire::Grant> given(told.number);
    EXPECT_EQ(told.value.size(), given.size() * sizeof(wire::Grant));
    if (!given.empty()) std::memcpy(given.data(), told.value.data(), told.value.size());
    return given;
  }
  wire::Grant one_grant(Session& from) {
    const auto given = ask_grants(from, 1);
    EXPECT_EQ(given.size(), 1u);
    return given.empty() ? wire::Grant{} : given.front();
  }
  // WRITE: a complete entry in a granted extent, but for the first word, which is live.
  void write(const wire::Grant& to, std::string_view key, std::string_view value,
             uint64_t version) {
    alignas(8) std::byte entry[wire::kCasExtentBytes] = {};
    wire::EntryFields fields;
    fields.seed = wire::entry_seed(kSeed, to.generation);
    fields.version = version;
    wire::write_entry(entry, fields, key, std::as_bytes(std::span(value.data(), value.size())));
    const uint64_t bytes = wire::entry_bytes(key.size(), value.size(), false);
    std::memcpy(partition->at(to.offset) + sizeof(uint64_t), entry + sizeof(uint64_t),
                bytes - sizeof(uint64_t));
  }
  // ATOMIC: from the entry at `at` to the one at `to`. Whether it won.
  bool link(const CasPlace& at, const wire::Grant& to) {
    uint64_t expected = FirstWord::make_live(at.generation, true).encode();
    const uint64_t desired = FirstWord::make_dead(true, to.generation, to.offset).encode();
    return first_word(at.offset).compare_exchange_strong(expected, desired);
  }
  // Both: a one-sided CAS.
  std::optional<CasPlace> cas_by(const wire::Grant& to, const CasPlace& at, std::string_view key,
                                 std::string_view value) {
    write(to, key, value, at.version + 1);
    if (!link(at, to)) return std::nullopt;
    return CasPlace{to.offset, to.generation, at.version + 1};
  }
  std::optional<CasPlace> client_cas(Session& from, const CasPlace& at, std::string_view key,
                                     std::string_view value) {
    return cas_by(one_grant(from), at, key, value);
  }
  std::atomic_ref<uint64_t> first_word(uint64_t offset) const {
    return std::atomic_ref<uint64_t>(*reinterpret_cast<uint64_t*>(partition->at(offset)));
  }
  FirstWord word(uint64_t offset) const { return FirstWord::decode(first_word(offset).load()); }

  std::unique_ptr<Session> client() { return std::make_unique<Session>(*partition); }
  const PartitionCounters& counters() const { return partition->counters(); }
  CasAccounting count(CasPool::Part part) const { return partition->cas_pool()->accounting(part); }
  CasAccounting cas_count() const { return count(CasPool::Part::kCas); }
  CasAccounting grants_count() const { return count(CasPool::Part::kGrants); }
  CasPool::State state(uint64_t offset) const { return partition->cas_pool()->state(offset); }
  void pass_ms(uint64_t ms) {
    clock.pass_ms(ms);
    new_batch();
  }
  bool consistent() { return partition->consistent(session ? session->uploads.open() : 0); }
  // Nothing is left when everything was removed and all connections are gone.
  bool empty_after_clear() {
    session.reset();
    Session last(*partition);
    atomics.before = atomics.after = nullptr;
    atomics.code = Code::kOk;
    EXPECT_EQ(ask({.opcode = Opcode::kClear}, last).status, ReplyStatus::kOk);
    for (int i = 0; i < 2; ++i) pass_ms(2);
    const SlabAccounting a = partition->slab().accounting();
    const bool pool_free = a.free_pages == a.usable_pages && a.live_extents == 0 &&
                           a.doomed_extents == 0 && a.quarantined_extents == 0 &&
                           a.pinned_extents == 0;
    return pool_free && cas_count().free == cas_count().all() &&
           grants_count().free == grants_count().all() && partition->consistent(0);
  }

  FakeClock clock;
  PageMemory index_memory;
  PageMemory pool_memory;
  PlainRegion cas;
  PlainRegion grants;
  ScriptedAtomics atomics;
  std::unique_ptr<Partition> partition;
  std::unique_ptr<Session> session;
};

}  // namespace rdmakv::server
