#include "proxy/tls_context.h"

#include <openssl/err.h>

#include <sstream>

#include "proxy/command_table.h"

namespace rdmakv::proxy {
namespace {

Status failure(const std::string& what) {
  std::string text = what;
  while (const unsigned long code = ERR_get_error()) {
    char reason[256];
    ERR_error_string_n(code, reason, sizeof(reason));
    text.append(": ").append(reason);
  }
  return {Code::kInvalidArgument, text};
}

int give_password(char* buffer, int size, int, void* password) {
  const auto& text = *static_cast<const std::string*>(password);
  if (text.size() > static_cast<size_t>(size)) return -1;
  text.copy(buffer, text.size());
  return static_cast<int>(text.size());
}

Status set_protocols(SSL_CTX* context, const std::string& protocols) {
  struct Known {
    std::string_view name;
    int version;
    uint64_t off;
  };
  constexpr Known kKnown[] = {{"TLSv1", TLS1_VERSION, SSL_OP_NO_TLSv1},
                              {"TLSv1.1", TLS1_1_VERSION, SSL_OP_NO_TLSv1_1},
                              {"TLSv1.2", TLS1_2_VERSION, SSL_OP_NO_TLSv1_2},
                              {"TLSv1.3", TLS1_3_VERSION, SSL_OP_NO_TLSv1_3}};
  if (protocols.empty()) {
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    return Status::ok();
  }
  uint64_t wanted_off = 0;
  for (const Known& known : kKnown) wanted_off |= known.off;
  int lowest = TLS1_3_VERSION;
  std::istringstream words(protocols);
  for (std::string word; words >> word;) {
    bool found = false;
    for (const Known& known : kKnown) {
      if (!equals_ignoring_case(word, known.name)) continue;
      found = true;
      wanted_off &= ~known.off;
      lowest = std::min(lowest, known.version);
    }
    if (!found) {
      return {Code::kInvalidArgument,
              "tls-protocols: '" + word + "' is none of TLSv1, TLSv1.1, TLSv1.2, TLSv1.3"};
    }
  }
  SSL_CTX_set_min_proto_version(context, lowest);
  SSL_CTX_set_options(context, wanted_off);
  return Status::ok();
}

Status set_identity(SSL_CTX* context, const TlsSettings& settings) {
  if (settings.cert_file.empty() || settings.key_file.empty()) {
    return {Code::kInvalidArgument, "tls-port needs tls-cert-file and tls-key-file"};
  }
  SSL_CTX_set_default_passwd_cb(context, give_password);
  SSL_CTX_set_default_passwd_cb_userdata(context,
                                         const_cast<std::string*>(&settings.key_file_pass));
  if (SSL_CTX_use_certificate_chain_file(context, settings.cert_file.c_str()) != 1) {
    return failure("cannot load the certificate " + settings.cert_file);
  }
  if (SSL_CTX_use_PrivateKey_file(context, settings.key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context) != 1) {
    return failure("cannot use the private key " + settings.key_file);
  }
  SSL_CTX_set_default_passwd_cb_userdata(context, nullptr);
  return Status::ok();
}

// Whose certificates are good enough.
Status set_peers(SSL_CTX* context, const TlsSettings& settings) {
  const std::string& file = settings.ca_cert_file;
  const std::string& folder = settings.ca_cert_dir;
  const bool ask = settings.auth_clients != "no";
  if (file.empty() && folder.empty()) {
    if (!ask) return Status::ok();
    return {Code::kInvalidArgument,
            "tls-auth-clients needs tls-ca-cert-file or tls-ca-cert-dir, or must be 'no'"};
  }
  if (SSL_CTX_load_verify_locations(context, file.empty() ? nullptr : file.c_str(),
                                    folder.empty() ? nullptr : folder.c_str()) != 1) {
    return failure("cannot load the CA certificates " + (file.empty() ? folder : file));
  }
  if (!ask) return Status::ok();
  if (!file.empty()) SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(file.c_str()));
  const bool must = settings.auth_clients == "yes";
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (must ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                     nullptr);
  return Status::ok();
}

}  // namespace

Result<std::shared_ptr<const TlsContext>> TlsContext::create(const TlsSettings& settings) {
  ERR_clear_error();
  Pointer context(SSL_CTX_new(TLS_server_method()));
  if (context == nullptr) return failure("OpenSSL gives no context");
  SSL_CTX* const raw = context.get();
  SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  if (settings.prefer_server_ciphers == "yes") {
    SSL_CTX_set_options(raw, SSL_OP_CIPHER_SERVER_PREFERENCE);
  }
  // Output is gathered anew for each write; an idle connection holds no buffers.
  SSL_CTX_set_mode(raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
  constexpr unsigned char kSessions[] = "kv_proxy";
  SSL_CTX_set_session_id_context(raw, kSessions, sizeof(kSessions) - 1);
  for (const Status& step : {set_protocols(raw, settings.protocols), set_identity(raw, settings),
                             set_peers(raw, settings)}) {
    if (!step) return step;
  }
  if (!settings.ciphers.empty() && SSL_CTX_set_cipher_list(raw, settings.ciphers.c_str()) != 1) {
    return failure("tls-ciphers names no cipher that there is");
  }
  if (!settings.ciphersuites.empty() &&
      SSL_CTX_set_ciphersuites(raw, settings.ciphersuites.c_str()) != 1) {
    return failure("tls-ciphersuites names one that there is not");
  }
  return std::shared_ptr<const TlsContext>(new TlsContext(std::move(context)));  // NOLINT
}

std::unique_ptr<TlsStream> TlsContext::accept(int fd) const {
  SSL* const session = SSL_new(context_.get());
  if (session == nullptr) return nullptr;
  if (SSL_set_fd(session, fd) != 1) {
    SSL_free(session);
    return nullptr;
  }
  SSL_set_accept_state(session);
  return std::make_unique<TlsStream>(session);
}

}  // namespace rdmakv::proxy
