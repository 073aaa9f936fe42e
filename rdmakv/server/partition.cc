#include "rdmakv/server/partition.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "protocol/kv_opcode.h"
#include "rdmakv/server/entry.h"
#include "rdmakv/transport/authentication.h"

namespace rdmakv::server {

using wire::Opcode;

namespace {

// Keys that find both their buckets full. The first is met at 0.64 of a large index; with one in 32
// the index takes 0.98 of its slots before it refuses a key.
constexpr uint32_t kSlotsPerStashSlot = 32;
constexpr uint32_t kStatsReserve = 8192;

}  // namespace

bool Partition::makes_sense(const Request& request, size_t key_bytes, size_t value_bytes) {
  const Opcode opcode = request.opcode;
  const wire::OpcodeRow& row = wire::row_of(opcode);
  const bool may_have_key = wire::is(opcode, wire::opcode::kOwnKey | wire::opcode::kNamesKey);
  const bool names_two_keys = opcode == Opcode::kCopy || opcode == Opcode::kRename;
  if (names_two_keys && value_bytes > wire::kMaxKeyBytes) return false;
  if (key_bytes > (may_have_key ? wire::kMaxKeyBytes : 0)) return false;
  if (value_bytes > 0 && !wire::is(opcode, wire::opcode::kValue)) return false;
  return wire::takes_condition(opcode, request.condition) && (request.flags & ~row.flags) == 0;
}

uint64_t index_bytes(uint64_t memory) {
  return memory / 12 / 4096 * 4096;
}

Partition::Partition(const PartitionOptions& options)
    : options_(options),
      slab_(options.pool, options.most_pins),
      cas_(options.cas == nullptr
               ? nullptr
               : std::make_unique<CasPool>(*options.cas, *options.grants,
                                           options.pool.size() / wire::kExtentUnit, options.seed)),
      entries_(options.pool.data(), cas_.get()),
      index_(options.index, entries_,
             static_cast<uint32_t>(options.index.size() / sizeof(uint64_t) / kSlotsPerStashSlot)),
      removals_(random_u64()),
      key_(std::make_unique<char[]>(wire::kMaxKeyBytes)),
      transaction_(std::make_unique_for_overwrite<std::byte[]>(wire::kMaxChunk)),
      small_reply_(std::make_unique_for_overwrite<std::byte[]>(wire::kLargeValue)),
      results_(std::make_unique_for_overwrite<std::byte[]>(wire::kLargeValue)),
      other_key_(std::make_unique<char[]>(wire::kMaxKeyBytes)),
      scanned_(std::make_unique<std::byte[]>(wire::kLargeValue)),
      random_(random_u64()),
      puts_(std::make_unique_for_overwrite<std::byte[]>(wire::kMostPutsBytes)) {
  stats_text_.reserve(kStatsReserve);
  if (options.reading != nullptr) slab_.set_marks(*options.reading, options.most_marks);
  begin_batch(options_.clock->steady_ns());
}

void Partition::begin_batch(uint64_t now_ns) {
  slab_.tell_time(now_ns);
  now_ms_ = options_.clock->wall_ms();
  waited_ = false;
}

void Partition::end_batch(uint64_t now_ns) {
  slab_.begin(now_ns);
  if (cas_ != nullptr) cas_->begin(now_ns);
}

bool Partition::owns(std::string_view key) const {
  return options_.workers == 1 ||
         wire::worker_of_slot(wire::hash_slot(key), options_.workers) == options_.worker;
}

Outcome Partition::execute(const Request& request, std::string_view key, Value value,
                           Session& session) {
  Outcome out;
  out.reply.id = request.id;
  if (!makes_sense(request, key.size(), value.size())) {
    out.reply.status = ReplyStatus::kBadRequest;
    return out;
  }
  ++counters_.requests[static_cast<size_t>(request.opcode)];
  stuck_ = false;
  if (wire::is(request.opcode, wire::opcode::kTakesExtents) && wants_tending())
    tend(kRelocationsPerRequest);
  key = own_key(key);
  if (wire::is(request.opcode, wire::opcode::kOwnKey) && !owns(key)) {
    out.reply.status = ReplyStatus::kWrongWorker;
    return out;
  }
  run(request, key, value, session, out);
  return out;
}

void Partition::run(const Request& request, std::string_view key, Value value, Session& session,
                    Outcome& out) {
  switch (request.opcode) {
    case Opcode::kGet:
    case Opcode::kInspect:
      get(request, key, session, out);
      break;
    case Opcode::kPut:
      put(request, key, value, session, out);
      break;
    case Opcode::kDelete:
      erase(request, key, session, out);
      break;
    case Opcode::kExpire:
      expire(request, key, session, out);
      break;
    case Opcode::kCount:
      out.reply.number = index_.size();
      break;
    case Opcode::kClear:
      clear(request, out);
      break;
    case Opcode::kRelease:
      release(request, session, out);
      break;
    case Opcode::kUploadBegin:
      begin_upload(request, key, session, out);
      break;
    case Opcode::kUploadChunk:
      append_upload(request, value, session, out);
      break;
    case Opcode::kUploadCommit:
      commit_upload(request, key, session, out);
      break;
    case Opcode::kUploadAbort:
      abort_upload(request, session, out);
      break;
    case Opcode::kPing:
      break;
    case Opcode::kStats:
      stats(out);
      break;
    case Opcode::kGrants:
      grants(request, value, session, out);
      break;
    case Opcode::kTransaction:
      transact(request, key, value, session, out);
      break;
    case Opcode::kModify:
      modify(request, key, value, session, out);
      break;
    case Opcode::kEvaluate:
      evaluate_function(request, key, value, session, out);
      break;
    case Opcode::kScan:
      scan(request, session, out);
      break;
    case Opcode::kRandomKey:
      random_key(session, out);
      break;
    case Opcode::kCopy:
    case Opcode::kRename:
      copy(request, key, value, out);
      break;
    case Opcode::kCombine:
      combine(key, value, out);
      break;
    case Opcode::kPuts:
      puts(value, session, out);
      break;
    case Opcode::kGets:
      gets(request, value, session, out);
      break;
  }
}

// Nothing when the slot's key was lost (lose()).
Partition::Found Partition::look_at(Index::Place place) {
  const uint64_t offset = index_.offset_at(place);
  if (entries_.in_cas(offset)) return walk(place, offset, 0, found_);
  Found found;
  found.place = place;
  found.offset = offset;
  found.extent = slab_.at(found.offset);
  found.generation = load_first_word(found.extent).generation;
  found.view = wire::view_entry(found.extent);
  return found;
}

// An expired key is removed, and not found. (None of the cas class expires, so no client can be
// first.)
Partition::Found Partition::look_up(std::string_view key, uint64_t hash, Index::Place likely) {
  const Index::Place place = index_.find(hash, key, likely);
  Found found = place ? look_at(place) : Found{};
  if (has_expired(found.expiry_ms(), now_ms_)) {
    ++counters_.expired;
    remove(found, key, hash);
    found = {};
  } else if (found.cas_class && found.view.key != key) {
    found = {};  // put there this moment, by a client
  }
  return found;
}

void Partition::describe(const Found& found, Outcome& out) {
  out.reply.version = found.version();
  out.reply.expiry_ms = found.expiry_ms();
  out.reply.location = found.offset;
  out.reply.generation = found.generation;
  out.reply.user_flags = found.user_flags();
  out.reply.flags = 0;
  if (found && found.view.expiry_field) out.reply.flags |= wire::kExpiryField;
  if (found.cas_class) out.reply.flags |= wire::kCasClass;
}

// False: too many are pinned, and the reply says so.
bool Partition::attach_value(const Found& found, const Session& session, bool needs_ticket,
                             Outcome& out) {
  out.has_value = true;
  out.value = found.view.value;
  out.generation = found.generation;
  if (found.cas_class) {  // a private copy, which always goes inside a reply
    assert(found.view.value.size() <= session.inline_limit);
    return true;
  }
  // What a transaction's command finds is copied at once.
  if (found.view.value.size() > session.inline_limit && !transacting_) {
    if ((needs_ticket && session.pins.full()) || !slab_.pin(found.offset)) {
      out.reply.status = ReplyStatus::kTooMany;
      drop_value(out);
      return false;
    }
    out.pinned = true;
  }
  out.extent = found.offset;
  return true;
}

void Partition::drop_value(Outcome& out) {
  if (out.pinned) slab_.unpin(out.extent);
  out.has_value = false;
  out.pinned = false;
  out.value = {};
  out.extent = 0;
}

[[gnu::flatten]] void Partition::get(const Request& request, std::string_view key, Session& session,
                                     Outcome& out) {
  const Found found = look_up(key, hash_of(key));
  if (!found) {
    ++counters_.misses;
    out.reply.status = ReplyStatus::kNotFound;
    if (request.opcode == Opcode::kInspect) out.reply.number = removals_.of(hash_of(key));
    return;
  }
  ++counters_.hits;
  describe(found, out);
  if (request.opcode == Opcode::kGet) {
    attach_value(found, session, false, out);
  } else {
    out.reply.value_length = static_cast<uint32_t>(found.view.value.size());
  }
}

void Partition::release(const Request& request, Session& session, Outcome& out) {
  if (!session.pins.release(request.ticket)) out.reply.status = ReplyStatus::kNoSuchTicket;
}

void Partition::sweep(uint32_t steps) {
  for (uint32_t i = 0; i < steps && expiry_.due(now_ms_); ++i) {
    const uint32_t next =
        expiry_.next(index_.steps(), [this](uint32_t from) { return index_.first_occupied(from); });
    index_.visit(next, [this](Index::Place place, wire::Slot slot) {
      if (slot.size_class == wire::kCasSizeClass) return;  // none of these expires
      const Found found = look_at(place);
      if (found.view.expiry_ms == 0) return;
      if (!has_expired(found.view.expiry_ms, now_ms_)) {
        expiry_.seen(found.view.expiry_ms);
        return;
      }
      ++counters_.expired;
      remove(found, found.view.key, hash_of(found.view.key));
    });
    expiry_.done();
  }
}

uint64_t Partition::max_value_bytes() const {
  const uint64_t around = wire::entry_bytes(wire::kMaxKeyBytes, 0, true);
  const uint64_t largest = slab_.largest_bytes();
  return largest <= around ? 0 : std::min<uint64_t>(largest - around, wire::kMaxValueBytes);
}

uint64_t Partition::private_bytes() const {
  return slab_.private_bytes() + index_.private_bytes() + uint64_t{2} * wire::kMaxKeyBytes +
         kStatsReserve + wire::kMaxChunk + 3 * uint64_t{wire::kLargeValue} + wire::kMostPutsBytes +
         RemovalCounts::kBytes + (cas_ == nullptr ? 0 : cas_->private_bytes());
}

bool Partition::consistent(uint64_t held) {
  if (!index_.consistent() || !slab_.consistent()) return false;
  uint64_t in_cas = 0;
  if (cas_ != nullptr) {
    if (!cas_->consistent()) return false;
    bool linked = true;
    for (uint32_t i = 0; i < index_.steps(); ++i) {
      index_.visit(i, [&](Index::Place, wire::Slot slot) {
        if (!entries_.in_cas(slot.offset)) return;
        ++in_cas;
        linked &= cas_->state(slot.offset) == CasPool::State::kLinked;
      });
    }
    const CasAccounting& cas = cas_->accounting(CasPool::Part::kCas);
    const CasAccounting& grants = cas_->accounting(CasPool::Part::kGrants);
    if (!linked || in_cas != uint64_t{cas.linked} + grants.linked || cas.building != 0) {
      return false;
    }
  }
  return slab_.accounting().live_extents == index_.size() - in_cas + held;
}

}  // namespace rdmakv::server
