#include "proxy/upload.h"

#include <algorithm>
#include <cassert>

#include "proxy/connection.h"
#include "proxy/request.h"
#include "proxy/worker.h"

namespace rdmakv::proxy {

Upload::Upload(Worker& worker, Connection& connection, std::string_view key, uint64_t total)
    : worker_(worker),
      connection_(&connection),
      key_(key),
      total_(total),
      chunk_bytes_(chunk_bytes(worker.client())) {}

uint32_t Upload::chunk_bytes(const Client& client) {
  return std::min(wire::kMaxChunk, client.max_single_put());
}

void Upload::begin() {
  control_.kind = OperationKind::kUploadBegin;
  control_.key = key_;
  control_.total = total_;
  control_.done = &Upload::begin_done;
  control_.context = this;
  ++outstanding_;
  worker_.submit(control_);
}

void Upload::begin_done(Operation& operation) {
  auto& self = *static_cast<Upload*>(operation.context);
  --self.outstanding_;
  if (operation.code == Code::kOk) {
    self.ticket_ = operation.ticket;
  } else {
    self.fail(operation.code);
  }
  self.progress();
}

std::span<std::byte> Upload::space(std::span<std::byte> trash) {
  waits_for_arena_ = false;
  if (code_ != Code::kOk) return trash;
  Chunk& chunk = chunks_[fill_index_];
  if (chunk.state == Chunk::State::kFree) {
    if (cut_ == total_) return {};
    const auto length = static_cast<uint32_t>(std::min<uint64_t>(chunk_bytes_, total_ - cut_));
    chunk.buffer = worker_.client().allocate(length);
    if (!chunk.buffer) {
      waits_for_arena_ = true;
      return {};
    }
    chunk.buffer.set_length(0);
    chunk.length = length;
    chunk.offset = cut_;
    cut_ += length;
    chunk.state = Chunk::State::kFilling;
  }
  if (chunk.state != Chunk::State::kFilling) return {};
  return {chunk.buffer.data() + chunk.buffer.length(), chunk.length - chunk.buffer.length()};
}

void Upload::advance(size_t bytes) {
  Chunk& chunk = chunks_[fill_index_];
  if (code_ != Code::kOk || chunk.state != Chunk::State::kFilling) return;
  chunk.buffer.set_length(chunk.buffer.length() + static_cast<uint32_t>(bytes));
  assert(chunk.buffer.length() <= chunk.length);
  if (chunk.buffer.length() < chunk.length) return;
  chunk.state = Chunk::State::kReady;
  fill_index_ = (fill_index_ + 1) % kChunks;
  send_ready();
}

void Upload::send_ready() {
  if (!ticket_ || code_ != Code::kOk) return;
  while (chunks_[send_index_].state == Chunk::State::kReady) {
    Chunk& chunk = chunks_[send_index_];
    send_index_ = (send_index_ + 1) % kChunks;
    chunk.state = Chunk::State::kSent;
    Operation& operation = chunk.operation;
    operation = Operation{};
    operation.kind = OperationKind::kUploadChunk;
    operation.key = key_;
    operation.ticket = ticket_;
    operation.offset = chunk.offset;
    operation.input_buffer = std::move(chunk.buffer);
    operation.done = &Upload::chunk_done;
    operation.context = this;
    ++outstanding_;
    worker_.submit(operation);
  }
}

void Upload::chunk_done(Operation& operation) {
  auto& self = *static_cast<Upload*>(operation.context);
  --self.outstanding_;
  const auto chunk = std::find_if(self.chunks_.begin(), self.chunks_.end(),
                                  [&](Chunk& c) { return &c.operation == &operation; });
  chunk->state = Chunk::State::kFree;
  operation.input_buffer.reset();
  if (operation.code != Code::kOk) self.fail(operation.code);
  self.progress();
}

// The first failure counts. What was collected is given back at once.
void Upload::fail(Code code) {
  if (code_ == Code::kOk) code_ = code;
  for (Chunk& chunk : chunks_) {
    if (chunk.state == Chunk::State::kSent) continue;
    chunk.buffer.reset();
    chunk.state = Chunk::State::kFree;
  }
}

void Upload::progress() {
  send_ready();
  if (connection_ != nullptr) connection_->upload_progressed();
  try_commit();
  try_abort();
}

void Upload::commit(Request& request, void (*then)(Request&)) {
  commit_ = &request;
  then_ = then;
  try_commit();
}

void Upload::try_commit() {
  if (commit_ == nullptr || outstanding_ > 0) return;
  Request& request = *std::exchange(commit_, nullptr);
  if (connection_ != nullptr) connection_->upload_committed();
  if (code_ != Code::kOk) {
    request.operation.code = code_;
    then_(request);
    abandon();
    return;
  }
  if (request.operation.kind != OperationKind::kModify) {
    request.operation.kind = OperationKind::kUploadCommit;
  }
  request.operation.ticket = ticket_;
  request.operation.total = total_;
  request.submit(then_);
  finished_ = true;
}

void Upload::abandon() {
  if (finished_ || abandoned_) return;
  connection_ = nullptr;
  abandoned_ = true;
  fail(Code::kCancelled);
  try_abort();
}

void Upload::try_abort() {
  if (!abandoned_ || outstanding_ > 0 || finished_) return;
  if (!ticket_ || worker_.shutting_down()) {
    finished_ = true;
    return;
  }
  control_ = Operation{};
  control_.kind = OperationKind::kUploadAbort;
  control_.key = key_;
  control_.ticket = std::exchange(ticket_, Ticket{});
  control_.done = &Upload::abort_done;
  control_.context = this;
  ++outstanding_;
  worker_.submit(control_);
}

void Upload::abort_done(Operation& operation) {
  auto& self = *static_cast<Upload*>(operation.context);
  --self.outstanding_;
  self.finished_ = true;
}

}  // namespace rdmakv::proxy
