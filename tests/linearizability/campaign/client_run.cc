// One client of a campaign: keeps a window of operations under way, writes down each.
#include <poll.h>
#include <time.h>

#include <cstdio>
#include <memory>
#include <optional>
#include <vector>

#include "protocol/kv_transaction.h"
#include "rdmakv/client/clock.h"
#include "tests/fakes/chaos_fabric.h"
#include "tests/linearizability/campaign/values.h"
#include "tests/linearizability/campaign/workload.h"
#include "tests/linearizability/history_file.h"

namespace rdmakv::linearizability {
namespace {

using fakes::Dice;

constexpr uint32_t kHugeBytes = 1'200'000;         // more than one READ takes
constexpr uint64_t kTimeoutNs = 20'000'000'000;    // only ends a hang
constexpr uint64_t kPatienceNs = 120'000'000'000;  // for an RDMA link
constexpr int kEmptyPolls = 20;
constexpr int kSleepMs = 5;
// Clocks are read one after the other, and slewed a little.
constexpr uint64_t kClockSlackNs = 2'000'000;

Path path_of(const Operation& operation) {
  switch (operation.path) {
    case ReadPath::kCached:
      return Path::kRead;
    case ReadPath::kForwarded:
      return Path::kForwarded;
    case ReadPath::kIndexed:
      return Path::kIndexRead;
    case ReadPath::kSwapped:
      return Path::kAtomic;
    case ReadPath::kRequest:
      break;
  }
  return Path::kRpc;
}

// Of a change that was not simply done.
Outcome change_outcome(Code code) {
  switch (code) {
    case Code::kUnknownOutcome:
    case Code::kTimeout:
    case Code::kCancelled:
      return Outcome::kUnknown;
    default:
      return Outcome::kNoEffect;
  }
}

class ClientThread {
 public:
  explicit ClientThread(const ClientRun& run) : run_(run), dice_(run.seed) {}
  int run();

 private:
  struct Slot {
    Operation operation;
    ClientThread* client = nullptr;
    Record* record = nullptr;
    std::string key;
    uint64_t key_id = 0;
    std::vector<std::byte> input, output;
    wire::TransactionBuilder transaction;
    // Of a pinned value:
    uint64_t pinned_version = 0;
    uint64_t pinned_bytes = 0, pinned_read = 0;  // all, and those that have come
    bool busy = false;
  };

  // What this client does most.
  enum class Role : uint8_t { kAll, kReader, kSwapper, kWriter };
  Mix mix_of(Role role) const;

  bool set_up();
  void begin(Slot& slot);
  void make_get(Slot& slot, Record& asked);
  void make_write(Slot& slot, Record& asked, bool cas);
  void make_expire(Slot& slot, Record& asked);
  void make_pair(Slot& slot, Record& asked);
  uint64_t history_deadline(int64_t expiry_ms) const;
  uint32_t pick_size();
  void done(Slot& slot);
  void finish_get(Slot& slot, Record& answer);
  void finish_change(Slot& slot, Record& answer);
  void finish_pair(const Operation& operation, Record& answer);
  bool read_pinned(Slot& slot, Record& answer);
  void wait_a_little();

