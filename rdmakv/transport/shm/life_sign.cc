#include "rdmakv/transport/shm/life_sign.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <system_error>

namespace rdmakv::shm {
namespace {

// A list of one entry, as the kernel wants it.
struct RobustList {
  robust_list_head head;
  robust_list entry;
};

Result<Mapping> map_list() {
  void* data =
      mmap(nullptr, sizeof(RobustList), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) return Status::from_errno("mapping the list of robust futexes", errno);
  return Mapping(static_cast<std::byte*>(data), sizeof(RobustList));
}

}  // namespace

Result<std::shared_ptr<LifeSign>> LifeSign::of_this_process() {
  static std::mutex mutex;
  static std::weak_ptr<LifeSign> current;
  const std::lock_guard lock(mutex);
  std::shared_ptr<LifeSign> sign = current.lock();
  if (sign != nullptr && sign->process_ == getpid()) return sign;
  sign.reset(new LifeSign());
  if (Status status = sign->start(); !status) return status;
  current = sign;
  return sign;
}

Status LifeSign::start() {
  process_ = getpid();
  Result<SharedMemory> page =
      make_shared_memory({"rdmakv:life", kLifePageBytes, Pages::kSmall, true, false});
  if (!page) return page.status();
  page_ = std::move(page).value();
  Result<Mapping> list = map_list();
  if (!list) return list.status();
  list_ = std::move(list).value();

  // The keeper is nobody to deliver a signal to.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    keeper_ = std::thread([this] { keep(); });
  } catch (const std::system_error& error) {
    error_ = error.code().value();
    state_ = State::kFailed;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  state_.wait(State::kStarting);
  if (state_ != State::kFailed) return Status::ok();
  return Status::from_errno("starting the thread whose end tells peers of this process's", error_);
}

void LifeSign::keep() {
  pthread_setname_np(pthread_self(), "rdmakv-life");
  auto* page = reinterpret_cast<LifePage*>(page_.mapping.data());
  auto* list = reinterpret_cast<RobustList*>(list_.data());
  list->head.list.next = &list->entry;
  list->head.futex_offset =
      reinterpret_cast<char*>(&page->keeper) - reinterpret_cast<char*>(&list->entry);
  list->head.list_op_pending = nullptr;
  list->entry.next = &list->head.list;
  page->keeper = static_cast<uint32_t>(syscall(SYS_gettid));
  if (syscall(SYS_set_robust_list, &list->head, sizeof(list->head)) != 0) {
    error_ = errno;
    set_state(State::kFailed);
    return;
  }
  set_state(State::kKept);
  state_.wait(State::kKept);
}

void LifeSign::set_state(State state) {
  state_ = state;
  state_.notify_all();
}

LifeSign::~LifeSign() {
  if (!keeper_.joinable()) return;
  if (process_ != getpid()) {  // forked: there is no such thread here
    keeper_.detach();
    return;
  }
  if (state_ == State::kKept) set_state(State::kStopping);
  keeper_.join();  // marks the page
}

}  // namespace rdmakv::shm
