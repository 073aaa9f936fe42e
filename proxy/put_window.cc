#include "proxy/put_window.h"

#include <cstddef>
#include <utility>

namespace rdmakv::proxy {
namespace {

// With what the kernel has of them, half of what a core's second cache holds, often.
constexpr uint64_t kMostLargeBytes = uint64_t{512} * 1024;
// Who has not answered for so long is not waited for.
constexpr uint64_t kPromptUs = 2'000;

bool is_prompt(uint64_t since_us, uint64_t now_us) {
  return now_us <= since_us + kPromptUs;
}

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
  return !is_prompt(large_[server].ended_us, now_us);
}

void PutWindow::runs_full(uint64_t now_us) {
  if (!std::exchange(runs_full_, true)) runs_full_since_us_ = now_us;
}

bool PutWindow::takes_runs(uint64_t now_us) const {
  return !runs_full_ || !is_prompt(runs_full_since_us_, now_us);
}

}  // namespace rdmakv::proxy
