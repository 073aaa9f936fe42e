// Extents for entries, in O(1): sizes up to 14 KiB from slabs of their size class (Bonwick, "The
// Slab Allocator", USENIX 1994), larger ones as runs of pages of their own. Slabs come from the
// page heap and go back to it when they are empty.
//
// What lies in the pool while an extent is not allocated (clients may READ the pool, never write
// it):
//
//    0  first word  as its last owner left it: dead, so that a reader with an old pointer still
//    finds
//                   its way to the successor
//    8  link        the next quarantined extent (units), or the next free one of its slab. Until
//    then
//                   the entry's checksum: a reader that came too late fails here, and asks the
//                   server
//   16  ...         untouched until the extent is allocated again
//
// Quarantine. A freed extent is not used again before kQuarantineNs have passed. Frees are gathered
// in batches; a batch is stamped by the next reading of the clock that begin() brings, so by a time
// at or after every free in it, and its extents become free once a later reading is kQuarantineNs
// further.
//
// Generations are not counted but read off the clock (generation_clock.h): the generation of an
// entry is the number of the millisecond in which it was built, modulo 2^26.
// - It rises with each reuse of any place: between building one entry at a place and building the
//   next there, the first is freed and quarantined for at least 1 ms, so the tick differs,
//   forwards.
// - That holds for every overlap of places, not only for the same extent of the same slab: the
//   pages of a slab go back to the heap only after all its extents left quarantine. So a slab
//   carved from recycled pages cannot restart below what a stale pointer holds, without a table of
//   generations.
// - It repeats after 2^26 ms = 18.6 h, but never while a location of an entry that had it may still
//   be in use: those generations are skipped.
//
// Pins. A pinned extent is neither quarantined nor reused when it is freed, but when its last pin
// goes.
//
// Marks. What a client says that it is reading in place (peer_memory.h) stays in quarantine when
// its time is over, and for as long as it is marked. An extent is marked by its offset.
//
// One thread. Errors: an empty Extent means that there is no room now; nothing has changed then.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "protocol/kv_layout.h"
#include "rdmakv/server/generation_clock.h"
#include "rdmakv/server/page_heap.h"
#include "rdmakv/server/pin_counts.h"

namespace rdmakv::server {

struct Extent {
  uint64_t offset = 0;  // units of wire::kExtentUnit from the pool's base
  uint32_t size_class = 0;
  explicit operator bool() const { return offset != 0; }
};

// Every extent is free, or counted in exactly one of these.
struct SlabAccounting {
  uint64_t live_extents = 0;  // allocated, and not freed
  uint64_t live_bytes = 0;    // granted to them: whole extents
  uint64_t quarantined_extents = 0;
  uint64_t quarantined_bytes = 0;
  uint64_t doomed_extents = 0;  // freed, but still pinned
  uint64_t doomed_bytes = 0;
  uint64_t pinned_extents = 0;  // of the live and the doomed ones
  uint64_t slabs = 0;
  uint64_t slab_pages = 0;
  uint64_t large_pages = 0;  // of extents beyond the slab classes
  uint64_t free_pages = 0;
  uint64_t usable_pages = 0;
};

// Where clients say what they are reading.
class ReadMarks {
 public:
  // Adds all of them. Any numbers, in no order.
  virtual void collect(std::vector<uint64_t>& into) = 0;

 protected:
  ~ReadMarks() = default;
};

class Slab {
 public:
  static constexpr uint64_t kQuarantineNs = wire::kQuarantineNs;

  // `pool` stays the caller's and outlives the Slab; its start is aligned to a page.
  Slab(std::span<std::byte> pool, uint32_t most_pins);

  // A new reading of the steady clock, not before the last one: what is built from here on is of
  // its generation.
  void tell_time(uint64_t now_ns);
  // Likewise, and ends quarantines.
  void begin(uint64_t now_ns);
  uint32_t generation() const { return generations_.now(); }
  // An entry in the pool, built under this generation, is dead.
  void entry_died(uint32_t generation) { generations_.died(generation); }

  // From now on; there will be `most` at a time. Outlives the Slab.
  void set_marks(ReadMarks& marks, size_t most) {
    reading_ = &marks;
    marks_.reserve(most);
  }

