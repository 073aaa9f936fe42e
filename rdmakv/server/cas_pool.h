// The extents of the regions cas and grants (protocol/kv_layout.h): what each is used for, in
// private tables, which no client can reach. Entries that may be changed by ATOMICs lie nowhere
// else.
//
//             take()              link()                retire()
//   cas:     free -------> building ------> linked ----------------> quarantined --1 ms--> free
//                              | put_back() -> free
//             grant()              link()               retire()
//   grants:  free -------> granted ------> linked ----------------> quarantined --1 ms--> free
//                              | retire(), when its connection is gone
//
// An extent has kCasExtentBytes and never leaves its region. Linked: a slot of the index leads to
// it, or the entry a slot leads to was replaced by it and it is about to have the slot. Granted: a
// client alone may write to it, and perhaps has linked it already; only a walk (partition_cas.cc)
// finds out.
//
// The generation of an extent is counted, from a random start: it rises by one each time the extent
// leaves the free ones to be used. With a quarantine before each reuse that is at most once per
// millisecond, so it repeats after 18.6 hours at the earliest.
//
// First words are not touched here. An ATOMIC of a client with an old pointer may be on its way to
// any extent that ever was in use, and an adapter may store what such an ATOMIC has read although
// it fails: what the CPU, or a WRITE, stored in between would be lost. So from the first use on a
// first word changes by ATOMICs alone (Partition::make_live()), whatever the extent's state; until
// it is made live again it is what its last user left.
//
// Offsets are those of the partition, in units of wire::kExtentUnit. One thread. No allocation
// after construction. Errors: offset 0 means that none is free.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "protocol/kv_layout.h"
#include "rdmakv/server/cas_entry.h"
#include "rdmakv/transport/memory.h"

namespace rdmakv::server {

// Every extent of a region is in exactly one state.
struct CasAccounting {
  uint32_t free = 0;
  uint32_t building = 0;
  uint32_t linked = 0;
  uint32_t granted = 0;
  uint32_t quarantined = 0;
  uint32_t all() const { return free + building + linked + granted + quarantined; }
};

class CasPool {
 public:
  enum class Part : uint8_t { kCas, kGrants };
  enum class State : uint32_t { kFree, kBuilding, kLinked, kGranted, kQuarantined };

  // What is granted to one connection: a list through the tables. Stays where it is, and empties
  // before it is destroyed.
  struct Holder {
    uint32_t first = ~uint32_t{0};
    uint32_t count = 0;
  };

  // `first_offset`: of the cas region, behind which the grants follow. The regions outlive the
  // pool.
  CasPool(MemoryRegion& cas, MemoryRegion& grants, uint64_t first_offset, uint64_t seed);
  CasPool(const CasPool&) = delete;
  CasPool& operator=(const CasPool&) = delete;

  // A new reading of the steady clock, not before the last one. Ends quarantines.
  void begin(uint64_t now_ns);

  // An extent of the cas region to build an entry in. Its first word is not that of an entry of its
  // generation, unless it was put back.
  uint64_t take();
  // Of take(), and no reader ever had a pointer to it: as if it had not been taken.
  void put_back(uint64_t offset);
  // An extent of the grants region for a client, who gets it with its first word live: the client
  // writes the rest only.
  uint64_t grant(Holder& holder);
  // A building or granted extent is the entry of the key with this hash, in this version.
  void link(uint64_t offset, uint64_t hash, uint64_t version);
  // The entry is dead or was never linked, and no slot leads to it.
  void retire(uint64_t offset);

