// Setting up: a Fabric is one way of reaching peers (an RDMA device, or this host's shared memory).
// It allocates registered memory, makes completion queues, connects and listens. Set-up only; the
// datapath is in endpoint.h.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "protocol/kv_handshake.h"
#include "rdmakv/transport/endpoint.h"
#include "rdmakv/transport/local_atomics.h"
#include "rdmakv/transport/memory.h"
#include "rdmakv/transport/status.h"

namespace rdmakv {

// Where a server listens. For shm only `port` counts (it names a Unix socket in the abstract name
// space, so it is unique per network namespace). `by_socket` picks Socket mode on an RDMA fabric:
// the queue pair is brought up by hand after an exchange over TCP.
struct FabricAddress {
  std::string host;   // name or address; empty when listening: all
  uint16_t port = 0;  // 0 when listening: any free one
  bool by_socket = false;
  // As the programs' --server options take it, on the fabric of that name: "shm:7000",
  // "rdma:10.0.0.1:7000", "rdma+socket:10.0.0.1:7000".
  std::string to_string(std::string_view fabric_name) const;
};

struct FabricLimits {
  uint32_t max_message = 0;      // bytes of one SEND, WRITE or READ
  uint32_t max_completions = 0;  // depth of one completion queue
  uint32_t max_reads = 0;        // outstanding READs and ATOMICs per connection
  uint32_t max_work = 0;         // work requests per connection
  bool atomics = true;           // ATOMICs can be posted, and are served
  bool atomics_with_cpu =
      false;  // ATOMICs are atomic against the host's CPU too (IBV_ATOMIC_GLOB, shm)
  bool reads_are_loads = false;  // a READ is done by the caller's own CPU, at once (shm)
  bool sleeps_cheaply =
      false;  // a peer's SEND to a sleeper costs a system call only when it sleeps (shm)
  // The device is a driver that does its work on the processors (Soft-RoCE, Soft-iWARP): what a
  // message or a READ costs is their time, and some operations in one message cost little more.
  bool emulated = false;
};

// What the accepting side answers to a connect request; called in the listener's thread.
class ConnectionHandler {
 public:
  struct Acceptance {
    CompletionQueue* queue = nullptr;  // the Endpoint will belong to this queue's thread
    EndpointOptions options;           // at most what was proposed
  };
  virtual ~ConnectionHandler() = default;
  // An error refuses; its message goes to the peer.
  virtual Result<Acceptance> route(const wire::ConnectRequest& request) = 0;
  // The Endpoint is up (or about to be); its receives are posted. The handler passes it to the
  // thread of the queue it named.
  virtual void accepted(const wire::ConnectRequest& request,
                        std::unique_ptr<Endpoint> endpoint) = 0;
};

// Listens in the thread that calls dispatch(); bad or slow peers never block it.
class Listener {
 public:
  virtual ~Listener() = default;
  virtual int fd() const = 0;  // readable (level-triggered) when dispatch() has something to do
  virtual void dispatch() = 0;
  virtual uint16_t port() const = 0;  // the one bound
 protected:
  Listener() = default;
};

class Fabric {
 public:
  virtual ~Fabric() = default;

  virtual Result<std::unique_ptr<MemoryRegion>> allocate(const RegionOptions& options) = 0;
  virtual Result<std::unique_ptr<CompletionQueue>> create_completion_queue(uint32_t depth) = 0;

  // Starts to connect, without blocking (a host name is resolved first, which may). The Endpoint's
  // kConnected or kDisconnected (see error_text()) comes through `queue`.
  virtual Result<std::unique_ptr<Endpoint>> connect(const FabricAddress& server,
                                                    const wire::ConnectRequest& request,
                                                    const EndpointOptions& options,
                                                    CompletionQueue& queue) = 0;

  virtual Result<std::unique_ptr<Listener>> listen(const FabricAddress& address,
                                                   ConnectionHandler& handler) = 0;

  // ATOMICs of this process on its own regions, for one thread; belongs to it, and goes before the
  // Fabric. kUnavailable where peers cannot do ATOMICs either.
  virtual Result<std::unique_ptr<LocalAtomics>> create_local_atomics() {
    return {Code::kUnavailable, "this fabric has no atomics"};
  }

  virtual FabricLimits limits() const = 0;
  virtual std::string_view name() const = 0;  // "rdma" or "shm"
  virtual std::string describe() const = 0;   // one line for start-up: device, port, GID, MTU, ...
  // A host by which peers reach a listener on all addresses; empty where none is needed (shm) or
  // known.
  virtual std::string local_host() const { return {}; }
};

}  // namespace rdmakv
