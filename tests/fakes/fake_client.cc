#include "tests/fakes/fake_client.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <utility>

#include "protocol/kv_layout.h"

namespace rdmakv::fakes {
namespace {

constexpr size_t kReplyHeaders = sizeof(wire::MessageHeader) + sizeof(wire::ReplyHeader);

class HeapRegion final : public MemoryRegion {
 public:
  explicit HeapRegion(size_t bytes) : bytes_(std::make_unique<std::byte[]>(bytes)) {
    data_ = bytes_.get();
    size_ = bytes;
  }

 private:
  std::unique_ptr<std::byte[]> bytes_;
};

std::string_view text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::span<const std::byte> input_of(const Operation& operation) {
  if (!operation.input_buffer) return operation.input;
  return {operation.input_buffer.data(), operation.input_buffer.length()};
}

void cancel(Operation& operation) {
  operation.code = Code::kCancelled;
  operation.buffer.reset();
  operation.value = {};
  operation.done(operation);
}

}  // namespace

FakeClient::FakeClient(const Options& options)
    : options_(options),
      arena_(std::make_unique<BufferArena>(std::make_unique<HeapRegion>(options.arena_bytes))),
      fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

FakeClient::~FakeClient() {
  holding_ = false;
  // What is called back may submit more, which is not taken either.
  while (!submitted_.empty() || !flushed_.empty() || !ended_.empty()) {
    for (auto* list : {&submitted_, &flushed_}) {
      for (Operation* operation : std::exchange(*list, {})) cancel(*operation);
    }
    while (!ended_.empty()) {
      Operation* operation = ended_.front().operation;
      ended_.erase(ended_.begin());
      cancel(*operation);
    }
  }
  ::close(fd_);
}

void FakeClient::submit(Operation& operation) {
  assert(operation.done != nullptr);
  ++total_;
  operation.code = Code::kOk;
  operation.version = 0;
  operation.expiry = 0;
  operation.value_length = 0;
  operation.number = 0;
  operation.has_previous = false;
  operation.value = {};
  if (recording_) history_.push_back(operation.kind);
  submitted_.push_back(&operation);
}

void FakeClient::flush() {
  if (submitted_.empty()) return;
  ++flushes_;
  largest_batch_ = std::max(largest_batch_, submitted_.size());
  flushed_.insert(flushed_.end(), submitted_.begin(), submitted_.end());
  submitted_.clear();
}

size_t FakeClient::poll() {
  running_.swap(flushed_);
  for (Operation* operation : running_) run(*operation);
  running_.clear();
  if (newest_first) std::reverse(ended_.begin(), ended_.end());
  const size_t count = holding_ ? std::min(ended_.size(), releasable_) : ended_.size();
  const auto last = ended_.begin() + static_cast<std::ptrdiff_t>(count);
  std::vector<Ended> due = std::move(due_);  // its memory is used again
  due.assign(std::make_move_iterator(ended_.begin()), std::make_move_iterator(last));
  ended_.erase(ended_.begin(), last);
  if (holding_) releasable_ -= count;
  for (Ended& ended : due) end(ended);
  due.clear();
  due_ = std::move(due);
  if (!holding_) releasable_ = 0;
  flush();
  return count;
}

bool FakeClient::arm() {
  return flushed_.empty() && submitted_.empty() && ended_.empty();
}

void FakeClient::release(size_t count) {
  releasable_ = count;
  if (count == ~size_t{0}) holding_ = false;
}

void FakeClient::release_at(size_t index) {
  Ended ended = std::move(ended_.at(index));
  ended_.erase(ended_.begin() + static_cast<std::ptrdiff_t>(index));
  end(ended);
}

void FakeClient::wait(Operation&) {
  std::abort();
}

std::vector<ServerState> FakeClient::servers() const {
  ServerState state;
  state.name = "fake:1";
  state.last_error = "fake error";
  return {state};
}

void FakeClient::end(Ended& ended) {
  Operation& operation = *ended.operation;
  // Lent bytes lie in `ended.lent`; afterwards they are nobody's.
  if (!operation.buffer && !ended.lent.empty()) {
    operation.value = std::as_bytes(std::span(ended.lent));
  }
  operation.done(operation);
  std::fill(ended.lent.begin(), ended.lent.end(), '#');
  if (ended.lent.capacity() > 0 && spare_.size() < 64) spare_.push_back(std::move(ended.lent));
}

void FakeClient::run(Operation& operation) {
  Ended ended;
  ended.operation = &operation;
  if (!spare_.empty()) {
    ended.lent = std::move(spare_.back());
    spare_.pop_back();
    ended.lent.clear();
  }
  operation.code = fault ? fault(operation) : Code::kOk;
  if (operation.code == Code::kOk) execute(operation, ended);
  operation.input_buffer.reset();
  ended_.push_back(std::move(ended));
}

FakeClient::Entry* FakeClient::find(std::string_view key) {
  const auto found = store.find(key);
  if (found == store.end()) return nullptr;
  if (found->second.expiry != 0 && found->second.expiry <= now_ms) {
    erase_key(key);
    return nullptr;
  }
  return &found->second;
}

void FakeClient::execute(Operation& operation, Ended& ended) {
  switch (operation.kind) {
    case OperationKind::kGet:
    case OperationKind::kInspect:
      return get(operation, ended);
    case OperationKind::kPut:
      return put(operation, text(input_of(operation)), ended);
    case OperationKind::kDelete:
      return erase(operation, ended);
    case OperationKind::kExpire:
      return expire(operation, ended);
    case OperationKind::kModify:
      if (operation.ticket.id != 0) return upload(operation, ended);
      return modify(operation, text(input_of(operation)), ended);
    case OperationKind::kEvaluate:
      return evaluate(operation, ended);
    case OperationKind::kCount:
      operation.number = store.size();
      return;
    case OperationKind::kClear:
      operation.number = store.size();
      store.clear();
      ++removals_;
      return;
    case OperationKind::kReadPinned: {
      const auto pin = pins_.find(operation.ticket.id);
      if (pin == pins_.end() || pins_hold == 0) {
        operation.code = Code::kUnavailable;
        return;
      }
      if (!operation.buffer) operation.buffer = arena_->allocate(operation.length);
      std::memcpy(operation.buffer.data(), pin->second.data() + operation.offset, operation.length);
      operation.buffer.set_length(operation.length);
      operation.value = {operation.buffer.data(), operation.length};
      return;
    }
    case OperationKind::kRelease:
      pins_.erase(operation.ticket.id);
      return;
    case OperationKind::kUploadBegin:
    case OperationKind::kUploadChunk:
    case OperationKind::kUploadCommit:
    case OperationKind::kUploadAbort:
      return upload(operation, ended);
    case OperationKind::kTransaction:
      return transact(operation, ended);
    case OperationKind::kPing:
      return;
    case OperationKind::kStats:
      ended.lent = "keys " + std::to_string(store.size()) +
                   "\nkeys_with_expiry 7\npool_bytes 4096\ngranted_bytes 1024\nexpired 5\n"
                   "changes 10\ncas_linked_seen 2\n";
      return;
    case OperationKind::kScan:
      return scan(operation, ended);
    case OperationKind::kRandomKey:
      operation.number = store.size();
      if (store.empty()) {
        operation.code = Code::kNotFound;
      } else {
        ended.lent = store.begin()->first;
      }
      return;
    case OperationKind::kCopy:
    case OperationKind::kRename:
      return copy(operation);
    case OperationKind::kCombine:
      return combine(operation);
  }
}

void FakeClient::erase_key(std::string_view key) {
  const auto found = store.find(key);
  version_floor_ = std::max(version_floor_, found->second.version);
  store.erase(found);
  ++removals_;
}

// As a server would: in the message when small, in a landing buffer, or pinned.
void FakeClient::lend(Operation& operation, const std::string& value, Ended& ended) {
  operation.value_length = value.size();
  if (value.size() < wire::kLargeValue) {
    ended.lent.assign(value);
    return;
  }
  if (value.size() <= std::min(options_.landing_bytes, operation.lend_most)) {
    operation.buffer = arena_->allocate(static_cast<uint32_t>(value.size() + kReplyHeaders));
  }
  if (operation.buffer) {
    // Behind the headers of the message that brought it, as with a real landing buffer.
    std::byte* const at = operation.buffer.data() + kReplyHeaders;
    std::memset(operation.buffer.data(), '!', kReplyHeaders);
    std::memcpy(at, value.data(), value.size());
    operation.value = {at, value.size()};
    return;
  }
  if (pins_.size() >= options_.most_pins) {
    // Before a change has taken effect a server would have said so.
    assert(operation.kind == OperationKind::kGet || operation.kind == OperationKind::kEvaluate);
    operation.code = Code::kBusy;
    operation.value_length = 0;
    operation.ticket = {};
    return;
  }
  operation.ticket.id = next_ticket_++;
  pins_[operation.ticket.id] = value;
}

void FakeClient::get(Operation& operation, Ended& ended) {
  const Entry* entry = find(operation.key);
  if (entry == nullptr) {
    operation.code = Code::kNotFound;
    operation.number = removals_;
    return;
  }
  operation.version = entry->version;
  operation.expiry = entry->expiry;
  operation.user_flags = entry->user_flags;
  operation.value_length = entry->value.size();
  if (operation.kind == OperationKind::kGet) lend(operation, entry->value, ended);
}

Code FakeClient::check(const Operation& operation, const Entry* entry) const {
  switch (operation.condition) {
    case Condition::kIfAbsent:
      return entry == nullptr ? Code::kOk : Code::kConditionNotMet;
    case Condition::kIfPresent:
      return entry != nullptr ? Code::kOk : Code::kConditionNotMet;
    case Condition::kIfVersionOrAbsent:
      if (entry == nullptr) return Code::kOk;
      [[fallthrough]];
    case Condition::kIfVersion: {
      const uint64_t version = entry != nullptr ? entry->version : 0;
      return version == operation.expected_version ? Code::kOk : Code::kVersionMismatch;
    }
    case Condition::kIfStillAbsent:
      return entry == nullptr && operation.expected_version == removals_ ? Code::kOk
                                                                         : Code::kVersionMismatch;
    default:
      return Code::kOk;
  }
}

void FakeClient::put(Operation& operation, std::string_view value, Ended& ended) {
  Entry* entry = find(operation.key);
  if (operation.want_previous && entry != nullptr) {
    operation.has_previous = true;
    lend(operation, entry->value, ended);
  }
  operation.version = entry != nullptr ? entry->version : 0;
  operation.code = check(operation, entry);
  if (operation.code != Code::kOk) {
    if (!operation.want_if_unmet || entry == nullptr) return;
    operation.has_previous = true;
    return lend(operation, entry->value, ended);
  }
  if (entry == nullptr) {
    entry = &store[std::string(operation.key)];
    entry->version = version_floor_;
  }
  entry->value.assign(value);
  if (!operation.keep_expiry) entry->expiry = operation.expiry_ms;
  operation.version = ++entry->version;
}

void FakeClient::erase(Operation& operation, Ended& ended) {
  Entry* entry = find(operation.key);
  if (entry == nullptr) {
    operation.code = Code::kNotFound;
    return;
  }
  operation.version = entry->version;
  operation.code = check(operation, entry);
  if (operation.code != Code::kOk) return;
  if (operation.want_previous) {
    operation.has_previous = true;
    lend(operation, entry->value, ended);
  }
  operation.code = check(operation, entry);
  if (operation.code != Code::kOk) return;
  operation.version = 0;
  erase_key(operation.key);
}

void FakeClient::expire(Operation& operation, Ended& ended) {
  Entry* entry = find(operation.key);
  if (entry == nullptr) {
    operation.code = Code::kNotFound;
    return;
  }
  if (operation.want_previous) {
    operation.has_previous = true;
    lend(operation, entry->value, ended);
  }
  const int64_t current = entry->expiry, wanted = operation.expiry_ms;
  const auto infinite = [](int64_t time) { return time == 0 ? INT64_MAX : time; };
  bool met = wanted != 0 || current != 0;
  switch (operation.condition) {
    case Condition::kIfNoExpiry:
      met = current == 0;
      break;
    case Condition::kIfExpiry:
      met = current != 0;
      break;
    case Condition::kIfLater:
      met = wanted > infinite(current);
      break;
    case Condition::kIfSooner:
      met = wanted < infinite(current);
      break;
    case Condition::kIfExpirySooner:
      met = current != 0 && wanted < current;
      break;
    default:
      break;
  }
  operation.code = met ? check(operation, entry) : Code::kConditionNotMet;
  operation.version = entry->version;
  if (operation.code != Code::kOk) return;
  entry->expiry = wanted;
  operation.version = ++entry->version;
}

void FakeClient::upload(Operation& operation, Ended& ended) {
  if (operation.kind == OperationKind::kUploadBegin) {
    operation.ticket.id = next_ticket_++;
    uploads_[operation.ticket.id].bytes.resize(operation.total);
    return;
  }
  const auto found = uploads_.find(operation.ticket.id);
  if (found == uploads_.end()) {
    operation.code = Code::kUnavailable;
    return;
  }
  UploadState& state = found->second;
  const std::string_view chunk = text(input_of(operation));
  switch (operation.kind) {
    case OperationKind::kUploadChunk:
      std::memcpy(state.bytes.data() + operation.offset, chunk.data(), chunk.size());
      state.received += chunk.size();
      return;
    case OperationKind::kUploadCommit:
      if (state.received != state.bytes.size()) {
        operation.code = Code::kInvalidArgument;
        return;
      }
      put(operation, state.bytes, ended);
      break;
    case OperationKind::kModify:
      operation.ticket = {};
      modify(operation, state.bytes, ended);
      break;
    default:
      break;
  }
  uploads_.erase(found);
}

}  // namespace rdmakv::fakes
