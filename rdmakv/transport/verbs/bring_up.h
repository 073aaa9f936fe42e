// Socket mode brings the queue pairs of accepted connections up in threads of its own: on the way
// to RTR the kernel looks for the peer's GID on the network, which takes a second when nobody there
// has it, and the listener's thread is not to wait so long for one client. Of these threads there
// are few, and fewer for any one host, so that false GIDs hold up none but the host they come from.
//
// All functions belong to the listener's thread; the threads in here touch only the connection they
// bring up.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "protocol/kv_handshake.h"
#include "rdmakv/transport/verbs/endpoint.h"
#include "rdmakv/transport/verbs/handles.h"
#include "rdmakv/transport/verbs/socket_connection.h"

namespace rdmakv::verbs {

// An accepted connection between request and reply. `connection` is the Endpoint's.
struct Accepting {
  uint64_t client = 0;  // the listener's number for it
  std::string host;     // from where it came, by TCP
  wire::ConnectRequest request;
  std::unique_ptr<VerbsEndpoint> endpoint;
  SocketConnection* connection = nullptr;
  Status status;  // of bringing it up
};

class BringUps {
 public:
  static constexpr size_t kAtOnce = 16;
  static constexpr size_t kAtOncePerHost = 2;

  // Before anything else.
  Status open();
  // Readable when take_finished() has something.
  int fd() const { return event_.get(); }

  bool has_room_for(const std::string& host) const;
  // Takes an Endpoint that is prepared and in INIT.
  void start(Accepting accepting);
  std::vector<Accepting> take_finished();

 private:
  struct Running {
    Accepting accepting;
    std::atomic<bool> done{false};
    std::jthread thread;  // the last: it is joined before what it works on goes
  };

  FileDescriptor event_;
  std::list<Running> running_;
};

}  // namespace rdmakv::verbs
