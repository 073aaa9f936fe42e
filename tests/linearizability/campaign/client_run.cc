// The life of a client: it is set up, keeps its window filled until it is told to stop, and leaves.
#include <poll.h>
#include <time.h>

#include <cstdio>
#include <iterator>

#include "rdmakv/client/client_counters.h"
#include "rdmakv/client/clock.h"
#include "tests/linearizability/campaign/client_thread.h"
#include "tests/linearizability/campaign/witness.h"

namespace rdmakv::linearizability {
namespace {

constexpr uint64_t kTimeoutNs = 20'000'000'000;    // only ends a hang
constexpr uint64_t kPatienceNs = 120'000'000'000;  // for an RDMA link
constexpr int kEmptyPolls = 20;
constexpr int kSleepMs = 5;

}  // namespace

ClientThread::ClientThread(const ClientRun& run) : run_(run), dice_(run.seed) {
  set_testimony([](void* self) { static_cast<const ClientThread*>(self)->testify(); }, this);
}

ClientThread::~ClientThread() {
  set_testimony(nullptr, nullptr);
}

Mix ClientThread::mix_of(Role role) const {
  Mix mix = run_.workload->mix;
  switch (role) {
    case Role::kAll:
      break;
    case Role::kReader:
      mix.puts = 1;
      mix.deletes = 0;
      mix.cas = 1;
      mix.expires = 1;
      break;
    case Role::kSwapper:  // a CAS after each GET, of values that fit
      mix.puts = 2;
      mix.deletes = 1;
      mix.cas = 50;
      mix.expires = 1;
      mix.expiring = mix.huge_per_mille = 0;
      mix.large_per_mille = 2;
      break;
    case Role::kWriter:
      mix.puts = 60;
      break;
  }
  return mix;
}

bool ClientThread::set_up() {
  const Workload& workload = *run_.workload;
  constexpr Role kRoles[] = {Role::kReader,  Role::kSwapper, Role::kAll,
                             Role::kSwapper, Role::kReader,  Role::kWriter};
  const Role role = kRoles[dice_.below(workload.swappers ? 2 : std::size(kRoles))];
  mix_ = mix_of(role);
  window_ = dice_.percent(40) || role == Role::kSwapper ? 1 + dice_.below(2) : workload.window;
  fabric_ = open_client_fabric(workload);
  if (fabric_ == nullptr) return false;
  fakes::ChaosOptions chaos = workload.chaos;
  chaos.seed = dice_.next();
  chaos.kill_at = run_.kill_at;
  chaos.kill_point = run_.kill_point;
  chaos.killed_at = run_.killed_at;
  constexpr uint32_t kMtus[] = {256, 512, 1024, 4096};
  if (chaos.mtu != 0) chaos.mtu = kMtus[dice_.below(4)];
  chaos_ = std::make_unique<fakes::ChaosFabric>(*fabric_, chaos);

  Result<HistoryWriter> history = HistoryWriter::create(run_.history, run_.number, run_.operations);
  if (!history) {
    std::fprintf(stderr, "client: %s\n", history.status().to_string().c_str());
    return false;
  }
  history_.emplace(std::move(*history));

  ClientOptions options;
  options.servers = {workload.server};
  options.arena_bytes = workload.arena_bytes;
  options.timeout_ns = kTimeoutNs;
  options.connect_timeout_ns = kTimeoutNs;
  constexpr GetPath kPaths[] = {GetPath::kAuto, GetPath::kOneSided, GetPath::kAuto,
                                GetPath::kRequest};
  options.get_path = kPaths[run_.number % 4];
  options.cas_path = run_.number % 5 == 4 ? CasPath::kRequest : CasPath::kAuto;
  Result<std::unique_ptr<Client>> client = Client::create(*chaos_, options);
  if (!client) {
    std::fprintf(stderr, "client: %s\n", client.status().to_string().c_str());
    return false;
  }
  client_ = std::move(*client);
  versions_.resize(workload.keys + 1);
  seen_.resize(workload.keys + 1);
  for (uint32_t i = 0; i < workload.window; ++i) {
    slots_.push_back(std::make_unique<Slot>());
    slots_.back()->client = this;
  }
  return true;
}

int ClientThread::run() {
  if (!set_up()) return 2;
  stage_ = "is at work";
  bool lull = false;
  for (;;) {
    const bool stop =
        run_.stop->load(std::memory_order_relaxed) != 0 || broken_ || begun_ == run_.operations;
    if (stop && busy_ == 0) break;
    // Now and then everything is let come to its end.
    if (busy_ == 0) lull = false;
    if (!lull && dice_.below(400) == 0) lull = true;
    const uint32_t wanted = 1 + static_cast<uint32_t>(dice_.below(window_));
    for (auto& slot : slots_) {
      if (stop || lull || busy_ >= wanted || begun_ == run_.operations) break;
      if (!slot->busy) begin(*slot);
    }
    client_->flush();
    if (refused_ > run_.workload->window) {  // the server is away, or full: gently
      refused_ = 0;
      const timespec pause{0, 50'000'000};
      nanosleep(&pause, nullptr);
    }
    if (client_->poll() == 0) {
      wait_a_little();
    } else {
      empty_polls_ = 0;
    }
  }
  stage_ = "closes its connections";
  client_.reset();
  chaos_.reset();
  fabric_.reset();
  return broken_ ? 2 : 0;
}

void ClientThread::wait_a_little() {
  if (++empty_polls_ < kEmptyPolls || !client_->arm()) return;
  pollfd wanted{client_->fd(), POLLIN, 0};
  ::poll(&wanted, 1, kSleepMs);
}

void ClientThread::testify() const {
  std::fprintf(stderr, "client %u %s: %lu operations begun, %u under way\n", run_.number, stage_,
               static_cast<unsigned long>(begun_), busy_);
  for (const auto& slot : slots_) {
    if (!slot->busy) continue;
    const Operation& operation = slot->operation;
    std::fprintf(stderr, "  kind %u of %s, %zu bytes, ticket %lu: for %.1f s\n",
                 static_cast<unsigned>(operation.kind), slot->key.c_str(), operation.input.size(),
                 static_cast<unsigned long>(operation.ticket.id),
                 static_cast<double>(steady_ns() - slot->begun_ns) / 1e9);
  }
  if (client_ == nullptr) return;
  for (const ServerState& server : client_->servers()) {
    std::fprintf(stderr, "  %s: %s, %u workers; %s\n", server.name.c_str(),
                 server.reachable ? "reachable" : "not reachable", server.workers,
                 server.last_error.c_str());
  }
  for (const NamedCounter& counter : named_counters(client_->counters())) {
    if (counter.value == 0) continue;
    std::fprintf(stderr, "  %s %lu\n", counter.name.c_str(),
                 static_cast<unsigned long>(counter.value));
  }
}

int run_client(const ClientRun& run) {
  return ClientThread(run).run();
}

std::unique_ptr<Fabric> open_client_fabric(const Workload& workload) {
  const uint64_t patience = steady_ns() + kPatienceNs;
  for (;;) {
    Result<std::unique_ptr<Fabric>> fabric =
        open_fabric({workload.transport, workload.client_device, -1});
    if (fabric) return std::move(*fabric);
    if (workload.transport == Transport::kShm || steady_ns() > patience) {
      std::fprintf(stderr, "client: %s\n", fabric.status().to_string().c_str());
      return nullptr;
    }
    const timespec pause{0, 50'000'000};
    nanosleep(&pause, nullptr);
  }
}

// Of different lengths, so that entries of different keys overlap in every way.
std::string key_name(uint64_t id) {
  return "key:" + std::to_string(id) + std::string(id % 23, '.');
}

}  // namespace rdmakv::linearizability
