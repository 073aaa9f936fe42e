// Breadth first through every Node that a Setup leads to, so the first violation found is a
// shortest one. Visited Nodes are kept as 128-bit hashes (Wolper, Leroy, "Reliable hashing without
// collision detection", 1993): with 10^9 of them the chance that any two are taken for one is below
// 10^-20.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/model/protocol.h"

namespace rdmakv::model {

struct Explored {
  uint64_t nodes = 0;
  uint32_t depth = 0;
  bool complete = false;          // false: ended at a violation, or at the limit
  std::string wrong;              // empty: nothing
  std::vector<std::string> path;  // to it
};

// `most_nodes`: gives up there.
Explored explore(Protocol& protocol, uint64_t most_nodes);

}  // namespace rdmakv::model
