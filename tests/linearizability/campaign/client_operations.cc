// What a client of a campaign asks: by its dice, and written down before it is sent.
#include <time.h>

#include "rdmakv/client/clock.h"
#include "tests/linearizability/campaign/client_thread.h"
#include "tests/linearizability/campaign/values.h"

namespace rdmakv::linearizability {
namespace {

// Clocks are read one after the other, and slewed a little.
constexpr uint64_t kClockSlackNs = 2'000'000;

}  // namespace

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
  slot.begun_ns = steady_ns();
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

}  // namespace rdmakv::linearizability
