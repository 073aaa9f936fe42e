#include "proxy/tls_stream.h"

#include <openssl/err.h>

#include <cerrno>
#include <cstring>

namespace rdmakv::proxy {

int TlsStream::shake_hands() {
  ERR_clear_error();
  const int result = SSL_do_handshake(session_.get());
  if (result == 1) {
    established_ = true;
    wants_to_write_ = false;
    return 1;
  }
  return failed(result) == 0 ? 0 : -1;
}

ssize_t TlsStream::read(std::span<char> bytes) {
  ERR_clear_error();
  size_t count = 0;
  wants_to_write_ = false;
  const int result = SSL_read_ex(session_.get(), bytes.data(), bytes.size(), &count);
  return result == 1 ? static_cast<ssize_t>(count) : failed(result);
}

ssize_t TlsStream::write(std::span<const char> bytes) {
  ERR_clear_error();
  size_t count = 0;
  wants_to_write_ = false;
  const int result = SSL_write_ex(session_.get(), bytes.data(), bytes.size(), &count);
  return result == 1 ? static_cast<ssize_t>(count) : failed(result);
}

ssize_t TlsStream::failed(int result) {
  const int system_error = errno;
  switch (SSL_get_error(session_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      errno = EAGAIN;
      return -1;
    case SSL_ERROR_WANT_WRITE:
      wants_to_write_ = true;
      errno = EAGAIN;
      return -1;
    case SSL_ERROR_ZERO_RETURN:
      return 0;
    case SSL_ERROR_SYSCALL:
      broken_ = true;
      problem_ = system_error == 0 ? "the connection ended" : std::strerror(system_error);
      errno = system_error == 0 ? ECONNRESET : system_error;
      return -1;
    default:
      break;
  }
  broken_ = true;
  const unsigned long code = ERR_peek_last_error();
  // Many clients just close: the end of the stream without TLS's own end.
  if (ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING) return 0;
  char reason[256];
  ERR_error_string_n(code, reason, sizeof(reason));
  problem_ = reason;
  errno = EPROTO;
  return -1;
}

void TlsStream::say_goodbye() {
  if (!established_ || broken_) return;
  ERR_clear_error();
  SSL_shutdown(session_.get());
}

}  // namespace rdmakv::proxy
