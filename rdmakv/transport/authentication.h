// The proof of a shared secret: HMAC-SHA256 over both nonces (protocol/kv_handshake.h draws the
// exchange). Set-up only; thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "protocol/kv_handshake.h"
#include "rdmakv/transport/status.h"

namespace rdmakv {

enum class Role : uint8_t { kServer, kClient };

// Fills `nonce` (wire::kNonceBytes) from the system's random source.
Status make_nonce(uint8_t* nonce);
// Writes the proof of `role` (wire::kProofBytes) to `proof`.
Status make_proof(std::string_view secret, Role role, const uint8_t* client_nonce,
                  const uint8_t* server_nonce, uint8_t* proof);
// Compares in constant time.
bool proof_matches(const uint8_t* a, const uint8_t* b);
uint64_t random_u64();

// The secret in a file, a trailing newline dropped; an error when it is empty, longer than 4096
// bytes, or readable by everybody.
Result<std::string> read_secret_file(const std::string& path);

}  // namespace rdmakv
