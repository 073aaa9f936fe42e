// ATOMICs of this process on its own registered memory that are atomic against those of its peers.
//
// Most adapters carry out ATOMICs atomically only among themselves (IBV_ATOMIC_HCA): a word that
// peers change by ATOMIC is changed by its owner through the same adapter or not at all. That goes
// for every word that an ATOMIC of a peer may be on its way to, even one that will fail: an adapter
// may store what such a one has read (Soft-RoCE does), and with it undo a store of the CPU or of a
// WRITE in between. Where ATOMICs are atomic against the CPU as well (shared memory,
// IBV_ATOMIC_GLOB), the CPU does it. Plain loads of such words are fine everywhere.
//
// One thread at a time. Nothing is allocated per operation, unless what carries them out broke and
// is made anew. Errors are Codes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "rdmakv/transport/memory.h"
#include "rdmakv/transport/status.h"

namespace rdmakv {

class LocalAtomics {
 public:
  virtual ~LocalAtomics() = default;
  LocalAtomics(const LocalAtomics&) = delete;
  LocalAtomics& operator=(const LocalAtomics&) = delete;

  // Compares the 8 bytes at byte `offset` of `region` with `expected` and, if equal, stores
  // `desired`; waits until that is done. `offset` is a multiple of 8 within the region, which is of
  // the same fabric and allows RemoteAccess::kAtomic. `desired` is a word that nobody else stores
  // there while the call lasts: by it an operation is recognized whose completion was lost.
  //
  // kOk: it took place; `previous` is what was there before, so it stored iff that is `expected`.
  // Anything else: it did not take place and will not; `previous` is untouched.
  virtual Code compare_and_swap(const MemoryRegion& region, uint64_t offset, uint64_t expected,
                                uint64_t desired, uint64_t& previous) = 0;

  // How they are carried out, for a start-up line: "by the CPU".
  virtual std::string describe() const = 0;

 protected:
  LocalAtomics() = default;
};

// By the CPU.
std::unique_ptr<LocalAtomics> make_cpu_atomics();

// Whether they behave: a swap stores and returns what was there; a failing one returns what is
// there and leaves it; neighbours stay as they are, also those that the CPU changes meanwhile.
// Whether a failing swap stores what it has read does not matter, and is not asked. `scratch` is
// 4096 bytes at least, allows RemoteAccess::kAtomic, and is used by nobody else. Starts a thread
// for a moment.
Status test_local_atomics(LocalAtomics& atomics, MemoryRegion& scratch);

}  // namespace rdmakv
