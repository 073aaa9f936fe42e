#include "rdmakv/server/server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "protocol/rules.h"
#include "rdmakv/server/worker.h"
#include "rdmakv/transport/authentication.h"
#include "rdmakv/transport/cores.h"
#include "rdmakv/transport/system_memory.h"

namespace rdmakv::server {
namespace {

constexpr uint32_t kMostWorkersByItself = 4;
constexpr uint64_t kWorkerByItself = 64ull << 20;
constexpr uint64_t kCasShare = 200;  // of the memory, one in so many bytes is for one-sided CAS,
constexpr uint64_t kLeastCasByItself = 256ull << 10;  // but at least so much, and
constexpr uint64_t kMostCasByItself = 64ull << 20;    // at most so much of a worker
constexpr uint32_t kSmallestIndex = 4096;             // of a worker
constexpr uint32_t kSmallestRing = 64 * 1024;
constexpr uint32_t kLargestRing = 256u << 20;
constexpr uint64_t kSpinNs = 50'000;
constexpr uint64_t kSharedSpinNs = 5'000;  // where threads have to share the cores

std::string megabytes(uint64_t bytes) {
  const uint64_t tenths = (bytes * 10 + (1 << 19)) >> 20;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " MB";
}

// An index takes 0.98 of its slots before it refuses a key (partition.cc).
std::string describe_index(const WorkerMemory& memory) {
  const uint64_t keys = memory.index / sizeof(uint64_t) * 98 / 100;
  return "index: " + megabytes(memory.index) + ", room for " + std::to_string(keys) +
         " keys; full when the pool is where entries take " + std::to_string(memory.pool / keys) +
         " bytes on average";
}

std::string describe_pages(Pages pages, const WorkerMemory& memory) {
  if (pages == Pages::kReserved) return "pages: huge, reserved";
  if (memory.huge == 0) return "pages: of the usual size";
  return "pages: huge, transparent, for " + megabytes(memory.huge) + " of index and pool";
}

uint32_t choose_workers(const ServerOptions& options) {
  if (options.workers != 0) return options.workers;
  const auto by_memory = static_cast<uint32_t>(
      std::min<uint64_t>(options.memory_bytes / kWorkerByItself, kMostWorkersByItself));
  return std::max(1u, std::min({available_cores(), kMostWorkersByItself, by_memory}));
}

Status check_index(const ServerOptions& options, uint32_t workers) {
  if (!options.index_bytes) return Status::ok();
  const uint64_t least = uint64_t{kSmallestIndex} * workers;
  if (*options.index_bytes < least) {
    return {Code::kInvalidArgument, "too little memory for the index: a worker needs at least " +
                                        std::to_string(kSmallestIndex / 1024) + " KB, " +
                                        std::to_string(workers) + " need " +
                                        std::to_string(least / 1024) + " KB (--index-memory)"};
  }
  if (*options.index_bytes > options.memory_bytes / 2) {
    return {Code::kInvalidArgument, "too much memory for the index: at most half of it, " +
                                        std::to_string(options.memory_bytes >> 21) +
                                        " MB (--index-memory)"};
  }
  if (*options.index_bytes + options.cas_bytes.value_or(0) > options.memory_bytes / 4 * 3) {
    return {Code::kInvalidArgument,
            "index and one-sided CAS take more than three quarters of the memory together "
            "(--index-memory, --cas-memory)"};
  }
  return Status::ok();
}

Status check(const ServerOptions& options, uint32_t workers) {
  if (workers > Server::kMostWorkers) {
    return {Code::kInvalidArgument, "at most " + std::to_string(Server::kMostWorkers) + " workers"};
  }
  if (options.memory_bytes / workers < Server::kSmallestWorker) {
    return {Code::kInvalidArgument, "too little memory: " + std::to_string(workers) + " worker" +
                                        (workers == 1 ? " needs" : "s need") + " at least " +
                                        std::to_string((Server::kSmallestWorker * workers) >> 20) +
                                        " MB"};
  }
  if (options.cas_bytes.value_or(0) > options.memory_bytes / 2) {
    return {Code::kInvalidArgument, "too much memory for one-sided CAS: at most half of it, " +
                                        std::to_string(options.memory_bytes >> 21) +
                                        " MB (--cas-memory)"};
  }
  if (Status status = check_index(options, workers); !status) return status;
  if (options.memory_bytes / workers > wire::kMaxPoolBytes) {
    return {Code::kInvalidArgument, "too much memory for a worker: at most " +
                                        std::to_string(wire::kMaxPoolBytes >> 20) + " MB each"};
  }
  if (options.pages != Pages::kReserved) {
    // Before anything is allocated; each region is checked again by itself.
    const Status enough =
        check_available_memory("memory for keys and values", options.memory_bytes);
    if (!enough) return enough;
  }
  if (options.ring_bytes < kSmallestRing || options.ring_bytes > kLargestRing ||
      options.ring_bytes % 4096 != 0) {
    return {Code::kInvalidArgument,
            "a ring has 65536 to 268435456 bytes, a multiple of 4096, not " +
                std::to_string(options.ring_bytes)};
  }
  if (options.max_connections == 0 || options.max_connections > 4096) {
    return {Code::kInvalidArgument,
            "a worker has 1 to 4096 connections, not " + std::to_string(options.max_connections)};
  }
  if (options.credits < 4 || options.credits > 4096) {
    return {Code::kInvalidArgument, "a connection has 4 to 4096 credits"};
  }
  const PeerTimeouts& timeouts = options.timeouts;
  if (timeouts.handshake_ns == 0 || timeouts.refusal_ns == 0 || timeouts.silence_ns == 0) {
    return {Code::kInvalidArgument, "a timeout is more than 0"};
  }
  return Status::ok();
}

class RealServer final : public Server, private ConnectionHandler {
 public:
  RealServer(Fabric& fabric, const ServerOptions& options)
      : fabric_(fabric),
        options_(options),
        worker_count_(choose_workers(options)),
        epoch_(random_u64()),
        seed_(holds(Rule::kEpoch) ? random_u64() : 1) {}

