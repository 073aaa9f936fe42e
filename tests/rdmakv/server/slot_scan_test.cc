#include "rdmakv/server/slot_scan.h"

#include <gtest/gtest.h>

#include <random>

namespace rdmakv::server {
namespace {

TEST(SlotScan, FindsTheFingerprintWhateverStandsAroundIt) {
  std::mt19937_64 random(20);
  for (int round = 0; round < 10'000; ++round) {
    wire::Bucket bucket;
    const auto wanted = static_cast<uint32_t>(random() % 512);
    uint32_t expected = 0;
    for (uint32_t i = 0; i < wire::kSlotsPerBucket; ++i) {
      wire::Slot slot = wire::Slot::decode(random());
      if (random() % 3 == 0) slot.fingerprint = static_cast<uint16_t>(wanted);
      if (random() % 8 == 0) slot = {};
      if (slot.fingerprint == wanted) expected |= 1u << i;
      bucket.slots[i] = slot.encode();
    }
    ASSERT_EQ(slots_with(bucket, wanted), expected);
  }
}

}  // namespace
}  // namespace rdmakv::server
