// One thread's completions: an ibv_cq shared by all its Endpoints, and the events of their
// connections (an RDMA CM event channel, the TCP connections of Socket mode, deadlines of set-up
// and tear-down), all behind one epoll descriptor.
//
// Completions name what they are for by their work request id, so that none is searched for:
//
//   | index of the Endpoint 16 | generation 24 | receive 1 | slot or ring position 23 |
//
// The index leads into a table; a completion whose generation is not the table's is a late one of
// an Endpoint destroyed meanwhile, and is dropped.
//
// The hot path makes no system call: connection events are looked for when the completion queue has
// been found empty some times, at every poll while a connection is being set up or torn down, and
// whenever the queue was armed.
#pragma once

#include <infiniband/verbs.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "rdmakv/transport/endpoint.h"
#include "rdmakv/transport/verbs/device.h"
#include "rdmakv/transport/verbs/handles.h"

namespace rdmakv::verbs {

class VerbsEndpoint;

// Names an Endpoint on its queue for ever: index << 24 | generation, never 0.
using EndpointKey = uint64_t;

// The parts of a work request id.
inline constexpr uint32_t kPositionBits = 23;
inline constexpr uint64_t kPositionMask = (uint64_t{1} << kPositionBits) - 1;
inline constexpr uint64_t kReceiveBit = uint64_t{1} << kPositionBits;
inline constexpr uint32_t kGenerationBits = 24;
inline constexpr uint64_t kGenerationMask = (uint64_t{1} << kGenerationBits) - 1;
constexpr uint64_t work_id_base(EndpointKey key) {
  return key << (kPositionBits + 1);
}

class VerbsCompletionQueue final : public CompletionQueue {
 public:
  static Result<std::unique_ptr<VerbsCompletionQueue>> create(std::shared_ptr<const Device> device,
                                                              uint32_t depth);
  // Its Endpoints, and the Listeners that may hand it new ones, must be gone.
  ~VerbsCompletionQueue() override;

  size_t poll(std::span<Completion> completions) override;
  int fd() const override { return epoll_.get(); }
  Status arm() override;

  // --- for the Endpoints and connectors of this folder ---

  const std::shared_ptr<const Device>& device() const { return device_; }
  ibv_cq* get() const { return queue_.get(); }

  // Any thread: reserves `completions` entries of the queue and a key. kBusy when there is no room.
  // Completions and events find the Endpoint only when it is published: one of connect() at once,
  // by the owner; an accepted one when the owner adopts it, so that nothing a peer does too early
  // comes between the listener's thread and the Endpoint.
  Result<EndpointKey> enroll(VerbsEndpoint* endpoint, uint32_t completions);
  void publish(EndpointKey key);
  // Ends the key. `used`: completions of it may still lie in the queue.
  void dismiss(EndpointKey key, uint32_t completions, bool used);
  // Any thread: the Endpoint, if there still is one of that key, goes on in the owner's thread.
  void adopt(EndpointKey key);

  // The owner's thread: `endpoint` has completions of its own making to be polled.
  void schedule(VerbsEndpoint* endpoint);
  // ... is in a passing state: look for events at every poll, and check its deadline.
  void watch(VerbsEndpoint* endpoint);
  void unwatch(VerbsEndpoint* endpoint);
  // ... is being destroyed.
  void forget(VerbsEndpoint* endpoint);
  // ... wants to hear nothing more under its present key.
  EndpointKey renew(EndpointKey key);
  // The channel for CM ids; made when first asked for, as a machine may be without the RDMA CM. The
  // context of an id is its Endpoint's key.
  Result<rdma_event_channel*> event_channel();
  // Reports events of `fd` to the Endpoint's Connection; closing the descriptor ends it.
  Status watch_socket(int fd, EndpointKey key, uint32_t events, bool modify);

 private:
  struct Member {
    VerbsEndpoint* endpoint = nullptr;
    uint32_t generation = 1;  // of the present Endpoint, or of the one to come; by mutex_
    std::atomic<uint32_t> published{0};  // the generation that completions may name; 0: none
  };
  // kArming: between arm() and the first poll() that finds nothing; an event consumed meanwhile
  // must be asked for anew. kArmed: the owner may sleep. kSpinning: the device was not asked to
  // notify.
  enum class Mode : uint8_t { kSpinning, kArming, kArmed };

  explicit VerbsCompletionQueue(std::shared_ptr<const Device> device);
  Status open(uint32_t wanted);
  VerbsEndpoint* find(EndpointKey key) const;
  size_t take(std::span<Completion> completions);
  size_t take_scheduled(std::span<Completion> completions);
  // Moves connections forward; returns whether the device's notification was consumed.
  bool progress();
  bool consume_notifications();
  void dispatch_cm_events();
  void dispatch_adoptions();
  void dispatch_deadlines();
  void kick();

  static constexpr int kBatch = 16;
  // A system call each; one that a sleeper was woken for is made before it sleeps again.
  static constexpr uint32_t kEmptyPollsPerCheck = 256, kArmedPollsPerCheck = 32;

  std::shared_ptr<const Device> device_;
  FileDescriptor epoll_;
  FileDescriptor wakeup_;  // an eventfd: adoptions, and completions scheduled while armed
  FileDescriptor timer_;   // ticks while an Endpoint is in a passing state
  CompletionChannelHandle channel_;
  CompletionQueueHandle queue_;
  EventChannelHandle cm_channel_;

  Mode mode_ = Mode::kSpinning;
  uint32_t empty_polls_ = 0;
  uint32_t unacknowledged_ = 0;
  // Entries reserved for Endpoints now gone, released when the queue was seen empty; changed by
  // mutex_.
  std::atomic<uint32_t> retired_{0};
  std::vector<VerbsEndpoint*> scheduled_;
  std::vector<VerbsEndpoint*> watched_;
  ibv_wc batch_[kBatch];

  std::atomic<bool> adoptions_waiting_{false};
  std::mutex mutex_;  // of what follows: touched only while connections come and go
  std::vector<EndpointKey> adoptions_;
  std::vector<uint32_t> free_members_;
  uint32_t depth_ = 0;
  uint32_t reserved_ = 0;
  uint32_t member_count_ = 0;
  std::unique_ptr<Member[]> members_;
};

}  // namespace rdmakv::verbs
