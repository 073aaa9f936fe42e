// The puts of one request under way (kPuts): of which runs they are, and what the reply will be
// learned about. Pooled; one client's, on its thread.
#pragma once

#include <cstdint>

#include "rdmakv/client/batch_pool.h"
#include "rdmakv/client/put_run.h"

namespace rdmakv {

struct PutBatch {
  struct Put {  // without initial values: written one by one as puts are taken
    uint64_t hash;
    PutRun* run;
    uint32_t entry_bytes;  // of the entry that it makes
    uint16_t index;        // in its run
  };
  uint32_t count = 0;
  bool awaited = true;  // its runs have not ended
  uint64_t deadline_ns = 0;
  Put puts[wire::kMostPuts];

  void begin() {
    count = 0;
    awaited = true;
  }
};

using PutBatches = BatchPool<PutBatch>;

}  // namespace rdmakv
