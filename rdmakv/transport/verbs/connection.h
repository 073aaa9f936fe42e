// How one Endpoint is brought up, and what tells it that the peer has gone: the RDMA CM
// (cm_connector.h) or a TCP connection (socket_connector.h). The datapath knows no more of it.
#pragma once

#include <cstdint>

struct rdma_cm_event;

namespace rdmakv::verbs {

class VerbsEndpoint;

// Called by the thread of the Endpoint's queue only (the destructor of one never adopted: by the
// listener's thread).
class Connection {
 public:
  virtual ~Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // An accepted Endpoint is now its owner's: answer the peer.
  virtual void adopted(VerbsEndpoint& endpoint) = 0;
  virtual void on_cm_event(VerbsEndpoint&, const rdma_cm_event&) {}
  virtual void on_socket_event(VerbsEndpoint&, uint32_t /*epoll_events*/) {}
  // Tells the peer that it is over, if it can be told, without waiting. More than once is fine.
  virtual void disconnect() noexcept = 0;

 protected:
  Connection() = default;
};

}  // namespace rdmakv::verbs
