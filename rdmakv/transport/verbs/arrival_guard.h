// Notices READs and ATOMICs that an adapter reports as done although their data never came.
//
// Soft-RoCE does that (Linux 6.1 at least). Its responder acknowledges a SEND or WRITE that comes
// again by the number of the last request that it has executed:
//
//   requester                      responder
//   WRITE 10, ATOMIC 11  -------->  executes both
//                        X--------  acknowledges 10; answers 11 with what it found: both are lost
//   WRITE 10, again      -------->
//                        <--------  acknowledges 11
//
// and the requester takes that for the answer to 11. It reports success, and in the buffer is what
// was there before: an old entry, or an ATOMIC's old finding, which is then believed.
//
// So where a device may do that, the end of the buffer is marked before, by a number that nobody
// else knows. The packets of an answer come in order, so the mark is gone iff all of it has come.
// READs of fewer bytes than the mark has are not watched.
//
// One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "rdmakv/transport/memory.h"

namespace rdmakv::verbs {

class ArrivalGuard {
 public:
  // `mark` 0: nothing is watched.
  explicit ArrivalGuard(uint64_t mark = 0) : mark_(mark) {}

  bool active() const { return mark_ != 0; }
  // Before a READ or ATOMIC into the buffer. What to ask missing() about; null: not watched.
  std::byte* watch(const LocalBuffer& into) const {
    if (!active() || into.length < sizeof(mark_)) return nullptr;
    std::byte* const end = into.address + into.length - sizeof(mark_);
    std::memcpy(end, &mark_, sizeof(mark_));
    return end;
  }
  // After its completion: its data has not come.
  bool missing(const std::byte* watched) const {
    return watched != nullptr && std::memcmp(watched, &mark_, sizeof(mark_)) == 0;
  }

 private:
  uint64_t mark_;
};

}  // namespace rdmakv::verbs
