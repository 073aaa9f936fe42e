// The extents of the grants region that are lent to one connection (Opcode::kGrants) and that the
// server has not seen linked yet. Destroyed after the connection's Endpoint, so when its client can
// write to them no more and nothing of it is on its way: only then is what it left behind judged.
// One thread, that of the Partition, which outlives it.
#pragma once

#include <cstdint>

#include "rdmakv/server/cas_pool.h"

namespace rdmakv::server {

class Partition;

class Grants {
 public:
  explicit Grants(Partition& partition) : partition_(partition) {}
  // What the client has linked stays, the rest is free again (Partition::reconcile()).
  ~Grants();
  Grants(const Grants&) = delete;
  Grants& operator=(const Grants&) = delete;

  uint32_t count() const { return holder_.count; }
  CasPool::Holder& holder() { return holder_; }

 private:
  Partition& partition_;
  CasPool::Holder holder_;
};

}  // namespace rdmakv::server
