// Child processes of a campaign. The campaign itself has one thread, so it may fork at any time.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>

#include "rdmakv/transport/status.h"

namespace rdmakv::linearizability {

// Runs `body` in a child, which ends with its result as exit status, and which dies with us.
Result<pid_t> start_child(const std::function<int()>& body);

// "exit status 3", "signal 11 (Segmentation fault)".
std::string how_it_ended(int wait_status);
bool was_killed(int wait_status);  // by SIGKILL

// SIGKILL. False: it has not ended for so long, which only the kernel can bring about.
bool end_child(pid_t child, uint64_t patience_ns);

// Memory that children share with us, zero-filled; never unmapped.
void* shared_memory(size_t bytes);
template <typename T>
T* shared(size_t count = 1) {
  return static_cast<T*>(shared_memory(sizeof(T) * count));
}

}  // namespace rdmakv::linearizability
