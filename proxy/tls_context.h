// TLS for the clients: certificate, key and rules, as one immutable context that any number of
// connections share. A new one takes the place of the old when certificates change; connections
// that have begun keep theirs. Any thread.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "proxy/tls_stream.h"
#include "rdmakv/transport/status.h"

namespace rdmakv::proxy {

// As Redis's tls-* parameters.
struct TlsSettings {
  std::string cert_file, key_file, key_file_pass;
  std::string ca_cert_file, ca_cert_dir;
  std::string auth_clients = "yes";   // must they have certificates: yes, no, optional
  std::string protocols;              // "TLSv1.2 TLSv1.3"; empty: those two
  std::string ciphers, ciphersuites;  // up to TLS 1.2, and of 1.3; empty: OpenSSL's
  std::string prefer_server_ciphers = "no";

  bool operator==(const TlsSettings&) const = default;
};

class TlsContext {
 public:
  // Reads the files. What is wrong with them is in the error's message.
  static Result<std::shared_ptr<const TlsContext>> create(const TlsSettings& settings);

  // The server's side of TLS on a connected socket, which stays the caller's. Null: no memory.
  std::unique_ptr<TlsStream> accept(int fd) const;

 private:
  struct Free {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };
  using Pointer = std::unique_ptr<SSL_CTX, Free>;

  explicit TlsContext(Pointer context) : context_(std::move(context)) {}

  Pointer context_;
};

}  // namespace rdmakv::proxy
