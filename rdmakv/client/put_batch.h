// The puts of one request under way (kPuts): of which runs they are, and what the reply will be
// learned about. Pooled; one client's, on its thread.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

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
};

class PutBatches {
 public:
  PutBatch& take() {
    if (free_.empty()) {
      all_.emplace_back();
      free_.reserve(all_.size());
      free_.push_back(&all_.back());
    }
    PutBatch& batch = *free_.back();
    free_.pop_back();
    batch.count = 0;
    batch.awaited = true;
    return batch;
  }
  void give_back(PutBatch& batch) { free_.push_back(&batch); }

 private:
  std::deque<PutBatch> all_;
  std::vector<PutBatch*> free_;
};

}  // namespace rdmakv
