// What changes a partition: put, delete, expire, clear, uploads, and apply(), through which all
// pass.
#include <cassert>
#include <cstring>

#include "rdmakv/server/entry.h"
#include "rdmakv/server/partition.h"

namespace rdmakv::server {

using wire::Condition;
using wire::ReplyStatus;

namespace {

ReplyStatus check(const wire::RequestHeader& request, uint64_t version) {
  switch (request.condition) {
    case Condition::kIfAbsent:
      return version == 0 ? ReplyStatus::kOk : ReplyStatus::kConditionNotMet;
    case Condition::kIfPresent:
      return version != 0 ? ReplyStatus::kOk : ReplyStatus::kConditionNotMet;
    case Condition::kIfVersion:
      return version == request.version ? ReplyStatus::kOk : ReplyStatus::kVersionMismatch;
    default:
      return ReplyStatus::kOk;
  }
}

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
    default:
      return true;
  }
}

}  // namespace

// The order of these stores is what one-sided readers rely on (DESIGN "Update by the server"): the
// new entry is complete and live before the old one names it, the old one is dead before the slot
// leaves it, and both before any reply. There is no way out between them.
void Partition::apply(const Change& change) {
  step(Step::kBuilt);
  ++counters_.changes;
  if (change.fresh) mark_live(slab_.at(change.fresh.offset), change.generation, false);
  step(Step::kLive);
  if (change.old) {
    const bool cas_class = load_first_word(change.old.extent).cas_class;
    mark_dead(change.old.extent, cas_class, change.generation, change.fresh.offset);
  }
  step(Step::kDead);
  if (!change.fresh) {
    index_.remove(change.place);
    version_floor_ = std::max(version_floor_, change.old.view.version);
  } else {
    wire::Slot slot;
    slot.offset = change.fresh.offset;
    slot.generation_low = change.generation & 0xfff;
    slot.size_class = change.fresh.size_class;
    if (change.old) {
      index_.replace(change.place, slot);
    } else {
      index_.insert(change.place, change.hash, slot);
    }
    if (change.expiry_ms != 0) expiry_.added(change.expiry_ms);
  }
  step(Step::kFlipped);
  if (change.old) {
    if (change.old.view.expiry_ms != 0) expiry_.removed();
    slab_.free(change.old.offset);
  }
}

