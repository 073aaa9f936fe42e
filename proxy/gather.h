// Asking all workers: a job runs in each of their threads, and what the jobs return comes together
// in the worker that asked. For rare commands only.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "rdmakv/client/client.h"

namespace rdmakv::proxy {

class Request;
class Worker;

struct GatherPart {
  std::string text;
  uint64_t number = 0;
  ClientCounters counters;
};

// `ask` runs once in each worker's thread; then `then`, in the request's worker, gets the texts,
// one after the other in the order of the workers, and the sums of the numbers and counters. It
// goes on with the request. (Should the worker end first, the request is finished and `then` not
// called.)
void ask_all(Request& request, std::function<GatherPart(Worker&)> ask,
             std::function<void(Request&, const GatherPart&)> then);

// Likewise, but `then` writes the reply; the request is finished behind it.
void gather(Request& request, std::function<GatherPart(Worker&)> ask,
            std::function<void(Request&, const GatherPart&)> then);

}  // namespace rdmakv::proxy
