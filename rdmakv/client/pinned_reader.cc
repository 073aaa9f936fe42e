#include "rdmakv/client/pinned_reader.h"

#include <algorithm>
#include <cstring>

namespace rdmakv {

void PinnedReader::reset(uint64_t pool_base, uint64_t pool_bytes, uint32_t pool_key,
                         uint32_t max_reads, uint32_t max_read_bytes) {
  for (Read& read : reads_) read = Read{};
  reads_.resize(max_reads);
  in_flight_ = 0;
  pool_base_ = pool_base;
  pool_bytes_ = pool_bytes;
  pool_key_ = pool_key;
  max_read_bytes_ = max_read_bytes;
}

void PinnedReader::add(Operation& operation) {
  operation.internal[kIssued] = 0;
  operation.internal[kArrived] = 0;
  waiting_.push_back(operation);
}

bool PinnedReader::pump(Endpoint& endpoint) {
  while (!waiting_.empty()) {
    if (free_read() == nullptr) return false;  // the completion of one of ours goes on
    if (!post_next(endpoint)) return true;
  }
  return false;
}

PinnedReader::Read* PinnedReader::free_read() {
  for (Read& read : reads_) {
    if (!read.in_flight) return &read;
  }
  return nullptr;
}

// Of what is left, so that the last piece has eight bytes at least: transports may watch whether
// the data of a READ arrives, by what is in the buffer before, which fewer bytes do not allow.
uint64_t PinnedReader::piece_bytes(uint64_t left) const {
  constexpr uint64_t kFewest = sizeof(uint64_t);
  const uint64_t most = std::min<uint64_t>(kPieceBytes, max_read_bytes_);
  if (left <= most) return left;
  return left - most < kFewest && most > kFewest ? most - kFewest : most;
}

bool PinnedReader::post_next(Endpoint& endpoint) {
  Operation& operation = *waiting_.front();
  Read& read = *free_read();
  const bool whole = operation.kind == OperationKind::kReadPinned;
  const uint64_t offset = whole ? operation.offset : operation.internal[kIssued];
  const uint64_t length = whole ? operation.length : piece_bytes(operation.value_length - offset);
  ValueBuffer buffer;
  if (whole && operation.buffer.capacity() >= length) {
    buffer = std::move(operation.buffer);
  } else {
    buffer = arena_.allocate(static_cast<uint32_t>(length));
    if (!buffer) return false;
  }
  const auto context = static_cast<uint64_t>(&read - reads_.data());
  if (!endpoint.read(arena_.local(buffer, 0, static_cast<uint32_t>(length)),
                     {pool_base_ + operation.ticket.location + offset, pool_key_}, context, true)) {
    if (whole) operation.buffer = std::move(buffer);
    return false;
  }
  read = {true,
          &operation,
          operation.ticket.id,
          offset,
          static_cast<uint32_t>(length),
          std::move(buffer)};
  ++in_flight_;
  operation.internal[kIssued] += length;
  if (whole || operation.internal[kIssued] == operation.value_length) {
    waiting_.pop_front();
    posted_.push_back(operation);
  }
  return true;
}

void PinnedReader::on_read(uint64_t context) {
  if (context >= reads_.size() || !reads_[context].in_flight) return;
  Read read = std::move(reads_[context]);
  reads_[context] = Read{};
  --in_flight_;
  if (read.operation == nullptr) return;
  Operation& operation = *read.operation;
  if (operation.kind == OperationKind::kReadPinned) {
    operation.buffer = std::move(read.buffer);
    operation.buffer.set_length(read.length);
    operation.value = {operation.buffer.data(), read.length};
    return end(operation);
  }
  std::memcpy(operation.destination.data() + read.offset, read.buffer.data(), read.length);
  operation.internal[kArrived] += read.length;
  if (operation.internal[kArrived] < operation.value_length) return;
  events_.give_up_pin(operation.ticket.id);
  operation.ticket = {};
  operation.value = operation.destination.first(operation.value_length);
  end(operation);
}

void PinnedReader::end(Operation& operation) {
  posted_.extract([&](const Operation& other) { return &other == &operation; }, [](Operation&) {});
  operation.code = Code::kOk;
  events_.read_done(operation);
}

bool PinnedReader::reading(uint64_t ticket) const {
  bool found = false;
  for (const Read& read : reads_) found |= read.in_flight && read.ticket == ticket;
  for_each([&](const Operation& operation) { found |= operation.ticket.id == ticket; });
  return found;
}

}  // namespace rdmakv
