#include "proxy/put_window.h"

#include <cstddef>
#include <utility>

namespace rdmakv::proxy {
namespace {

// With what the kernel has of them, half of what a core's second cache holds, often.
constexpr uint64_t kMostLargeBytes = uint64_t{512} * 1024;
// Who has not answered a large value for so long is not waited for.
constexpr uint64_t kPromptUs = 2'000;
// Nor for a run; this long, because as much as credits allow takes a while to be read.
constexpr uint64_t kRunPatienceUs = 20'000;

}  // namespace

void PutWindow::begins(uint16_t server, uint64_t bytes) {
  if (server >= large_.size()) large_.resize(size_t{server} + 1);
  large_[server].bytes += bytes;
}

void PutWindow::ends(uint16_t server, uint64_t bytes, uint64_t now_us) {
  large_[server].bytes -= bytes;
  large_[server].ended_us = now_us;
}

bool PutWindow::takes_large(uint16_t server, uint64_t now_us) const {
  if (server >= large_.size() || large_[server].bytes < kMostLargeBytes) return true;
  return now_us > large_[server].ended_us + kPromptUs;
}

void PutWindow::runs_full(uint64_t now_us) {
  if (!std::exchange(runs_full_, true)) runs_full_since_us_ = now_us;
}

bool PutWindow::takes_runs(uint64_t now_us) const {
  return !runs_full_ || now_us > runs_full_since_us_ + kRunPatienceUs;
}

}  // namespace rdmakv::proxy
