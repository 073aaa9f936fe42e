// Where Redis clients come in: making listening sockets (TCP, one per worker by SO_REUSEPORT;
// Unix), and accepting from them within a worker's loop.
#pragma once

#include <event2/event.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "rdmakv/transport/status.h"

namespace rdmakv::proxy {

class Worker;

// A listening, non-blocking TCP socket on `address` (name or number; empty or "*": all) and `port`
// (0: any). Several calls with one port share it. `first` checks that nobody else has the port.
Result<int> listen_tcp(const std::string& address, uint16_t port, bool first);
uint16_t bound_port(int fd);
// A listening Unix socket at `path` with permissions `mode`. A socket there that nobody listens on
// any more is replaced; anything else is an error.
Result<int> listen_unix(const std::string& path, unsigned mode);

class ClientListener {
 public:
  enum class Kind : uint8_t { kPlain, kTls };

  // Takes over `fd`. Each accepted socket goes to `accepted`, in the worker's thread.
  ClientListener(Worker& worker, int fd, std::function<void(int)> accepted);
  ~ClientListener();
  ClientListener(const ClientListener&) = delete;
  ClientListener& operator=(const ClientListener&) = delete;

 private:
  static void on_readable(evutil_socket_t fd, short what, void* self);
  static void on_retry(evutil_socket_t fd, short what, void* self);
  void accept_some();
  void configure(int fd) const;

  Worker& worker_;
  const int fd_;
  std::function<void(int)> accepted_;
  event* event_ = nullptr;
  event* retry_ = nullptr;
};

}  // namespace rdmakv::proxy
