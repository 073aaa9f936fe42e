// Entries of the cas class, which clients change without the server: by one ATOMIC on the first
// word of the entry, from live to dead, naming the entry that they built in an extent granted to
// them.
//
//   slot -> E1 dead -> E2 dead -> E3 live          E1 linked, E2 and E3 still granted, for all we
//   know slot ------------------------> E3 live         after walk(): E3 linked, E1 and E2 retired
//
// The server learns of it only by walking there: when the key is looked up, for whatever reason.
// What it reads on the way was written by clients, and not all of them need keep to the rules. So
// it reads each entry once, into private memory, and believes no more than its own tables bear out.
// A chain that breaks the rules is the end of the key; it is not the end of anything else.
#include <algorithm>
#include <cassert>
#include <cstring>

#include "protocol/kv_hash.h"
#include "protocol/rules.h"
#include "rdmakv/server/entry.h"
#include "rdmakv/server/partition.h"

namespace rdmakv::server {

using wire::FirstWord;

namespace {

// Entries are relocated while fewer of a region's extents than this are, or soon will be, free.
// More of the grants: they are given away several at a time.
constexpr uint32_t kCasReserve = 8;     // one in so many
constexpr uint32_t kGrantsReserve = 4;  // likewise
// A client that keeps to the rules never makes a swap fail that follows a look at the word, unless
// the word is that of a linked entry.
constexpr uint32_t kSwapAttempts = 8;

bool is_short(const CasAccounting& count, uint32_t reserve) {
  return count.linked > 0 && count.free + count.quarantined < std::max(count.all() / reserve, 1u);
}

}  // namespace

Session::Session(Partition& partition)
    : uploads(partition.slab()), pins(partition.slab()), grants(partition) {}

Grants::~Grants() {
  partition_.reconcile(holder_);
}

// ---- the walk --------------------------------------------------------------------------------

// Follows the chain from `offset`, which is linked, to its live tail; gives that the slot; retires
// what was passed, and before it `passed`. Nothing when the key was lost. The view of what is found
// is into `copies`.
Partition::Found Partition::walk(Index::Place place, uint64_t offset, uint64_t passed,
                                 WalkCopies& copies) {
  const uint64_t hash = cas_->hash(offset);
  const uint64_t version = cas_->version(offset);
  const EntryCopy* before = nullptr;
  // Every extent that may follow is granted, and no version comes twice. The bound is for memory
  // that changes while it is read.
  const uint32_t most_hops = cas_->accounting(CasPool::Part::kGrants).granted;
  for (uint32_t hop = 0;; ++hop) {
    EntryCopy& copy = copies[hop % 2];
    if (!reached(offset, hash, before, copy)) {
      // What was not sound where a client led us is none of ours; the first one is.
      lose(place, version, before == nullptr ? cas_->pass(offset, passed) : passed);
      return {};
    }
    const uint32_t generation = cas_->generation(offset);
    if (copy.first_word == FirstWord::make_live(generation, true).encode()) {
      const Found tail{place, offset, cas_->at(offset), generation, true, copy.view};
      arrive(tail, hash, passed);
      return tail;
    }
    const auto word = FirstWord::decode(copy.first_word);
    passed = cas_->pass(offset, passed);
    if (!may_follow(word) || hop == most_hops) {
      lose(place, version, passed);
      return {};
    }
    offset = word.next;
    before = &copy;
  }
}

// Whether the entry at `offset` is sound and the one that has to be there: behind `before`, its
// successor; else the one whose linking is on record.
bool Partition::reached(uint64_t offset, uint64_t hash, const EntryCopy* before,
                        EntryCopy& copy) const {
  if (!cas_->read(offset, copy)) return false;
  const wire::EntryView& view = copy.view;
  if (before == nullptr) {
    return view.version == cas_->version(offset) && hash_of(view.key) == hash;
  }
  return view.version == before->view.version + 1 && view.key == before->view.key;
}

// Where a dead word leads: into an extent that some client has been granted, under the generation
// under which it was. (The server flips the slot after its own changes: what follows is clients'.)
bool Partition::may_follow(FirstWord word) const {
  return !word.live && word.cas_class && word.next != 0 && cas_->contains(word.next) &&
         cas_->state(word.next) == CasPool::State::kGranted &&
         cas_->generation(word.next) == word.generation;
}

void Partition::arrive(const Found& tail, uint64_t hash, uint64_t passed) {
  if (cas_->state(tail.offset) == CasPool::State::kGranted) {
    cas_->link(tail.offset, hash, tail.view.version);
    ++counters_.cas_linked_seen;
  }
  if (passed == 0) return;  // the slot led to it
  wire::Slot slot;
  slot.offset = tail.offset;
  slot.generation_low = tail.generation & 0xfff;
  slot.size_class = wire::kCasSizeClass;
  if (holds(Rule::kFlipToTail)) index_.replace(tail.place, slot);
  retire(passed);
}

// The key is removed, with all that a slot or a sound entry of it led to. A new entry of the key
// must have a version above all that clients may have seen: above that of `version`, and of as many
// successors as there can be.
void Partition::lose(Index::Place place, uint64_t version, uint64_t passed) {
  ++counters_.broken_chains;
  const uint64_t most = version + cas_->accounting(CasPool::Part::kGrants).granted + 1;
  version_floor_ = std::max(version_floor_, most);
  removals_.add_to_all();
  for (uint64_t offset = passed; offset != 0; offset = cas_->passed_before(offset)) bury(offset);
  index_.remove(place);
  retire(passed);
}

// Those passed are dead, and the slot leads past them.
void Partition::retire(uint64_t passed) {
  while (passed != 0) {
    const uint64_t before = cas_->passed_before(passed);
    if (cas_->state(passed) == CasPool::State::kGranted) ++counters_.cas_linked_seen;
    cas_->retire(passed);
    passed = before;
  }
}

// Whatever is in the first word: nobody is to find the entry any more, or to link another behind
// it.
void Partition::bury(uint64_t offset) {
  const uint64_t dead = FirstWord::make_dead(true, 0, 0).encode();
  for (uint32_t i = 0; i < kSwapAttempts; ++i) {
    const uint64_t word = first_word(cas_->at(offset)).load(std::memory_order_acquire);
    if (!FirstWord::decode(word).live) return;
    if (swap_first_word(offset, word, dead) == Applied::kDone) return;
  }
}

Partition::Applied Partition::swap_first_word(uint64_t offset, uint64_t expected,
                                              uint64_t desired) {
  const MemoryRegion& region = cas_->region(offset);
  const auto at = static_cast<uint64_t>(cas_->at(offset) - region.data());
  uint64_t previous = 0;
  ++counters_.atomics_local;
  const Code code = options_.atomics->compare_and_swap(region, at, expected, desired, previous);
  if (code != Code::kOk) return Applied::kFailed;
  if (previous == expected) return Applied::kDone;
  ++counters_.atomics_local_lost;
  return Applied::kLost;
}

// The first word of an extent that was taken or granted becomes live, whatever it is, under the
// extent's generation. By ATOMIC: cas_pool.h says why. Nobody has a pointer to the extent under
// that generation, so it does not matter that a grant is live before there is an entry in it, nor
// that an extent that was put back is live while another entry is built there.
Partition::Applied Partition::make_live(uint64_t offset) {
  const uint64_t live = FirstWord::make_live(cas_->generation(offset), true).encode();
  for (uint32_t i = 0; i < kSwapAttempts; ++i) {
    const uint64_t word = first_word(cas_->at(offset)).load(std::memory_order_acquire);
    if (word == live) return Applied::kDone;
    if (!holds(Rule::kAtomicOnly)) {
      first_word(cas_->at(offset)).store(live, std::memory_order_release);
      return Applied::kDone;
    }
    const Applied applied = swap_first_word(offset, word, live);
    if (applied != Applied::kLost) return applied;
  }
  return Applied::kFailed;
}

// The rest of apply() where the old entry was of the cas class. Clients may have replaced the new
// one already: the slot goes to the tail that is there now, never blindly to what was built.
// Nothing ran since the old one was found, so the slot leads to it still; its word, dead by our own
// hand, is not asked again.
void Partition::flip_cas(const Change& change) {
  assert(index_.at(change.place).offset == change.old.offset);
  const uint64_t passed = cas_->pass(change.old.offset, 0);
  if (!change.fresh) {
    index_.remove(change.place);
    retire(passed);
  } else if (is_cas(change.fresh)) {
    cas_->link(change.fresh.offset, change.hash, change.version);
    walk(change.place, change.fresh.offset, passed, applied_);
  } else {
    index_.replace(change.place, slot_of(change));
    retire(passed);
  }
}

// ---- grants ------------------------------------------------------------------------------------

// A client says, or may have died before it could say, that it linked this granted extent. The walk
// from its key's slot finds out.
void Partition::see(uint64_t offset) {
  if (!cas_->read(offset, seen_)) return;
  const Index::Place place = index_.find(hash_of(seen_.view.key), seen_.view.key);
  if (place) look_at(place);
}

void Partition::reconcile(CasPool::Holder& holder) {
  for (;;) {
    const uint64_t offset = cas_ == nullptr ? 0 : cas_->granted(holder);
    if (offset == 0) return;
    if (holds(Rule::kReconcile)) see(offset);
    if (cas_->holds(holder, offset)) cas_->retire(offset);
  }
}

void Partition::grants(const Request& request, Value hints, Session& session, Outcome& out) {
  if (hints.size() % sizeof(uint64_t) != 0) {
    out.reply.status = wire::ReplyStatus::kBadRequest;
    return;
  }
  out.has_value = true;
  if (cas_ == nullptr) return;
  CasPool::Holder& holder = session.grants.holder();
  for (size_t at = 0; at < hints.size(); at += sizeof(uint64_t)) {
    uint64_t offset = 0;
    std::memcpy(&offset, hints.data() + at, sizeof(offset));
    if (cas_->contains(offset) && cas_->holds(holder, offset)) see(offset);
  }
  // Half of what is left at most, so that others find some too.
  const uint32_t free = cas_->accounting(CasPool::Part::kGrants).free;
  const uint64_t most =
      std::min<uint64_t>({request.wanted, wire::kMostGrants - holder.count, (free + 1) / 2});
  uint32_t given = 0;
  for (; given < most; ++given) {
    const uint64_t offset = cas_->grant(holder);
    if (make_live(offset) != Applied::kDone) {
      cas_->retire(offset);
      break;
    }
    granted_[given] = {offset, cas_->generation(offset), 0};
  }
  counters_.grants_given += given;
  out.reply.number = given;
  out.value = std::as_bytes(std::span(granted_, given));
}

// ---- room --------------------------------------------------------------------------------------

bool Partition::short_of_room() const {
  return is_short(cas_->accounting(CasPool::Part::kCas), kCasReserve) ||
         is_short(cas_->accounting(CasPool::Part::kGrants), kGrantsReserve);
}

void Partition::tend(uint32_t steps) {
  if (cas_ == nullptr) return;
  const auto run = [&](CasPool::Part part, uint32_t reserve) {
    for (uint32_t i = 0; i < steps && is_short(cas_->accounting(part), reserve); ++i) {
      if (!relocate_oldest(part)) return;
    }
  };
  run(CasPool::Part::kCas, kCasReserve);
  run(CasPool::Part::kGrants, kGrantsReserve);
}

// False: there is no use in trying again at once.
bool Partition::relocate_oldest(CasPool::Part part) {
  const uint64_t offset = cas_->oldest_linked(part);
  Change change;
  change.hash = cas_->hash(offset);
  change.place = index_.find_offset(change.hash, offset);
  assert(change.place);
  change.old = look_at(change.place);
  if (!change.old || change.old.offset != offset) return true;  // it is gone from here already
  const wire::EntryView& view = change.old.view;
  change.key = view.key;
  change.fresh = slab_.allocate(wire::entry_bytes(view.key.size(), view.value.size(), false));
  if (!change.fresh) {
    stuck_ = true;
    return false;
  }
  const Applied applied = relocate(change);
  if (applied == Applied::kDone) return true;
  discard(change.fresh);
  stuck_ = applied == Applied::kFailed;
  return !stuck_;
}

// The key's entry, change.old, goes to the pool (change.fresh), plain, in the same version.
Partition::Applied Partition::relocate(Change& change) {
  const wire::EntryView& view = change.old.view;
  change.place = change.old.place;
  change.version = view.version;
  wire::EntryFields fields;
  fields.version = change.version;
  prepare(change, fields);
  wire::write_entry(slab_.at(change.fresh.offset), fields, change.key, view.value);
  const Applied applied = apply(change);
  if (applied != Applied::kDone) return applied;
  change.fresh = {};
  ++counters_.relocated;
  return applied;
}

}  // namespace rdmakv::server
