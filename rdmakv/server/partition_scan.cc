// What keys there are (kScan, kRandomKey), and a key's entry under another name (kCopy, kRename).
//
// A scan's cursor is a place in the index: 8 * step + slot, the stash behind the buckets. The index
// never grows, and neither a slot nor a place in the stash moves to another place while its key
// lives, whatever becomes of the key's value and expiry. So a key that is there from the first
// request of a scan to the last is met exactly once, when the scan passes its place; one that comes
// or goes meanwhile is met at most once for each time that it came. That is Redis's guarantee, and
// more. Nothing is kept between the requests of a scan.
//
// Patterns are matched by who asks: the worker's one thread serves everybody, and the time that a
// pattern takes is its author's choice.
#include <algorithm>
#include <cstring>
#include <utility>

#include "protocol/kv_hash.h"
#include "rdmakv/server/entry.h"
#include "rdmakv/server/partition.h"

namespace rdmakv::server {

using wire::ReplyStatus;

namespace {

constexpr uint64_t kSlots = wire::kSlotsPerBucket;
// Index that one request looks at: 64 KB, where there are keys at all.
constexpr uint32_t kMostScanSteps = 1024;
// Expired keys that kRandomKey finds and removes before it gives up.
constexpr int kRandomAttempts = 64;

// splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
uint64_t next_random(uint64_t& state) {
  uint64_t z = (state += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

uint64_t position(Index::Place place, uint32_t step) {
  const uint32_t slot = place.slot == Index::Place::kStash ? place.node % kSlots : place.slot;
  return step * kSlots + slot;
}

}  // namespace

void Partition::scan(const Request& request, Session& session, Outcome& out) {
  if (request.wanted == 0) {
    out.reply.status = ReplyStatus::kBadRequest;
    return;
  }
  // Within a transaction all that is asked for is there at once, and there is room for it.
  const std::span<std::byte> room =
      transacting_ ? reply_room_ : std::span<std::byte>(scanned_.get(), session.inline_limit);
  const uint32_t most_steps = transacting_ ? index_.steps() : kMostScanSteps;
  size_t used = 0;
  uint64_t taken = 0;
  uint64_t next = 0;  // where the first key is that was not taken
  const auto first_step =
      static_cast<uint32_t>(std::min<uint64_t>(request.cursor / kSlots, index_.steps()));
  uint32_t step = index_.first_occupied(first_step);
  for (uint32_t looked = 0; next == 0 && step < index_.steps();
       step = index_.first_occupied(step + 1), ++looked) {
    if (looked == most_steps || taken >= request.wanted) {
      next = step * kSlots;
      break;
    }
    index_.visit(step, [&](Index::Place place, wire::Slot) {
      const uint64_t at = position(place, step);
      if (next != 0 || at < request.cursor) return;
      const Found found = look_at(place);
      if (!found || has_expired(found.view.expiry_ms, now_ms_)) return;
      const std::string_view key = found.view.key;
      const auto length = static_cast<uint32_t>(key.size());
      if (room.size() - used < sizeof(length) + key.size()) {
        next = at;
        if (used > 0) return;
        if (attach_key(found, session, out)) next = at + 1;
        return;
      }
      std::memcpy(&room[used], &length, sizeof(length));
      used += sizeof(length);
      if (!key.empty()) std::memcpy(room.data() + used, key.data(), key.size());
      used += key.size();
      ++taken;
    });
  }
  if (next != 0 && next / kSlots >= index_.steps()) next = 0;  // behind a long key, the last one
  out.reply.cursor = next;
  if (out.has_value || out.reply.status != ReplyStatus::kOk) return;
  out.has_value = true;
  out.value = room.first(used);
}

// How long the value is that scan() makes within a transaction.
uint64_t Partition::scanned_bytes(const Request& request) {
  uint64_t bytes = 0;
  uint64_t taken = 0;
  const auto first_step =
      static_cast<uint32_t>(std::min<uint64_t>(request.cursor / kSlots, index_.steps()));
  for (uint32_t step = index_.first_occupied(first_step);
       step < index_.steps() && taken < request.wanted; step = index_.first_occupied(step + 1)) {
    index_.visit(step, [&](Index::Place place, wire::Slot) {
      if (position(place, step) < request.cursor) return;
      const Found found = look_at(place);
      if (!found || has_expired(found.view.expiry_ms, now_ms_)) return;
      bytes += sizeof(uint32_t) + found.view.key.size();
      ++taken;
    });
  }
  return bytes;
}

// The reply's value is the key of `found`, copied if it is short, else in place and pinned (but
// within a transaction it is copied at once).
bool Partition::attach_key(const Found& found, const Session& session, Outcome& out) {
  const std::string_view key = found.view.key;
  const bool in_place = key.size() > session.inline_limit;
  const bool pinned = in_place && !transacting_;
  if (pinned && (session.pins.full() || !slab_.pin(found.offset))) {
    out.reply.status = ReplyStatus::kTooMany;
    return false;
  }
  out.has_value = true;
  out.reply.flags = wire::kOneKey;
  out.generation = found.generation;
  if (in_place) {
    out.value = std::as_bytes(std::span(key));
    out.extent = found.offset;
    out.pinned = pinned;
  } else {
    if (!key.empty()) std::memcpy(scanned_.get(), key.data(), key.size());
    out.value = {scanned_.get(), key.size()};
  }
  return true;
}

void Partition::random_key(Session& session, Outcome& out) {
  for (int i = 0; i < kRandomAttempts && index_.size() > 0; ++i) {
    const Found found = look_at(index_.nth(next_random(random_) % index_.size()));
    if (!found) continue;  // lost, and removed thereby
    if (has_expired(found.view.expiry_ms, now_ms_)) {
      ++counters_.expired;
      remove(found, found.view.key, hash_of(found.view.key));
      continue;
    }
    attach_key(found, session, out);
    out.reply.cursor = index_.size();
    return;
  }
  out.reply.status = ReplyStatus::kNotFound;
  out.reply.cursor = index_.size();
}

// ---- one entry, two names ----------------------------------------------------------------------

// Both keys leave the cas class first, as in a transaction: from then on only this thread can
// change them, so what was read is still there when its copy is stored.
void Partition::copy(const Request& request, std::string_view key, Value to, Outcome& out) {
  if (!to.empty()) std::memcpy(other_key_.get(), to.data(), to.size());
  Change change;
  change.key = {other_key_.get(), to.size()};
  change.hash = hash_of(change.key);
  if (!owns(change.key) || change.key == key) {
    out.reply.status = change.key == key ? ReplyStatus::kBadRequest : ReplyStatus::kWrongWorker;
    return;
  }
  if (!settle_key(change.key, out) || !settle_key(key, out)) return;
  change.old = look_up(change.key, change.hash);
  const Found source = look_up(key, hash_of(key));
  out.reply.version = change.old.version();
  out.reply.expiry_ms = change.old.expiry_ms();
  out.reply.status = source ? check(request, change.old.version()) : ReplyStatus::kNotFound;
  if (out.reply.status != ReplyStatus::kOk) return;
  change.expiry_ms = source.expiry_ms();
  change.user_flags = source.user_flags();
  if (request.opcode == wire::Opcode::kRename) {
    rename(source, key, change, out);
  } else {
    store(change, source.view.value, nullptr, false, out);
  }
  discard(change.fresh);
  // The reply is about `to`, but whoever asked goes by `key`: no location, that could be mistaken.
  out.reply.location = 0;
  out.reply.generation = 0;
  out.reply.flags = 0;
}

// A transaction of a PUT and a DELETE, or a part of one: whoever READs sees both or none.
void Partition::rename(const Found& source, std::string_view key, Change& change, Outcome& out) {
  const std::string_view to = change.key;
  const bool alone = !std::exchange(transacting_, true);
  if (alone) {
    hide_key(key);
    hide_key(to);
  }
  store(change, source.view.value, nullptr, false, out);
  if (out.reply.status == ReplyStatus::kOk) remove(source, key, hash_of(key));
  if (!alone) return;
  transacting_ = false;
  show_key(to);
  show_key(key);
  index_.release(hash_of(to));
  index_.release(hash_of(key));
}

}  // namespace rdmakv::server
