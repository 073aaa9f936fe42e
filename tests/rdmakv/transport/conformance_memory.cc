// Regions, READ, CAS, and what happens to those who reach where they may not.
#include <array>
#include <set>

#include "tests/rdmakv/transport/conformance.h"

namespace rdmakv::conformance {
namespace {

void fill(std::byte* data, size_t size, uint32_t seed) {
  for (size_t i = 0; i < size; ++i) data[i] = static_cast<std::byte>((i * 131 + seed) >> 3);
}

TEST_P(TransportConformance, RegionsAreZeroWholePagesAndHaveKeysOfTheirOwn) {
  std::set<uint32_t> keys;
  for (size_t bytes : {size_t{1}, size_t{4096}, size_t{70000}}) {
    auto region =
        server_.fabric->allocate({bytes, RemoteAccess::kRead, Pages::kTransparent, "test"});
    ASSERT_TRUE(region) << region.status().to_string();
    EXPECT_GE((*region)->size(), bytes);
    EXPECT_EQ((*region)->size() % 4096, 0u);
    EXPECT_EQ(reinterpret_cast<uintptr_t>((*region)->data()) % 4096, 0u);
    for (size_t i = 0; i < (*region)->size(); ++i) ASSERT_EQ((*region)->data()[i], std::byte{0});
    EXPECT_NE((*region)->remote_key(), server_.exposed->remote_key());
  }
  EXPECT_NE(server_.exposed->remote_key(), server_.readable->remote_key());
}

TEST_P(TransportConformance, AbsurdRegionIsAnError) {
  auto region = server_.fabric->allocate(
      {size_t{1} << 50, RemoteAccess::kRead, Pages::kTransparent, "absurd"});
  ASSERT_FALSE(region);
  EXPECT_FALSE(region.status().message().empty());
}

TEST_P(TransportConformance, ReadsOfEverySize) {
  connect_pair();
  fill(server_.exposed->data(), server_.exposed->size(), 1);
  for (uint32_t length : {1u, 7u, 8u, 9u, 63u, 64u, 65u, 1000u, 1024u, 4095u, 4096u, 4097u, 65536u,
                          1000001u, 1u << 20, (1u << 20) + 3}) {
    for (uint64_t offset : {uint64_t{0}, uint64_t{1}, uint64_t{8}, uint64_t{4093}}) {
      std::memset(client_.local->data(), 0, length + 64);
      ASSERT_TRUE(client_.read(13, length, remote(*server_.exposed, offset), length));
      ASSERT_TRUE(pump_until([&] { return !client_.log.empty(); })) << length;
      ASSERT_EQ(client_.log.front().code, Code::kOk) << length;
      EXPECT_EQ(std::memcmp(client_.local->data() + 13, server_.exposed->data() + offset, length),
                0)
          << length << " at " << offset;
      EXPECT_EQ(client_.local->data()[12], std::byte{0});
      EXPECT_EQ(client_.local->data()[13 + length], std::byte{0});
      client_.log.clear();
    }
  }
}

TEST_P(TransportConformance, ReadOfNothing) {
  connect_pair();
  ASSERT_TRUE(client_.read(0, 0, remote(*server_.exposed), 5));
  ASSERT_TRUE(pump_until([&] { return !client_.log.empty(); }));
  EXPECT_EQ(client_.log.front().kind, CompletionKind::kRead);
  EXPECT_EQ(client_.log.front().code, Code::kOk);
}

TEST_P(TransportConformance, ServerReadsAndWritesTheClientToo) {
  connect_pair();
  fill(client_.exposed->data(), 4096, 9);
  ASSERT_TRUE(server_.read(0, 4096, remote(*client_.exposed)));
  ASSERT_TRUE(pump_until([&] { return !server_.log.empty(); }));
  EXPECT_EQ(std::memcmp(server_.local->data(), client_.exposed->data(), 4096), 0);
  const LocalBuffer body[] = {server_.at(0, 4096)};
  ASSERT_TRUE(
      server_.endpoint->write_with_imm({}, 0, body, remote(*client_.exposed, 8192), 1, 0, false));
  server_.endpoint->flush();
  ASSERT_TRUE(pump_until([&] { return !client_.log.empty(); }));
  EXPECT_EQ(std::memcmp(client_.exposed->data() + 8192, server_.local->data(), 4096), 0);
}

TEST_P(TransportConformance, ReadToTheLastByte) {
  connect_pair();
  fill(server_.readable->data(), server_.readable->size(), 4);
  ASSERT_TRUE(client_.read(0, 16, remote(*server_.readable, server_.readable->size() - 16)));
  ASSERT_TRUE(pump_until([&] { return !client_.log.empty(); }));
  EXPECT_EQ(client_.log.front().code, Code::kOk);
  EXPECT_EQ(std::memcmp(client_.local->data(),
                        server_.readable->data() + server_.readable->size() - 16, 16),
            0);
}

TEST_P(TransportConformance, ManyReadsInOneFlush) {
  connect_pair();
  fill(server_.exposed->data(), 1 << 20, 2);
  for (uint32_t round = 0; round < repetitions(50); ++round) {
    const uint32_t reads = small_options().max_work;
    for (uint32_t i = 0; i < reads; ++i) {
      const uint64_t from = uint64_t{i} * 1024 + round;
      ASSERT_TRUE(client_.endpoint->read(client_.at(i * 512, 512), remote(*server_.exposed, from),
                                         i, i + 1 == reads));
    }
    client_.endpoint->flush();
    ASSERT_TRUE(pump_until([&] { return !client_.log.empty(); }));
    ASSERT_EQ(client_.log.front().code, Code::kOk);
    for (uint32_t i = 0; i < reads; ++i) {
      ASSERT_EQ(std::memcmp(client_.local->data() + i * 512,
                            server_.exposed->data() + uint64_t{i} * 1024 + round, 512),
                0);
    }
    client_.log.clear();
  }
}

uint64_t word_at(const std::byte* data) {
  uint64_t word = 0;
  std::memcpy(&word, data, sizeof(word));
  return word;
}

TEST_P(TransportConformance, CompareAndSwapWins) {
  connect_pair();
  const uint64_t before = 0x1122334455667788;
  std::memcpy(server_.exposed->data() + 64, &before, 8);
  ASSERT_TRUE(client_.endpoint->compare_and_swap(client_.at(8, 8), remote(*server_.exposed, 64),
                                                 before, 77, 3, true));
  client_.endpoint->flush();
  ASSERT_TRUE(pump_until([&] { return !client_.log.empty(); }));
  EXPECT_EQ(client_.log.front().kind, CompletionKind::kCompareAndSwap);
  EXPECT_EQ(client_.log.front().code, Code::kOk);
  EXPECT_EQ(word_at(client_.local->data() + 8), before);
  EXPECT_EQ(word_at(server_.exposed->data() + 64), 77u);
  EXPECT_EQ(word_at(server_.exposed->data() + 72), 0u);
}

TEST_P(TransportConformance, CompareAndSwapLosesAndTellsWhatIsThere) {
  connect_pair();
  const uint64_t there = 5;
  std::memcpy(server_.exposed->data() + 64, &there, 8);
  ASSERT_TRUE(client_.endpoint->compare_and_swap(client_.at(8, 8), remote(*server_.exposed, 64), 4,
                                                 6, 3, true));
  client_.endpoint->flush();
  ASSERT_TRUE(pump_until([&] { return !client_.log.empty(); }));
  EXPECT_EQ(client_.log.front().code, Code::kOk);
  EXPECT_EQ(word_at(client_.local->data() + 8), 5u);
  EXPECT_EQ(word_at(server_.exposed->data() + 64), 5u);
}

TEST_P(TransportConformance, CompareAndSwapCountsFromTwoConnections) {
  connect_pair();
  auto second = start_connect();
  ASSERT_TRUE(second) << second.status().to_string();
  ASSERT_TRUE(pump_until([&] { return !client_.log.empty() && more_endpoints_.size() == 1; }));
  ASSERT_TRUE(more_endpoints_.front()->expose(*server_.exposed));
  Endpoint* endpoints[2] = {client_.endpoint.get(), second->get()};
  uint64_t guesses[2] = {0, 0};
  uint64_t won = 0;
  const uint64_t wanted = repetitions(1000);
  while (won < wanted) {
    for (uint32_t i = 0; i < 2; ++i) {
      ASSERT_TRUE(endpoints[i]->compare_and_swap(client_.at(i * 64, 8), remote(*server_.exposed),
                                                 guesses[i], guesses[i] + 1, i, true));
      endpoints[i]->flush();
    }
    client_.log.clear();
    ASSERT_TRUE(pump_until([&] { return client_.count(CompletionKind::kCompareAndSwap) == 2; }));
    for (uint32_t i = 0; i < 2; ++i) {
      const uint64_t previous = word_at(client_.local->data() + i * 64);
      if (previous == guesses[i]) {
        ++won;
        ++guesses[i];
      } else {
        guesses[i] = previous;
      }
    }
  }
  EXPECT_EQ(word_at(server_.exposed->data()), won);
}

// ---- remote access errors
// ------------------------------------------------------------------------

TEST_P(RemoteAccessConformance, ReadBeyondTheEnd) {
  ASSERT_TRUE(client_.read(0, 64, remote(*server_.exposed, server_.exposed->size() - 63)));
  expect_error(CompletionKind::kRead);
}

TEST_P(RemoteAccessConformance, ReadAtAnAddressThatWraps) {
  ASSERT_TRUE(client_.read(0, 64, {UINT64_MAX - 10, server_.exposed->remote_key()}));
  expect_error(CompletionKind::kRead);
}

TEST_P(RemoteAccessConformance, ReadByAnUnknownKey) {
  RemoteAddress from = remote(*server_.exposed);
  from.key ^= 0x5a5a5a5a;
  ASSERT_TRUE(client_.read(0, 64, from));
  expect_error(CompletionKind::kRead);
}

TEST_P(RemoteAccessConformance, WriteIntoReadOnlyMemory) {
  const LocalBuffer body[] = {client_.at(0, 8)};
  std::memset(client_.local->data(), 0xff, 8);
  ASSERT_TRUE(client_.endpoint->write(body, remote(*server_.readable), 1, true));
  expect_error(CompletionKind::kWrite);
  EXPECT_EQ(server_.readable->data()[0], std::byte{0});
}

TEST_P(RemoteAccessConformance, WriteWithImmBeyondTheEnd) {
  const LocalBuffer body[] = {client_.at(0, 64)};
  ASSERT_TRUE(client_.endpoint->write_with_imm(
      {}, 0, body, remote(*server_.exposed, server_.exposed->size() - 8), 1, 1, true));
  expect_error(CompletionKind::kWrite);
}

TEST_P(RemoteAccessConformance, AtomicOnMemoryWithoutThatRight) {
  ASSERT_TRUE(client_.endpoint->compare_and_swap(client_.at(0, 8), remote(*server_.readable), 0, 1,
                                                 1, true));
  expect_error(CompletionKind::kCompareAndSwap);
  EXPECT_EQ(server_.readable->data()[0], std::byte{0});
}

TEST_P(RemoteAccessConformance, AtomicOnAnUnalignedAddress) {
  ASSERT_TRUE(client_.endpoint->compare_and_swap(client_.at(0, 8), remote(*server_.exposed, 4), 0,
                                                 1, 1, true));
  expect_error(CompletionKind::kCompareAndSwap);
}

// From the moment on at which a destructor returned, whether or not the peer has heard of it.
TEST_P(RemoteAccessConformance, NothingReachesTheMemoryOfADestroyedEndpoint) {
  fill(client_.local->data(), 4096, 5);
  use_region_once();
  server_.endpoint.reset();
  const LocalBuffer body[] = {client_.at(0, 4096)};
  const bool wrote = client_.endpoint->write(body, remote(*server_.exposed), 1, true);
  const bool swapped = client_.endpoint->compare_and_swap(
      client_.at(8192, 8), remote(*server_.exposed, 8192), 0, 1, 2, true);
  client_.endpoint->flush();
  ASSERT_TRUE(pump_until([&] { return client_.find(CompletionKind::kDisconnected) != nullptr; }));
  EXPECT_EQ(client_.count(CompletionKind::kWrite), wrote ? 1u : 0u);
  EXPECT_EQ(client_.count(CompletionKind::kCompareAndSwap), swapped ? 1u : 0u);
  for (const Completion& completion : client_.log) {
    if (completion.kind == CompletionKind::kDisconnected) continue;
    EXPECT_NE(completion.code, Code::kOk);
  }
  for (size_t i = 0; i < 4096; ++i) ASSERT_EQ(server_.exposed->data()[i], std::byte{0});
  EXPECT_EQ(word_at(server_.exposed->data() + 8192), 0u);
}

TEST_P(RemoteAccessConformance, ReadThroughADestroyedEndpointFails) {
  use_region_once();
  server_.endpoint.reset();
  const bool posted = client_.read(0, 64, remote(*server_.exposed));
  ASSERT_TRUE(pump_until([&] { return client_.find(CompletionKind::kDisconnected) != nullptr; }));
  EXPECT_EQ(client_.count(CompletionKind::kRead), posted ? 1u : 0u);
  if (posted) {
    EXPECT_NE(client_.find(CompletionKind::kRead)->code, Code::kOk);
  }
}

// Everything that was posted and signalled completes, with an error from the one that failed on.
TEST_P(RemoteAccessConformance, WorkBehindAFailedRequestFailsToo) {
  uint32_t posted = 0;
  posted += client_.endpoint->read(client_.at(0, 8), remote(*server_.exposed), 0, true) ? 1 : 0;
  posted += client_.endpoint->read(client_.at(0, 8), {0, 1}, 1, true) ? 1 : 0;
  posted += client_.endpoint->read(client_.at(0, 8), remote(*server_.exposed), 2, true) ? 1 : 0;
  client_.endpoint->flush();
  ASSERT_TRUE(pump_until([&] { return client_.find(CompletionKind::kDisconnected) != nullptr; }));
  ASSERT_EQ(client_.count(CompletionKind::kRead), posted);
  for (uint32_t i = 0; i < posted; ++i) {
    EXPECT_EQ(client_.log[i].context, i);
    EXPECT_EQ(client_.log[i].code == Code::kOk, i == 0);
  }
}

}  // namespace
}  // namespace rdmakv::conformance
