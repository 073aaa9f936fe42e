// kModify and kEvaluate: functions of a key's value (string_functions.h), in one step.
//
// Entries are immutable, so a modification builds the whole new value in an extent of its own and
// applies it like any other change: it takes one copy of the value and, for as long as it takes,
// room for both. A client that changed an entry of the cas class in the meantime is noticed by
// apply(), and the function is applied again to what is there then.
#include <algorithm>
#include <cstring>

#include "rdmakv/server/partition.h"

namespace rdmakv::server {

using wire::Function;
using wire::ReplyStatus;

void Partition::modify(const Request& request, std::string_view key, Value value, Session& session,
                       Outcome& out) {
  std::optional<Modification> todo = parse_modification(request.function, value);
  const bool both = (request.flags & wire::kKeepExpiry) != 0 && request.expiry_ms != 0;
  if (!todo || both) {
    out.reply.status = ReplyStatus::kBadRequest;
    return;
  }
  Uploads::Upload* upload = nullptr;
  if (request.ticket != 0) {
    upload = session.uploads.find(request.ticket);
    if (upload == nullptr) {
      out.reply.status = ReplyStatus::kNoSuchTicket;
      return;
    }
    if (upload->received != upload->total || key != upload->key || !todo->bytes.empty()) {
      out.reply.status = ReplyStatus::kBadRequest;
      session.uploads.abort(*upload);
      return;
    }
    todo->bytes = session.uploads.value(*upload);
  }
  Change change;
  change.key = key;
  change.hash = hash_of(key);
  until_applied(out, [&] { return try_modify(request, *todo, change, session, out); });
  discard(change.fresh);
  if (upload != nullptr) session.uploads.abort(*upload);
}

Partition::Applied Partition::try_modify(const Request& request, const Modification& todo,
                                         Change& change, Session& session, Outcome& out) {
  change.old = look_up(change.key, change.hash);
  const Found& old = change.old;
  describe(old, out);
  const bool want_previous = (request.flags & wire::kWantPrevious) != 0;
  if (want_previous && old && !attach_value(old, session, true, out)) return Applied::kDone;
  const std::optional<Value> value = old ? std::optional<Value>(old.view.value) : std::nullopt;
  if (!may_modify(request, todo, value, out)) return Applied::kDone;
  if (todo.function == Function::kRemove) {
    const Applied applied = remove(old, change.key, change.hash);
    if (applied == Applied::kDone) describe({}, out);
    return applied;
  }
  plan_modification(todo, value, plan_);
  out.reply.number = static_cast<uint64_t>(plan_.number);
  out.reply.value_length = static_cast<uint32_t>(value ? value->size() : 0);
  if (plan_.status != ReplyStatus::kOk) {
    refuse(plan_.status, plan_.refusal, out);
    return Applied::kDone;
  }
  if (!plan_.stores) return Applied::kDone;
  const bool keep = (request.flags & wire::kKeepExpiry) != 0;
  change.expiry_ms = keep ? old.expiry_ms() : request.expiry_ms;
  change.set_version = todo.operands.set_version;
  change.user_flags = (todo.operands.flags & wire::kSetUserFlags) != 0 ? todo.operands.user_flags
                                                                       : old.user_flags();
  if (!keep && change.expiry_ms != 0 && change.expiry_ms <= now_ms_) {
    return remove_as_expired(change, out);
  }
  const Applied applied = store_built(change, todo, session, out);
  if (out.reply.status != ReplyStatus::kOk) drop_value(out);
  return applied;
}

// Whether condition and comparison let it happen; else the reply says why not.
bool Partition::may_modify(const Request& request, const Modification& todo,
                           std::optional<Value> value, Outcome& out) {
  out.reply.status = check(request, out.reply.version);
  if (out.reply.status != ReplyStatus::kOk) return false;
  const bool needs_key =
      todo.function == Function::kRemove || todo.function == Function::kSetVersion;
  if (needs_key && !value) {
    out.reply.status = ReplyStatus::kNotFound;
    return false;
  }
  const std::optional<bool> met = comparison_met(todo, value);
  if (!met) {
    refuse(ReplyStatus::kRefused, wire::Refusal::kBadDigest, out);
  } else if (!*met) {
    out.reply.status = ReplyStatus::kConditionNotMet;
  }
  return met.value_or(false);
}

void Partition::refuse(ReplyStatus status, wire::Refusal why, Outcome& out) {
  drop_value(out);
  out.reply.status = status;
  out.reply.number = static_cast<uint64_t>(why);
}

// The rest of try_modify(): builds the new value where it is to stay.
Partition::Applied Partition::store_built(Change& change, const Modification& todo,
                                          Session& session, Outcome& out) {
  wire::EntryFields fields;
  if (!begin_entry(change, fields, out)) return Applied::kDone;
  fields.expiry_field = change.expiry_ms != 0;
  const bool cas_class =
      change.old.cas_class && change.expiry_ms == 0 && change.user_flags == 0 && !transacting_;
  const uint64_t bytes = wire::entry_bytes(change.key.size(), plan_.length, fields.expiry_field);
  if (!reserve(change, bytes, cas_class, out)) return Applied::kDone;
  std::span<std::byte> results;
  if (plan_.result_bytes > 0) {
    results = result_room(plan_.result_bytes, change.key.size(), session, out);
    if (results.empty()) return Applied::kDone;
  }
  std::byte* const extent = at(change.fresh.offset);
  const std::span<std::byte> value{
      extent + wire::entry_value_offset(change.key.size(), fields.expiry_field), plan_.length};
  const std::optional<Value> old =
      change.old ? std::optional<Value>(change.old.view.value) : std::nullopt;
  switch (build_value(todo, plan_, old, value, results)) {
    case Built::kNonsense:
      out.reply.status = ReplyStatus::kBadRequest;
      return Applied::kDone;
    case Built::kSame:
      return Applied::kDone;
    case Built::kChanged:
      break;
  }
  prepare(change, fields);
  const bool two_steps = bytes >= wire::kTwoStepChecksumBytes;
  wire::write_entry_around(extent, fields, change.key, static_cast<uint32_t>(plan_.length),
                           two_steps ? wire::hash_value(value) : 0);
  out.reply.value_length = static_cast<uint32_t>(plan_.length);
  return finish(change, fields, out);
}

// Where a computed value of the reply is to be written, or nothing: then the reply says why. A
// large one gets an extent for as long as it is on its way to the client. (Within a transaction it
// is copied at once, long before the end of the extent's quarantine.)
std::span<std::byte> Partition::result_room(uint64_t bytes, size_t key_length,
                                            const Session& session, Outcome& out) {
  if (bytes <= session.inline_limit) {
    out.has_value = true;
    out.value = {results_.get(), bytes};
    return {results_.get(), bytes};
  }
  if (session.pins.full() && !transacting_) {
    out.reply.status = ReplyStatus::kTooMany;
    return {};
  }
  const Extent extent = allocate(wire::entry_bytes(key_length, bytes, false), out);
  if (!extent) return {};
  if (!transacting_ && !slab_.pin(extent.offset)) {
    slab_.free(extent.offset);
    out.reply.status = ReplyStatus::kTooMany;
    return {};
  }
  slab_.free(extent.offset);  // when the pin is given up
  // Clients know where the value of an entry may begin.
  std::byte* const at = slab_.at(extent.offset) + wire::entry_value_offset(key_length, false);
  out.has_value = true;
  out.pinned = !transacting_;
  out.value = {at, bytes};
  out.extent = extent.offset;
  return {at, bytes};
}

void Partition::evaluate_function(const Request& request, std::string_view key, Value value,
                                  Session& session, Outcome& out) {
  const std::optional<Evaluation> asked = parse_evaluation(request.function, value);
  if (!asked) {
    out.reply.status = ReplyStatus::kBadRequest;
    return;
  }
  const Found found = look_up(key, hash_of(key));
  ++(found ? counters_.hits : counters_.misses);
  describe(found, out);
  if (asked->function == Function::kGetFields) {
    return get_fields_of(found, key.size(), asked->bytes, session, out);
  }
  if (!found) {
    out.reply.status = ReplyStatus::kNotFound;
    return;
  }
  const EvaluationResult result = evaluate(*asked, found.view.value);
  out.reply.number = static_cast<uint64_t>(result.number);
  if (asked->function != Function::kRange) return;
  Found part = found;
  part.view.value = result.range;
  attach_value(part, session, false, out);
}

// A key that does not exist reads as zeros.
void Partition::get_fields_of(const Found& found, size_t key_length, Value operations,
                              const Session& session, Outcome& out) {
  const uint64_t bytes = field_result_bytes(operations);
  const std::span<std::byte> results =
      bytes == 0 ? std::span<std::byte>() : result_room(bytes, key_length, session, out);
  if (bytes != 0 && results.empty()) return;
  if (!get_fields(operations, found ? found.view.value : Value(), results)) {
    drop_value(out);
    out.reply.status = ReplyStatus::kBadRequest;
  }
}

}  // namespace rdmakv::server
