#include "proxy/key_walk.h"

#include <algorithm>
#include <numeric>

#include "proxy/transaction_run.h"
#include "proxy/worker.h"

namespace rdmakv::proxy {

void KeyWalk::start() {
  // A transaction has asked who is there already.
  if (find_places() || request_.in_transaction()) {
    begin();
    return complete_if_idle();
  }
  // Whoever is asked for the first time tells how many workers there are.
  request_.operation.kind = OperationKind::kCount;
  request_.operation.deadline_ns = deadline_ns_;
  request_.submit(&KeyWalk::places_known);
}

void KeyWalk::places_known(Request& request) {
  auto& walk = static_cast<KeyWalk&>(*request.state);
  walk.find_places();
  if (!request.worker().shutting_down()) walk.begin();
  walk.complete_if_idle();
}

// False: not all are known.
bool KeyWalk::find_places() {
  const std::vector<ServerState> servers = request_.worker().client().servers();
  std::vector<uint16_t> by_name(servers.size());
  std::iota(by_name.begin(), by_name.end(), uint16_t{0});
  std::sort(by_name.begin(), by_name.end(),
            [&](uint16_t a, uint16_t b) { return servers[a].name < servers[b].name; });
  places_.clear();
  bool known = true;
  const auto count = static_cast<uint16_t>(by_name.size());
  for (uint16_t rank = 0; rank < count; ++rank) {
    const uint32_t workers = servers[by_name[rank]].workers;
    known &= workers != 0;
    for (uint16_t worker = 0; worker < std::max(workers, 1u); ++worker) {
      places_.push_back({rank, worker, by_name[rank]});
    }
  }
  return known;
}

void KeyWalk::ask(Lane& lane, size_t place, OperationKind kind, uint64_t cursor, uint32_t wanted) {
  if (lane.memory == nullptr) {
    lane.memory = std::make_unique_for_overwrite<std::byte[]>(wire::kMaxKeyBytes);
  }
  lane.walk = this;
  lane.place = place;
  lane.busy = true;
  ++busy_;
  Operation& operation = lane.operation;
  operation = Operation{};
  operation.kind = kind;
  operation.server = places_[place].server;
  operation.worker = places_[place].worker;
  operation.offset = cursor;
  operation.length = wanted;
  operation.deadline_ns = deadline_ns_;
  operation.destination = {lane.memory.get(), wire::kMaxKeyBytes};
  operation.done = &KeyWalk::lane_done;
  operation.context = &lane;
  request_.issue(operation);
}

void KeyWalk::step_first() {
  if (!request_.in_transaction()) return;
  const auto in_step = [this](const Place& place) {
    return request_.part_of()->takes_place_at(place.server, place.worker);
  };
  std::stable_partition(places_.begin(), places_.end(), in_step);
}

void KeyWalk::ask_on(OperationKind kind, uint32_t wanted) {
  if (request_.worker().shutting_down()) return;
  for (Lane& lane : lanes_) {
    if (next_place_ == places_.size()) return;
    if (!lane.busy) ask(lane, next_place_++, kind, 0, wanted);
  }
}

void KeyWalk::lane_done(Operation& operation) {
  auto& lane = *static_cast<Lane*>(operation.context);
  KeyWalk& walk = *lane.walk;
  lane.busy = false;
  --walk.busy_;
  walk.arrived(lane);
  walk.complete_if_idle();
}

void KeyWalk::complete_if_idle() {
  if (busy_ == 0) complete();
}

}  // namespace rdmakv::proxy
