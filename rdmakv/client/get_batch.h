// The gets of one request under way (kGets), Operations or of runs. Pooled; one client's, on its
// thread.
#pragma once

#include <cstdint>

#include "protocol/kv_gets.h"
#include "rdmakv/client/batch_pool.h"
#include "rdmakv/client/get_run.h"
#include "rdmakv/client/operation.h"

namespace rdmakv {

struct GetBatch {
  struct Get {
    Operation* operation;  // null: it has ended, or is of
    GetRun* run;           // this run; null: likewise
    uint64_t hash;
    uint16_t index;  // in its run
  };
  uint32_t count = 0;
  uint32_t of_runs = 0;      // those that have not ended
  uint64_t deadline_ns = 0;  // of those of runs
  uint64_t expected = 0;     // bytes of their results, about
  bool values_only = false;  // wire::kValuesOnly; all are of runs
  Get gets[wire::kMostGets];

  void begin() {
    count = of_runs = 0;
    expected = 0;
  }
  // Hands over every operation that `wanted` holds for. Those of runs are none.
  template <typename Wanted, typename Take>
  void extract(Wanted&& wanted, Take&& take) {
    for (uint32_t i = 0; i < count; ++i) {
      Operation* const operation = gets[i].operation;
      if (operation == nullptr || !wanted(*operation)) continue;
      gets[i].operation = nullptr;
      take(*operation);
    }
  }
  template <typename Look>
  void for_each(Look&& look) const {
    for (uint32_t i = 0; i < count; ++i) {
      if (gets[i].operation != nullptr) look(*gets[i].operation);
    }
  }
};

using GetBatches = BatchPool<GetBatch>;

}  // namespace rdmakv
