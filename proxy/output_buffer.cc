#include "proxy/output_buffer.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <utility>

#include "proxy/tls_stream.h"

namespace rdmakv::proxy {

namespace {

ssize_t stale() {
  errno = ESTALE;
  return -1;
}

// Most often there is one, for which the kernel has less to do.
ssize_t send_pieces(int fd, std::span<iovec> pieces) {
  if (pieces.size() == 1) {
    return ::send(fd, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL);
  }
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = pieces.size();
  return ::sendmsg(fd, &message, MSG_NOSIGNAL);
}

}  // namespace

void OutputChain::grow(size_t bytes) {
  assert(bytes <= OutputChunk::kBytes);
  (void)bytes;
  close_window();
  OutputChunk* chunk = pools_->chunks.take();
  chunk->is_chunk = true;
  chunk->begin = chunk->end = chunk->bytes;
  link(chunk);
  open_ = chunk;
  set_window(chunk->bytes, chunk->bytes + OutputChunk::kBytes);
}

// Takes the bytes written into the window into account.
void OutputChain::settle() {
  if (open_ == nullptr) return;
  settled_ += unsettled();
  open_->end = next();
}

void OutputChain::close_window() {
  settle();
  open_ = nullptr;
  set_window(nullptr, nullptr);
}

void OutputChain::link(OutputPiece* piece) {
  piece->next = nullptr;
  (tail_ != nullptr ? tail_->next : head_) = piece;
  tail_ = piece;
}

void OutputChain::release(OutputPiece* piece) {
  if (piece->is_chunk) {
    pools_->chunks.give(static_cast<OutputChunk*>(piece));
    return;
  }
  piece->value.reset();
  piece->copy.reset();
  if (piece->source != nullptr) std::exchange(piece->source, nullptr)->piece_left();
  pools_->pieces.give(piece);
}

void OutputChain::append_value(ValueBuffer value, std::span<const std::byte> bytes) {
  assert(bytes.empty() || (bytes.data() >= value.data() &&
                           bytes.data() + bytes.size() <= value.data() + value.capacity()));
  if (bytes.empty()) return;
  OutputPiece* piece = pools_->pieces.take();
  registered_ += value.capacity();
  piece->value = std::move(value);
  append_piece(piece, bytes);
}

void OutputChain::append_from(OutputSource& source, std::span<const std::byte> bytes,
                              bool is_gate) {
  assert(!bytes.empty());
  OutputPiece* piece = pools_->pieces.take();
  piece->source = &source;
  ++sourced_;
  append_piece(piece, bytes);
  piece->is_gate = is_gate;
}

void OutputChain::append_piece(OutputPiece* piece, std::span<const std::byte> bytes) {
  close_window();
  piece->is_chunk = piece->is_gate = false;
  piece->begin = reinterpret_cast<const char*>(bytes.data());
  piece->end = piece->begin + bytes.size();
  settled_ += bytes.size();
  link(piece);
}

void OutputChain::splice(OutputChain& other) {
  other.settle();
  while (other.head_ != nullptr) {
    OutputPiece* piece = other.head_;
    const auto bytes = static_cast<size_t>(piece->end - piece->begin);
    if (piece->is_chunk && (bytes <= room() || bytes <= kWorthCopying)) {
      append({piece->begin, bytes});
      other.drop_front();
      continue;
    }
    close_window();
    other.head_ = piece->next;
    if (piece->value) {
      registered_ += piece->value.capacity();
      other.registered_ -= piece->value.capacity();
    }
    if (piece->source != nullptr) {
      ++sourced_;
      --other.sourced_;
    }
    other.settled_ -= bytes;
    settled_ += bytes;
    link(piece);
  }
  other.tail_ = nullptr;
  other.open_ = nullptr;
  other.set_window(nullptr, nullptr);
}

// Takes the first piece out of the chain, written or not.
void OutputChain::drop_front() {
  OutputPiece* piece = head_;
  head_ = piece->next;
  if (head_ == nullptr) tail_ = nullptr;
  if (piece == open_) {
    open_ = nullptr;
    set_window(nullptr, nullptr);
  }
  settled_ -= static_cast<size_t>(piece->end - piece->begin);
  if (piece->value) registered_ -= piece->value.capacity();
  if (piece->source != nullptr) --sourced_;
  release(piece);
}

void OutputChain::consume(size_t bytes) {
  while (bytes > 0) {
    assert(head_ != nullptr);
    const auto here = static_cast<size_t>(head_->end - head_->begin);
    if (bytes < here) {
      head_->begin += bytes;
      settled_ -= bytes;
      return;
    }
    bytes -= here;
    drop_front();
  }
}

ssize_t OutputChain::write_to(int fd) {
  settle();
  iovec vector[kPiecesPerWrite];
  int count = 0;
  OutputSource* source = nullptr;  // a gate ends each one's pieces, so there is one at most
  for (OutputPiece* piece = head_; piece != nullptr && count < static_cast<int>(kPiecesPerWrite);
       piece = piece->next) {
    if (piece->begin == piece->end) continue;
    vector[count].iov_base = const_cast<char*>(piece->begin);
    vector[count++].iov_len = static_cast<size_t>(piece->end - piece->begin);
    if (piece->source != nullptr) source = piece->source;
    if (piece->is_gate) break;
  }
  if (count == 0) return 0;
  if (source != nullptr && !source->holds()) return stale();
  const ssize_t written = send_pieces(fd, {vector, static_cast<size_t>(count)});
  if (written > 0 && source != nullptr && !source->holds()) return stale();
  if (written > 0) consume(static_cast<size_t>(written));
  // A chunk without bytes is not kept: the connection may be idle from now on.
  if (settled_ == 0) clear();
  return written;
}

ssize_t OutputChain::gather(std::span<char> scratch) {
  settle();
  size_t gathered = 0;
  for (const OutputPiece* piece = head_; piece != nullptr && gathered < scratch.size();
       piece = piece->next) {
    const auto bytes =
        std::min(static_cast<size_t>(piece->end - piece->begin), scratch.size() - gathered);
    if (piece->source != nullptr && !piece->source->holds()) return stale();
    std::memcpy(scratch.data() + gathered, piece->begin, bytes);
    if (piece->source != nullptr && !piece->source->holds()) return stale();
    gathered += bytes;
  }
  return static_cast<ssize_t>(gathered);
}

// After a write that found no room the same bytes have to come again; more of them may follow.
ssize_t OutputChain::write_to(TlsStream& stream, std::span<char> scratch) {
  const ssize_t gathered = gather(scratch);
  if (gathered <= 0) return gathered;
  const ssize_t written = stream.write(scratch.first(static_cast<size_t>(gathered)));
  if (written > 0) consume(static_cast<size_t>(written));
  if (settled_ == 0) clear();
  return written;
}

void OutputChain::spill() {
  if (registered_ == 0) return;
  for (OutputPiece* piece = head_; piece != nullptr; piece = piece->next) {
    if (!piece->value) continue;
    copy_out(*piece);
    piece->value.reset();
  }
  registered_ = 0;
}

bool OutputChain::spill_sources() {
  for (OutputPiece* piece = head_; piece != nullptr && sourced_ > 0; piece = piece->next) {
    if (piece->source == nullptr) continue;
    if (!piece->source->holds()) return false;
    copy_out(*piece);
    if (!piece->source->holds()) return false;
    piece->is_gate = false;
    --sourced_;
    std::exchange(piece->source, nullptr)->piece_left();
  }
  return true;
}

void OutputChain::copy_out(OutputPiece& piece) {
  const auto bytes = static_cast<size_t>(piece.end - piece.begin);
  piece.copy = std::make_unique_for_overwrite<char[]>(bytes);
  std::memcpy(piece.copy.get(), piece.begin, bytes);
  piece.begin = piece.copy.get();
  piece.end = piece.begin + bytes;
}

void OutputChain::clear() {
  settle();
  while (head_ != nullptr) drop_front();
}

}  // namespace rdmakv::proxy
