// Where one thread finds what its connections brought: it looks at their rings in turn
// (endpoint_turns.h).
//
// The file descriptor is an epoll over each connection's doorbell (an eventfd, edge-triggered and
// never read) and Unix socket (descriptors passed, the peer's end), and over one eventfd of the
// queue's own (connections handed over). While nobody sleeps, the sockets are looked at once in
// kServiceInterval polls, so that the death of a peer is noticed without a system call per poll.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "rdmakv/transport/endpoint.h"
#include "rdmakv/transport/shm/endpoint_turns.h"
#include "rdmakv/transport/shm/queue_page.h"
#include "rdmakv/transport/shm/shared_memory.h"
#include "rdmakv/transport/shm/shm_endpoint.h"
#include "rdmakv/transport/shm/unique_fd.h"
#include "rdmakv/transport/status.h"

namespace rdmakv::shm {

class ShmCompletionQueue final : public CompletionQueue {
 public:
  static constexpr uint32_t kServiceInterval = 512;

  static Result<std::unique_ptr<ShmCompletionQueue>> create();
  ~ShmCompletionQueue() override;  // after all its Endpoints

  size_t poll(std::span<Completion> completions) override;
  int fd() const override { return epoll_.get(); }
  Status arm() override;

  // ---- for Endpoints, in the queue's thread
  void add(ShmEndpoint& endpoint) { turns_.add(endpoint); }
  void remove(ShmEndpoint& endpoint) { turns_.remove(endpoint); }
  Status watch(int socket, int doorbell, ShmEndpoint* endpoint);
  void unwatch(int fd);
  int page_fd() const { return page_.fd.get(); }
  // It has something to poll for that no descriptor tells of.
  void stir(ShmEndpoint& endpoint) {
    turns_.stir(endpoint);
    if (armed_) nudge();
  }

  // ---- any thread
  // Brings an accepted Endpoint to the queue's thread, unless it has been destroyed already.
  void hand_over(const std::shared_ptr<Handover>& handover);
  // The Endpoint is being destroyed.
  void cancel(Handover& handover);

 private:
  ShmCompletionQueue() = default;

  size_t scan(std::span<Completion> completions, bool all);
  bool service();
  void adopt();
  void nudge();
  void set_epoch(uint64_t epoch);
  QueuePage& page() { return *reinterpret_cast<QueuePage*>(page_.mapping.data()); }

  UniqueFd epoll_;
  UniqueFd event_;  // makes fd() readable
  SharedMemory page_;
  uint64_t epoch_ = 0;

  EndpointTurns turns_;  // those not done
  size_t next_ = 0;      // of the active ones: whose turn it is
  uint32_t until_service_ = kServiceInterval;
  bool armed_ = false;
  bool may_sleep_ = false;  // armed, and poll() has returned 0 since
  bool drain_due_ = false;  // the events that woke us were not taken yet

  std::atomic<bool> inbox_filled_{false};
  std::mutex mutex_;
  std::vector<std::shared_ptr<Handover>> inbox_;  // guarded by mutex_
};

}  // namespace rdmakv::shm