  // Whether the offset, from wherever it came, is that of an extent here.
  bool contains(uint64_t offset) const {
    return offset >= first_offset_ && (offset - first_offset_) % kUnits == 0 &&
           (offset - first_offset_) / kUnits < records_.size();
  }
  // Of an extent here:
  std::byte* at(uint64_t offset) const {
    const uint32_t n = number(offset);
    return n < cas_extents_ ? cas_.data() + uint64_t{n} * wire::kCasExtentBytes
                            : grants_.data() + uint64_t{n - cas_extents_} * wire::kCasExtentBytes;
  }
  const MemoryRegion& region(uint64_t offset) const {
    return part(offset) == Part::kCas ? cas_ : grants_;
  }
  Part part(uint64_t offset) const {
    return number(offset) < cas_extents_ ? Part::kCas : Part::kGrants;
  }
  State state(uint64_t offset) const { return record(offset).state; }
  uint32_t generation(uint64_t offset) const { return record(offset).generation; }
  // Of a linked one:
  uint64_t hash(uint64_t offset) const { return record(offset).hash; }
  uint64_t version(uint64_t offset) const { return record(offset).version; }
  // A private copy of the entry; true when it is sound (copy_entry()) under its generation.
  bool read(uint64_t offset, EntryCopy& copy) const {
    return copy_entry(at(offset), wire::entry_seed(seed_, generation(offset)), copy);
  }

  // The extents that a walk has passed: a list from the last one, which the caller keeps, to the
  // first; 0: none. pass() returns the new last one.
  uint64_t pass(uint64_t offset, uint64_t last) {
    record(offset).behind = last == 0 ? kNone : number(last);
    return offset;
  }
  uint64_t passed_before(uint64_t offset) const { return offset_of(record(offset).behind); }

  // Of a region, the extent that has been linked for the longest time; 0: none is linked.
  uint64_t oldest_linked(Part part) const { return offset_of(lists(part).linked.first); }
  // The extent that the holder was granted last; 0: none.
  uint64_t granted(const Holder& holder) const { return offset_of(holder.first); }
  bool holds(const Holder& holder, uint64_t offset) const {
    return state(offset) == State::kGranted && record(offset).holder == &holder;
  }

  const CasAccounting& accounting(Part part) const { return lists(part).count; }
  uint64_t private_bytes() const { return records_.size() * sizeof(Record); }
  // Walks everything; false when the books do not agree. For tests.
  bool consistent() const;

 private:
  static constexpr uint32_t kNone = ~uint32_t{0};
  static constexpr uint32_t kUnits = wire::kCasExtentBytes / wire::kExtentUnit;
  static constexpr uint64_t kUnstamped = ~uint64_t{0};

  struct Record {
    union {
      uint64_t hash = 0;    // linked
      Holder* holder;       // granted
      uint64_t retired_ns;  // quarantined; kUnstamped until the next begin()
    };
    uint64_t version = 0;       // linked
    uint32_t previous = kNone;  // links of the list that its state has
    uint32_t next = kNone;
    uint32_t behind = kNone;  // of those that a walk passed
    uint32_t generation : wire::kGenerationBits = 0;
    State state : 3 = State::kFree;
  };
  static_assert(sizeof(Record) == 32);
  struct List {
    uint32_t first = kNone;
    uint32_t last = kNone;
  };
  struct Lists {  // of a region
    List free, linked, quarantined;
    CasAccounting count;
  };

  uint32_t number(uint64_t offset) const {
    return static_cast<uint32_t>((offset - first_offset_) / kUnits);
  }
  uint64_t offset_of(uint32_t number) const {
    return number == kNone ? 0 : first_offset_ + uint64_t{number} * kUnits;
  }
  Record& record(uint64_t offset) { return records_[number(offset)]; }
  const Record& record(uint64_t offset) const { return records_[number(offset)]; }
  Lists& lists(Part part) { return lists_[static_cast<size_t>(part)]; }
  const Lists& lists(Part part) const { return lists_[static_cast<size_t>(part)]; }
  Lists& lists_of(uint64_t offset) { return lists(part(offset)); }

  void append(List& list, uint32_t number);
  void remove(List& list, uint32_t number);
  uint64_t use(Part part, State state);
  void leave_holder(uint32_t number);
  uint32_t walk(const List& list, State state, Part part) const;

  MemoryRegion& cas_;
  MemoryRegion& grants_;
  uint64_t first_offset_;
  uint64_t seed_;
  uint32_t cas_extents_;
  std::vector<Record> records_;  // of the cas region, then of the grants
  Lists lists_[2];
};

}  // namespace rdmakv::server
