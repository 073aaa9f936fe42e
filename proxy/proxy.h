// The whole proxy: settings, counters and workers, one thread each. Starting and stopping, and what
// a command asks of all workers. Thread-safe where a worker may call it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "proxy/acl.h"
#include "proxy/command_table.h"
#include "proxy/latency_monitor.h"
#include "proxy/listener.h"
#include "proxy/options.h"
#include "proxy/settings.h"
#include "proxy/slow_log.h"
#include "proxy/tls_context.h"
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
  const CommandTable& commands() const { return commands_; }
  AccessControl& access() { return access_; }
  const AccessControl& access() const { return access_; }
  // TLS: what is configured, and the context that new connections use; null while there is none.
  TlsSettings tls_settings() const;
  void change_tls(std::string TlsSettings::*field, std::string_view value);
  // Makes a context of the settings, if they have changed or `reload` says that the files may have;
  // if that fails, the settings go back to what they were and the old context stays.
  Status apply_tls(bool reload = false);
  std::shared_ptr<const TlsContext> tls() const;
  uint16_t tls_port() const { return tls_port_; }  // the one bound; 0: none

  // Of the process, when it had started.
  uint64_t startup_memory() const { return startup_memory_; }
  SlowLog& slow_log() { return slow_log_; }
  LatencyMonitor& latency_monitor() { return latency_monitor_; }
  Settings& settings() { return settings_; }
  const Settings& settings() const { return settings_; }
  const std::vector<std::unique_ptr<Worker>>& workers() const { return workers_; }
  uint16_t port() const { return port_; }  // the one bound
  const std::string& run_id() const { return run_id_; }
  uint64_t uptime_seconds() const;
  int64_t started_at() const { return started_at_; }  // Unix time, seconds

  // What SHUTDOWN does: tells who owns this proxy to stop() it. Set before start(); called from a
  // worker. None: nothing happens.
  void on_shutdown(std::function<void()> stop) { on_shutdown_ = std::move(stop); }
  void request_shutdown() const {
    if (on_shutdown_) on_shutdown_();
  }

  uint64_t next_client_id() { return next_client_id_.fetch_add(1, std::memory_order_relaxed); }
  // False: there are maxclients already.
  bool client_arrives();
  void client_left() { clients_.fetch_sub(1, std::memory_order_relaxed); }
  // CLIENT PAUSE of commands with these flags until then (steady clock); a pause is only ever made
  // longer and wider. 0 flags: the pause ends. The workers have to look: refresh_pause().
  void pause(uint32_t flags, uint64_t now_us, uint64_t end_us);
  std::pair<uint32_t, uint64_t> paused() const;

  // Clients that said MONITOR, of all workers.
  std::atomic<uint64_t>& monitors() { return monitors_; }
  uint64_t clients() const { return clients_.load(std::memory_order_relaxed); }

 private:
  Status configure();
  Result<uint16_t> listen_on(uint16_t port, ClientListener::Kind kind);
  Status open_sockets();

  const Options options_;
  const CommandTable commands_;
  AccessControl access_;
  SlowLog slow_log_;
  LatencyMonitor latency_monitor_;
  Settings settings_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  const int64_t started_at_ = std::time(nullptr);
  std::function<void()> on_shutdown_;
  std::string run_id_;
  uint16_t port_ = 0;
  bool unix_bound_ = false;
  std::atomic<uint64_t> next_client_id_{1};
  std::atomic<uint64_t> clients_{0}, monitors_{0};
  uint16_t tls_port_ = 0;
  uint64_t startup_memory_ = 0;
  mutable std::mutex tls_mutex_;
  TlsSettings tls_settings_, applied_tls_settings_;
  std::shared_ptr<const TlsContext> tls_;
  mutable std::mutex pause_mutex_;
  uint32_t paused_flags_ = 0;
  uint64_t pause_end_us_ = 0;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::thread> threads_;
  std::atomic<size_t> next_worker_{0};
};

}  // namespace rdmakv::proxy
