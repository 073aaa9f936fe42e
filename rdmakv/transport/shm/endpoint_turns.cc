#include "rdmakv/transport/shm/endpoint_turns.h"

#include <algorithm>
#include <utility>

#include "rdmakv/transport/shm/shm_endpoint.h"

namespace rdmakv::shm {

void EndpointTurns::exchange(size_t a, size_t b) {
  std::swap(endpoints_[a], endpoints_[b]);
  endpoints_[a]->turn.place = a;
  endpoints_[b]->turn.place = b;
}

void EndpointTurns::add(ShmEndpoint& endpoint) {
  endpoint.turn.place = endpoints_.size();
  endpoints_.push_back(&endpoint);
  stir(endpoint);
}

void EndpointTurns::remove(ShmEndpoint& endpoint) {
  if (endpoint.turn.place == kNowhere) return;
  if (endpoint.turn.place < active_) exchange(endpoint.turn.place, --active_);
  exchange(endpoint.turn.place, endpoints_.size() - 1);
  endpoints_.pop_back();
  endpoint.turn.place = kNowhere;
}

void EndpointTurns::stir(ShmEndpoint& endpoint) {
  if (endpoint.turn.place == kNowhere) return;
  endpoint.turn.had = true;
  if (endpoint.turn.place >= active_) exchange(endpoint.turn.place, active_++);
}

void EndpointTurns::look_around(bool all) {
  const size_t idle = endpoints_.size() - active_;
  if (all) next_idle_ = active_;
  for (size_t left = all ? idle : std::min(idle, std::max(kLeast, idle / kShare)); left > 0;
       --left) {
    if (next_idle_ < active_ || next_idle_ >= endpoints_.size()) next_idle_ = active_;
    ShmEndpoint& endpoint = *endpoints_[next_idle_++];
    if (!endpoint.idle()) stir(endpoint);
  }
}

void EndpointTurns::settle() {
  for (size_t place = active_; place > 0; --place) {
    ShmEndpoint& endpoint = *endpoints_[place - 1];
    if (!std::exchange(endpoint.turn.had, false)) exchange(place - 1, --active_);
  }
}

}  // namespace rdmakv::shm
