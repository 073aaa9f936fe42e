#include "tests/linearizability/campaign/witness.h"

#include <dirent.h>
#include <execinfo.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace rdmakv::linearizability {
namespace {

constexpr int kFrames = 64;
constexpr long kPauseNs = 500'000'000;  // for a thread to tell

thread_local Testimony testimony = nullptr;
thread_local void* testimony_context = nullptr;

void testify(int) {
  void* frames[kFrames];
  backtrace_symbols_fd(frames, backtrace(frames, kFrames), STDERR_FILENO);
  if (testimony != nullptr) testimony(testimony_context);
}

std::vector<pid_t> threads_of(pid_t pid) {
  std::vector<pid_t> threads;
  DIR* directory = opendir(("/proc/" + std::to_string(pid) + "/task").c_str());
  if (directory == nullptr) return threads;
  while (const dirent* entry = readdir(directory)) {
    if (const pid_t thread = std::atoi(entry->d_name); thread > 0) threads.push_back(thread);
  }
  closedir(directory);
  return threads;
}

// Whatever of it may be read: the kernel's stack only by root.
std::string contents(const std::string& file) {
  std::string text;
  const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return text;
  char piece[4096];
  for (ssize_t got = 0; (got = read(fd, piece, sizeof(piece))) > 0;) {
    text.append(piece, static_cast<size_t>(got));
  }
  close(fd);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace

void become_witness() {
  void* frame = nullptr;
  backtrace(&frame, 1);  // the first call loads a library, which a handler must not
  struct sigaction action = {};
  action.sa_handler = testify;
  action.sa_flags = SA_RESTART;
  sigaction(SIGUSR1, &action, nullptr);
}

void set_testimony(Testimony tell, void* context) {
  testimony = nullptr;  // a handler may come between any two stores
  testimony_context = context;
  testimony = tell;
}

void question(pid_t pid) {
  for (const pid_t thread : threads_of(pid)) {
    const std::string task =
        "/proc/" + std::to_string(pid) + "/task/" + std::to_string(thread) + "/";
    const std::string stat = contents(task + "stat");
    const size_t state = stat.rfind(')');
    std::fprintf(stderr, "process %d, thread %d: state %s, waits in %s, system call %s\n%s\n", pid,
                 thread, state == std::string::npos ? "?" : stat.substr(state + 2, 1).c_str(),
                 contents(task + "wchan").c_str(), contents(task + "syscall").c_str(),
                 contents(task + "stack").c_str());
    std::fflush(stderr);
    syscall(SYS_tgkill, pid, thread, SIGUSR1);
    const timespec pause{0, kPauseNs};
    nanosleep(&pause, nullptr);
  }
}

}  // namespace rdmakv::linearizability
