// What a client tells of itself and of its servers.
#include "rdmakv/client/client_core.h"

namespace rdmakv {
namespace {

void add(DirectCounters& to, const DirectCounters& from) {
  to.cached += from.cached;
  to.forwarded += from.forwarded;
  to.indexed += from.indexed;
  to.not_found += from.not_found;
  to.entry_reads += from.entry_reads;
  to.bucket_reads += from.bucket_reads;
  to.round_trips += from.round_trips;
  for (size_t i = 0; i < kDetours; ++i) to.detours[i] += from.detours[i];
}

}  // namespace

std::string ServerState::unreachable_text() const {
  std::string text = "server " + name + " is not reachable";
  if (!last_error.empty()) text += ": " + last_error;
  return text;
}

ClientCounters ClientCore::counters() const {
  ClientCounters all = counts;
  for (const auto& session : sessions_) {
    session->add_counters(all.verbs);
    add(all.direct, session->direct_counters());
    add(all.direct, session->loads().counters());
    all.quarantined += session->quarantined();
  }
  all.round_trips += all.direct.round_trips;
  all.locations_known = locations->counters().hits;
  all.locations_unknown = locations->counters().misses;
  all.locations_evicted = locations->counters().evictions;
  return all;
}

std::vector<ServerState> ClientCore::servers() const {
  std::vector<ServerState> states;
  for (size_t i = 0; i < servers_.size(); ++i) states.push_back(server(static_cast<uint16_t>(i)));
  return states;
}

ServerState ClientCore::server(uint16_t index) const {
  const std::vector<Session*>& sessions = servers_[index].sessions;
  ServerState state;
  state.name = servers_[index].name;
  state.reachable = sessions[0]->ready();
  state.workers = map_.workers(index);
  state.epoch = state.reachable ? sessions[0]->welcome().epoch : 0;
  for (const Session* session : sessions) {
    if (!session->last_error().is_ok()) state.last_error = session->last_error().to_string();
  }
  return state;
}

}  // namespace rdmakv
