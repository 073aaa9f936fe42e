// What one step of an operation costs, room by room: checksum, index lookup, slab, location cache,
// ring. Compare within one run only; "keys" is how many there are, so that the larger numbers show
// what the processor's caches do not hold.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "protocol/kv_hash.h"
#include "protocol/kv_layout.h"
#include "rdmakv/client/location_cache.h"
#include "rdmakv/server/index.h"
#include "rdmakv/server/slab.h"
#include "rdmakv/transport/shm/message_rings.h"

namespace rdmakv {
namespace {

struct FreeMemory {
  void operator()(std::byte* memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<std::byte, FreeMemory>;

constexpr uint64_t kSeed = 0x1234567890abcdef;

Memory zeroed(size_t bytes) {
  bytes = (bytes + 4095) / 4096 * 4096;
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(4096, bytes));
  std::fill_n(memory, bytes, std::byte{0});
  return Memory(memory);
}

std::string key_of(uint64_t number) {
  std::string key = "key:000000000000";
  for (size_t at = key.size(); number > 0; number /= 10) {
    key[--at] = static_cast<char>('0' + number % 10);
  }
  return key;
}

void checksum(benchmark::State& state) {
  const auto bytes = static_cast<uint64_t>(state.range(0));
  const Memory entry = zeroed(bytes);
  for (auto _ : state) {
    benchmark::DoNotOptimize(wire::entry_checksum(entry.get(), bytes, 48, 42));
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(checksum)->Arg(112)->Arg(1088)->Arg(16 << 10)->Arg(256 << 10);

void hash_of_key(benchmark::State& state) {
  const std::string key = key_of(1);
  for (auto _ : state) benchmark::DoNotOptimize(wire::hash_key(key, kSeed));
}
BENCHMARK(hash_of_key);

void slot_of_key(benchmark::State& state) {
  const std::string key = key_of(1);
  for (auto _ : state) benchmark::DoNotOptimize(wire::hash_slot(key));
}
BENCHMARK(slot_of_key);

// Lookups of random keys; range(1): with the buckets fetched ahead for a batch of 32.
void index_lookup(benchmark::State& state) {
  const auto keys = static_cast<uint32_t>(state.range(0));
  const bool ahead = state.range(1) != 0;
  const uint64_t buckets = std::max<uint64_t>(keys / 4, 16);
  const Memory memory = zeroed(buckets * sizeof(wire::Bucket));
  const Memory pool = zeroed((uint64_t{keys} + 1) * 112);
  const server::EntryMemory entries(pool.get());
  server::Index index({memory.get(), buckets * sizeof(wire::Bucket)}, entries, keys / 32 + 16);
  std::vector<std::string> names;
  for (uint32_t i = 0; i < keys; ++i) {
    names.push_back(key_of(i));
    const uint64_t hash = wire::hash_key(names.back(), kSeed);
    wire::Slot slot;
    slot.offset = (uint64_t{i} + 1) * 7;
    wire::write_entry(pool.get() + slot.offset * wire::kExtentUnit, {}, names.back(), {});
    index.insert(index.vacancy(hash), hash, slot);
  }
  uint64_t at = 0;
  uint64_t hashes[32];
  const std::string* batch[32];
  for (auto _ : state) {
    for (size_t i = 0; i < 32; ++i) {
      at = at * 6364136223846793005ull + 1442695040888963407ull;
      batch[i] = &names[(at >> 33) % keys];
      hashes[i] = wire::hash_key(*batch[i], kSeed);
      if (!ahead) continue;
      for (const uint32_t bucket : wire::key_place(hashes[i], index.bucket_count()).bucket) {
        __builtin_prefetch(memory.get() + bucket * sizeof(wire::Bucket));
      }
    }
    for (size_t i = 0; i < 32; ++i) benchmark::DoNotOptimize(index.find(hashes[i], *batch[i]));
  }
  state.SetItemsProcessed(state.iterations() * 32);
}
BENCHMARK(index_lookup)->ArgNames({"keys", "ahead"})->ArgsProduct({{1000, 1'000'000}, {0, 1}});

// An extent allocated and one freed, as a PUT on a key that is there does.
void slab_turnover(benchmark::State& state) {
  const uint64_t bytes = 64 << 20;
  const Memory pool = zeroed(bytes);
  server::Slab slab({pool.get(), bytes}, 16);
  std::vector<uint64_t> live;
  for (int64_t i = 0; i < state.range(0); ++i) live.push_back(slab.allocate(112).offset);
  uint64_t now_ns = 0;
  size_t at = 0;
  for (auto _ : state) {
    slab.begin(now_ns += 20'000);
    for (int i = 0; i < 32; ++i, at = (at + 1) % live.size()) {
      const uint64_t fresh = slab.allocate(112).offset;
      slab.free(std::exchange(live[at], fresh));
    }
  }
  state.SetItemsProcessed(state.iterations() * 32);
}
BENCHMARK(slab_turnover)->ArgName("live")->Arg(1000)->Arg(100'000);

void location_cache(benchmark::State& state) {
  LocationCache cache(16 << 20);
  cache.begin(1);
  const auto keys = static_cast<uint64_t>(state.range(0));
  std::vector<uint64_t> hashes;
  for (uint64_t i = 0; i < keys; ++i) {
    hashes.push_back(wire::hash_key(key_of(i), kSeed));
    cache.learn(hashes.back(), 0, {i + 1, 7, 112});
  }
  uint64_t at = 0;
  CachedLocation location;
  for (auto _ : state) {
    at = at * 6364136223846793005ull + 1442695040888963407ull;
    benchmark::DoNotOptimize(cache.find(hashes[(at >> 33) % keys], 0, location));
  }
}
BENCHMARK(location_cache)->ArgName("keys")->Arg(1000)->Arg(500'000);

// A message of `bytes` from one side of a connection to the other and its buffer back, on one core.
void ring(benchmark::State& state) {
  constexpr uint32_t kSlots = 128;
  constexpr uint32_t kBytes = 4608;
  const shm::RingSizes sizes{kSlots, kBytes, kSlots, 2 * kSlots, 2 * kSlots};
  const size_t bytes = shm::OutboxLayout::of(kSlots, kBytes, 2 * kSlots).bytes;
  const Memory a_memory = zeroed(bytes);
  const Memory b_memory = zeroed(bytes);
  shm::MessageRings a, b;
  a.start(a_memory.get(), b_memory.get(), sizes);
  b.start(b_memory.get(), a_memory.get(), sizes);
  shm::MessageRings::Message message;
  for (auto _ : state) {
    const uint32_t buffer = a.acquire();
    if (!a.may_publish()) state.SkipWithError("no slot");
    a.publish(shm::RingMessage::kSend, buffer, 128, 0);
    if (b.receive(message) != shm::MessageRings::Receive::kMessage) state.SkipWithError("lost");
    b.release(message.slot);
  }
}
BENCHMARK(ring);

}  // namespace
}  // namespace rdmakv

BENCHMARK_MAIN();
