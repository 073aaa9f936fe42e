// Connection: bytes in and out, plain or over TLS.
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "proxy/connection.h"
#include "proxy/worker.h"

namespace rdmakv::proxy {

ssize_t Connection::read_bytes(char* at, size_t most) {
  const StageTimer timer(worker_.stage_times(), Stage::kRead);
  if (tls_ == nullptr) [[likely]]
    return ::read(fd_, at, most);
  const ssize_t bytes = tls_->read({at, most});
  // What stays in TLS's own buffer makes no event.
  if (bytes > 0 && tls_->pending()) worker_.schedule(*this);
  if (bytes < 0 && tls_->wants_to_write()) want_writing(true);
  return bytes;
}

ssize_t Connection::timed_write() {
  const StageTimer timer(worker_.stage_times(), Stage::kWrite);
  return write_output();
}

ssize_t Connection::write_output() {
  if (tls_ == nullptr) [[likely]]
    return output_.write_to(fd_);
  if (!tls_->established()) {
    errno = EAGAIN;
    return -1;
  }
  const std::span<std::byte> scratch = worker_.trash();
  return output_.write_to(*tls_, {reinterpret_cast<char*>(scratch.data()), scratch.size()});
}

// False: no more can be written now, or ever.
bool Connection::write_some() {
  const ssize_t written = timed_write();
  worker_.stats().writes.add();
  if (written < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return false;
    if (errno == ESTALE) {
      close_broken_reply(Code::kUnavailable);
    } else {
      close(std::strerror(errno));
    }
    return false;
  }
  worker_.stats().output_bytes.add(static_cast<uint64_t>(written));
  taken_us_ = last_activity_us_ = worker_.now_us();
  return true;
}

// What lies in a server's memory for the moment only is written now, or copied.
void Connection::write_in_place() {
  write_some();
  output_.spill_sources();
}

void Connection::shake_hands() {
  const int result = tls_->shake_hands();
  if (result == 1) {
    want_writing(!output_.empty());
    want_reading(true);
    if (tls_->pending()) worker_.schedule(*this);
    return;
  }
  if (result < 0 && errno == EAGAIN) return want_writing(tls_->wants_to_write());
  spdlog::debug("client {} {}: TLS: {}", id_, address_, tls_->problem());
  close("the TLS handshake failed");
}

}  // namespace rdmakv::proxy
