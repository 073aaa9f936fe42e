// Partition: gets of several keys in one request (kGets).
#include <cassert>
#include <cstring>

#include "protocol/kv_gets.h"
#include "rdmakv/server/partition.h"

namespace rdmakv::server {

static_assert(wire::kMostGetsBytes <= wire::kMostPutsBytes, "they share a buffer");

// As with puts, all of them go through each step together: buckets, entries, then the values. Room
// for the results of those that are still to come is kept, whatever comes of them.
void Partition::gets(const Request& request, Value value, Session& session, Outcome& out) {
  out.reply.status = ReplyStatus::kBadRequest;
  if (value.size() > wire::kMostGetsBytes) return;
  if (!value.empty()) std::memcpy(puts_.get(), value.data(), value.size());
  wire::GetsReader reader({puts_.get(), value.size()});
  KeyToGet gets[wire::kMostGets];
  size_t count = 0;
  while (count < wire::kMostGets && reader.next(gets[count].key)) {
    gets[count].hash = hash_of(gets[count].key);
    index_.prefetch(gets[count].hash);
    ++count;
  }
  uint64_t room = session.inline_limit / 8 * 8;
  const bool values_only = (request.flags & wire::kValuesOnly) != 0;
  const uint64_t head = values_only ? wire::kMostShortGetHead : wire::kMostGetResultHead;
  if (!reader.whole() || count * head > room) return;
  for (size_t i = 0; i < count; ++i) gets[i].likely = prefetch_entry(gets[i].hash);
  std::byte* to = results_.get();
  for (size_t i = 0; i < count; ++i) {
    const uint64_t kept = (count - i - 1) * head;
    const uint64_t used = get_into({to, room - kept}, gets[i], values_only, session);
    to += used;
    room -= used;
  }
  counters_.requests[static_cast<size_t>(wire::Opcode::kGet)] += count;
  out.reply.status = ReplyStatus::kOk;
  out.operations = static_cast<uint32_t>(count);
  out.has_value = true;
  out.value = {results_.get(), static_cast<size_t>(to - results_.get())};
}

// What a kGet would be answered, written to `to`; how many bytes of it were used.
uint64_t Partition::get_into(std::span<std::byte> to, const KeyToGet& get, bool value_only,
                             Session& session) {
  const auto& [key, hash, likely] = get;
  const auto write = [&](const wire::ReplyHeader& reply, Value value) {
    return value_only ? wire::write_short_get(to.data(), reply, value)
                      : wire::write_get_result(to.data(), reply, value);
  };
  Outcome one;
  if (!owns(key)) {
    one.reply.status = ReplyStatus::kWrongWorker;
    return write(one.reply, {});
  }
  Found found = look_up(key, hash, likely);
  const auto fits = [&] {
    const size_t length = found.view.value.size();
    return (value_only ? wire::short_get_bytes(length)
                       : wire::get_result_bytes(length, found.expiry_ms() != 0)) <= to.size();
  };
  // An entry of the cas class cannot be pinned. It leaves the class, if there is room for that.
  if (found.cas_class && !fits()) {
    settle_key(key, one);
    one = {};
    found = look_up(key, hash);
  }
  if (!found) {
    ++counters_.misses;
    one.reply.status = ReplyStatus::kNotFound;
    return write(one.reply, {});
  }
  ++counters_.hits;
  const bool in_reply = fits();
  if (!value_only || !in_reply) describe(found, one);
  if (in_reply) {
    one.reply.flags |= wire::kHasValue;
    one.reply.value_length = static_cast<uint32_t>(found.view.value.size());
  } else if (found.cas_class || session.pins.full() || !slab_.pin(found.offset)) {
    one.reply.status = ReplyStatus::kTooMany;
  } else {
    one.reply.flags = wire::kPinned;
    one.reply.ticket = session.pins.add(found.offset);
    one.reply.number = static_cast<uint64_t>(found.view.value.data() - found.extent);
    one.reply.value_length = static_cast<uint32_t>(found.view.value.size());
  }
  return write(one.reply, found.view.value);
}

}  // namespace rdmakv::server
