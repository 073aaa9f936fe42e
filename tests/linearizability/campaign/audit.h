// What the server's own books say when every client has gone: that nothing was lost on the way.
#pragma once

#include <string>

#include "tests/linearizability/campaign/workload.h"

namespace rdmakv::linearizability {

struct AuditResult {
  uint64_t keys = 0;    // there were, over all workers
  uint64_t linked = 0;  // of them, of the cas class
  uint64_t seen = 0;    // entries of clients that the server found linked
  uint64_t swept = 0;   // extents granted to clients, ever
  uint64_t full = 0;    // requests refused for want of space, since the server's start
};

// In a process of its own. Waits until the server has noticed that the clients are gone; then
// - no extent is granted, building or pinned, and no upload is open;
// - every key has one extent, and every extent a key;
// - no chain of entries was broken;
// and when all keys have been removed and the quarantines are over, every extent and page is free.
// 0: so it is; else the reason is on stderr.
int audit(const Workload& workload, AuditResult& result);

}  // namespace rdmakv::linearizability
