// `bench`: put, get and cas against the server, by value size, and what each cost in verbs.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <vector>

#include "rdmakv/client/client.h"
#include "tools/histogram.h"

namespace rdmakv {

struct BenchOptions {
  uint32_t operations = 1000;  // of each kind and size
  uint32_t depth = 1;          // under way at a time
  std::vector<uint64_t> sizes = {16, 64, 256, 1024, 4096, 16'384, 65'536, 262'144};
};

// What one kind of operation did at one size.
struct BenchRow {
  Code code = Code::kOk;  // the first failure; the rest was not run
  uint64_t elapsed_ns = 0;
  Histogram latency;      // ns, from submit() to done
  ClientCounters counts;  // what the client did meanwhile
};

// Runs and prints a table to `out`: operations and MB per second; p50, p99 and p99.9 in us
// (accurate to 1/128, see histogram.h); per operation, the work requests, doorbells, completions
// and round trips of this client; and how the operations went (how_it_went() in count_text.h). Uses
// keys of its own, "kv_client bench <random> <n>", and deletes them. Returns the first failure; the
// rest was not run.
Code run_bench(Client& client, const BenchOptions& options, std::ostream& out);

}  // namespace rdmakv
