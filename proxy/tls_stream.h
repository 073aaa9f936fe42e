// One client's TLS on its non-blocking socket. Reads and writes as the system calls do: bytes, 0 at
// the end, or -1 with errno; EAGAIN when the socket has to become readable, or writable if
// wants_to_write(). One thread.
#pragma once

#include <openssl/ssl.h>
#include <sys/types.h>

#include <memory>
#include <span>
#include <string>

namespace rdmakv::proxy {

class TlsStream {
 public:
  // Takes over `session`, which knows its socket and its side.
  explicit TlsStream(SSL* session) : session_(session) {}

  // Goes on with the handshake: 1 when it is done, -1 as above.
  int shake_hands();
  bool established() const { return established_; }

  ssize_t read(std::span<char> bytes);
  // After EAGAIN the next call has to begin with the same bytes.
  ssize_t write(std::span<const char> bytes);
  // Bytes that were received with others and not read yet: the socket does not tell of them.
  bool pending() const { return SSL_pending(session_.get()) > 0; }
  bool wants_to_write() const { return wants_to_write_; }

  // Tells the other side that nothing more comes, if it can be told at once.
  void say_goodbye();
  // Why the last call failed, for the log.
  const std::string& problem() const { return problem_; }

 private:
  struct Free {
    void operator()(SSL* session) const { SSL_free(session); }
  };

  ssize_t failed(int result);

  std::unique_ptr<SSL, Free> session_;
  bool established_ = false, wants_to_write_ = false, broken_ = false;
  std::string problem_;
};

}  // namespace rdmakv::proxy