  const ClientRun& run_;
  Dice dice_;
  Mix mix_;
  uint32_t window_ = 1;
  std::unique_ptr<Fabric> fabric_;
  std::unique_ptr<fakes::ChaosFabric> chaos_;
  std::optional<HistoryWriter> history_;
  std::unique_ptr<Client> client_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<uint64_t> versions_;  // as last seen, by key
  std::vector<uint64_t> seen_;      // likewise, but together with the value
  uint32_t busy_ = 0;
  uint64_t begun_ = 0;
  uint64_t values_ = 0;
  uint32_t refused_ = 0;
  int empty_polls_ = 0;
  bool broken_ = false;
};

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
  client_.reset();
  return broken_ ? 2 : 0;
}

void ClientThread::wait_a_little() {
  if (++empty_polls_ < kEmptyPolls || !client_->arm()) return;
  pollfd wanted{client_->fd(), POLLIN, 0};
  ::poll(&wanted, 1, kSleepMs);
}

void ClientThread::begin(Slot& slot) {
  const Workload& workload = *run_.workload;
  const Mix& mix = mix_;
  const bool pair = dice_.percent(mix.pairs);
  const uint64_t index = pair                     ? workload.keys
                         : dice_.percent(mix.hot) ? 0
                                                  : dice_.below(workload.keys);
  slot.key_id = run_.first_key + index;
  slot.key = key_name(slot.key_id);
  Operation& operation = slot.operation;
  operation = Operation();
  operation.key = slot.key;
  operation.context = &slot;
  operation.done = [](Operation& op) {
    Slot& of = *static_cast<Slot*>(op.context);
    of.client->done(of);
  };
  Record asked;
  asked.key = slot.key_id;
  const uint64_t what = dice_.below(100);
  if (pair) {
    make_pair(slot, asked);
  } else if (what < mix.puts) {
    make_write(slot, asked, false);
  } else if (what < mix.puts + mix.cas) {
    make_write(slot, asked, true);
  } else if (what < mix.puts + mix.cas + mix.deletes) {
    asked.kind = Kind::kDelete;
    operation.kind = OperationKind::kDelete;
  } else if (what < mix.puts + mix.cas + mix.deletes + mix.expires && seen_[index] != 0) {
    make_expire(slot, asked);
  } else {
    make_get(slot, asked);
  }
  slot.busy = true;
  slot.pinned_read = 0;
  ++busy_;
  ++begun_;
  run_.begun->fetch_add(1, std::memory_order_relaxed);
  slot.record = history_->begin(asked);
  client_->submit(operation);
}

void ClientThread::make_get(Slot& slot, Record& asked) {
  asked.kind = Kind::kGet;
  slot.operation.kind = OperationKind::kGet;
  // Lent, or copied to a place of ours.
  if (dice_.percent(50)) return;
  if (slot.output.empty()) slot.output.resize(kHugeBytes + 4096);
  slot.operation.destination = slot.output;
}

// From when on the entry may vanish, on the clock of the history.
uint64_t ClientThread::history_deadline(int64_t expiry_ms) const {
  const uint64_t ahead = clock_ns(CLOCK_REALTIME) - monotonic_ns();
  return static_cast<uint64_t>(expiry_ms) * 1'000'000 - ahead - kClockSlackNs;
}

// Soon, long after the campaign's rounds, or never.
void ClientThread::make_expire(Slot& slot, Record& asked) {
  constexpr int64_t kFarMs = 3'600'000;
  Operation& operation = slot.operation;
  asked.kind = Kind::kExpire;
  operation.kind = OperationKind::kExpire;
  operation.condition = Condition::kIfVersion;
  operation.expected_version = seen_[slot.key_id - run_.first_key];
  asked.version_in = operation.expected_version;
  if (dice_.percent(25)) return;
  const int64_t now_ms = client_->server_clock_ms(slot.key);
  operation.expiry_ms = now_ms - 3 + dice_.below(40) + (dice_.percent(50) ? kFarMs : 0);
  asked.deadline_ns = history_deadline(operation.expiry_ms);
}

void ClientThread::make_pair(Slot& slot, Record& asked) {
  const std::string name = "{" + slot.key + "}";
  slot.key = name + (dice_.percent(50) ? "a" : "b");
  slot.operation.key = slot.key;
  if (dice_.percent(66)) return make_get(slot, asked);
  asked.kind = Kind::kPut;
  asked.value_bytes = kSmallestValue + static_cast<uint32_t>(dice_.below(420));
  asked.value = uint64_t{run_.number + 1} << 32 | ++values_;
  slot.input.resize(asked.value_bytes);
  write_value(slot.input, asked.value, slot.key_id);
  wire::RequestHeader put;
  put.opcode = wire::Opcode::kPut;
  slot.transaction.clear();
  slot.transaction.add(put, name + "a", slot.input);
  slot.transaction.add(put, name + "b", slot.input);
  slot.operation.kind = OperationKind::kTransaction;
  slot.operation.input = slot.transaction.finish();
}

uint32_t ClientThread::pick_size() {
  const Mix& mix = mix_;
  if (dice_.per_mille(mix.huge_per_mille)) return kHugeBytes - dice_.below(100);
  if (dice_.per_mille(mix.large_per_mille)) return 4096 + dice_.below(30'000);
  if (dice_.percent(4)) return 0;
  if (dice_.percent(15)) return kSmallestValue + dice_.below(3500);
  return kSmallestValue + dice_.below(420);
}

void ClientThread::make_write(Slot& slot, Record& asked, bool cas) {
  Operation& operation = slot.operation;
  asked.kind = cas ? Kind::kCas : Kind::kPut;
  operation.kind = OperationKind::kPut;
  const uint32_t bytes = pick_size();
  slot.input.resize(bytes);
  asked.value_bytes = bytes;
  asked.value = bytes == 0 ? kEmptyValue : uint64_t{run_.number + 1} << 32 | ++values_;
  write_value(slot.input, asked.value, slot.key_id);
  operation.input = slot.input;
  if (dice_.percent(mix_.expiring)) {
    operation.expiry_ms = client_->server_clock_ms(slot.key) - 3 + dice_.below(40);
    asked.deadline_ns = history_deadline(operation.expiry_ms);
  }
  if (!cas) return;
  operation.condition = Condition::kIfVersion;
  operation.expected_version = versions_[slot.key_id - run_.first_key];
  if (dice_.percent(5)) operation.expected_version += 1;
  if (dice_.percent(5)) operation.expected_version = 0;
  asked.version_in = operation.expected_version;
}

// ---- the answer --------------------------------------------------------------------------------

void ClientThread::done(Slot& slot) {
  Operation& operation = slot.operation;
  Record answer;
  answer.path = path_of(operation);
  answer.version_out = operation.version;
  answer.value_bytes = slot.record->value_bytes;
  answer.value = slot.record->value;
  if (operation.kind == OperationKind::kRelease) {
    slot.busy = false;
    --busy_;
    return;
  }
  if (slot.record->kind == Kind::kGet) {
    if (read_pinned(slot, answer)) return;
    finish_get(slot, answer);
  } else {
    finish_change(slot, answer);
  }
  HistoryWriter::finish(slot.record, answer);
  if (answer.outcome == Outcome::kCorrupt) {
    std::fprintf(stderr, "client %u: a GET of %s returned bytes that nobody wrote\n", run_.number,
                 slot.key.c_str());
  }
  const bool told = answer.outcome == Outcome::kOk || answer.outcome == Outcome::kAbsent ||
                    answer.outcome == Outcome::kLost;
  if (answer.outcome == Outcome::kNoEffect) ++refused_;
  const size_t index = slot.key_id - run_.first_key;
  if (told) versions_[index] = answer.version_out;
  if (told && answer.outcome != Outcome::kLost) seen_[index] = answer.version_out;
  operation.buffer.reset();
  if (operation.ticket && operation.kind != OperationKind::kPut) {  // give up the pin
    const Ticket ticket = operation.ticket;
    operation = Operation();
    operation.kind = OperationKind::kRelease;
    operation.key = slot.key;
    operation.ticket = ticket;
    operation.context = &slot;
    operation.done = [](Operation& op) {
      Slot& of = *static_cast<Slot*>(op.context);
      of.client->done(of);
    };
    client_->submit(operation);
    return;
  }
  slot.busy = false;
  --busy_;
}

// A value that the server keeps in place for us: READs it in pieces. True: there is more to come.
bool ClientThread::read_pinned(Slot& slot, Record& answer) {
  Operation& operation = slot.operation;
  if (operation.code != Code::kOk || !operation.ticket) return false;
  if (operation.kind == OperationKind::kReadPinned) {
    std::copy(operation.value.begin(), operation.value.end(),
              slot.output.begin() + static_cast<ptrdiff_t>(slot.pinned_read));
    slot.pinned_read += operation.value.size();
    operation.buffer.reset();
    answer.version_out = slot.pinned_version;
  } else {
    slot.pinned_version = operation.version;
    slot.pinned_bytes = operation.value_length;
    if (slot.output.empty()) slot.output.resize(kHugeBytes + 4096);
  }
  const uint64_t total = slot.pinned_bytes;
  if (total > slot.output.size()) {
    broken_ = true;
    std::fprintf(stderr, "client %u: a value of %lu bytes, which nobody wrote\n", run_.number,
                 static_cast<unsigned long>(total));
    return false;
  }
  if (slot.pinned_read == total) return false;
  operation.kind = OperationKind::kReadPinned;
  operation.offset = slot.pinned_read;
  operation.length = static_cast<uint32_t>(std::min<uint64_t>(total - slot.pinned_read, 300'000));
  operation.deadline_ns = 0;
  client_->submit(operation);
  return true;
}

void ClientThread::finish_get(Slot& slot, Record& answer) {
  const Operation& operation = slot.operation;
  const bool pinned = operation.kind == OperationKind::kReadPinned;
  if (operation.code == Code::kNotFound && !pinned) {
    answer.outcome = Outcome::kAbsent;
    answer.version_out = 0;
    return;
  }
  if (operation.code != Code::kOk) {
    answer.outcome = Outcome::kNoEffect;
    return;
  }
  const std::span<const std::byte> value =
      pinned ? std::span<const std::byte>(slot.output).first(slot.pinned_read) : operation.value;
  answer.value_bytes = static_cast<uint32_t>(value.size());
  answer.outcome = read_value(value, slot.key_id, answer.value) ? Outcome::kOk : Outcome::kCorrupt;
}

// Both halves were stored, and as the same version.
void ClientThread::finish_pair(const Operation& operation, Record& answer) {
  uint64_t versions[2] = {};
  size_t count = 0;
  wire::MessageReader reader(operation.value, wire::kMaxRequestsPerTransaction);
  for (wire::ReplyView reply; count < 2 && reader.next(reply); ++count) {
    if (reply.header.status == wire::ReplyStatus::kOk) versions[count] = reply.header.version;
  }
  answer.version_out = versions[0];
  answer.outcome = Outcome::kOk;
  if (count == 2 && versions[0] != 0 && versions[0] == versions[1]) return;
  broken_ = true;
  std::fprintf(stderr, "client %u: a transaction stored versions %lu and %lu of its two keys\n",
               run_.number, static_cast<unsigned long>(versions[0]),
               static_cast<unsigned long>(versions[1]));
}

void ClientThread::finish_change(Slot& slot, Record& answer) {
  const Operation& operation = slot.operation;
  const Kind kind = slot.record->kind;
  if (operation.kind == OperationKind::kTransaction && operation.code == Code::kOk) {
    return finish_pair(operation, answer);
  }
  if (operation.code == Code::kOk) {
    answer.outcome = Outcome::kOk;
    if (kind == Kind::kDelete) answer.version_out = 0;
  } else if (operation.code == Code::kNotFound &&
             (kind == Kind::kDelete || kind == Kind::kExpire)) {
    answer.outcome = Outcome::kAbsent;
    answer.version_out = 0;
  } else if (operation.code == Code::kVersionMismatch &&
             (kind == Kind::kCas || kind == Kind::kExpire)) {
    answer.outcome = Outcome::kLost;
  } else if (operation.code == Code::kConditionNotMet && kind == Kind::kExpire) {
    answer.outcome = Outcome::kOk;  // it had no expiry that could have been removed
  } else {
    answer.outcome = change_outcome(operation.code);
  }
}

}  // namespace

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
