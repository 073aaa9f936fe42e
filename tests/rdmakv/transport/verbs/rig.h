// Two ends of a connection over real RDMA devices, in one thread: what the tests of this folder
// stand on. Every wait pumps both queues and the listener, and gives up after a generous time.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "rdmakv/transport/fabric.h"

namespace rdmakv::verbs {

struct RigOptions {
  bool by_socket = false;
  std::string client_device = "rxe0";
  std::string server_device = "rxe1";
  std::string server_host = "10.77.0.2";
  int client_gid_index = -1;
  EndpointOptions sizes;
  uint32_t queue_depth = 8192;
};

// An Endpoint's completion, with the message copied.
struct Event {
  Completion completion;
  std::string message;
};

class Rig final : public ConnectionHandler {
 public:
  explicit Rig(RigOptions options);
  ~Rig() override;

  // Whether both fabrics and the listener are there; EXPECTs that they are.
  bool open();
  // Starts to connect; `request` as a caller gives it.
  bool start(const wire::ConnectRequest& request = {});
  // Connects and waits until both ends are up.
  bool connect();

  void pump();
  // Pumps until `done`; false (and a test failure naming `what`) when that does not happen.
  bool wait_for(const std::string& what, const std::function<bool()>& done);
  bool send(Endpoint& from, const std::string& text, bool signalled = false);

  static const Event* find(const std::vector<Event>& events, CompletionKind kind);
  static size_t count(const std::vector<Event>& events, CompletionKind kind);

  RigOptions options;
  std::unique_ptr<Fabric> client_fabric, server_fabric;
  std::unique_ptr<CompletionQueue> client_queue, server_queue;
  std::unique_ptr<Listener> listener;
  std::unique_ptr<Endpoint> client, server;
  std::vector<Event> client_events, server_events;
  // What route() answers; refuses when it is an error.
  Status route_status;
  EndpointOptions accepted_options;
  wire::ConnectRequest last_request;
  bool keep_messages = false;  // do not release what arrives
  bool drop_accepted = false;  // destroy an accepted Endpoint at once, in the handler

  Result<Acceptance> route(const wire::ConnectRequest& request) override;
  void accepted(const wire::ConnectRequest& request, std::unique_ptr<Endpoint> endpoint) override;

 private:
  void take(CompletionQueue& queue, std::vector<Event>& events);
};

// The fixture of tests that run in CM mode and in Socket mode (instantiated in device_test.cc).
class BothModes : public testing::TestWithParam<bool> {
 protected:
  RigOptions options() const {
    RigOptions options;
    options.by_socket = GetParam();
    return options;
  }
};

inline bool disconnected(const std::vector<Event>& events) {
  return Rig::find(events, CompletionKind::kDisconnected) != nullptr;
}

// Registered memory of 64 KB.
std::unique_ptr<MemoryRegion> region_of(Fabric& fabric, RemoteAccess access);
inline constexpr RemoteAccess kAllAccess =
    RemoteAccess::kRead | RemoteAccess::kWrite | RemoteAccess::kAtomic;
LocalBuffer local(const MemoryRegion& region, size_t offset, uint32_t length);
RemoteAddress remote(const MemoryRegion& region, uint64_t offset = 0);

}  // namespace rdmakv::verbs
