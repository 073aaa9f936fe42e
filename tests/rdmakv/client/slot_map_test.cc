#include "rdmakv/client/slot_map.h"

#include <gtest/gtest.h>

namespace rdmakv {
namespace {

std::vector<std::string> names(std::initializer_list<const char*> all) {
  return {all.begin(), all.end()};
}

TEST(SlotMap, OneServerHasEverySlot) {
  const SlotMap map(names({"a:1"}));
  for (uint32_t slot = 0; slot < wire::kHashSlots; ++slot) {
    ASSERT_EQ(map.server_of_slot(static_cast<uint16_t>(slot)), 0);
  }
}

TEST(SlotMap, WorkersOfAServerAreThoseOfTheProtocol) {
  SlotMap map(names({"a:1"}));
  map.set_workers(0, 3);
  for (uint32_t slot = 0; slot < wire::kHashSlots; ++slot) {
    ASSERT_EQ(map.place_of_slot(static_cast<uint16_t>(slot)).worker,
              wire::worker_of_slot(static_cast<uint16_t>(slot), 3));
  }
}

TEST(SlotMap, UnknownNumberOfWorkersMeansWorker0) {
  const SlotMap map(names({"a:1"}));
  EXPECT_EQ(map.place_of_slot(16383).worker, 0);
}

TEST(SlotMap, KeysOfOneTagShareAPlace) {
  SlotMap map(names({"a:1", "b:1", "c:1"}));
  for (uint16_t server = 0; server < 3; ++server) map.set_workers(server, 8);
  EXPECT_EQ(map.place_of_key("{user7}.name"), map.place_of_key("{user7}.mail"));
}

TEST(SlotMap, ServersGetEvenShares) {
  const SlotMap map(names({"a:1", "b:1", "c:1", "d:1"}));
  uint32_t share[4] = {};
  for (uint32_t slot = 0; slot < wire::kHashSlots; ++slot) {
    ++share[map.server_of_slot(static_cast<uint16_t>(slot))];
  }
  // 4096 each on average; the standard deviation is 55.
  for (const uint32_t slots : share) EXPECT_NEAR(slots, 4096, 300);
}

TEST(SlotMap, TheOrderOfServersDoesNotMatter) {
  const std::vector<std::string> one = names({"a:1", "b:1", "c:1"});
  const std::vector<std::string> other = names({"c:1", "a:1", "b:1"});
  const SlotMap first(one);
  const SlotMap second(other);
  for (uint32_t slot = 0; slot < wire::kHashSlots; ++slot) {
    ASSERT_EQ(one[first.server_of_slot(static_cast<uint16_t>(slot))],
              other[second.server_of_slot(static_cast<uint16_t>(slot))]);
  }
}

TEST(SlotMap, ANewServerTakesOnlyItsOwnShare) {
  const SlotMap before(names({"a:1", "b:1", "c:1"}));
  const SlotMap after(names({"a:1", "b:1", "c:1", "d:1"}));
  uint32_t moved = 0;
  for (uint32_t slot = 0; slot < wire::kHashSlots; ++slot) {
    const uint16_t now = after.server_of_slot(static_cast<uint16_t>(slot));
    if (now != before.server_of_slot(static_cast<uint16_t>(slot))) {
      ASSERT_EQ(now, 3) << "a slot moved between servers that stayed";
      ++moved;
    }
  }
  EXPECT_NEAR(moved, 4096, 300);
}

std::vector<uint32_t> shares(const SlotMap& map, size_t servers) {
  std::vector<uint32_t> share(servers);
  for (uint32_t slot = 0; slot < wire::kHashSlots; ++slot) {
    ++share[map.server_of_slot(static_cast<uint16_t>(slot))];
  }
  return share;
}

TEST(SlotMap, SharesAreInProportionToWeights) {
  const std::vector<double> weights = {1, 2, 0.5, 4.5};
  const auto share = shares(SlotMap(names({"a:1", "b:1", "c:1", "d:1"}), weights), 4);
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(share[i], weights[i] / 8 * wire::kHashSlots, 300) << i;
}

TEST(SlotMap, EqualWeightsOfAnySizeAreNoWeights) {
  const std::vector<std::string> servers = names({"a:1", "b:1", "c:1"});
  const SlotMap plain(servers), heavy(servers, std::vector<double>{7.5, 7.5, 7.5});
  for (uint32_t slot = 0; slot < wire::kHashSlots; ++slot) {
    const auto at = static_cast<uint16_t>(slot);
    ASSERT_EQ(plain.server_of_slot(at), heavy.server_of_slot(at));
  }
}

TEST(SlotMap, AHeavierServerOnlyTakesSlots) {
  const std::vector<std::string> servers = names({"a:1", "b:1", "c:1"});
  const SlotMap before(servers), after(servers, std::vector<double>{1, 1, 3});
  for (uint32_t slot = 0; slot < wire::kHashSlots; ++slot) {
    const auto at = static_cast<uint16_t>(slot);
    if (after.server_of_slot(at) != before.server_of_slot(at)) {
      ASSERT_EQ(after.server_of_slot(at), 2);
    }
  }
}

TEST(SlotMap, TheEpochRisesOnlyWithAChange) {
  SlotMap map(names({"a:1"}));
  const uint64_t before = map.epoch();
  EXPECT_TRUE(map.set_workers(0, 2));
  EXPECT_FALSE(map.set_workers(0, 2));
  EXPECT_EQ(map.epoch(), before + 1);
}

}  // namespace
}  // namespace rdmakv
