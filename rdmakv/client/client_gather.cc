// kCount and kClear: a part for each worker (gather.h).
#include "rdmakv/client/client_core.h"

namespace rdmakv {

void ClientCore::start_gather(Operation& operation) {
  if (free_gathers_.empty()) {
    gathers_.emplace_back(
        [](void* context, Gather& gather) {
          auto* self = static_cast<ClientCore*>(context);
          self->finish(gather.whole());
          self->free_gathers_.push_back(&gather);
        },
        [](void* context, Operation& part) {
          static_cast<ClientCore*>(context)->ask_next_piece(part);
        },
        this);
    free_gathers_.push_back(&gathers_.back());
  }
  Gather& gather = *free_gathers_.back();
  free_gathers_.pop_back();
  gather.start(operation);
  for (size_t server = 0; server < servers_.size(); ++server) {
    ++under_way_;
    route_part(gather.add_part(static_cast<uint16_t>(server), kEveryWorker));
  }
  gather.parts_made();
}

// Each piece has the time that is allowed an operation.
void ClientCore::ask_next_piece(Operation& part) {
  const Operation& whole = static_cast<Gather*>(part.context)->whole();
  ++under_way_;
  part.internal[kUnderWay] = 1;
  part.internal[kGather] = part.worker + 1u;
  if (closing_) {
    part.code = Code::kCancelled;
    return finish(part);
  }
  part.internal[kAllowed] = whole.internal[kAllowed];
  if (part.internal[kAllowed] != 0) {
    part.internal[kDeadline] = steady_ns() + part.internal[kAllowed];
  }
  route_part(part);
}

// internal[kGather] is kEveryWorker, or the worker + 1.
void ClientCore::route_part(Operation& part) {
  const uint32_t workers = map_.workers(part.server);
  if (part.internal[kGather] != kEveryWorker) {
    if (workers < part.internal[kGather]) {
      // That worker is gone, and with it its keys: the server has started anew.
      part.code = Code::kOk;
      return finish(part);
    }
    return session_of(part.server, static_cast<uint16_t>(part.internal[kGather] - 1))
        ->enqueue(part);
  }
  if (workers == 0) return session_of(part.server, 0)->enqueue(part);
  auto& gather = *static_cast<Gather*>(part.context);
  for (uint16_t worker = 1; worker < workers; ++worker) {
    ++under_way_;
    enqueue_part(gather.add_part(part.server, worker + 1u), worker);
  }
  part.internal[kGather] = 1;
  enqueue_part(part, 0);
}

void ClientCore::enqueue_part(Operation& part, uint16_t worker) {
  const Operation& whole = static_cast<Gather*>(part.context)->whole();
  part.worker = worker;
  if (whole.elsewhere && is_with(whole.key, part.server, worker)) return finish(part);
  session_of(part.server, worker)->enqueue(part);
}

}  // namespace rdmakv
