// kCombine: what the values of several keys make together (protocol/kv_combine.h), in one step. The
// result is built where it is to stay, from the values where they lie.
#include <algorithm>
#include <cstring>

#include "protocol/kv_combine.h"
#include "protocol/kv_hash.h"
#include "rdmakv/server/partition.h"

namespace rdmakv::server {

using wire::BitOperation;
using wire::ReplyStatus;

// As in a transaction, all keys leave the cas class first: then no client can change them.
void Partition::combine(std::string_view key, Value sources, Outcome& out) {
  if (!transacting_) {  // else the message is private already
    if (sources.size() > wire::kMaxChunk) {
      out.reply.status = ReplyStatus::kTooLarge;
      return;
    }
    if (!sources.empty()) std::memcpy(transaction_.get(), sources.data(), sources.size());
    sources = {transaction_.get(), sources.size()};
  }
  if (!may_combine(key, sources, out)) return;
  uint64_t length = 0;
  wire::for_each_source(sources, [&](std::string_view source) {
    const Found found = look_up(source, hash_of(source));
    if (found) length = std::max<uint64_t>(length, found.view.value.size());
    return true;
  });
  Change change;
  change.key = key;
  change.hash = hash_of(key);
  change.old = look_up(key, change.hash);
  out.reply.number = length;
  if (length > 0) return store_combined(change, sources, length, out);
  if (change.old) remove(change.old, key, change.hash);
  describe({}, out);
}

bool Partition::may_combine(std::string_view key, Value sources, Outcome& out) {
  bool all_here = true;
  const bool sound = wire::for_each_source(sources, [&](std::string_view source) {
    all_here &= owns(source);
    return source.size() <= wire::kMaxKeyBytes;
  });
  if (!sound || !all_here) {
    out.reply.status = sound ? ReplyStatus::kWrongWorker : ReplyStatus::kBadRequest;
    return false;
  }
  return settle_key(key, out) && wire::for_each_source(sources, [&](std::string_view source) {
           return settle_key(source, out);
         });
}

void Partition::store_combined(Change& change, Value sources, uint64_t length, Outcome& out) {
  wire::EntryFields fields;
  if (!begin_entry(change, fields, out)) return;
  const uint64_t bytes = wire::entry_bytes(change.key.size(), length, false);
  if (!reserve(change, bytes, false, out)) return;
  std::byte* const extent = at(change.fresh.offset);
  const std::span<std::byte> result{extent + wire::entry_value_offset(change.key.size(), false),
                                    length};
  const auto operation = static_cast<BitOperation>(sources[0]);
  bool first = true;
  wire::for_each_source(sources, [&](std::string_view source) {
    const Found found = look_up(source, hash_of(source));
    const Value value = found ? found.view.value : Value();
    if (!first) {
      wire::combine_bits(operation, result, value);
      return true;
    }
    first = false;
    if (!value.empty()) std::memcpy(result.data(), value.data(), value.size());
    std::fill(result.begin() + static_cast<std::ptrdiff_t>(value.size()), result.end(),
              std::byte{0});
    if (operation == BitOperation::kNot) wire::combine_bits(operation, result, {});
    return true;
  });
  prepare(change, fields);
  const bool two_steps = bytes >= wire::kTwoStepChecksumBytes;
  wire::write_entry_around(extent, fields, change.key, static_cast<uint32_t>(length),
                           two_steps ? wire::hash_value(result) : 0);
  finish(change, fields, out);
  discard(change.fresh);
}

}  // namespace rdmakv::server
