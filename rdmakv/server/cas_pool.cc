#include "rdmakv/server/cas_pool.h"

#include <cassert>

#include "rdmakv/transport/authentication.h"

namespace rdmakv::server {
namespace {

// Uniform generations from one random number (Steele, Lea, Flood: "Fast splittable pseudorandom
// number generators", OOPSLA 2014).
uint64_t split_mix(uint64_t& state) {
  uint64_t z = state += 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

}  // namespace

CasPool::CasPool(MemoryRegion& cas, MemoryRegion& grants, uint64_t first_offset, uint64_t seed)
    : cas_(cas),
      grants_(grants),
      first_offset_(first_offset),
      seed_(seed),
      cas_extents_(static_cast<uint32_t>(cas.size() / wire::kCasExtentBytes)) {
  assert(first_offset > 0 && cas.size() % wire::kCasExtentBytes == 0);
  records_.resize(cas_extents_ + grants.size() / wire::kCasExtentBytes);
  uint64_t random = random_u64();
  for (uint32_t n = 0; n < records_.size(); ++n) {
    records_[n].generation = split_mix(random) & wire::kGenerationMask;
    Lists& of = lists(n < cas_extents_ ? Part::kCas : Part::kGrants);
    append(of.free, n);
    ++of.count.free;
  }
}

void CasPool::append(List& list, uint32_t n) {
  Record& record = records_[n];
  record.previous = list.last;
  record.next = kNone;
  (list.last == kNone ? list.first : records_[list.last].next) = n;
  list.last = n;
}

void CasPool::remove(List& list, uint32_t n) {
  const Record& record = records_[n];
  (record.previous == kNone ? list.first : records_[record.previous].next) = record.next;
  (record.next == kNone ? list.last : records_[record.next].previous) = record.previous;
}

// Those retired since the last reading are stamped by this one, so by a time at or after their end.
void CasPool::begin(uint64_t now_ns) {
  for (Lists& of : lists_) {
    List& list = of.quarantined;
    for (uint32_t n = list.last; n != kNone && records_[n].retired_ns == kUnstamped;
         n = records_[n].previous) {
      records_[n].retired_ns = now_ns;
    }
    while (list.first != kNone && now_ns - records_[list.first].retired_ns >= wire::kQuarantineNs) {
      const uint32_t n = list.first;
      remove(list, n);
      --of.count.quarantined;
      records_[n].state = State::kFree;
      append(of.free, n);
      ++of.count.free;
    }
  }
}

// The one that has been free for the longest time: generations rise as slowly as they can.
uint64_t CasPool::use(Part part, State state) {
  Lists& of = lists(part);
  const uint32_t n = of.free.first;
  if (n == kNone) return 0;
  remove(of.free, n);
  --of.count.free;
  Record& record = records_[n];
  record.state = state;
  record.generation = (record.generation + 1) & wire::kGenerationMask;
  return offset_of(n);
}

uint64_t CasPool::take() {
  const uint64_t offset = use(Part::kCas, State::kBuilding);
  if (offset != 0) ++lists(Part::kCas).count.building;
  return offset;
}

void CasPool::put_back(uint64_t offset) {
  Record& of = record(offset);
  assert(of.state == State::kBuilding);
  of.generation = (of.generation - 1) & wire::kGenerationMask;
  of.state = State::kFree;
  Lists& its = lists(Part::kCas);
  --its.count.building;
  ++its.count.free;
  append(its.free, number(offset));
}

uint64_t CasPool::grant(Holder& holder) {
  const uint64_t offset = use(Part::kGrants, State::kGranted);
  if (offset == 0) return 0;
  const uint32_t n = number(offset);
  Record& granted = records_[n];
  granted.holder = &holder;
  granted.previous = kNone;
  granted.next = holder.first;
  if (holder.first != kNone) records_[holder.first].previous = n;
  holder.first = n;
  ++holder.count;
  ++lists(Part::kGrants).count.granted;
  return offset;
}

void CasPool::leave_holder(uint32_t n) {
  const Record& granted = records_[n];
  Holder& holder = *granted.holder;
  (granted.previous == kNone ? holder.first : records_[granted.previous].next) = granted.next;
  if (granted.next != kNone) records_[granted.next].previous = granted.previous;
  --holder.count;
  --lists(Part::kGrants).count.granted;
}

void CasPool::link(uint64_t offset, uint64_t hash, uint64_t version) {
  Record& of = record(offset);
  Lists& its = lists_of(offset);
  if (of.state == State::kGranted) {
    leave_holder(number(offset));
  } else {
    assert(of.state == State::kBuilding);
    --its.count.building;
  }
  of.state = State::kLinked;
  of.hash = hash;
  of.version = version;
  append(its.linked, number(offset));
  ++its.count.linked;
}

void CasPool::retire(uint64_t offset) {
  Record& of = record(offset);
  Lists& its = lists_of(offset);
  if (of.state == State::kGranted) {
    leave_holder(number(offset));
  } else {
    assert(of.state == State::kLinked);
    remove(its.linked, number(offset));
    --its.count.linked;
  }
  of.state = State::kQuarantined;
  of.retired_ns = kUnstamped;
  append(its.quarantined, number(offset));
  ++its.count.quarantined;
}

// Extents in the list, or more than there are when it is not a list of such ones.
uint32_t CasPool::walk(const List& list, State state, Part part) const {
  const auto wrong = static_cast<uint32_t>(records_.size() + 1);
  uint32_t count = 0;
  uint32_t previous = kNone;
  for (uint32_t n = list.first; n != kNone; previous = n, n = records_[n].next) {
    const bool in_part = (n < cas_extents_) == (part == Part::kCas);
    if (!in_part || records_[n].state != state || records_[n].previous != previous) return wrong;
    if (++count >= wrong) return wrong;
  }
  return previous == list.last ? count : wrong;
}

bool CasPool::consistent() const {
  CasAccounting seen[2];
  for (uint32_t n = 0; n < records_.size(); ++n) {
    CasAccounting& count = seen[n < cas_extents_ ? 0 : 1];
    switch (records_[n].state) {
      case State::kFree:
        ++count.free;
        break;
      case State::kBuilding:
        ++count.building;
        break;
      case State::kLinked:
        ++count.linked;
        break;
      case State::kGranted:
        ++count.granted;
        break;
      case State::kQuarantined:
        ++count.quarantined;
        break;
    }
  }
  for (const Part part : {Part::kCas, Part::kGrants}) {
    const Lists& of = lists(part);
    const CasAccounting& found = seen[static_cast<size_t>(part)];
    if (found.free != of.count.free || found.building != of.count.building ||
        found.linked != of.count.linked || found.granted != of.count.granted ||
        found.quarantined != of.count.quarantined) {
      return false;
    }
    if (walk(of.free, State::kFree, part) != found.free ||
        walk(of.linked, State::kLinked, part) != found.linked ||
        walk(of.quarantined, State::kQuarantined, part) != found.quarantined) {
      return false;
    }
  }
  return true;
}

}  // namespace rdmakv::server
