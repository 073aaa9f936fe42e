#include "proxy/proxy.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "proxy/config.h"
#include "proxy/info.h"
#include "proxy/listener.h"
#include "proxy/worker.h"
#include "rdmakv/transport/authentication.h"

namespace rdmakv::proxy {

Proxy::Proxy(Options options)
    : options_(std::move(options)), commands_(options_.renames), access_(commands_) {
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

TlsSettings Proxy::tls_settings() const {
  const std::lock_guard lock(tls_mutex_);
  return tls_settings_;
}

void Proxy::change_tls(std::string TlsSettings::*field, std::string_view value) {
  const std::lock_guard lock(tls_mutex_);
  tls_settings_.*field = value;
}

std::shared_ptr<const TlsContext> Proxy::tls() const {
  const std::lock_guard lock(tls_mutex_);
  return tls_;
}

Status Proxy::apply_tls(bool reload) {
  const std::lock_guard lock(tls_mutex_);
  if (options_.tls_port < 0) return Status::ok();
  if (tls_ != nullptr && !reload && tls_settings_ == applied_tls_settings_) return Status::ok();
  Result<std::shared_ptr<const TlsContext>> made = TlsContext::create(tls_settings_);
  if (!made) {
    if (tls_ != nullptr) tls_settings_ = applied_tls_settings_;
    return made.status();
  }
  tls_ = std::move(*made);
  applied_tls_settings_ = tls_settings_;
  return Status::ok();
}

void Proxy::pause(uint32_t flags, uint64_t now_us, uint64_t end_us) {
  const std::lock_guard lock(pause_mutex_);
  if (flags == 0) {
    paused_flags_ = 0;
    pause_end_us_ = 0;
    return;
  }
  if (pause_end_us_ <= now_us) paused_flags_ = 0;  // the last one is over
  paused_flags_ |= flags;
  pause_end_us_ = std::max(pause_end_us_, end_us);
}

std::pair<uint32_t, uint64_t> Proxy::paused() const {
  const std::lock_guard lock(pause_mutex_);
  return {paused_flags_, pause_end_us_};
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

// What Redis's configuration file would say: parameters, users, the ACL file.
Status Proxy::configure() {
  std::vector<std::pair<std::string_view, std::string_view>> pairs;
  for (const auto& [name, value] : options_.parameters) pairs.emplace_back(name, value);
  std::string problem = set_config(*this, pairs);
  if (!problem.empty()) return {Code::kInvalidArgument, problem};
  for (const std::string& line : options_.users) {
    problem = access_.load_user(line);
    if (!problem.empty()) {
      return {Code::kInvalidArgument, std::string("--user '").append(line).append("'") + problem};
    }
  }
  if (options_.acl_file.empty()) return Status::ok();
  if (!options_.users.empty()) {
    return {Code::kInvalidArgument, "users come from --aclfile or from --user, not from both"};
  }
  problem = access_.load(options_.acl_file);
  return problem.empty() ? Status::ok() : Status(Code::kInvalidArgument, problem);
}

Status Proxy::start(std::vector<std::unique_ptr<Client>> clients) {
  Status configured = configure();
  if (!configured) return configured;
  for (std::unique_ptr<Client>& client : clients) add_worker(std::move(client));
  if (Status opened = open_sockets(); !opened) return opened;
  startup_memory_ = process_memory().resident;
  for (const std::unique_ptr<Worker>& worker : workers_) {
    threads_.emplace_back([&worker = *worker] { worker.run(); });
  }
  return Status::ok();
}

// One listening socket per worker; the kernel spreads the clients.
Result<uint16_t> Proxy::listen_on(uint16_t port, ClientListener::Kind kind) {
  for (const std::unique_ptr<Worker>& worker : workers_) {
    const bool first = worker->index() == 0;
    const Result<int> fd = listen_tcp(options_.address, port, first);
    if (!fd) return fd.status();
    if (first) port = bound_port(fd.value());
    worker->listen(fd.value(), kind);
  }
  return port;
}

Status Proxy::open_sockets() {
  if (options_.tcp) {
    const Result<uint16_t> port = listen_on(options_.port, ClientListener::Kind::kPlain);
    if (!port) return port.status();
    port_ = port.value();
  }
  if (options_.tls_port >= 0) {
    const Result<uint16_t> port =
        listen_on(static_cast<uint16_t>(options_.tls_port), ClientListener::Kind::kTls);
    if (!port) return port.status();
    tls_port_ = port.value();
  }
  if (options_.unix_socket.empty()) return Status::ok();
  const Result<int> fd = listen_unix(options_.unix_socket, options_.unix_socket_mode);
  if (!fd) return fd.status();
  unix_bound_ = true;
  // One socket for all: the first worker accepts, and they get the clients in turn.
  workers_.front()->listen(fd.value(), ClientListener::Kind::kPlain, [this](int accepted) {
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
