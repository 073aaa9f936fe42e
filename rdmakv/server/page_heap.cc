#include "rdmakv/server/page_heap.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace rdmakv::server {

PageHeap::PageHeap(uint32_t pages, uint32_t first_page) : first_page_(first_page), table_(pages) {
  assert(first_page < pages && pages < (uint32_t{1} << 28));
  for (auto& level : heads_) std::fill(std::begin(level), std::end(level), kNone);
  mark(first_page, pages - first_page, true);
  link(first_page);
}

PageHeap::List PageHeap::list_of(uint32_t pages) {
  if (pages < kSteps) return {0, pages};
  const auto log = static_cast<uint32_t>(std::bit_width(pages)) - 1;
  return {log - kStepBits + 1, (pages >> (log - kStepBits)) & (kSteps - 1)};
}

// The first list all of whose runs are long enough.
PageHeap::List PageHeap::search_from(uint32_t pages) {
  if (pages < kSteps) return {0, pages};
  const auto log = static_cast<uint32_t>(std::bit_width(pages)) - 1;
  return list_of(pages + (uint32_t{1} << (log - kStepBits)) - 1);
}

uint32_t PageHeap::find_fit(uint32_t pages) const {
  const List from = search_from(pages);
  if (from.level < kLevels) {
    const uint32_t steps = step_bits_[from.level] & (~uint32_t{0} << from.step);
    if (steps != 0) return heads_[from.level][std::countr_zero(steps)];
    const uint32_t levels =
        from.level + 1 < 32 ? level_bits_ & (~uint32_t{0} << (from.level + 1)) : 0;
    if (levels != 0) {
      const auto level = static_cast<uint32_t>(std::countr_zero(levels));
      return heads_[level][std::countr_zero(step_bits_[level])];
    }
  }
  // Nearly full: the list of this very length may hold a run that just fits. A bounded look, so
  // that one value may fill the pool and this stays O(1).
  const List own = list_of(pages);
  uint32_t run = heads_[own.level][own.step];
  for (uint32_t i = 0; i < kInOwnListTries && run != kNone; ++i) {
    if (table_[run].pages >= pages) return run;
    run = table_[run].tag_or_next;
  }
  return kNone;
}

uint32_t PageHeap::allocate(uint32_t pages) {
  assert(pages > 0);
  if (pages > free_pages_) return kNone;
  const uint32_t first = find_fit(pages);
  if (first == kNone) return kNone;
  const uint32_t found = table_[first].pages;
  unlink(first);
  mark(first, pages, false);
  if (found > pages) {
    mark(first + pages, found - pages, true);
    link(first + pages);
  }
  return first;
}

void PageHeap::release(uint32_t first) {
  assert(first >= first_page_ && !is_free(first) && table_[first].first_and_free / 2 == first);
  uint32_t pages = table_[first].pages;
  const uint32_t behind = first + pages;
  if (behind < table_.size() && is_free(behind)) {
    pages += table_[behind].pages;
    unlink(behind);
  }
  if (first > first_page_ && is_free(first - 1)) {
    const uint32_t before = table_[first - 1].first_and_free / 2;
    pages += table_[before].pages;
    unlink(before);
    first = before;
  }
  mark(first, pages, true);
  link(first);
}

void PageHeap::set_tags(uint32_t first, uint32_t tag) {
  const uint32_t pages = table_[first].pages;
  for (uint32_t i = 0; i < pages; ++i) table_[first + i].tag_or_next = tag;
}

void PageHeap::mark(uint32_t first, uint32_t pages, bool free) {
  const uint32_t value = first * 2 + (free ? 1 : 0);
  table_[first].pages = pages;
  table_[first].first_and_free = value;
  table_[first + pages - 1].first_and_free = value;
}

void PageHeap::link(uint32_t first) {
  const auto [level, step] = list_of(table_[first].pages);
  uint32_t& head = heads_[level][step];
  table_[first].previous = kNone;
  table_[first].tag_or_next = head;
  if (head != kNone) table_[head].previous = first;
  head = first;
  step_bits_[level] |= uint32_t{1} << step;
  level_bits_ |= uint32_t{1} << level;
  free_pages_ += table_[first].pages;
}

void PageHeap::unlink(uint32_t first) {
  const auto [level, step] = list_of(table_[first].pages);
  const Page& page = table_[first];
  if (page.previous != kNone) {
    table_[page.previous].tag_or_next = page.tag_or_next;
  } else {
    heads_[level][step] = page.tag_or_next;
    if (page.tag_or_next == kNone) {
      step_bits_[level] &= ~(uint32_t{1} << step);
      if (step_bits_[level] == 0) level_bits_ &= ~(uint32_t{1} << level);
    }
  }
  if (page.tag_or_next != kNone) table_[page.tag_or_next].previous = page.previous;
  free_pages_ -= page.pages;
}

bool PageHeap::consistent() const {
  uint64_t free_by_walk = 0;
  uint64_t free_runs = 0;
  bool before_was_free = false;
  for (uint32_t at = first_page_; at < table_.size();) {
    const Page& page = table_[at];
    const uint32_t last = at + page.pages - 1;
    if (page.pages == 0 || last >= table_.size()) return false;
    if (page.first_and_free / 2 != at || table_[last].first_and_free != page.first_and_free) {
      return false;
    }
    if (is_free(at)) {
      if (before_was_free) return false;  // must have been joined
      free_by_walk += page.pages;
      ++free_runs;
    }
    before_was_free = is_free(at);
    at = last + 1;
  }
  uint64_t free_by_list = 0;
  uint64_t listed_runs = 0;
  for (uint32_t level = 0; level < kLevels; ++level) {
    for (uint32_t step = 0; step < kSteps; ++step) {
      const bool bit = (step_bits_[level] >> step & 1) != 0;
      if (bit != (heads_[level][step] != kNone)) return false;
      for (uint32_t run = heads_[level][step]; run != kNone; run = table_[run].tag_or_next) {
        const List own = list_of(table_[run].pages);
        if (own.level != level || own.step != step || !is_free(run)) return false;
        free_by_list += table_[run].pages;
        ++listed_runs;
      }
    }
  }
  return free_by_walk == free_pages_ && free_by_list == free_pages_ && free_runs == listed_runs;
}

}  // namespace rdmakv::server
