// ClientCore: what needs no READ and no completion: GETs answered at once, pinned values in their
// place.
#include <algorithm>

#include "rdmakv/client/client_core.h"

namespace rdmakv {

size_t ClientCore::get_at_once(std::span<const std::string_view> keys, AtOnce& answers) {
  if (!reads_are_loads || options.get_path == GetPath::kRequest || closing_) return 0;
  const uint64_t now = steady_ns();
  locations->begin(now);
  LoadReader::Get gets[kMost];
  Session* sessions[kMost];
  size_t count = 0;
  for (const size_t most = std::min(keys.size(), kMost); count < most; ++count) {
    const SlotMap::Place place = map_.place_of_key(keys[count]);
    Session* const session = session_of(place.server, place.worker);
    if (session == nullptr || !session->loads().usable()) break;
    sessions[count] = session;
    session->loads().begin(gets[count], keys[count], session->hash_of(keys[count]));
  }
  for (size_t i = 0; i < count; ++i) sessions[i]->loads().find(gets[i]);
  for (size_t i = 0; i < count; ++i) sessions[i]->loads().locate(gets[i]);
  for (size_t i = 0; i < count; ++i) {
    ValueAtOnce answer;
    if (!sessions[i]->loads().read(gets[i], now, sessions[i]->clock().latest_ms(now), answers,
                                   answer)) {
      return i;
    }
    ++counts.operations;
    answers.take(i, answer);
  }
  return count;
}

void ClientCore::read_in_place() {
  for (const auto& session : sessions_) session->loads().unmark();
}

std::span<const std::byte> ClientCore::pinned(const Ticket& pin, uint64_t offset, uint64_t length) {
  return sessions_[pin.session & 0xffff]->pinned(pin, offset, length);
}

bool ClientCore::pinned_holds(const Ticket& pin) {
  return sessions_[pin.session & 0xffff]->pinned_holds(pin);
}

}  // namespace rdmakv