void Partition::remove(const Found& found, std::string_view key, uint64_t hash) {
  Change change;
  change.key = key;
  change.hash = hash;
  change.old = found;
  change.place = found.place;
  apply(change);
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

void Partition::put(const Request& request, std::string_view key, Value value,
                    Uploads::Upload* upload, Session& session, Outcome& out) {
  if (value.size() > wire::kMaxValueBytes) {
    out.reply.status = ReplyStatus::kTooLarge;
    return;
  }
  const bool keep = (request.flags & wire::kKeepExpiry) != 0;
  if (keep && request.expiry_ms != 0) {
    out.reply.status = ReplyStatus::kBadRequest;
    return;
  }
  Change change;
  change.key = key;
  change.hash = wire::hash_key(key);
  change.old = look_up(key, change.hash);
  const Found& old = change.old;
  describe(old, out);
  const bool want_previous = (request.flags & wire::kWantPrevious) != 0;
  if (want_previous && old && !attach_value(old, session, true, out)) return;
  out.reply.status = check(request, old.version());
  if (out.reply.status != ReplyStatus::kOk) return;

  change.expiry_ms = keep ? old.expiry_ms() : request.expiry_ms;
  if (!keep && change.expiry_ms != 0 && change.expiry_ms <= now_ms_) {
    if (old) remove(old, key, change.hash);
    describe({}, out);
    return;
  }
  store(request, change, value, upload, session, out);
  if (out.reply.status != ReplyStatus::kOk) drop_value(out);
}

// The rest of put(): the conditions are met, and the key is to have a new entry.
void Partition::store(const Request&, Change& change, Value value, Uploads::Upload* upload,
                      Session& session, Outcome& out) {
  change.place = change.old ? change.old.place : index_.vacancy(change.hash);
  if (!change.place) {
    ++counters_.no_space;
    out.reply.status = ReplyStatus::kNoSpace;
    return;
  }
  change.version = change.old ? change.old.view.version + 1 : version_floor_ + 1;
  wire::EntryFields fields;
  fields.version = change.version;
  fields.expiry_ms = change.expiry_ms;
  if (upload == nullptr) {
    fields.expiry_field = change.expiry_ms != 0;
    change.fresh =
        allocate(wire::entry_bytes(change.key.size(), value.size(), fields.expiry_field), out);
    if (!change.fresh) return;
    fields.generation = slab_.generation();
    wire::write_entry(slab_.at(change.fresh.offset), fields, change.key, value);
  } else {
    // The value lies in its place already, behind an expiry field, used or not.
    fields.expiry_field = true;
    fields.generation = slab_.generation();
    const uint64_t hash = session.uploads.value_hash(*upload);
    const uint32_t total = upload->total;
    change.fresh = session.uploads.take(*upload);
    wire::write_entry_around(slab_.at(change.fresh.offset), fields, change.key, total, hash);
  }
  change.generation = fields.generation;
  apply(change);
  out.reply.version = change.version;
  out.reply.expiry_ms = change.expiry_ms;
  out.reply.location = wire::Location{change.fresh.offset, 0}.encode();
  out.reply.generation = change.generation;
}

void Partition::erase(const Request& request, std::string_view key, Session& session,
                      Outcome& out) {
  const uint64_t hash = wire::hash_key(key);
  const Found found = look_up(key, hash);
  if (!found) {
    out.reply.status = ReplyStatus::kNotFound;
    return;
  }
  describe(found, out);
  const bool want_previous = (request.flags & wire::kWantPrevious) != 0;
  if (want_previous && !attach_value(found, session, true, out)) return;
  out.reply.status = check(request, found.version());
  if (out.reply.status != ReplyStatus::kOk) return;
  remove(found, key, hash);
  describe({}, out);
}

void Partition::expire(const Request& request, std::string_view key, Outcome& out) {
  const int64_t wanted = request.expiry_ms;
  if (wanted == 0 && request.condition > Condition::kIfVersion) {
    out.reply.status = ReplyStatus::kBadRequest;
    return;
  }
  Change change;
  change.key = key;
  change.hash = wire::hash_key(key);
  change.old = look_up(key, change.hash);
  if (!change.old) {
    out.reply.status = ReplyStatus::kNotFound;
    return;
  }
  const Found& old = change.old;
  describe(old, out);
  out.reply.status = check(request, old.version());
  if (out.reply.status != ReplyStatus::kOk) return;
  const int64_t current = old.view.expiry_ms;
  if ((wanted == 0 && current == 0) || !expiry_condition_met(request.condition, current, wanted)) {
    out.reply.status = ReplyStatus::kConditionNotMet;
    return;
  }
  if (wanted == current) return;  // nothing changes, the version neither
  if (wanted != 0 && wanted <= now_ms_) {
    remove(old, key, change.hash);
    describe({}, out);
    return;
  }
  // An entry is immutable: one with another expiry is another entry.
  change.place = old.place;
  change.version = old.view.version + 1;
  change.expiry_ms = wanted;
  wire::EntryFields fields;
  fields.version = change.version;
  fields.expiry_ms = wanted;
  fields.expiry_field = wanted != 0;
  change.fresh =
      allocate(wire::entry_bytes(key.size(), old.view.value.size(), fields.expiry_field), out);
  if (!change.fresh) return;
  fields.generation = slab_.generation();
  wire::write_entry(slab_.at(change.fresh.offset), fields, key, old.view.value);
  change.generation = fields.generation;
  apply(change);
  out.reply.version = change.version;
  out.reply.expiry_ms = wanted;
  out.reply.location = wire::Location{change.fresh.offset, 0}.encode();
  out.reply.generation = change.generation;
}

void Partition::clear(Outcome& out) {
  for (uint32_t i = 0; i < index_.steps() && index_.size() > 0; ++i) {
    index_.visit(i, [&](Index::Place place, wire::Slot) {
      const Found found = look_at(place);
      remove(found, found.view.key, wire::hash_key(found.view.key));
      ++out.reply.number;
    });
  }
}

void Partition::begin_upload(const Request& request, std::string_view key, Session& session,
                             Outcome& out) {
  if (session.uploads.full()) {
    out.reply.status = ReplyStatus::kTooMany;
    return;
  }
  if (request.total > wire::kMaxValueBytes) {
    out.reply.status = ReplyStatus::kTooLarge;
    return;
  }
  const Extent extent = allocate(wire::entry_bytes(key.size(), request.total, true), out);
  if (!extent) return;
  out.reply.ticket = session.uploads.begin(extent, key, static_cast<uint32_t>(request.total));
}

void Partition::append_upload(const Request& request, Value chunk, Session& session, Outcome& out) {
  Uploads::Upload* upload = session.uploads.find(request.ticket);
  if (upload == nullptr) {
    out.reply.status = ReplyStatus::kNoSuchTicket;
    return;
  }
  if (chunk.size() > wire::kMaxChunk || request.offset != upload->received ||
      chunk.size() > upload->total - upload->received) {
    out.reply.status = ReplyStatus::kBadRequest;
    return;
  }
  session.uploads.append(*upload, chunk);
}

// Ends the upload whatever comes of it.
void Partition::commit_upload(const Request& request, std::string_view key, Session& session,
                              Outcome& out) {
  Uploads::Upload* upload = session.uploads.find(request.ticket);
  if (upload == nullptr) {
    out.reply.status = ReplyStatus::kNoSuchTicket;
    return;
  }
  if (upload->received != upload->total || (!key.empty() && key != upload->key)) {
    out.reply.status = ReplyStatus::kBadRequest;
  } else {
    const uint32_t key_length = upload->key_length;
    if (key_length > 0) std::memcpy(key_.get(), upload->key.data(), key_length);
    put(request, {key_.get(), key_length}, {}, upload, session, out);
  }
  upload = session.uploads.find(request.ticket);
  if (upload != nullptr) session.uploads.abort(*upload);
}

void Partition::abort_upload(const Request& request, Session& session, Outcome& out) {
  Uploads::Upload* upload = session.uploads.find(request.ticket);
  if (upload == nullptr) {
    out.reply.status = ReplyStatus::kNoSuchTicket;
    return;
  }
  session.uploads.abort(*upload);
}

}  // namespace rdmakv::server
