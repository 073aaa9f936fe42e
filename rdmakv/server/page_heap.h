// The pool as 4 KiB pages, handed out in runs: two-level segregated fit with immediate coalescing
// (Masmano, Ripoll, Crespo, Real: "TLSF: a new dynamic memory allocator for real-time systems",
// ECRTS 2004). Allocation and release are O(1). All bookkeeping lies in a private table of 16 bytes
// per page; the pages themselves are never touched.
//
// One thread. Errors: kNone means that no run is long enough.
#pragma once

#include <cstdint>
#include <vector>

namespace rdmakv::server {

class PageHeap {
 public:
  static constexpr uint32_t kPageBytes = 4096;
  static constexpr uint32_t kNone = ~uint32_t{0};

  // Manages pages [first_page, pages); those before first_page are never handed out.
  PageHeap(uint32_t pages, uint32_t first_page);

  // A run of exactly `pages` (at least 1) pages: its first page, or kNone.
  uint32_t allocate(uint32_t pages);
  // Gives back the whole run that begins at `first`.
  void release(uint32_t first);
  // Pages of the allocated run that begins at `first`.
  uint32_t run_pages(uint32_t first) const { return table_[first].pages; }

  // A number per page of allocated runs, for their owner; undefined until set. Lost at release.
  void set_tags(uint32_t first, uint32_t tag);
  uint32_t tag(uint32_t page) const { return table_[page].tag_or_next; }

  uint32_t usable_pages() const { return static_cast<uint32_t>(table_.size()) - first_page_; }
  uint32_t free_pages() const { return free_pages_; }
  uint64_t private_bytes() const { return table_.size() * sizeof(Page); }

  // Walks everything; false when the books do not agree. For tests.
  bool consistent() const;

 private:
  // First level: powers of two of pages; second level: each of them in 16 equal steps. Runs below
  // 16 pages have a list per length.
  static constexpr uint32_t kSteps = 16;
  static constexpr uint32_t kStepBits = 4;
  static constexpr uint32_t kLevels = 29;
  static constexpr uint32_t kInOwnListTries = 32;

  struct Page {
    uint32_t pages = 0;           // at a run's first page: its length
    uint32_t first_and_free = 0;  // at a run's first and last page: first page * 2 + is free
    uint32_t previous = kNone;    // at a free run's first page: links of its list
    uint32_t tag_or_next = kNone;
  };
  struct List {
    uint32_t level;
    uint32_t step;
  };

  static List list_of(uint32_t pages);
  static List search_from(uint32_t pages);
  uint32_t find_fit(uint32_t pages) const;
  void mark(uint32_t first, uint32_t pages, bool free);
  bool is_free(uint32_t page) const { return (table_[page].first_and_free & 1) != 0; }
  void link(uint32_t first);
  void unlink(uint32_t first);

  uint32_t first_page_;
  uint32_t free_pages_ = 0;
  uint32_t level_bits_ = 0;
  uint32_t step_bits_[kLevels] = {};
  uint32_t heads_[kLevels][kSteps];
  std::vector<Page> table_;
};

}  // namespace rdmakv::server
