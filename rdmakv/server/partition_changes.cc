// What changes a partition: put, delete, expire, clear, and apply(), through which all pass.
#include <algorithm>
#include <cassert>

#include "protocol/fetch_line.h"
#include "protocol/rules.h"
#include "rdmakv/server/entry.h"
#include "rdmakv/server/partition.h"

namespace rdmakv::server {

using wire::Condition;
using wire::ReplyStatus;

namespace {

// Index that one piece of a kClear looks at: 256 KB, where there are keys at all.
constexpr uint32_t kMostClearSteps = 4096;

// Redis's NX, XX, GT and LT of EXPIRE: no expiry counts as infinitely late.
bool expiry_condition_met(Condition condition, int64_t current, int64_t wanted) {
  switch (condition) {
    case Condition::kIfNoExpiry:
      return current == 0;
    case Condition::kIfExpiry:
      return current != 0;
    case Condition::kIfLater:
      return current != 0 && wanted > current;
    case Condition::kIfSooner:
      return current == 0 || wanted < current;
    case Condition::kIfExpirySooner:
      return current != 0 && wanted < current;
    default:
      return true;
  }
}

}  // namespace

ReplyStatus Partition::check(const Request& request, uint64_t version) {
  switch (request.condition) {
    case Condition::kIfAbsent:
      return version == 0 ? ReplyStatus::kOk : ReplyStatus::kConditionNotMet;
    case Condition::kIfPresent:
      return version != 0 ? ReplyStatus::kOk : ReplyStatus::kConditionNotMet;
    case Condition::kIfVersion:
      return version == request.version ? ReplyStatus::kOk : ReplyStatus::kVersionMismatch;
    case Condition::kIfVersionOrAbsent:
      return version == 0 || version == request.version ? ReplyStatus::kOk
                                                        : ReplyStatus::kVersionMismatch;
    default:
      return ReplyStatus::kOk;
  }
}

// The order of these stores is what one-sided readers rely on: the new entry is complete and live
// before the old one names it, the old one is dead before the slot leaves it, and both before any
// reply. There is no way out between them, but at the one point where a client may have been first:
// then nobody has seen the new entry, and nothing has changed. Within a transaction the new entry
// stays hidden: it is shown at the end, with all others.
Partition::Applied Partition::apply(const Change& change) {
  step(Step::kBuilt);
  std::byte* fresh = change.fresh ? at(change.fresh.offset) : nullptr;
  const bool fresh_cas = is_cas(change.fresh);
  if (fresh_cas) {
    assert(!transacting_);
    if (const Applied live = make_live(change.fresh.offset); live != Applied::kDone) return live;
  } else if (fresh != nullptr && transacting_ && holds(Rule::kOneStep)) {
    mark_hidden(fresh, change.generation);
  } else if (fresh != nullptr) {
    mark_live(fresh, change.generation);
  }
  step(Step::kLive);
  const Found& old = change.old;
  if (old.cas_class && holds(Rule::kAtomicOnly)) {
    const auto live = wire::FirstWord::make_live(old.generation, true);
    const auto dead = wire::FirstWord::make_dead(true, change.generation, change.fresh.offset);
    const Applied applied = swap_first_word(old.offset, live.encode(), dead.encode());
    if (applied != Applied::kDone) {
      if (fresh != nullptr && !fresh_cas) prepare_entry(fresh);
      return applied;
    }
  } else if (old && holds(Rule::kDeadBeforeReply)) {
    mark_dead(old.extent, old.cas_class, change.generation, change.fresh.offset);
  }
  step(Step::kDead);
  ++counters_.changes;
  if (!change.fresh) {
    version_floor_ = std::max(version_floor_, old.view.version);
    removals_.add(change.hash);
  }
  if (old.cas_class) {
    flip_cas(change);
  } else {
    flip(change);
  }
  step(Step::kFlipped);
  if (change.fresh && change.expiry_ms != 0) expiry_.added(change.expiry_ms);
  if (old && old.view.expiry_ms != 0) expiry_.removed();
  if (old && !old.cas_class) {
    slab_.entry_died(old.generation);
    slab_.free(old.offset);
  }
  return Applied::kDone;
}

// The slot's part of apply() where there was no old entry, or a plain one.
void Partition::flip(const Change& change) {
  if (!change.fresh) {
    index_.remove(change.place);
    return;
  }
  if (change.old) {
    index_.replace(change.place, slot_of(change));
  } else {
    index_.insert(change.place, change.hash, slot_of(change));
  }
  if (is_cas(change.fresh)) cas_->link(change.fresh.offset, change.hash, change.version);
}

wire::Slot Partition::slot_of(const Change& change) {
  wire::Slot slot;
  slot.offset = change.fresh.offset;
  slot.generation_low = change.generation & 0xfff;
  slot.size_class = change.fresh.size_class;
  return slot;
}

Partition::Applied Partition::remove(const Found& found, std::string_view key, uint64_t hash) {
  Change change;
  change.key = key;
  change.hash = hash;
  change.old = found;
  change.place = found.place;
  return apply(change);
}

Extent Partition::allocate(uint64_t bytes, Outcome& out) {
  if (bytes > slab_.largest_bytes()) {
    out.reply.status = ReplyStatus::kTooLarge;
    return {};
  }
  Extent extent = slab_.allocate(bytes);
  if (!extent && !slab_.quarantine_empty()) {
    slab_.begin(options_.clock->steady_ns());
    extent = slab_.allocate(bytes);
    if (!extent && !waited_ && slab_.quarantined_bytes() >= bytes) {
      waited_ = true;
      ++counters_.waits;
      options_.clock->wait_ns(Slab::kQuarantineNs);
      slab_.begin(options_.clock->steady_ns());
      extent = slab_.allocate(bytes);
    }
  }
  if (!extent) {
    ++counters_.no_space;
    out.reply.status = ReplyStatus::kNoSpace;
  }
  return extent;
}

// Sees to it that `change.fresh` has room for `bytes`: in the cas region if it is to be of the
// class and there is room, else in the pool.
bool Partition::reserve(Change& change, uint64_t bytes, bool cas_class, Outcome& out) {
  const bool in_cas = cas_class && cas_ != nullptr && bytes <= wire::kCasExtentBytes;
  if (change.fresh) {  // of an attempt before
    if (is_cas(change.fresh) ? in_cas : slab_.extent_bytes(change.fresh.offset) >= bytes) {
      return true;
    }
    discard(change.fresh);
  }
  if (in_cas) {
    const uint64_t offset = cas_->take();
    if (offset != 0) {
      change.fresh = {offset, wire::kCasSizeClass};
      return true;
    }
  }
  change.fresh = allocate(bytes, out);
  return static_cast<bool>(change.fresh);
}

// Gives back an extent that no reader ever had a pointer to.
void Partition::discard(Extent& fresh) {
  if (!fresh) return;
  if (is_cas(fresh)) {
    cas_->put_back(fresh.offset);
  } else {
    slab_.free(fresh.offset);
  }
  fresh = {};
}

void Partition::put(const Request& request, std::string_view key, Value value, Session& session,
                    Outcome& out) {
  const bool plain = request.condition == Condition::kAlways && request.flags == 0 &&
                     request.expiry_ms == 0 && value.size() <= wire::kMaxValueBytes;
  if (plain && replace_plain(key, value, hash_of(key), Index::nowhere())) {
    out.reply.version = plain_change_.version;
    out.reply.location = plain_change_.fresh.offset;
    out.reply.generation = plain_change_.generation;
    return;
  }
  put_any(request, key, value, nullptr, session, out);
}

void Partition::put_any(const Request& request, std::string_view key, Value value,
                        const Uploaded* uploaded, Session& session, Outcome& out) {
  Change change;
  if (uploaded != nullptr) change.fresh = uploaded->extent;
  const bool borrowed = (request.flags & wire::kValueInLanding) != 0;
  if (borrowed) change.lender = session.lender;
  const bool lent_by_nobody = borrowed && (session.lender == nullptr || transacting_);
  const bool two_expiries = (request.flags & wire::kKeepExpiry) != 0 && request.expiry_ms != 0;
  if (value.size() > wire::kMaxValueBytes) {
    out.reply.status = ReplyStatus::kTooLarge;
  } else if (lent_by_nobody || two_expiries) {
    out.reply.status = ReplyStatus::kBadRequest;
  } else {
    change.key = key;
    change.hash = hash_of(key);
    until_applied(out, [&] { return try_put(request, change, value, uploaded, session, out); });
  }
  discard(change.fresh);
  if (request.condition != Condition::kIfVersion) return;
  if (out.reply.status == ReplyStatus::kOk) ++counters_.cas_rpc_won;
  if (out.reply.status == ReplyStatus::kVersionMismatch) ++counters_.cas_rpc_lost;
}

Partition::Applied Partition::try_put(const Request& request, Change& change, Value value,
                                      const Uploaded* uploaded, Session& session, Outcome& out) {
  change.old = look_up(change.key, change.hash);
  const Found& old = change.old;
  describe(old, out);
  const bool want_previous = (request.flags & wire::kWantPrevious) != 0;
  if (want_previous && old && !attach_value(old, session, true, out)) return Applied::kDone;
  out.reply.status = check(request, old.version());
  if (out.reply.status != ReplyStatus::kOk) {
    const bool want_unmet = !want_previous && (request.flags & wire::kWantIfUnmet) != 0;
    if (want_unmet && old) attach_value(old, session, true, out);
    return Applied::kDone;
  }
  // What a CAS replaces keeps its flags.
  if (request.condition == Condition::kIfVersion) change.user_flags = old.user_flags();

  const bool keep = (request.flags & wire::kKeepExpiry) != 0;
  change.expiry_ms = keep ? old.expiry_ms() : request.expiry_ms;
  if (!keep && change.expiry_ms != 0 && change.expiry_ms <= now_ms_) {
    return remove_as_expired(change, out);
  }
  // A key enters the cas class by a CAS, and stays there while its entries fit.
  // Within a transaction none does: no client may change it before the end.
  const bool cas_class = old && change.expiry_ms == 0 && change.user_flags == 0 && !transacting_ &&
                         (old.cas_class || request.condition == Condition::kIfVersion);
  const Applied applied = store(change, value, uploaded, cas_class, out);
  if (out.reply.status != ReplyStatus::kOk) drop_value(out);
  return applied;
}

// The key is to have a value that has expired already.
Partition::Applied Partition::remove_as_expired(const Change& change, Outcome& out) {
  if (change.old) {
    const Applied applied = remove(change.old, change.key, change.hash);
    if (applied != Applied::kDone) return applied;
  } else {
    removals_.add(change.hash);  // it came, and went at once
  }
  describe({}, out);
  return Applied::kDone;
}

// Finds the place and the version of the key's new entry. False: there is no place.
bool Partition::begin_entry(Change& change, wire::EntryFields& fields, Outcome& out) {
  change.place = change.old ? change.old.place : index_.vacancy(change.hash);
  if (!change.place) {
    ++counters_.no_space;
    out.reply.status = ReplyStatus::kNoSpace;
    return false;
  }
  change.version = change.old ? change.old.view.version + 1 : version_floor_ + 1;
  if (change.set_version != 0) change.version = change.set_version;
  fields.version = change.version;
  fields.expiry_ms = change.expiry_ms;
  return true;
}

// The rest of try_put(): the conditions are met, and the key is to have a new entry.
Partition::Applied Partition::store(Change& change, Value value, const Uploaded* uploaded,
                                    bool cas_class, Outcome& out) {
  wire::EntryFields fields;
  if (!begin_entry(change, fields, out)) return Applied::kDone;
  if (uploaded != nullptr) {
    // The value lies behind an expiry field, used or not.
    fields.expiry_field = true;
    prepare(change, fields);
    wire::write_entry_around(slab_.at(change.fresh.offset), fields, change.key, uploaded->bytes,
                             uploaded->hash);
  } else {
    fields.expiry_field = change.expiry_ms != 0;
    const uint64_t bytes = wire::entry_bytes(change.key.size(), value.size(), fields.expiry_field);
    if (!reserve(change, bytes, cas_class, out)) return Applied::kDone;
    prepare(change, fields);
    wire::write_entry(at(change.fresh.offset), fields, change.key, value);
    // The client may have ended the connection before, and used the memory for something else.
    if (change.lender != nullptr && !change.lender->peer_memory_holds()) {
      out.reply.status = ReplyStatus::kBadRequest;
      return Applied::kDone;
    }
  }
  return finish(change, fields, out);
}

// Under which generation the new entry is to be built.
void Partition::prepare(Change& change, wire::EntryFields& fields) const {
  change.generation =
      is_cas(change.fresh) ? cas_->generation(change.fresh.offset) : slab_.generation();
  fields.seed = wire::entry_seed(options_.seed, change.generation);
  fields.user_flags = change.user_flags;
}

// The new entry is complete. Applies the change and tells of it.
Partition::Applied Partition::finish(Change& change, const wire::EntryFields& fields,
                                     Outcome& out) {
  const Applied applied = apply(change);
  if (applied != Applied::kDone) return applied;
  out.reply.version = change.version;
  out.reply.expiry_ms = change.expiry_ms;
  out.reply.location = change.fresh.offset;
  out.reply.generation = change.generation;
  out.reply.user_flags = change.user_flags;
  out.reply.flags = 0;
  if (fields.expiry_field) out.reply.flags |= wire::kExpiryField;
  if (is_cas(change.fresh)) out.reply.flags |= wire::kCasClass;
  change.fresh = {};  // the index's now
  return applied;
}

Partition::Applied Partition::try_erase(const Request& request, std::string_view key,
                                        Session& session, Outcome& out) {
  const uint64_t hash = hash_of(key);
  const Found found = look_up(key, hash);
  describe(found, out);
  if (!found) {
    out.reply.status = ReplyStatus::kNotFound;
    return Applied::kDone;
  }
  const bool want_previous = (request.flags & wire::kWantPrevious) != 0;
  if (want_previous && !attach_value(found, session, true, out)) return Applied::kDone;
  out.reply.status = check(request, found.version());
  if (out.reply.status != ReplyStatus::kOk) return Applied::kDone;
  const Applied applied = remove(found, key, hash);
  if (applied == Applied::kDone) describe({}, out);
  return applied;
}

void Partition::erase(const Request& request, std::string_view key, Session& session,
                      Outcome& out) {
  until_applied(out, [&] { return try_erase(request, key, session, out); });
}

void Partition::expire(const Request& request, std::string_view key, Session& session,
                       Outcome& out) {
  if (request.expiry_ms == 0 && request.condition > Condition::kIfVersion) {
    out.reply.status = ReplyStatus::kBadRequest;
    return;
  }
  Change change;
  change.key = key;
  change.hash = hash_of(key);
  until_applied(out, [&] { return try_expire(request, change, session, out); });
  discard(change.fresh);
}

Partition::Applied Partition::try_expire(const Request& request, Change& change, Session& session,
                                         Outcome& out) {
  change.old = look_up(change.key, change.hash);
  const Found& old = change.old;
  describe(old, out);
  if (!old) {
    out.reply.status = ReplyStatus::kNotFound;
    return Applied::kDone;
  }
  const bool want_previous = (request.flags & wire::kWantPrevious) != 0;
  if (want_previous && !attach_value(old, session, true, out)) return Applied::kDone;
  out.reply.status = check(request, old.version());
  if (out.reply.status != ReplyStatus::kOk) return Applied::kDone;
  const int64_t wanted = request.expiry_ms;
  const int64_t current = old.view.expiry_ms;
  if ((wanted == 0 && current == 0) || !expiry_condition_met(request.condition, current, wanted)) {
    out.reply.status = ReplyStatus::kConditionNotMet;
    return Applied::kDone;
  }
  if (wanted == current) return Applied::kDone;  // nothing changes, the version neither
  if (wanted != 0 && wanted <= now_ms_) {
    const Applied applied = remove(old, change.key, change.hash);
    if (applied == Applied::kDone) describe({}, out);
    return applied;
  }
  // An entry is immutable: one with another expiry is another entry.
  change.place = old.place;
  change.version = old.view.version + 1;
  change.expiry_ms = wanted;
  change.user_flags = old.user_flags();
  wire::EntryFields fields;
  fields.version = change.version;
  fields.expiry_ms = wanted;
  fields.expiry_field = wanted != 0;
  const uint64_t bytes =
      wire::entry_bytes(change.key.size(), old.view.value.size(), fields.expiry_field);
  if (!reserve(change, bytes, false, out)) return Applied::kDone;
  prepare(change, fields);
  wire::write_entry(at(change.fresh.offset), fields, change.key, old.view.value);
  const Applied applied = finish(change, fields, out);
  if (!holds(Rule::kExpireReplaces) && applied == Applied::kDone && !old.cas_class) {
    mark_live(old.extent, old.generation);
  }
  return applied;
}

// A million keys take some 0.3 s, in which the worker answers nobody; so it can be asked for less
// at a time. Each key goes once, and none comes back; what is stored meanwhile behind the cursor
// stays.
void Partition::clear(const Request& request, Outcome& out) {
  // Entries lie anywhere in the pool: those of buckets to come are fetched while these are removed.
  constexpr uint32_t kAhead = 4;
  const auto fetch = [&](Index::Place, wire::Slot slot) { fetch_line(at(slot.offset)); };
  const bool whole = request.wanted == 0 || transacting_;
  const uint64_t most_keys = whole ? ~uint64_t{0} : request.wanted;
  const uint32_t most_steps = whole ? index_.steps() : kMostClearSteps;
  const uint64_t from = whole ? 0 : std::min<uint64_t>(request.cursor, index_.steps());
  uint64_t removed = 0;
  bool all = true;
  uint32_t i = index_.first_occupied(static_cast<uint32_t>(from));
  for (uint32_t looked = 0; i < index_.steps() && removed < most_keys && looked < most_steps;
       i = index_.first_occupied(i + 1), ++looked) {
    if (i + kAhead < index_.steps()) index_.visit(i + kAhead, fetch);
    index_.visit(i, [&](Index::Place place, wire::Slot) {
      until_applied(out, [&] {
        const Found found = look_at(place);
        if (!found) return Applied::kDone;  // lost, and removed thereby
        return remove(found, found.view.key, hash_of(found.view.key));
      });
      const bool done = out.reply.status == ReplyStatus::kOk;
      removed += done ? 1 : 0;
      all &= done;
    });
  }
  out.reply.number = removed;
  out.reply.cursor = i < index_.steps() ? i : 0;
  out.reply.status = all ? ReplyStatus::kOk : ReplyStatus::kTooMany;
}

}  // namespace rdmakv::server
