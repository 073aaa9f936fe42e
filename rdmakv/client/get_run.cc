// ClientCore: runs of gets.
#include "rdmakv/client/get_run.h"

#include <algorithm>
#include <utility>

#include "rdmakv/client/client_core.h"
#include "rdmakv/client/operation_message.h"

namespace rdmakv {

bool ClientCore::takes_gets() const {
  return options.get_path == GetPath::kRequest || (options.get_path == GetPath::kAuto && emulated);
}

size_t ClientCore::get_run(GetRun& run) {
  run.taken = run.open = run.stand_ins = 0;
  if (closing_ || !takes_gets()) return 0;
  if (submitting_ns_ == 0) submitting_ns_ = steady_ns();
  const auto most = static_cast<uint16_t>(std::min(run.keys.size(), GetRun::kMost));
  uint16_t count = 0;
  for (; count < most; ++count) {
    const SlotMap::Place place = map_.place_of_key(run.keys[count]);
    Session* const session = session_of(place.server, place.worker);
    if (session == nullptr || !session->add_get(run, count, submitting_ns_)) break;
    mark_dirty(*session);
  }
  run.taken = count;
  under_way_ += count;
  return count;
}

Operation& ClientCore::stand_in(GetRun& run, size_t index, uint16_t server, uint64_t deadline_ns) {
  ++run.stand_ins;
  Operation& operation = run.stand_in(index);
  begin(operation);
  operation.server = server;
  operation.internal[kDeadline] = deadline_ns;
  return operation;
}

// For the end of poll(), or the next.
void ClientCore::finish(GetRun& run) {
  run.next = std::exchange(finished_get_runs_, &run);
}

void ClientCore::finish_now(GetRun& run) {
  const uint32_t answered = run.taken - run.stand_ins;
  under_way_ -= run.taken;
  ended_ += answered;
  counts.operations += answered;
  run.done();
}

}  // namespace rdmakv
