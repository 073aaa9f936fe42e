// Latency monitoring as Redis has it: for each kind of event the latest spikes beyond
// latency-monitor-threshold, at most one a second. Only touched by a spike. Any thread.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rdmakv::proxy {

struct LatencySample {
  int64_t time_s = 0;
  uint32_t milliseconds = 0;
};

struct LatencyEvent {
  std::string name;
  std::vector<LatencySample> samples;  // oldest first
  uint32_t highest = 0;                // milliseconds, since the last reset
};

class LatencyMonitor {
 public:
  void add(std::string_view event, int64_t time_s, uint32_t milliseconds);
  std::vector<LatencyEvent> events() const;                  // by name
  LatencyEvent event(std::string_view name) const;           // without samples: none
  size_t reset(const std::vector<std::string_view>& names);  // none: all; how many there were

 private:
  static constexpr size_t kMostSamples = 160;
  struct Series {
    std::deque<LatencySample> samples;
    uint32_t highest = 0;
  };

  mutable std::mutex mutex_;
  std::map<std::string, Series, std::less<>> series_;
};

// The samples drawn with characters, in Redis's way: LATENCY GRAPH.
std::string draw_latency(const LatencyEvent& event, int64_t now_s);
// LATENCY DOCTOR's report. `threshold_ms` 0: monitoring is off.
std::string diagnose_latency(const std::vector<LatencyEvent>& events, uint64_t threshold_ms,
                             int64_t now_s);

}  // namespace rdmakv::proxy
