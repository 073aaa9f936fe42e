// Where a key lives: hash slot -> (server, worker). One object, asked by the proxy and by native
// clients alike, so that they can never disagree.
//
// The 16384 slots are spread over the servers by rendezvous hashing of (server name, slot): every
// server draws a number h between 0 and 1 for every slot, scores -weight / ln(h), and the highest
// score wins (Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998; with
// weights: Schindelhauer and Schomaker, "Weighted distributed hash tables", 2005). So each server
// has a share in proportion to its weight, the order in which servers are listed does not matter,
// and a server that comes, goes or changes its weight moves only slots from or to itself. Within a
// server the protocol's wire::worker_of_slot decides.
//
// A number of workers that changes (it is learned from the servers) raises the epoch: whoever keeps
// places must ask again. Not thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/kv_hash.h"

namespace rdmakv {

class SlotMap {
 public:
  struct Place {
    uint16_t server = 0;
    uint16_t worker = 0;
    friend bool operator==(const Place&, const Place&) = default;
  };

  // `names`: one per server, at least one, distinct; `weights`: positive, one per server, or none:
  // all alike. Both must be the same at every client.
  explicit SlotMap(std::span<const std::string> names, std::span<const double> weights = {});

  uint16_t server_of_slot(uint16_t slot) const {
    return servers_.empty() ? uint16_t{0} : servers_[slot];
  }
  // The worker is 0 as long as the server's number of workers is not known.
  Place place_of_slot(uint16_t slot) const;
  Place place_of_key(std::string_view key) const {
    if (servers_.empty() && workers_[0] <= 1) return {};  // there is but one place
    return place_of_slot(wire::hash_slot(key));
  }

  // 0: not known yet.
  uint32_t workers(uint16_t server) const { return workers_[server]; }
  // False: nothing changed. `workers` is 1 to wire::kMaxWorkers.
  bool set_workers(uint16_t server, uint32_t workers);
  uint64_t epoch() const { return epoch_; }

 private:
  std::vector<uint16_t> servers_;  // by slot; empty with one server
  std::vector<uint32_t> workers_;  // by server
  uint64_t epoch_ = 1;
};

}  // namespace rdmakv
