// Stops this process in the middle of a copy, at a place that the test chooses: a page of the
// source can't be read, and who tries is stopped by SIGSTOP until somebody resumes it; then the
// page can be read, and the copy goes on.
#pragma once

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace rdmakv::shm {

class Tripwire {
 public:
  static constexpr size_t kPage = 4096;

  // `page` is page aligned. `tripped` runs at the place where the process is about to stop. One per
  // process, and for ever.
  Tripwire(std::byte* page, std::function<void()> tripped) {
    tripped_ = std::move(tripped);
    page_ = page;
    struct sigaction action {};
    action.sa_sigaction = &Tripwire::on_fault;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    if (sigaction(SIGSEGV, &action, nullptr) != 0 || mprotect(page, kPage, PROT_NONE) != 0)
      _exit(90);
  }

 private:
  static void on_fault(int, siginfo_t* info, void*) {
    auto* at = static_cast<std::byte*>(info->si_addr);
    std::byte* const page = page_;
    if (at < page || at >= page + kPage) _exit(91);
    if (mprotect(page, kPage, PROT_READ | PROT_WRITE) != 0) _exit(92);
    if (tripped_) tripped_();
    raise(SIGSTOP);
  }

  static inline std::atomic<std::byte*> page_ = nullptr;  // whichever thread it is that trips
  static inline std::function<void()> tripped_;
};

}  // namespace rdmakv::shm
