// The whole proxy: settings, counters and workers, one thread each. Starting and stopping, and what
// a command asks of all workers. Thread-safe where a worker may call it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "proxy/options.h"
#include "proxy/settings.h"
#include "rdmakv/client/client.h"
#include "rdmakv/transport/fabric.h"
#include "rdmakv/transport/status.h"

namespace rdmakv::proxy {

class Worker;

class Proxy {
 public:
  explicit Proxy(Options options);
  // Stops, if it runs.
  ~Proxy();
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  // Opens the sockets and starts the threads. `fabric` outlives the proxy.
  Status start(Fabric& fabric, const ClientOptions& client_options);
  // The same with given clients, one per worker to be; for tests. Sockets only as the options say.
  Status start(std::vector<std::unique_ptr<Client>> clients);
  // Ends the threads and closes everything. Not from a worker.
  void stop();

  // A worker that no thread runs: whoever calls its turn() is its thread. For tests.
  Worker& add_worker(std::unique_ptr<Client> client);

  const Options& options() const { return options_; }
  Settings& settings() { return settings_; }
  const Settings& settings() const { return settings_; }
  const std::vector<std::unique_ptr<Worker>>& workers() const { return workers_; }
  uint16_t port() const { return port_; }  // the one bound
  const std::string& run_id() const { return run_id_; }
  uint64_t uptime_seconds() const;

  uint64_t next_client_id() { return next_client_id_.fetch_add(1, std::memory_order_relaxed); }
  // False: there are maxclients already.
  bool client_arrives();
  void client_left() { clients_.fetch_sub(1, std::memory_order_relaxed); }
  uint64_t clients() const { return clients_.load(std::memory_order_relaxed); }

 private:
  Status open_sockets();

  const Options options_;
  Settings settings_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  std::string run_id_;
  uint16_t port_ = 0;
  bool unix_bound_ = false;
  std::atomic<uint64_t> next_client_id_{1};
  std::atomic<uint64_t> clients_{0};
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::thread> threads_;
  std::atomic<size_t> next_worker_{0};
};

}  // namespace rdmakv::proxy
