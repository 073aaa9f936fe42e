// What a client of a campaign is told: checked as far as one answer can be, and written down.
#include <algorithm>
#include <cstdio>

#include "tests/linearizability/campaign/client_thread.h"
#include "tests/linearizability/campaign/values.h"

namespace rdmakv::linearizability {
namespace {

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

}  // namespace

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

}  // namespace rdmakv::linearizability
