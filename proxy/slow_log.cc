#include "proxy/slow_log.h"

#include <algorithm>

namespace rdmakv::proxy {

std::vector<SlowLogEntry> SlowLog::latest(size_t count) const {
  const std::lock_guard lock(mutex_);
  return {entries_.begin(),
          entries_.begin() + static_cast<ptrdiff_t>(std::min(count, entries_.size()))};
}

size_t SlowLog::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

void SlowLog::clear() {
  const std::lock_guard lock(mutex_);
  entries_.clear();
}

}  // namespace rdmakv::proxy
