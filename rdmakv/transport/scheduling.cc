#include "rdmakv/transport/scheduling.h"

#include <sched.h>

#include <cerrno>
#include <cstring>

namespace rdmakv {

std::string apply_batch_scheduling(std::string_view setting, const FabricLimits& limits) {
  std::string as_started = "scheduling: as started";
  if (setting == "no" || (setting == "auto" && !limits.emulated)) return as_started;
  const std::string why = setting == "auto" ? "the device is emulated" : "as told";
  if (sched_getscheduler(0) != SCHED_OTHER) return as_started + ", under a policy of its own";
  const sched_param none{};
  if (sched_setscheduler(0, SCHED_BATCH, &none) != 0) {
    return as_started + ", SCHED_BATCH being refused: " + std::strerror(errno);
  }
  return "scheduling: SCHED_BATCH, " + why;
}

}  // namespace rdmakv
