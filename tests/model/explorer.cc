#include "tests/model/explorer.h"

#include <xxhash.h>

#include <algorithm>
#include <type_traits>
#include <utility>

namespace rdmakv::model {
namespace {

struct Hash {
  uint64_t low = 0, high = 0;
  bool empty() const { return low == 0 && high == 0; }
  bool operator==(const Hash&) const = default;
};

Hash hash_of(const Node& node) {
  struct {
    World world;
    uint32_t histories[kKeys];
  } bytes;
  std::memset(&bytes, 0, sizeof(bytes));
  bytes.world = node.world;
  for (int key = 0; key < kKeys; ++key) bytes.histories[key] = node.history[key].number();
  const XXH128_hash_t hash = XXH3_128bits(&bytes, sizeof(bytes));
  return {hash.low64 | 1, hash.high64};
}

// Open addressing, linear probing; a place is the number of its Node.
class Visited {
 public:
  Visited() : places_(1 << 16) {}
  // False: it was there.
  bool insert(const Hash& hash) {
    if ((count_ + 1) * 4 > places_.size() * 3) grow();
    Hash& place = find(hash);
    if (!place.empty()) return false;
    place = hash;
    ++count_;
    return true;
  }

 private:
  Hash& find(const Hash& hash) {
    size_t at = hash.high & (places_.size() - 1);
    while (!places_[at].empty() && !(places_[at] == hash)) at = (at + 1) & (places_.size() - 1);
    return places_[at];
  }
  void grow() {
    std::vector<Hash> old(places_.size() * 2);
    old.swap(places_);
    for (const Hash& hash : old) {
      if (!hash.empty()) find(hash) = hash;
    }
  }
  std::vector<Hash> places_;
  uint64_t count_ = 0;
};

// How a Node was reached: which successor of which.
struct Origin {
  uint32_t from;
  uint16_t successor;
};

std::vector<std::string> path_to(Protocol& protocol, const std::vector<Origin>& origins,
                                 uint32_t number, uint32_t last) {
  std::vector<uint32_t> choices{last};
  for (; number != 0; number = origins[number].from) choices.push_back(origins[number].successor);
  std::reverse(choices.begin(), choices.end());
  std::vector<std::string> names;
  Node node = protocol.first();
  for (const uint32_t choice : choices) {
    uint32_t at = 0;
    Node next;
    std::string name = "nothing can happen any more";
    protocol.successors(node, true, [&](Node&& successor, std::string&& text) {
      if (at++ != choice) return;
      next = std::move(successor);
      name = std::move(text);
    });
    names.push_back(std::move(name));
    node = next;
  }
  return names;
}

}  // namespace

Explored explore(Protocol& protocol, uint64_t most_nodes) {
  Explored told;
  Visited visited;
  std::vector<Origin> origins{{0, 0}};
  std::vector<Node> level{protocol.first()};
  visited.insert(hash_of(level[0]));
  uint32_t first_of_level = 0;
  for (; !level.empty(); ++told.depth) {
    std::vector<Node> next;
    for (size_t i = 0; i < level.size(); ++i) {
      const auto number = static_cast<uint32_t>(first_of_level + i);
      uint16_t successor = 0;
      uint16_t failing = 0;
      protocol.successors(level[i], false, [&](Node&& node, std::string&&) {
        const uint16_t which = successor++;
        if (!told.wrong.empty()) return;
        if (node.wrong != nullptr) {
          told.wrong = node.wrong;
          failing = which;
          return;
        }
        if (!visited.insert(hash_of(node))) return;
        origins.push_back({number, which});
        next.push_back(std::move(node));
      });
      if (successor == 0 && told.wrong.empty()) {
        const char* wrong = protocol.wrong_at_the_end(level[i]);
        if (wrong != nullptr) told.wrong = wrong;
      }
      told.nodes = origins.size();
      if (!told.wrong.empty()) {
        told.path = path_to(protocol, origins, number, failing);
        return told;
      }
      if (origins.size() > most_nodes) return told;
    }
    first_of_level += static_cast<uint32_t>(level.size());
    level.swap(next);
  }
  told.complete = true;
  return told;
}

}  // namespace rdmakv::model
