// Whether a process still lives: a word that only it can write, that its peers map read-only and
// that the kernel marks when it dies. One look at the word, after a READ from the process's memory,
// tells whether the memory was still that of a living process.
//
// Why a socket's end is not enough: a READ is a load, which works as well on memory whose owner was
// killed. Between the death and the moment at which a peer looks at its socket, a successor may
// have started on the same port and answered others: the peer would go on reading values that have
// been replaced since.
//
// What the kernel guarantees (get_robust_list(2), Documentation/locking/robust-futex-ABI): a thread
// may name a list of futex words that it holds; when it exits, however it exits, SIGKILL, a crash
// and execve() included, the kernel atomically sets FUTEX_OWNER_DIED in each of them that has its
// thread id. It does so while the thread gives up its address space (exit_mm), which comes before
// it gives up its descriptors (exit_files); and a process's descriptors are closed when the last of
// its threads has given them up. So the mark is set before the listening socket is closed, and thus
// before anybody else can bind its port. A peer that copies and then finds no mark has therefore
// copied before a successor was there.
//
// The thread is one of its own that does nothing else and lives until the last user of this object
// is gone, since any other may end before the process. The list is not glibc's but ours, which is
// why robust mutexes are not used: it lies in a shared mapping, whereas glibc's lies in private
// memory, which the kernel's out-of-memory reaper may take from a dying process before the list was
// walked (it spares shared mappings).
//
// A mark comes early, never late: other threads of the process may run for some microseconds more.
// So it means "what you read may be stale", not "nobody touches your memory any more": for that
// only the end of the socket counts.
#pragma once

#include <linux/futex.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>

#include "rdmakv/transport/shm/shared_memory.h"
#include "rdmakv/transport/status.h"

namespace rdmakv::shm {

// The page that a process shows to its peers.
struct LifePage {
  // The keeper's thread id; FUTEX_OWNER_DIED is set when it, or the process, has ended.
  alignas(64) std::atomic<uint32_t> keeper;

  bool marked_dead() const {
    // Sequentially consistent, so that it also stays behind an ATOMIC.
    return (keeper.load(std::memory_order_seq_cst) & FUTEX_OWNER_DIED) != 0;
  }
  // Whether there is a keeper at all.
  bool kept() const { return (keeper.load(std::memory_order_seq_cst) & FUTEX_TID_MASK) != 0; }
};
inline constexpr size_t kLifePageBytes = 4096;

// Thread-safe. A child made by fork() has no part in its parent's sign: it gets one of its own.
class LifeSign {
 public:
  // The sign of this process; there is one as long as somebody uses it.
  static Result<std::shared_ptr<LifeSign>> of_this_process();
  ~LifeSign();
  LifeSign(const LifeSign&) = delete;
  LifeSign& operator=(const LifeSign&) = delete;

  // A memfd with the LifePage, sealed against writing by anybody else.
  int fd() const { return page_.fd.get(); }
  const LifePage& page() const { return *reinterpret_cast<LifePage*>(page_.mapping.data()); }

 private:
  enum class State : uint32_t { kStarting, kKept, kFailed, kStopping };

  LifeSign() = default;
  Status start();
  void keep();
  void set_state(State state);

  int process_ = 0;
  SharedMemory page_;
  Mapping list_;  // the list that the kernel walks; no peer sees its addresses
  int error_ = 0;
  std::atomic<State> state_{State::kStarting};
  std::thread keeper_;
};

}  // namespace rdmakv::shm
