#include "proxy/proxy.h"

#include <fmt/format.h>
#include <unistd.h>

#include <utility>

#include "proxy/listener.h"
#include "proxy/worker.h"
#include "rdmakv/transport/authentication.h"

namespace rdmakv::proxy {

Proxy::Proxy(Options options) : options_(std::move(options)) {
  settings_.max_clients = options_.max_clients;
  settings_.spin_us = options_.spin_us;
  run_id_ = fmt::format("{:016x}{:016x}{:08x}", random_u64(), random_u64(),
                        static_cast<uint32_t>(random_u64()));
}

Proxy::~Proxy() {
  stop();
}

uint64_t Proxy::uptime_seconds() const {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - started_)
          .count());
}

bool Proxy::client_arrives() {
  if (clients_.fetch_add(1, std::memory_order_relaxed) < settings_.max_clients) return true;
  client_left();
  return false;
}

Worker& Proxy::add_worker(std::unique_ptr<Client> client) {
  const auto index = static_cast<unsigned>(workers_.size());
  workers_.push_back(std::make_unique<Worker>(*this, index, std::move(client)));
  return *workers_.back();
}

Status Proxy::start(Fabric& fabric, const ClientOptions& client_options) {
  std::vector<std::unique_ptr<Client>> clients;
  for (unsigned i = 0; i < options_.threads; ++i) {
    Result<std::unique_ptr<Client>> client = Client::create(fabric, client_options);
    if (!client) return client.status();
    clients.push_back(std::move(*client));
  }
  return start(std::move(clients));
}

Status Proxy::start(std::vector<std::unique_ptr<Client>> clients) {
  for (std::unique_ptr<Client>& client : clients) add_worker(std::move(client));
  const Status opened = open_sockets();
  if (!opened) return opened;
  for (const std::unique_ptr<Worker>& worker : workers_) {
    threads_.emplace_back([&worker = *worker] { worker.run(); });
  }
  return Status::ok();
}

Status Proxy::open_sockets() {
  if (options_.tcp) {
    port_ = options_.port;
    for (const std::unique_ptr<Worker>& worker : workers_) {
      const bool first = worker->index() == 0;
      const Result<int> fd = listen_tcp(options_.address, port_, first);
      if (!fd) return fd.status();
      if (first) port_ = bound_port(fd.value());
      worker->listen(fd.value());
    }
  }
  if (options_.unix_socket.empty()) return Status::ok();
  const Result<int> fd = listen_unix(options_.unix_socket, options_.unix_socket_mode);
  if (!fd) return fd.status();
  unix_bound_ = true;
  // One socket for all: the first worker accepts, and they get the clients in turn.
  workers_.front()->listen(fd.value(), [this](int accepted) {
    Worker& next = *workers_[next_worker_++ % workers_.size()];
    if (&next == workers_.front().get()) return next.adopt(accepted);
    next.post([&next, accepted] { next.adopt(accepted); });
  });
  return Status::ok();
}

void Proxy::stop() {
  for (const std::unique_ptr<Worker>& worker : workers_) worker->stop();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  if (std::exchange(unix_bound_, false)) ::unlink(options_.unix_socket.c_str());
  workers_.clear();
}

}  // namespace rdmakv::proxy
