// A worker: one thread, one partition, the connections that clients have with it. Polls, executes,
// replies; spins a little while there is work, then sleeps on its completion queue. An idle worker
// uses no CPU: it wakes for a timer only while a connection or an expiry wants one.
//
// Threads: create(), start(), adopt(), stop() and the destructor belong to the owner; adopt(),
// connections() and queue() (only to be named, not used) may be called from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "rdmakv/server/clock.h"
#include "rdmakv/server/connection.h"
#include "rdmakv/server/log.h"
#include "rdmakv/server/partition.h"
#include "rdmakv/transport/fabric.h"

namespace rdmakv::server {

struct WorkerOptions {
  uint32_t worker = 0;
  uint32_t workers = 1;
  uint64_t memory_bytes = 0;          // index, pool, cas and grants together
  uint64_t cas_bytes = 0;             // of it, cas and grants; 0: no one-sided CAS
  uint64_t index_bytes = 0;           // of it, the index; 0: one 12th of what is left
  Pages pages = Pages::kTransparent;  // of index and pool
  uint32_t max_connections = 64;
  uint32_t ring_bytes = wire::kRingBytes;
  uint32_t credits = 128;  // of a connection, at most
  uint64_t spin_ns = 0;    // polls on without sleeping this long after the last work
  bool yield = true;       // gives the core away between such polls
  uint64_t epoch = 0;
  uint64_t seed = 0;  // Welcome.seed
  std::string secret;
  PeerTimeouts timeouts;
  Clock* clock = &Clock::system();
  LogSink log;
  void (*step_hook)(void* context, int step) = nullptr;  // see ServerOptions
  void* step_context = nullptr;
};

// Bytes of memory by owner.
struct WorkerMemory {
  uint64_t index = 0, pool = 0;  // registered; the partition's
  uint64_t cas = 0, grants = 0;  // likewise
  uint64_t rings = 0;            // registered; one per connection that there may be
  uint64_t tables = 0;           // private; slab, index stash, pins, cas extents
  uint64_t huge = 0;             // of index and pool, in transparent huge pages
};

class Worker final : private ReadMarks {
 public:
  // Allocates and registers all memory.
  static Result<std::unique_ptr<Worker>> create(Fabric& fabric, const WorkerOptions& options);
  ~Worker();  // stops
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void start();
  // Closes the connections and ends the thread.
  void stop();

  // Takes an accepted Endpoint of queue(), handing it to the thread.
  void adopt(std::unique_ptr<Endpoint> endpoint);
  CompletionQueue& queue() { return *queue_; }
  // Connections that there are, those being adopted or in quarantine included.
  uint32_t connections() const { return connections_.load(std::memory_order_relaxed); }
  // What route() answers: the sizes for a connection, or why it is refused.
  Result<EndpointOptions> accept_options(const wire::ConnectRequest& request) const;

  const WorkerMemory& memory() const { return memory_; }
  Pages pages() const { return options_.pages; }
  // How one-sided CAS is done here, or why not.
  const std::string& one_sided_cas() const { return one_sided_cas_; }
  uint64_t max_value_bytes() const { return partition_->max_value_bytes(); }

 private:
  // Beyond one per credit: spare ones, large values, refusals.
  static constexpr uint32_t kMoreSendSlots = 32;

  Worker(const WorkerOptions& options, const FabricLimits& limits);
  std::string no_room() const;
  Status allocate(Fabric& fabric);
  Status allocate_memory(Fabric& fabric);
  Status allocate_rings(Fabric& fabric);
  Status create_queue(Fabric& fabric);
  void open_atomics(Fabric& fabric);
  void create_partition();
  Result<std::unique_ptr<MemoryRegion>> allocate_region(Fabric& fabric, uint64_t bytes,
                                                        RemoteAccess access, const char* what);

  void run();
  void take_mail(uint64_t now_ns);
  void welcome(std::unique_ptr<Endpoint> endpoint, uint64_t now_ns);
  void turn(std::span<const Completion> completions, uint64_t now_ns);
  void finish_active(uint64_t now_ns);
  void housekeeping(uint64_t now_ns);
  void remove_gone(uint64_t now_ns);
  void quarantine(std::unique_ptr<Connection> connection, uint64_t now_ns);
  void end_quarantines(uint64_t now_ns);
  void give_back(std::unique_ptr<Connection> connection);
  uint64_t connections_due(uint64_t now_ns);
  uint64_t wake_time(uint64_t now_ns);
  void sleep(uint64_t now_ns);
  void on_turned_away(const Completion& completion);
  void collect(std::vector<uint64_t>& into) override;  // ReadMarks
  void shut_down();
  void wake();
  void append_stats(std::string& text) const;
  void tell_of_lost_keys(uint64_t now_ns);

  WorkerOptions options_;
  FabricLimits limits_;
  WorkerMemory memory_;
  LimitedLog log_;
  // Declared so that what uses memory is destroyed before it: connections, partition, regions.
  std::unique_ptr<MemoryRegion> index_;
  std::unique_ptr<MemoryRegion> pool_;
  std::unique_ptr<LocalAtomics> atomics_;  // null, as the next two: no one-sided CAS
  std::unique_ptr<MemoryRegion> cas_;
  std::unique_ptr<MemoryRegion> grants_;
  std::string one_sided_cas_;
  std::vector<std::unique_ptr<MemoryRegion>> rings_;
  std::vector<MemoryRegion*> free_rings_;
  std::unique_ptr<CompletionQueue> queue_;
  std::unique_ptr<Partition> partition_;
  std::unique_ptr<ConnectionContext> context_;
  std::vector<std::unique_ptr<Connection>> clients_;
  // Of these, the ones that a turn has to look at: of which completions came, or whose input waits
  // for a send buffer since the turn before.
  std::vector<Connection*> active_;
  std::vector<std::unique_ptr<Connection>> quarantine_;  // the peer is gone, but may still write
  struct TurnedAway {  // one connection too many, until its Refusal has arrived
    std::unique_ptr<Endpoint> endpoint;
    uint64_t until_ns = 0;
  };
  std::vector<TurnedAway> turned_away_;

  int event_fd_ = -1;
  std::mutex mail_mutex_;
  std::vector<std::unique_ptr<Endpoint>> mail_;
  std::atomic<bool> has_mail_{false};
  std::atomic<bool> stopping_{false};
  std::atomic<uint32_t> connections_{0};
  std::atomic<uint32_t> quarantined_{0};  // of them
  std::thread thread_;

  // The thread's own.
  uint64_t timer_ns_ = 0;  // when housekeeping() is due at the latest
  uint64_t due_ns_ = 0;    // before this no connection wants on_time()
  bool gone_ = false;      // some connection may be gone
  uint64_t turns_ = 0, sleeps_ = 0, refused_ = 0, accepted_ = 0, quarantines_ = 0;
  uint64_t lost_keys_told_ = 0;
  ReplyCounters past_replies_;  // of connections that are gone
};

}  // namespace rdmakv::server
