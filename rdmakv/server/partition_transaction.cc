// Several requests in one step (protocol/kv_transaction.h). One thread executes them, so no other
// request comes in between. But clients look at memory, and change entries of the cas class,
// without asking; from them too it must be one step:
//
//   settle    every key involved leaves the cas class. From here on nobody but this thread can
//             change any of them.
//   check     the preconditions. One not met: nothing has happened.
//   hide      the keys to be changed: their entries become dead without a successor, and their
//             buckets say that a miss proves nothing. Whoever looks now asks the server, which
//             answers after the last step.
//   execute   new entries are built, linked, and hidden like the old ones
//   show      what the slots lead to now becomes live
//
// All changes take place at one moment between the last key's hiding and the first one's showing:
// what a reader found in memory before is from before that moment, and what it finds there
// afterwards is from after it; nothing that was changed can be found in between. Entries that the
// commands leave alone come back as they were, under their generation.
//
// kClear hides no entries beforehand: it only removes, so it is enough that no bucket says that a
// key is missing before the end. The moment is then that of the last removal. (Entries of the cas
// class that no command names are removed by ATOMIC, each after what clients did to it.)
#include <algorithm>
#include <cassert>
#include <cstring>

#include "protocol/kv_hash.h"
#include "protocol/kv_transaction.h"
#include "protocol/rules.h"
#include "rdmakv/server/entry.h"
#include "rdmakv/server/partition.h"

