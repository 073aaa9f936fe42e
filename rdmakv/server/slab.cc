#include "rdmakv/server/slab.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>

#include "protocol/fetch_line.h"
#include "protocol/rules.h"
#include "rdmakv/server/entry.h"
#include "rdmakv/transport/full_fence.h"

namespace rdmakv::server {
namespace {

constexpr uint32_t kSmallestSlabPages = 16;
constexpr uint32_t kLargestSlabPages = 64;
constexpr uint64_t kLinkAt = 8;
constexpr uint64_t kCacheLine = 64;

// 64 KiB, or up to 256 KiB where that leaves less unused at the end.
std::array<uint16_t, wire::kSlabClasses> make_slab_pages() {
  std::array<uint16_t, wire::kSlabClasses> table{};
  for (uint32_t c = 0; c < wire::kSlabClasses; ++c) {
    const uint64_t size = wire::size_class_bytes(c);
    double least = 1;
    for (uint32_t pages = kSmallestSlabPages; pages <= kLargestSlabPages; ++pages) {
      const uint64_t bytes = uint64_t{pages} * PageHeap::kPageBytes;
      const double waste = static_cast<double>(bytes % size) / static_cast<double>(bytes);
      if (waste < least) {
        least = waste;
        table[c] = static_cast<uint16_t>(pages);
      }
      if (least < 1.0 / 128) break;
    }
  }
  return table;
}

uint16_t slab_pages_of(uint32_t size_class) {
  static const std::array<uint16_t, wire::kSlabClasses> kTable = make_slab_pages();
  return kTable[size_class];
}

}  // namespace

// Page 0 stays unused, so that offset 0 is never an extent.
Slab::Slab(std::span<std::byte> pool, uint32_t most_pins)
    : pool_(pool),
      heap_(static_cast<uint32_t>(pool.size() / PageHeap::kPageBytes), 1),
      pins_(most_pins) {
  assert(pool.size() <= wire::kMaxPoolBytes);
  std::fill(std::begin(with_room_), std::end(with_room_), kNone);
  // A slab has 16 pages or more, unless the pool is nearly full and cut up.
  records_.resize(pool.size() / PageHeap::kPageBytes / 8 + wire::kSlabClasses);
  for (uint32_t id = 0; id < records_.size(); ++id) {
    records_[id].next = id + 1 < records_.size() ? id + 1 : kNone;
  }
  unused_records_ = 0;
}

uint64_t Slab::link(uint64_t offset) const {
  uint64_t to = 0;
  std::memcpy(&to, at(offset) + kLinkAt, sizeof(to));
  return to;
}

void Slab::set_link(uint64_t offset, uint64_t to) const {
  std::memcpy(at(offset) + kLinkAt, &to, sizeof(to));
}

void Slab::append(Batch& batch, const Batch& more) const {
  for (uint32_t i = 0; i < kLists; ++i) {
    List& list = batch.lists[i];
    const List& behind = more.lists[i];
    if (behind.head == 0) continue;
    if (list.head == 0) {
      list.head = behind.head;
    } else {
      set_link(list.tail, behind.head);
    }
    list.tail = behind.tail;
  }
  batch.extents += more.extents;
}

void Slab::tell_time(uint64_t now_ns) {
  assert(now_ns >= now_ns_);
  now_ns_ = now_ns;
  generations_.begin(now_ns);
}

void Slab::begin(uint64_t now_ns) {
  tell_time(now_ns);
  if (open_.extents != 0) {
    Batch* last = batches_ == 0 ? nullptr : &closed_[(first_batch_ + batches_ - 1) % kBatches];
    // Few batches, however often the clock is read: a young one takes more, and a later stamp.
    if (last != nullptr &&
        (batches_ == kBatches || now_ns - last->first_stamp_ns < kQuarantineNs / (kBatches / 2))) {
      append(*last, open_);
    } else {
      last = &closed_[(first_batch_ + batches_) % kBatches];
      ++batches_;
      *last = open_;
      last->first_stamp_ns = now_ns;
    }
    last->stamp_ns = now_ns;
    open_ = {};
  }
  const uint64_t quarantine_ns = holds(Rule::kQuarantine) ? kQuarantineNs : 0;
  const auto is_over = [&] {
    return batches_ > 0 && now_ns - closed_[first_batch_].stamp_ns >= quarantine_ns;
  };
  if (is_over()) collect_marks();
  while (is_over()) {
    const Batch batch = closed_[first_batch_];
    first_batch_ = (first_batch_ + 1) % kBatches;
    --batches_;
    recycle(batch);
  }
}

// All that is in the batches that follow was freed before.
void Slab::collect_marks() {
  if (reading_ == nullptr || !holds(Rule::kMarks)) return;
  marks_.clear();
  full_fence();
  reading_->collect(marks_);
  std::sort(marks_.begin(), marks_.end());
}

// Takes from the lists in turn, and has the link of the next one fetched until it is wanted.
void Slab::recycle(const Batch& batch) {
  List left[kLists];
  std::copy(std::begin(batch.lists), std::end(batch.lists), left);
  for (uint64_t i = 0, done = 0; done < batch.extents; ++i) {
    List& list = left[i % kLists];
    const uint64_t offset = list.head;
    if (offset == 0) continue;
    list.head = offset == list.tail ? 0 : link(offset);
    if (list.head != 0) fetch_line(at(list.head));
    ++done;
    if (is_marked(offset)) {
      queue(offset);  // for another quarantine
    } else {
      recycle(offset);
    }
  }
}

Extent Slab::allocate(uint64_t bytes) {
  const uint32_t size_class = wire::size_class_of(bytes);
  if (size_class == wire::kLargeClass) return allocate_large(bytes);
  uint32_t id = with_room_[size_class];
  if (id == kNone) {
    id = new_slab(size_class);
    if (id == kNone) return {};
  }
  Record& slab = records_[id];
  const uint32_t size = wire::size_class_bytes(size_class);
  const uint64_t base = uint64_t{slab.first_page} * kUnitsPerPage;
  uint32_t index = slab.free_head;
  if (index != kNone) {
    slab.free_head =
        static_cast<uint32_t>(link(base + uint64_t{index} * (size / wire::kExtentUnit)));
    // The next one is wanted soon, and has not been touched for a while.
    if (slab.free_head != kNone) {
      const std::byte* next = at(base + uint64_t{slab.free_head} * (size / wire::kExtentUnit));
      fetch_line(next);
      fetch_line(next + kCacheLine);
    }
  } else {
    index = slab.carved++;
  }
  if (++slab.used == slab.capacity) unlist_slab(id);
  const uint64_t offset = base + uint64_t{index} * (size / wire::kExtentUnit);
  prepare_entry(at(offset));
  ++live_extents_;
  live_bytes_ += size;
  return {offset, size_class};
}

Extent Slab::allocate_large(uint64_t bytes) {
  if (bytes > largest_bytes()) return {};
  const auto pages =
      static_cast<uint32_t>((bytes + PageHeap::kPageBytes - 1) / PageHeap::kPageBytes);
  const uint32_t first = heap_.allocate(pages);
  if (first == PageHeap::kNone) return {};
  heap_.set_tags(first, kLargeTag);
  large_pages_ += pages;
  ++live_extents_;
  live_bytes_ += uint64_t{pages} * PageHeap::kPageBytes;
  const uint64_t offset = uint64_t{first} * kUnitsPerPage;
  prepare_entry(at(offset));
  return {offset, wire::kLargeClass};
}

uint32_t Slab::new_slab(uint32_t size_class) {
  const uint32_t id = unused_records_;
  if (id == kNone) return kNone;
  const uint32_t size = wire::size_class_bytes(size_class);
  const uint32_t fewest = (size + PageHeap::kPageBytes - 1) / PageHeap::kPageBytes;
  uint32_t pages = slab_pages_of(size_class);
  uint32_t first = heap_.allocate(pages);
  while (first == PageHeap::kNone && pages > fewest) {
    pages = std::max(pages / 2, fewest);
    first = heap_.allocate(pages);
  }
  if (first == PageHeap::kNone) return kNone;
  heap_.set_tags(first, id);
  Record& slab = records_[id];
  unused_records_ = slab.next;
  slab = {};
  slab.first_page = first;
  slab.pages = static_cast<uint16_t>(pages);
  slab.capacity = pages * PageHeap::kPageBytes / size;
  slab.size_class = static_cast<uint8_t>(size_class);
  list_slab(id);
  ++slabs_;
  slab_pages_ += pages;
  return id;
}

void Slab::list_slab(uint32_t id) {
  Record& slab = records_[id];
  uint32_t& head = with_room_[slab.size_class];
  slab.listed = true;
  slab.previous = kNone;
  slab.next = head;
  if (head != kNone) records_[head].previous = id;
  head = id;
}

void Slab::unlist_slab(uint32_t id) {
  Record& slab = records_[id];
  slab.listed = false;
  if (slab.previous != kNone) {
    records_[slab.previous].next = slab.next;
  } else {
    with_room_[slab.size_class] = slab.next;
  }
  if (slab.next != kNone) records_[slab.next].previous = slab.previous;
}

uint64_t Slab::extent_bytes(uint64_t offset) const {
  const uint32_t tag = heap_.tag(page_of(offset));
  if (tag == kLargeTag) return uint64_t{heap_.run_pages(page_of(offset))} * PageHeap::kPageBytes;
  return wire::size_class_bytes(records_[tag].size_class);
}

void Slab::free(uint64_t offset) {
  assert(offset != 0);
  const uint64_t bytes = extent_bytes(offset);
  --live_extents_;
  live_bytes_ -= bytes;
  if (pins_.doom(offset)) {
    ++doomed_extents_;
    doomed_bytes_ += bytes;
  } else {
    quarantine(offset, bytes);
  }
}

void Slab::unpin(uint64_t offset) {
  if (pins_.unpin(offset) != PinCounts::Unpinned::kFreeAndDoomed) return;
  const uint64_t bytes = extent_bytes(offset);
  --doomed_extents_;
  doomed_bytes_ -= bytes;
  quarantine(offset, bytes);
}

void Slab::quarantine(uint64_t offset, uint64_t bytes) {
  ++quarantined_extents_;
  quarantined_bytes_ += bytes;
  queue(offset);
}

void Slab::queue(uint64_t offset) {
  List& list = open_.lists[open_.extents++ % kLists];
  if (list.head == 0) {
    list.head = offset;
  } else {
    set_link(list.tail, offset);
  }
  list.tail = offset;
}

void Slab::recycle(uint64_t offset) {
  --quarantined_extents_;
  const uint32_t page = page_of(offset);
  const uint32_t id = heap_.tag(page);
  if (id == kLargeTag) {
    const uint32_t pages = heap_.run_pages(page);
    quarantined_bytes_ -= uint64_t{pages} * PageHeap::kPageBytes;
    large_pages_ -= pages;
    heap_.release(page);
    return;
  }
  Record& slab = records_[id];
  const uint32_t bytes = wire::size_class_bytes(slab.size_class);
  quarantined_bytes_ -= bytes;
  const uint64_t base = uint64_t{slab.first_page} * kUnitsPerPage;
  set_link(offset, slab.free_head);
  // Of 32 bits, which divide in half the time.
  slab.free_head = static_cast<uint32_t>(offset - base) / (bytes / wire::kExtentUnit);
  --slab.used;
  if (slab.used > 0) {
    if (!slab.listed) list_slab(id);
    return;
  }
  if (slab.listed) unlist_slab(id);
  --slabs_;
  slab_pages_ -= slab.pages;
  heap_.release(slab.first_page);
  slab = {};
  slab.next = unused_records_;
  unused_records_ = id;
}

SlabAccounting Slab::accounting() const {
  SlabAccounting a;
  a.live_extents = live_extents_;
  a.live_bytes = live_bytes_;
  a.quarantined_extents = quarantined_extents_;
  a.quarantined_bytes = quarantined_bytes_;
  a.doomed_extents = doomed_extents_;
  a.doomed_bytes = doomed_bytes_;
  a.pinned_extents = pins_.pinned();
  a.slabs = slabs_;
  a.slab_pages = slab_pages_;
  a.large_pages = large_pages_;
  a.free_pages = heap_.free_pages();
  a.usable_pages = heap_.usable_pages();
  return a;
}

uint64_t Slab::private_bytes() const {
  return generations_.private_bytes() + heap_.private_bytes() + pins_.private_bytes() +
         records_.size() * sizeof(Record) + marks_.capacity() * sizeof(uint64_t);
}

bool Slab::consistent() const {
  if (!heap_.consistent()) return false;
  if (slab_pages_ + large_pages_ + heap_.free_pages() != heap_.usable_pages()) return false;
  uint64_t used_in_slabs = 0;
  uint64_t slabs = 0;
  for (const Record& slab : records_) {
    if (slab.capacity == 0) continue;
    ++slabs;
    used_in_slabs += slab.used;
    if (slab.used > slab.carved || slab.carved > slab.capacity || slab.used == 0) return false;
    if (slab.listed != (slab.used < slab.capacity)) return false;
    const uint32_t units = wire::size_class_bytes(slab.size_class) / wire::kExtentUnit;
    const uint64_t base = uint64_t{slab.first_page} * kUnitsPerPage;
    uint32_t free = 0;
    for (uint32_t i = slab.free_head; i != kNone; ++free) {
      if (i >= slab.carved || free > slab.carved) return false;
      i = static_cast<uint32_t>(link(base + uint64_t{i} * units));
    }
    if (free + slab.used != slab.carved) return false;
  }
  uint64_t quarantined = 0;
  const auto count = [&](const Batch& batch) {
    for (const List& list : batch.lists) {
      for (uint64_t offset = list.head; list.head != 0; offset = link(offset)) {
        ++quarantined;
        if (offset == list.tail) break;
      }
    }
  };
  count(open_);
  for (uint32_t i = 0; i < batches_; ++i) count(closed_[(first_batch_ + i) % kBatches]);
  const uint64_t all = live_extents_ + quarantined_extents_ + doomed_extents_;
  return slabs == slabs_ && quarantined == quarantined_extents_ && used_in_slabs <= all;
}

}  // namespace rdmakv::server