  ~RealServer() override {
    stop();
    if (stop_fd_ >= 0) close(stop_fd_);
  }

  // The port first: when it is in use one wants to know before memory is touched. Nobody is
  // accepted before dispatch().
  Status open() {
    if (Status status = check(options_, worker_count_); !status) return status;
    Result<std::unique_ptr<Listener>> listener = fabric_.listen(options_.address, *this);
    if (!listener) return listener.status();
    listener_ = std::move(*listener);
    for (uint32_t i = 0; i < worker_count_; ++i) {
      Result<std::unique_ptr<Worker>> worker = Worker::create(fabric_, worker_options(i));
      if (!worker) return worker.status();
      workers_.push_back(std::move(*worker));
    }
    for (const auto& worker : workers_) worker->start();
    if (!options_.own_listener_thread) return Status::ok();
    stop_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (stop_fd_ < 0) return Status::from_errno("eventfd", errno);
    thread_ = std::thread([this] { listen_until_stopped(); });
    return Status::ok();
  }

  void stop() override {
    if (thread_.joinable()) {
      const uint64_t one = 1;
      [[maybe_unused]] const ssize_t written = write(stop_fd_, &one, sizeof(one));
      thread_.join();
    }
    // The port last: whoever listens on it next must not be heard of before nobody can READ from us
    // any more.
    if (listener_) port_ = listener_->port();
    workers_.clear();
    listener_.reset();
  }

  uint16_t port() const override { return listener_ ? listener_->port() : port_; }
  uint64_t epoch() const override { return epoch_; }
  uint32_t workers() const override { return worker_count_; }
  int listener_fd() const override { return listener_->fd(); }
  void dispatch() override { listener_->dispatch(); }

