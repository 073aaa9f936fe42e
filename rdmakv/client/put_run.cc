// ClientCore: runs of puts.
#include "rdmakv/client/put_run.h"

#include <algorithm>
#include <utility>

#include "rdmakv/client/client_core.h"

namespace rdmakv {

size_t ClientCore::put_run(std::span<const wire::PutView> puts, PutRun& run) {
  run.taken = run.failed = run.open = 0;
  run.full = false;
  if (closing_) return 0;
  if (submitting_ns_ == 0) submitting_ns_ = steady_ns();
  const auto most = static_cast<uint16_t>(std::min(puts.size(), PutRun::kMost));
  uint16_t count = 0;
  for (; count < most; ++count) {
    const SlotMap::Place place = map_.place_of_key(puts[count].key);
    Session* const session = session_of(place.server, place.worker);
    if (session == nullptr) break;
    if (!session->add_put(puts[count], run, count, submitting_ns_)) {
      run.full = session->full();
      break;
    }
    mark_dirty(*session);
  }
  std::fill_n(run.codes, count, Code::kOk);
  run.taken = count;
  under_way_ += count;
  return count;
}

bool ClientCore::has_room() const {
  return std::all_of(sessions_.begin(), sessions_.end(),
                     [](const auto& session) { return session->has_room(); });
}

// For the end of poll(), or the next.
void ClientCore::finish(PutRun& run) {
  run.next = std::exchange(finished_runs_, &run);
}

void ClientCore::finish_now(PutRun& run) {
  under_way_ -= run.taken;
  ended_ += run.taken;
  counts.operations += run.taken;
  counts.errors += run.failed;
  run.done(run);
}

}  // namespace rdmakv
