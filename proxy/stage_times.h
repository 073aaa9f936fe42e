// Where a worker's time goes, by stage of its turn: INFO's section Stages, with --stage-times. Off,
// a stage costs one look at a pointer that is null.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "proxy/stats.h"

namespace rdmakv::proxy {

enum class Stage : uint8_t {
  kRead,   // read() from client sockets
  kParse,  // parsing and executing commands; GETs answered at once are in here
  kIssue,  // handing what was issued to the client library's connections
  kWait,   // polling for answers instead of sleeping
  kReply,  // completions, and the replies that follow from them
  kWrite,  // write() to client sockets
};
inline constexpr size_t kStages = 6;
inline constexpr const char* kStageNames[kStages] = {"read", "parse", "issue",
                                                     "wait", "reply", "write"};

struct StageTimes {
  Counter calls[kStages];
  Counter nanoseconds[kStages];
};

// Counts the time of its life for `stage`. Stages do not nest.
class StageTimer {
 public:
  // `times` null: counts nothing.
  StageTimer(StageTimes* times, Stage stage)
      : times_(times),
        stage_(static_cast<size_t>(stage)),
        began_ns_(times == nullptr ? 0 : now()) {}
  ~StageTimer() {
    if (times_ == nullptr) return;
    times_->calls[stage_].add();
    times_->nanoseconds[stage_].add(now() - began_ns_);
  }
  StageTimer(const StageTimer&) = delete;
  StageTimer& operator=(const StageTimer&) = delete;

 private:
  static uint64_t now() {
    return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  }

  StageTimes* const times_;
  const size_t stage_;
  const uint64_t began_ns_;
};

}  // namespace rdmakv::proxy
