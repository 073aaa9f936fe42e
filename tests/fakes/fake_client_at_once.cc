// FakeClient: what needs no Operation of the caller's: GETs answered at once, runs of gets and of
// puts, pinned values in their place.
#include <algorithm>
#include <cstring>

#include "protocol/kv_layout.h"
#include "tests/fakes/fake_client.h"

namespace rdmakv::fakes {
namespace {

template <typename Item>
Item& take_spare(std::vector<std::unique_ptr<Item>>& all, std::vector<Item*>& spare) {
  if (spare.empty()) {
    all.push_back(std::make_unique<Item>());
    spare.push_back(all.back().get());
    spare.reserve(all.size());
  }
  Item& item = *spare.back();
  spare.pop_back();
  item.spare = &spare;
  return item;
}

}  // namespace

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
    if (lent.size() >= wire::kLargeValue && lent.size() <= in_place &&
        answers.wants_in_place(lent.size())) {
      ++given_in_place;
      read_in_place_.push_back(std::make_unique<std::string>(lent));
      answer.value = std::as_bytes(std::span(*read_in_place_.back()));
      answer.in_place = true;
    } else if (lent.size() >= wire::kLargeValue) {
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

void FakeClient::read_in_place() {
  given_back = given_in_place;
  for (const auto& value : read_in_place_) std::fill(value->begin(), value->end(), '?');
}

size_t FakeClient::get_run(GetRun& run) {
  const size_t count = std::min({run.keys.size(), in_get_runs, GetRun::kMost});
  run.taken = run.open = static_cast<uint32_t>(count);
  if (count > 0) ++get_runs;
  gets_in_runs += count;
  for (size_t i = 0; i < count; ++i) {
    RunGet& get = take_spare(run_gets_, spare_run_gets_);
    get.key = run.keys[i];
    get.run = &run;
    get.index = i;
    get.operation.kind = OperationKind::kGet;
    get.operation.key = get.key;
    get.operation.lend_most = 0;  // a larger one becomes an Operation
    get.operation.done = &FakeClient::run_get_done;
    get.operation.context = &get;
    submit(get.operation);
    --total_;
  }
  return count;
}

void FakeClient::run_get_done(Operation& operation) {
  auto& get = *static_cast<RunGet*>(operation.context);
  GetRun& run = *get.run;
  const size_t index = get.index;
  const bool found = operation.code == Code::kOk;
  if (operation.code == Code::kNotFound || (found && !operation.ticket)) {
    run.take(index, found, operation.value);
    get.spare->push_back(&get);
  } else {
    Operation& other = run.stand_in(index);
    other.code = operation.code;
    other.version = operation.version;
    other.value_length = operation.value_length;
    other.value = operation.value;
    other.ticket = std::exchange(operation.ticket, {});
    get.spare->push_back(&get);
    other.done(other);
  }
  if (--run.open == 0) run.done();
}

// Each is an Operation here; as with the real one, none may be before what waits.
size_t FakeClient::put_run(std::span<const wire::PutView> puts, PutRun& run) {
  const size_t count = std::min({puts.size(), in_runs, PutRun::kMost});
  run.failed = 0;
  run.full = runs_full && count < puts.size();
  run.taken = run.open = static_cast<uint32_t>(count);
  if (count > 0) ++runs;
  puts_in_runs += count;
  for (size_t i = 0; i < count; ++i) {
    RunPut& put = take_spare(run_puts_, spare_run_puts_);
    put.key = puts[i].key;
    put.value.assign(reinterpret_cast<const char*>(puts[i].value.data()), puts[i].value.size());
    put.run = &run;
    put.index = i;
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
