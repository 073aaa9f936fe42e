// Owners of what libibverbs, librdmacm and the kernel hand out. Each releases its object when
// destroyed; an empty one owns nothing.
#pragma once

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>
#include <unistd.h>

#include <memory>
#include <utility>

namespace rdmakv::verbs {

template <auto Release>
struct ReleaseBy {
  template <typename T>
  void operator()(T* object) const noexcept {
    Release(object);
  }
};
template <typename T, auto Release>
using Handle = std::unique_ptr<T, ReleaseBy<Release>>;

using ContextHandle = Handle<ibv_context, ibv_close_device>;
using ProtectionDomainHandle = Handle<ibv_pd, ibv_dealloc_pd>;
using MemoryHandle = Handle<ibv_mr, ibv_dereg_mr>;
using CompletionChannelHandle = Handle<ibv_comp_channel, ibv_destroy_comp_channel>;
using CompletionQueueHandle = Handle<ibv_cq, ibv_destroy_cq>;
using QueuePairHandle = Handle<ibv_qp, ibv_destroy_qp>;
using EventChannelHandle = Handle<rdma_event_channel, rdma_destroy_event_channel>;
// Destroying an id waits until every event of it was acknowledged, which this folder does at once.
using CmIdHandle = Handle<rdma_cm_id, rdma_destroy_id>;

class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    FileDescriptor(std::move(other)).swap(*this);
    return *this;
  }
  ~FileDescriptor() { reset(); }

  explicit operator bool() const { return fd_ >= 0; }
  int get() const { return fd_; }
  void reset() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  void swap(FileDescriptor& other) noexcept { std::swap(fd_, other.fd_); }
  int fd_ = -1;
};

}  // namespace rdmakv::verbs
