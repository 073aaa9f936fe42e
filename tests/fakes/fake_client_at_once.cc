// FakeClient: what needs no Operation of the caller's: GETs answered at once, runs of puts, pinned
// values in their place.
#include <algorithm>
#include <cstring>

#include "protocol/kv_layout.h"
#include "tests/fakes/fake_client.h"

namespace rdmakv::fakes {

size_t FakeClient::get_at_once(std::span<const std::string_view> keys, AtOnce& answers) {
  const size_t count = std::min(keys.size(), at_once);
  for (size_t i = 0; i < count; ++i) {
    Entry* entry = find(keys[i]);
    // Lent: nobody's afterwards.
    std::string lent = entry == nullptr ? std::string() : entry->value;
    ValueAtOnce answer;
    if (entry != nullptr) {
      answer = {true, entry->version, entry->expiry, std::as_bytes(std::span(lent))};
    }
    if (lent.size() >= wire::kLargeValue) {
      // As an entry: something before it.
      const uint64_t before = wire::entry_value_offset(keys[i].size(), false);
      std::byte* const room = answers.room(before + lent.size());
      if (room == nullptr) return i;
      std::memset(room, 'h', before);
      std::memcpy(room + before, lent.data(), lent.size());
      answer.value = {room + before, lent.size()};
    }
    ++answered_at_once;
    answers.take(i, answer);
    std::fill(lent.begin(), lent.end(), '?');
  }
  return count;
}

// Each is an Operation here; as with the real one, none may be before what waits.
size_t FakeClient::put_run(std::span<const wire::PutView> puts, PutRun& run) {
  const size_t count = std::min({puts.size(), in_runs, PutRun::kMost});
  run.failed = 0;
  run.taken = run.open = static_cast<uint32_t>(count);
  if (count > 0) ++runs;
  puts_in_runs += count;
  for (size_t i = 0; i < count; ++i) {
    if (spare_run_puts_.empty()) {
      run_puts_.push_back(std::make_unique<RunPut>());
      spare_run_puts_.push_back(run_puts_.back().get());
      spare_run_puts_.reserve(run_puts_.size());
    }
    RunPut& put = *spare_run_puts_.back();
    spare_run_puts_.pop_back();
    put.key = puts[i].key;
    put.value.assign(reinterpret_cast<const char*>(puts[i].value.data()), puts[i].value.size());
    put.run = &run;
    put.index = i;
    put.spare = &spare_run_puts_;
    put.operation.kind = OperationKind::kPut;
    put.operation.key = put.key;
    put.operation.input = std::as_bytes(std::span(put.value));
    put.operation.expiry_ms = puts[i].expiry_ms;
    put.operation.done = &FakeClient::run_put_done;
    put.operation.context = &put;
    submit(put.operation);
    --total_;
  }
  return count;
}

void FakeClient::run_put_done(Operation& operation) {
  auto& put = *static_cast<RunPut*>(operation.context);
  PutRun& run = *put.run;
  run.codes[put.index] = operation.code;
  run.servers[put.index] = 0;
  if (operation.code != Code::kOk) ++run.failed;
  put.spare->push_back(&put);
  if (--run.open == 0) run.done(run);
}

std::span<const std::byte> FakeClient::pinned(const Ticket& pin, uint64_t offset, uint64_t length) {
  const auto found = pins_.find(pin.id);
  if (found == pins_.end() || pins_hold == 0) return {};
  count_hold();
  return std::as_bytes(std::span(found->second)).subspan(offset, length);
}

bool FakeClient::pinned_holds(const Ticket& pin) {
  if (pins_hold == 0 || pins_.count(pin.id) == 0) return false;
  count_hold();
  return true;
}

void FakeClient::count_hold() {
  if (--pins_hold > 0) return;
  for (auto& [id, value] : pins_) std::fill(value.begin(), value.end(), '?');
}

}  // namespace rdmakv::fakes
