// Partition: many plain puts in one request (kPuts).
#include <cstring>

#include "protocol/kv_puts.h"
#include "rdmakv/server/entry.h"
#include "rdmakv/server/partition.h"

namespace rdmakv::server {

using wire::PutResult;
using wire::PutView;

// The puts of a request go through each step together, up to where the next one needs a cache line
// that the processor has yet to fetch: their buckets, then the entries that they replace.
void Partition::puts(Value value, Session& session, Outcome& out) {
  if (value.size() > wire::kMostPutsBytes) {
    out.reply.status = ReplyStatus::kBadRequest;
    return;
  }
  if (!value.empty()) std::memcpy(puts_.get(), value.data(), value.size());
  wire::PutsReader reader({puts_.get(), value.size()});
  uint64_t hashes[wire::kMostPuts];
  Index::Place likely[wire::kMostPuts];
  size_t count = 0;
  while (count < wire::kMostPuts && reader.next(put_views_[count])) {
    hashes[count] = hash_of(put_views_[count].key);
    index_.prefetch(hashes[count]);
    ++count;
  }
  if (!reader.whole()) {
    out.reply.status = ReplyStatus::kBadRequest;
    return;
  }
  for (size_t i = 0; i < count; ++i) likely[i] = prefetch_entry(hashes[i]);
  for (size_t i = 0; i < count; ++i) {
    put_results_[i] = put_plain(put_views_[i], hashes[i], likely[i], session).encode();
  }
  counters_.requests[static_cast<size_t>(wire::Opcode::kPut)] += count;
  out.operations = static_cast<uint32_t>(count);
  out.has_value = true;
  out.value = std::as_bytes(std::span(put_results_).first(count));
}

PutResult Partition::put_plain(const PutView& put, uint64_t hash, Index::Place likely,
                               Session& session) {
  if (!owns(put.key)) return {ReplyStatus::kWrongWorker};
  if (put.expiry_ms == 0 && replace_plain(put.key, put.value, hash, likely)) {
    return {ReplyStatus::kOk, false, plain_change_.generation, plain_change_.fresh.offset};
  }
  if (wants_tending()) tend(kRelocationsPerRequest);
  Request request;
  request.opcode = wire::Opcode::kPut;
  request.expiry_ms = put.expiry_ms;
  Change change;
  change.key = put.key;
  change.hash = hash;
  Outcome out;
  until_applied(out, [&] { return try_put(request, change, put.value, nullptr, session, out); });
  discard(change.fresh);
  return {out.reply.status, (out.reply.flags & wire::kCasClass) != 0, out.reply.generation,
          out.reply.location};
}

// The usual case of a put: the key has an entry in the pool, and neither that nor the new one
// expires. What put() does, without what does not apply. False: something else is the case, or
// there is no room at once; nothing has changed.
[[gnu::flatten]] bool Partition::replace_plain(std::string_view key, Value value, uint64_t hash,
                                               Index::Place likely) {
  const Index::Place place = index_.find(hash, key, likely);
  if (!place) return false;
  const uint64_t offset = index_.offset_at(place);
  if (entries_.in_cas(offset)) return false;
  Change& change = plain_change_;
  Found& old = change.old;
  old.extent = slab_.at(offset);
  old.view = wire::view_entry(old.extent);
  if (old.view.expiry_ms != 0) return false;
  change.fresh = slab_.allocate(wire::entry_bytes(key.size(), value.size(), false));
  if (!change.fresh) return false;
  old.place = change.place = place;
  old.offset = offset;
  old.generation = load_first_word(old.extent).generation;
  change.key = key;
  change.hash = hash;
  change.version = old.view.version + 1;
  wire::EntryFields fields;
  fields.version = change.version;
  prepare(change, fields);
  wire::write_entry(slab_.at(change.fresh.offset), fields, key, value);
  if (apply(change) == Applied::kDone) return true;
  discard(change.fresh);
  return false;
}

}  // namespace rdmakv::server
