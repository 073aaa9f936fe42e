// The storage server of a campaign, in a process of its own: what kv_server is, but for the command
// line.
#pragma once

#include <sys/types.h>

#include <string>

#include "rdmakv/fabric_factory.h"
#include "rdmakv/transport/status.h"

namespace rdmakv::linearizability {

struct ServerSetup {
  Transport transport = Transport::kShm;
  std::string device;
  std::string host;  // RDMA: the address that clients connect to
  uint32_t workers = 2;
  uint64_t memory_mb = 24;
  uint64_t cas_kb = 1024;  // of it
  std::string log;         // file
  // Of the steps of a change, those at which the worker pauses, for up to 300 us.
  uint32_t pauses_per_million = 0;
};

class ServerProcess {
 public:
  explicit ServerProcess(ServerSetup setup) : setup_(std::move(setup)) {}
  ~ServerProcess() { kill(); }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  // Listens when this returns; again on the same port.
  Status start();
  // SIGKILL, and waits.
  void kill();
  // An error when it has ended by itself.
  Status check();
  uint16_t port() const { return port_; }

 private:
  const ServerSetup setup_;
  pid_t pid_ = -1;
  uint16_t port_ = 0;
};

}  // namespace rdmakv::linearizability
