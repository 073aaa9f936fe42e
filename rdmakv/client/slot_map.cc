#include "rdmakv/client/slot_map.h"

#include <cmath>

namespace rdmakv {
namespace {

// The finalizer of MurmurHash3: every bit of the input reaches every bit of the output.
constexpr uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdull;
  x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53ull;
  return x ^ (x >> 33);
}

// Of 53 bits, so exact; neither 0 nor 1.
double between_0_and_1(uint64_t drawn) {
  return (static_cast<double>(drawn >> 11) + 0.5) * 0x1p-53;
}

}  // namespace

SlotMap::SlotMap(std::span<const std::string> names, std::span<const double> weights)
    : workers_(names.size(), 0) {
  if (names.size() < 2) return;
  std::vector<uint64_t> hashes;
  for (const std::string& name : names) hashes.push_back(wire::hash_key(name, 0));
  servers_.resize(wire::kHashSlots);
  for (uint32_t slot = 0; slot < wire::kHashSlots; ++slot) {
    double best = 0;
    for (size_t server = 0; server < hashes.size(); ++server) {
      const uint64_t drawn = mix(hashes[server] + slot * 0x9e3779b97f4a7c15ull);
      const double weight = weights.empty() ? 1.0 : weights[server];
      const double score = -weight / std::log(between_0_and_1(drawn));
      if (score > best) {
        best = score;
        servers_[slot] = static_cast<uint16_t>(server);
      }
    }
  }
}

SlotMap::Place SlotMap::place_of_slot(uint16_t slot) const {
  const uint16_t server = server_of_slot(slot);
  const uint32_t workers = workers_[server];
  return {server, static_cast<uint16_t>(workers == 0 ? 0 : wire::worker_of_slot(slot, workers))};
}

bool SlotMap::set_workers(uint16_t server, uint32_t workers) {
  if (workers_[server] == workers) return false;
  workers_[server] = workers;
  ++epoch_;
  return true;
}

}  // namespace rdmakv
