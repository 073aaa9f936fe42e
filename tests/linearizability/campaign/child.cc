#include "tests/linearizability/campaign/child.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

namespace rdmakv::linearizability {

Result<pid_t> start_child(const std::function<int()>& body) {
  std::fflush(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return Status::from_errno("fork", errno);
  if (pid > 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(0);
  const int status = body();
  std::fflush(nullptr);
  _exit(status);
}

bool was_killed(int wait_status) {
  return WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGKILL;
}

std::string how_it_ended(int wait_status) {
  if (WIFEXITED(wait_status)) return "exit status " + std::to_string(WEXITSTATUS(wait_status));
  const int signal = WTERMSIG(wait_status);
  return "signal " + std::to_string(signal) + " (" + strsignal(signal) + ")";
}

bool end_child(pid_t child, uint64_t patience_ns) {
  constexpr uint64_t kPauseNs = 2'000'000;
  ::kill(child, SIGKILL);
  for (uint64_t waited = 0; waitpid(child, nullptr, WNOHANG) == 0; waited += kPauseNs) {
    if (waited > patience_ns) return false;
    const timespec pause{0, kPauseNs};
    nanosleep(&pause, nullptr);
  }
  return true;
}

void* shared_memory(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    std::perror("mmap");
    std::abort();
  }
  return memory;
}

}  // namespace rdmakv::linearizability
