#pragma once

namespace rdmakv {

// A full barrier between this thread's earlier stores and later loads, of all memory. (A C++ fence
// by another name: ThreadSanitizer cannot follow atomic_thread_fence, and g++ warns of it.)
inline void full_fence() {
  __sync_synchronize();
}

}  // namespace rdmakv