  // Room for `bytes`. The first word of what comes back is not live.
  Extent allocate(uint64_t bytes);
  // The extent is dead, and no slot leads to it.
  void free(uint64_t offset);

  // Keeps an allocated extent as it is, also across free(). False: too many are pinned.
  bool pin(uint64_t offset) { return pins_.pin(offset); }
  void unpin(uint64_t offset);

  std::byte* at(uint64_t offset) const { return pool_.data() + offset * wire::kExtentUnit; }
  uint64_t extent_bytes(uint64_t offset) const;
  // The largest extent that an empty pool could give.
  uint64_t largest_bytes() const { return uint64_t{heap_.usable_pages()} * PageHeap::kPageBytes; }
  bool quarantine_empty() const { return quarantined_extents_ == 0; }
  uint64_t quarantined_bytes() const { return quarantined_bytes_; }

  SlabAccounting accounting() const;
  // Bytes of private memory.
  uint64_t private_bytes() const;
  // Walks everything; false when the books do not agree. For tests.
  bool consistent() const;

 private:
  static constexpr uint32_t kNone = ~uint32_t{0};
  static constexpr uint32_t kLargeTag = kNone - 1;
  static constexpr uint32_t kUnitsPerPage = PageHeap::kPageBytes / wire::kExtentUnit;
  static constexpr uint32_t kBatches = 16;

  struct Record {  // a slab
    uint32_t first_page = 0;
    uint32_t free_head = kNone;  // index of an extent in the slab
    uint32_t previous = kNone;   // links of its class's list of slabs with room
    uint32_t next = kNone;       // (also of the list of unused records)
    uint32_t capacity = 0;       // extents
    uint32_t carved = 0;         // those before this index were handed out at least once
    uint32_t used = 0;           // allocated, quarantined or doomed
    uint16_t pages = 0;
    uint8_t size_class = 0;
    bool listed = false;
  };
  // Of quarantined extents, lists through the pool. Several, because each link has to come from
  // memory: as many are fetched at a time.
  static constexpr uint32_t kLists = 8;
  struct List {
    uint64_t head = 0;
    uint64_t tail = 0;
  };
  struct Batch {
    uint64_t first_stamp_ns = 0;
    uint64_t stamp_ns = 0;
    uint64_t extents = 0;
    List lists[kLists];
  };

  [[gnu::noinline]] Extent allocate_large(uint64_t bytes);
  [[gnu::noinline]] uint32_t new_slab(uint32_t size_class);
  void list_slab(uint32_t id);
  void unlist_slab(uint32_t id);
  void quarantine(uint64_t offset, uint64_t bytes);
  void collect_marks();
  bool is_marked(uint64_t offset) const {
    return !marks_.empty() && std::binary_search(marks_.begin(), marks_.end(), offset);
  }
  void queue(uint64_t offset);
  void recycle(const Batch& batch);
  void recycle(uint64_t offset);
  void append(Batch& batch, const Batch& more) const;

  uint64_t link(uint64_t offset) const;
  void set_link(uint64_t offset, uint64_t to) const;
  static uint32_t page_of(uint64_t offset) { return static_cast<uint32_t>(offset / kUnitsPerPage); }

  std::span<std::byte> pool_;
  PageHeap heap_;
  PinCounts pins_;
  ReadMarks* reading_ = nullptr;  // null: nobody
  std::vector<uint64_t> marks_;   // sorted, as of begin()
  GenerationClock generations_;
  uint64_t now_ns_ = 0;
  std::vector<Record> records_;
  uint32_t unused_records_ = kNone;
  uint32_t with_room_[wire::kSlabClasses];

  Batch open_;              // freed since the last begin()
  Batch closed_[kBatches];  // oldest first, from first_batch_ on, around
  uint32_t first_batch_ = 0;
  uint32_t batches_ = 0;

  uint64_t live_extents_ = 0, live_bytes_ = 0;
  uint64_t quarantined_extents_ = 0, quarantined_bytes_ = 0;
  uint64_t doomed_extents_ = 0, doomed_bytes_ = 0;
  uint64_t slabs_ = 0, slab_pages_ = 0, large_pages_ = 0;
};

}  // namespace rdmakv::server
