// The storage server: its workers and its listener, on a Fabric. kv_server is this plus a command
// line; tests run it in-process:
//
//   auto server = server::Server::start(*fabric, {.memory_bytes = 64 << 20, .workers = 1});
//   connect to (*server)->port() ...
//
// Threads: one per worker, and one for the listener unless the owner dispatches it. start(), stop()
// and the destructor belong to one thread; port() and the like may be called from any.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rdmakv/server/clock.h"
#include "rdmakv/server/log.h"
#include "rdmakv/server/peer_timeouts.h"
#include "rdmakv/transport/fabric.h"

namespace rdmakv::server {

struct ServerOptions {
  FabricAddress address;               // where to listen; port 0: any free one
  uint64_t memory_bytes = 1ull << 30;  // index, pool, cas and grants of all workers together
  // Of it, cas and grants, for one-sided CAS; 0: none, CAS goes by request. At most half of it.
  // None given: one 200th, 256 KB to 64 MB for each worker.
  std::optional<uint64_t> cas_bytes;
  // Of it, the index; none given: one 12th of what is left. At most half of it.
  std::optional<uint64_t> index_bytes;
  // Of index and pool. kReserved, and there are none: kNoSpace or kSystemError.
  Pages pages = Pages::kTransparent;
  uint32_t workers = 0;           // 0: one per core, at most 4, and at least 64 MB each
  std::string secret;             // empty: none is asked for
  uint32_t max_connections = 64;  // per worker
  uint32_t ring_bytes = 1 << 20;
  uint32_t credits = 128;  // requests outstanding per connection, at most
  // A worker polls on for so long after its last work, then sleeps; none given: 50, and 5 where
  // threads have to share the cores.
  std::optional<uint64_t> spin_us;
  PeerTimeouts timeouts;
  bool own_listener_thread = true;  // false: the owner waits for listener_fd() and calls dispatch()
  Clock* clock = &Clock::system();
  LogSink log;  // empty: silence
  // For tests: called by each worker between the stores of a change (Partition::Step as a number),
  // to look at memory or take its time there.
  void (*step_hook)(void* context, int step) = nullptr;
  void* step_context = nullptr;
};

class Server {
 public:
  static constexpr uint64_t kSmallestWorker = 8ull << 20;  // bytes of index and pool
  static constexpr uint32_t kMostWorkers = 64;

  // Listens, allocates and registers all memory, starts the threads. `fabric` outlives the Server.
  static Result<std::unique_ptr<Server>> start(Fabric& fabric, const ServerOptions& options);
  virtual ~Server() = default;  // stops
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Accepts nobody any more, closes the connections, ends the threads.
  virtual void stop() = 0;

  virtual uint16_t port() const = 0;
  virtual uint64_t epoch() const = 0;
  virtual uint32_t workers() const = 0;
  // What the server got, a line each: memory by owner, pages, workers, limits.
  virtual std::vector<std::string> describe() const = 0;

  // With own_listener_thread off: readable when dispatch() has something to do.
  virtual int listener_fd() const = 0;
  virtual void dispatch() = 0;

 protected:
  Server() = default;
};

}  // namespace rdmakv::server
