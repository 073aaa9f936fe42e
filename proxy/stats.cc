#include "proxy/stats.h"

namespace rdmakv::proxy {

void CommandStats::record_latency(uint64_t elapsed_us) {
  if (owned_latency_ == nullptr) {
    owned_latency_ = std::make_unique<LatencyHistogram>();
    latency.store(owned_latency_.get(), std::memory_order_release);
  }
  owned_latency_->record(elapsed_us);
}

void ErrorStats::add(std::string_view error) {
  const std::string_view code = error.substr(0, error.find(' '));
  const std::lock_guard lock(mutex_);
  const auto found = counts_.find(code);
  if (found != counts_.end()) {
    ++found->second;
  } else if (counts_.size() < kMostCodes) {
    counts_.emplace(code, 1);
  }
}

void ErrorStats::add_to(std::map<std::string, uint64_t>& sums) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [code, count] : counts_) sums[code] += count;
}

void ErrorStats::reset() {
  const std::lock_guard lock(mutex_);
  counts_.clear();
}

void WorkerStats::reset() {
  error_codes.reset();
  for (Counter* counter : {&connections,
                           &rejected,
                           &processed,
                           &unknown,
                           &errors,
                           &input_bytes,
                           &output_bytes,
                           &reads,
                           &writes,
                           &flushes,
                           &hits,
                           &misses,
                           &output_limit_closes,
                           &query_limit_closes,
                           &broken_replies,
                           &repeated_reads,
                           &pin_waits,
                           &slow_reader_closes,
                           &auth_denied,
                           &command_denied,
                           &key_denied}) {
    counter->reset();
  }
  for (size_t i = 0; i < command_count; ++i) {
    CommandStats& command = commands[i];
    for (Counter* counter :
         {&command.calls, &command.microseconds, &command.rejected, &command.failed}) {
      counter->reset();
    }
    if (LatencyHistogram* histogram = command.latency.load()) histogram->reset();
  }
}

}  // namespace rdmakv::proxy