  std::vector<std::string> describe() const override {
    WorkerMemory sum;
    uint64_t max_value = 0;
    for (const auto& worker : workers_) {
      sum.index += worker->memory().index;
      sum.pool += worker->memory().pool;
      sum.cas += worker->memory().cas;
      sum.grants += worker->memory().grants;
      sum.rings += worker->memory().rings;
      sum.tables += worker->memory().tables;
      sum.huge += worker->memory().huge;
      max_value = worker->max_value_bytes();
    }
    return {
        "memory: " +
            megabytes(sum.index + sum.pool + sum.cas + sum.grants + sum.rings + sum.tables) +
            " = index " + megabytes(sum.index) + " + pool " + megabytes(sum.pool) +
            " + one-sided CAS " + megabytes(sum.cas + sum.grants) +
            " (these three --memory) + rings " + megabytes(sum.rings) + " (" +
            std::to_string(worker_count_) + " workers x " +
            std::to_string(options_.max_connections) + " connections x " +
            std::to_string(options_.ring_bytes / 1024) + " KB) + private tables " +
            megabytes(sum.tables) + "; message buffers come with connections",
        describe_index(sum),
        describe_pages(options_.pages, sum),
        "workers: " + std::to_string(worker_count_) + ", each up to " +
            std::to_string(options_.max_connections) + " connections of " +
            std::to_string(options_.credits) + " credits",
        "one-sided CAS: " + workers_.front()->one_sided_cas() + "; " + megabytes(sum.cas) +
            " for entries, " + megabytes(sum.grants) + " for grants",
        "largest value: " + megabytes(max_value),
        "protocol version: " + std::to_string(wire::kProtocolVersion),
    };
  }

 private:
  WorkerOptions worker_options(uint32_t worker) const {
    WorkerOptions options;
    options.worker = worker;
    options.workers = worker_count_;
    options.memory_bytes = options_.memory_bytes / worker_count_;
    options.cas_bytes = options_.cas_bytes ? *options_.cas_bytes / worker_count_
                                           : std::clamp(options.memory_bytes / kCasShare,
                                                        kLeastCasByItself, kMostCasByItself);
    options.index_bytes = options_.index_bytes.value_or(0) / worker_count_;
    options.pages = options_.pages;
    options.max_connections = options_.max_connections;
    options.ring_bytes = options_.ring_bytes;
    options.credits = options_.credits;
    // A client's thread wants a core as well.
    options.yield = available_cores() < worker_count_ * 2;
    // On one core nothing comes while we look.
    options.spin_ns = options_.spin_us         ? *options_.spin_us * 1000
                      : available_cores() == 1 ? 0
                      : options.yield          ? kSharedSpinNs
                                               : kSpinNs;
    options.epoch = epoch_;
    options.seed = seed_;
    options.secret = options_.secret;
    options.timeouts = options_.timeouts;
    options.clock = options_.clock;
    options.log = options_.log;
    options.step_hook = options_.step_hook;
    options.step_context = options_.step_context;
    return options;
  }

  Result<Acceptance> route(const wire::ConnectRequest& request) override {
    if (request.magic != wire::kConnectMagic || request.reserved != 0) {
      return {Code::kProtocolError, "not a connect request of this protocol"};
    }
    if (request.version != wire::kProtocolVersion) {
      return {Code::kRefused, "protocol version " + std::to_string(request.version) +
                                  ", this server speaks " + std::to_string(wire::kProtocolVersion)};
    }
    if (request.worker >= workers_.size()) {
      return {Code::kInvalidArgument, "no worker " + std::to_string(request.worker) +
                                          ", there are " + std::to_string(workers_.size())};
    }
    Worker& worker = *workers_[request.worker];
    Result<EndpointOptions> options = worker.accept_options(request);
    if (!options) return options.status();
    return Acceptance{&worker.queue(), *options};
  }

  void accepted(const wire::ConnectRequest& request, std::unique_ptr<Endpoint> endpoint) override {
    workers_[request.worker]->adopt(std::move(endpoint));
  }

  void listen_until_stopped() {
    for (;;) {
      pollfd fds[2] = {{listener_->fd(), POLLIN, 0}, {stop_fd_, POLLIN, 0}};
      if (poll(fds, 2, -1) < 0 && errno != EINTR) return;
      if (fds[1].revents != 0) return;
      if (fds[0].revents != 0) listener_->dispatch();
    }
  }

  Fabric& fabric_;
  ServerOptions options_;
  uint32_t worker_count_;
  uint64_t epoch_;
  uint64_t seed_;
  uint16_t port_ = 0;
  int stop_fd_ = -1;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<Listener> listener_;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::start(Fabric& fabric, const ServerOptions& options) {
  auto server = std::make_unique<RealServer>(fabric, options);
  if (Status status = server->open(); !status) return status;
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace rdmakv::server