namespace rdmakv::server {

using wire::for_each_key;
using wire::for_each_request;
using wire::Opcode;
using wire::ReplyStatus;

namespace {

constexpr uint64_t kMostReplyBytes = wire::kMaxValueBytes;

// A precondition that makes sense.
bool is_sound(const wire::RequestView& precondition) {
  const wire::Condition condition = precondition.header.condition;
  return (condition <= wire::Condition::kIfVersion ||
          condition == wire::Condition::kIfStillAbsent) &&
         precondition.header.flags == 0 && precondition.value.empty();
}

// The words of an entry in the pool, linked by this thread.
void hide_entry(std::byte* extent) {
  mark_hidden(extent, load_first_word(extent).generation);
}

void show_entry(std::byte* extent) {
  const wire::FirstWord word = load_first_word(extent);
  if (!word.live) mark_live(extent, word.generation);
}

}  // namespace

void Partition::transact(const Request& request, std::string_view key, Value value,
                         Session& session, Outcome& out) {
  const auto key_length = static_cast<uint32_t>(key.size());
  if (request.ticket != 0) return transact_uploaded(request, key_length, session, out);
  if (value.size() > wire::kMaxChunk) {
    out.reply.status = ReplyStatus::kTooLarge;
    return;
  }
  // A peer may be able to change the message, which is read several times.
  if (!value.empty()) std::memcpy(transaction_.get(), value.data(), value.size());
  run_transaction({transaction_.get(), value.size()}, key_length, session, out);
}

// The message lies in the extent that was to become an entry. No client can write there.
void Partition::transact_uploaded(const Request& request, uint32_t key_length, Session& session,
                                  Outcome& out) {
  Uploads::Upload* upload = session.uploads.find(request.ticket);
  if (upload == nullptr) {
    out.reply.status = ReplyStatus::kNoSuchTicket;
    return;
  }
  if (upload->received != upload->total) {
    out.reply.status = ReplyStatus::kBadRequest;
  } else {
    const std::byte* at = slab_.at(upload->extent.offset);
    run_transaction({at + wire::entry_value_offset(upload->key_length, true), upload->total},
                    key_length, session, out);
  }
  session.uploads.abort(*upload);
}

void Partition::run_transaction(Value message, uint32_t key_length, Session& session,
                                Outcome& out) {
  uint32_t commands = 0;
  out.reply.status = check_transaction(message, false, commands);
  if (out.reply.status != ReplyStatus::kOk) return;
  if (session.pins.full()) {  // a reply that is too long for the landing buffer takes one
    out.reply.status = ReplyStatus::kTooMany;
    return;
  }
  if (!settle(message, out) || !preconditions_met(message, out)) return;
  ReplySpace space;
  space.data = small_reply_.get();
  space.capacity = std::min<uint64_t>(session.inline_limit, wire::kLargeValue);
  space.used = sizeof(wire::MessageHeader);
  space.headers = uint64_t{commands} * sizeof(wire::ReplyHeader);
  if (!grow(space, 0, key_length, out)) return;

  hide(message);
  step(Step::kHidden);
  transacting_ = true;
  for_each_request(message, [&](const wire::RequestView& request) {
    if (!is_precondition(request.header)) run_command(request, key_length, space, session);
    return true;
  });
  transacting_ = false;
  step(Step::kExecuted);
  show(message);
  step(Step::kShown);

  out.has_value = true;
  if (commands == 0) return;
  wire::MessageHeader header;
  header.kind = wire::MessageKind::kReplies;
  header.count = space.count;
  header.clock_ms = static_cast<uint64_t>(now_ms_);
  std::memcpy(space.data, &header, sizeof(header));
  out.value = {space.data, space.used};
  if (!space.extent) return;
  out.extent = space.extent.offset;
  out.pinned = true;
  slab_.free(space.extent.offset);  // as soon as nobody needs it
}

// Whether all of it can be executed here at all.
ReplyStatus Partition::check_transaction(Value message, bool nested, uint32_t& commands) const {
  auto status = ReplyStatus::kBadRequest;
  const bool sound = for_each_request(message, [&](const wire::RequestView& request) {
    const wire::RequestHeader& header = request.header;
    if (is_precondition(header)) {
      if (commands > 0 || !is_sound(request)) return false;
    } else {
      ++commands;
      if (nested ? !may_be_nested(header) : !may_be_in_transaction(header.opcode)) return false;
      if (header.ticket != 0 || !makes_sense(header, request.key.size(), request.value.size())) {
        return false;
      }
    }
    if (header.opcode == Opcode::kTransaction) {
      uint32_t inner = 0;
      const ReplyStatus checked = check_transaction(request.value, true, inner);
      if (checked != ReplyStatus::kOk) status = checked;
      return checked == ReplyStatus::kOk;
    }
    bool all_here = true;
    const bool read = for_each_key(request, [&](std::string_view key, bool) {
      all_here &= owns(key);
      return key.size() <= wire::kMaxKeyBytes;
    });
    if (read && !all_here) status = ReplyStatus::kWrongWorker;
    return read && all_here;
  });
  return sound ? ReplyStatus::kOk : status;
}

// No key involved is of the cas class any more. False: it cannot be done; nothing has changed that
// anybody could notice.
bool Partition::settle(Value message, Outcome& out) {
  if (cas_ == nullptr) return true;
  return for_each_request(message, [&](const wire::RequestView& request) {
    return for_each_key(request, [&](std::string_view key, bool) { return settle_key(key, out); });
  });
}

bool Partition::settle_key(std::string_view key, Outcome& out) {
  if (cas_ == nullptr) return true;
  Change change;
  change.key = key;
  change.hash = hash_of(key);
  until_applied(out, [&] { return try_settle(change, out); });
  discard(change.fresh);
  return out.reply.status == ReplyStatus::kOk;
}

Partition::Applied Partition::try_settle(Change& change, Outcome& out) {
  change.old = look_up(change.key, change.hash);
  if (!change.old.cas_class) return Applied::kDone;
  const wire::EntryView& view = change.old.view;
  const uint64_t bytes = wire::entry_bytes(view.key.size(), view.value.size(), false);
  if (!reserve(change, bytes, false, out)) return Applied::kDone;
  return relocate(change);
}

bool Partition::preconditions_met(Value message, Outcome& out) {
  uint64_t number = 0;
  return for_each_request(message, [&](const wire::RequestView& request) {
    if (!is_precondition(request.header)) return true;
    const uint64_t hash = hash_of(request.key);
    const uint64_t version = look_up(request.key, hash).version();
    out.reply.status = check(request.header, version);
    if (request.header.condition == wire::Condition::kIfStillAbsent &&
        (version != 0 || removals_.of(hash) != request.header.version)) {
      out.reply.status = ReplyStatus::kVersionMismatch;
    }
    if (out.reply.status == ReplyStatus::kOk) {
      ++number;
      return true;
    }
    out.reply.version = version;
    out.reply.number = number;
    return false;
  });
}

void Partition::hide(Value message) {
  if (!holds(Rule::kOneStep)) return;
  for_each_request(message, [&](const wire::RequestView& request) {
    if (request.header.opcode == Opcode::kClear) index_.hold_all();
    return for_each_key(request, [&](std::string_view key, bool changes) {
      changes ? hide_key(key) : index_.hold(hash_of(key));
      return true;
    });
  });
}

void Partition::hide_key(std::string_view key) {
  const uint64_t hash = hash_of(key);
  index_.hold(hash);
  const Found found = look_up(key, hash);
  if (found) hide_entry(found.extent);
  step(Step::kHidden);
}

void Partition::show_key(std::string_view key) {
  const Index::Place place = index_.find(hash_of(key), key);
  if (place) show_entry(slab_.at(index_.at(place).offset));
  step(Step::kShown);
}

// Every key is shown before the first bucket is released: where a key is gone, a miss may say so
// now, and whoever was told that must find what else has changed.
void Partition::show(Value message) {
  if (!holds(Rule::kOneStep)) return;
  for_each_request(message, [&](const wire::RequestView& request) {
    return for_each_key(request, [&](std::string_view key, bool) {
      show_key(key);
      return true;
    });
  });
  for_each_request(message, [&](const wire::RequestView& request) {
    if (request.header.opcode == Opcode::kClear) index_.release_all();
    return for_each_key(request, [&](std::string_view key, bool) {
      index_.release(hash_of(key));
      return true;
    });
  });
}

// ---- replies -----------------------------------------------------------------------------------

void Partition::run_command(const wire::RequestView& command, uint32_t key_length,
                            ReplySpace& space, Session& session) {
  Outcome out;
  const std::string_view key = own_key(command.key);
  ++counters_.requests[static_cast<size_t>(command.header.opcode)];
  // Room for the value first: what has been changed could not be told afterwards.
  const uint64_t bound = reply_value_bound(command, key);
  if (grow(space, bound, key_length, out)) {
    if (command.header.opcode == Opcode::kTransaction) {
      run_nested(command.value, session, out);
    } else {
      reply_room_ = {space.data + space.used + sizeof(wire::ReplyHeader), bound};
      run(command.header, key, command.value, session, out);
    }
  }
  assert(wire::padded(out.value.size()) <= wire::padded(bound));
  wire::ReplyHeader header = out.reply;
  header.id = command.header.id;
  header.flags = out.has_value ? wire::kHasValue | (out.reply.flags & wire::kOneKey) : 0;
  header.location = 0;
  header.generation = 0;
  if (out.has_value) header.value_length = static_cast<uint32_t>(out.value.size());
  std::memcpy(space.data + space.used, &header, sizeof(header));
  space.used += sizeof(header);
  space.headers -= sizeof(header);
  const uint64_t padded = wire::padded(out.value.size());
  std::byte* const at = space.data + space.used;
  if (padded > 0) {
    if (out.value.data() != at) std::memcpy(at, out.value.data(), out.value.size());
    std::memset(at + out.value.size(), 0, padded - out.value.size());
  }
  space.used += padded;
  ++space.count;
}

void Partition::run_nested(Value message, Session& session, Outcome& out) {
  if (!preconditions_met(message, out)) return;
  for_each_request(message, [&](const wire::RequestView& request) {
    if (is_precondition(request.header)) return true;
    Outcome one;
    run(request.header, own_key(request.key), request.value, session, one);
    if (out.reply.status == ReplyStatus::kOk) out.reply.status = one.reply.status;
    return true;
  });
}

// How long the value in the reply can be. 0 also where there is none.
uint64_t Partition::reply_value_bound(const wire::RequestView& command, std::string_view key) {
  const Request& request = command.header;
  if (request.opcode == Opcode::kScan) return scanned_bytes(request);
  if (request.opcode == Opcode::kRandomKey) return index_.size() == 0 ? 0 : wire::kMaxKeyBytes;
  switch (request.function) {
    case wire::Function::kSetFields:
    case wire::Function::kGetFields:
      return field_result_bytes(command.value) + sizeof(wire::FieldResult);
    case wire::Function::kIncrementFloat:
      return ModificationPlan::kTextBytes;
    default:
      break;
  }
  const bool whole = request.opcode == Opcode::kGet || request.function == wire::Function::kRange ||
                     (request.flags & (wire::kWantPrevious | wire::kWantIfUnmet)) != 0;
  return whole ? look_up(key, hash_of(key)).view.value.size() : 0;
}

// Room for the headers to come and `bytes` of value behind what is there. False: there is none, and
// nothing has changed.
bool Partition::grow(ReplySpace& space, uint64_t bytes, uint32_t key_length, Outcome& out) {
  const uint64_t needed = space.used + space.headers + wire::padded(bytes);
  if (needed <= space.capacity) return true;
  const uint64_t before = wire::entry_value_offset(key_length, false);
  const uint64_t most = std::min(kMostReplyBytes, slab_.largest_bytes() - before);
  if (needed > most) {
    out.reply.status = ReplyStatus::kTooLarge;
    return false;
  }
  ReplySpace larger = space;
  const uint64_t generous = std::min(2 * needed, most);
  for (const uint64_t capacity : {generous, needed}) {
    out.reply.status = ReplyStatus::kOk;
    larger.extent = allocate(before + capacity, out);
    larger.capacity = capacity;
    if (larger.extent) break;
  }
  if (!larger.extent) return false;
  if (!slab_.pin(larger.extent.offset)) {
    slab_.free(larger.extent.offset);
    out.reply.status = ReplyStatus::kTooMany;
    return false;
  }
  std::byte* extent = slab_.at(larger.extent.offset);
  prepare_entry(extent);
  larger.data = extent + before;
  std::memcpy(larger.data, space.data, space.used);
  give_back(space);
  space = larger;
  return true;
}

void Partition::give_back(const ReplySpace& space) {
  if (!space.extent) return;
  slab_.unpin(space.extent.offset);
  slab_.free(space.extent.offset);
}

}  // namespace rdmakv::server
