#include "proxy/stats.h"

namespace rdmakv::proxy {

void WorkerStats::reset() {
  for (Counter* counter : {&connections, &rejected, &processed, &unknown, &errors, &input_bytes,
                           &output_bytes, &reads, &writes, &flushes, &hits, &misses,
                           &output_limit_closes, &query_limit_closes, &broken_replies}) {
    counter->reset();
  }
  for (size_t i = 0; i < command_count; ++i) {
    CommandStats& command = commands[i];
    for (Counter* counter :
         {&command.calls, &command.microseconds, &command.rejected, &command.failed}) {
      counter->reset();
    }
  }
}

}  // namespace rdmakv::proxy
