// The requests of one connection that are on their way: one slot each, as many as there are
// credits.
//
// A request's id on the wire is [ generation 20 | slot 12 ]. The generation goes up whenever the
// slot is given back, so a reply that comes twice, late or from a hostile server finds nobody.
//
// A slot owns what the server, or our own device, may still reach on behalf of its request: the
// landing buffer, the registered source of a WRITE, the stretch of the ring. So these stay reserved
// for as long as the slot is in use, even when nobody waits for the reply any more.
#pragma once

#include <cstdint>
#include <vector>

#include "rdmakv/client/get_batch.h"
#include "rdmakv/client/operation.h"
#include "rdmakv/client/put_batch.h"
#include "rdmakv/client/ring_allocator.h"

namespace rdmakv {

// What the reply to a request is for.
enum class RequestStep : uint8_t {
  kOperation,    // ends the operation
  kUploadBegin,  // a large PUT's own upload
  kUploadChunk,
  kPuts,        // of runs (put_run.h)
  kGets,        // several operations
  kGrants,      // grants, for CAS by ATOMIC
  kBackground,  // nobody waits: a pin or an upload given up
};

struct RequestSlot {
  Operation* operation = nullptr;  // null: nobody waits (any more)
  RequestStep step = RequestStep::kOperation;
  bool in_use = false;
  uint32_t generation = 1;
  uint32_t stretch = RingAllocator::kNone;
  uint32_t previous = 0, next = 0;  // in the order of sending
  wire::Opcode opcode = wire::Opcode::kGet;
  uint32_t order = 0;            // its count in KeyOrder, or one of the constants there
  std::vector<uint32_t> orders;  // KeyOrder::kSeveral: the counts, each once
  PutBatch* puts = nullptr;      // kPuts
  GetBatch* gets = nullptr;      // kGets
  uint32_t bytes = 0;            // kUploadChunk: of the chunk; of a change: of the value it stores
  uint64_t hash = 0;             // of its key
  uint64_t sent_ns = 0;          // steady clock
  uint64_t ticket = 0;           // kBackground: what is given up
  ValueBuffer landing;
  ValueBuffer source;  // what was copied to be written to the ring
  ValueBuffer value;   // the operation's own registered buffer, written to the ring
};

class RequestTable {
 public:
  static constexpr uint32_t kIndexBits = 12;
  static constexpr uint32_t kMaxSlots = 1u << kIndexBits;
  static constexpr uint32_t kNone = ~uint32_t{0};

  // Empties the table; `capacity` is at most kMaxSlots. Generations go on, so ids of an earlier
  // connection mean nothing on this one.
  void reset(uint32_t capacity);

  uint32_t capacity() const { return capacity_; }
  uint32_t in_use() const { return in_use_; }
  bool full() const { return in_use_ == capacity_; }

  // A free slot's index; not to be called when full().
  uint32_t take();
  // Gives the slot back, and the buffers in it.
  void give_back(uint32_t index);

  RequestSlot& slot(uint32_t index) { return slots_[index]; }
  uint32_t id(uint32_t index) const { return (slots_[index].generation << kIndexBits) | index; }
  // The index of the slot in use under this id, or kNone. `id` may be anything.
  uint32_t find(uint32_t id) const;

  // What the server may still write to on behalf of the slots in use, which no longer have it.
  std::vector<ValueBuffer> take_landings();

  // The slots in use, oldest first; kNone ends them.
  uint32_t oldest() const { return oldest_; }
  uint32_t newest() const { return newest_; }

 private:
  std::vector<RequestSlot> slots_;
  std::vector<uint32_t> free_;
  uint32_t capacity_ = 0;
  uint32_t in_use_ = 0;
  uint32_t oldest_ = kNone;
  uint32_t newest_ = kNone;
};

}  // namespace rdmakv
