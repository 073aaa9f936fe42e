// What operations cost in verbs and which way they went, as text: for kv_client's bench and for
// kv_bench.
#pragma once

#include <string>

#include "rdmakv/client/client.h"

namespace rdmakv {

// "wr/op", "db/op", "cq/op" and "rt/op", each eight wide: work requests, doorbells, completions and
// round trips of the client, for one operation.
std::string per_operation_head();
std::string per_operation_row(const ClientCounters& counts);

// "cached 990, request 10; detours: torn 7, reused 3": the ways that were taken, and why GETs had
// to leave the one that they began with. Ways that nothing took are left out. What was gathered
// into one request is one here.
std::string how_it_went(const ClientCounters& counts);

}  // namespace rdmakv
