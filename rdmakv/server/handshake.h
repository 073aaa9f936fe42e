// The server's side of the handshake that protocol/kv_handshake.h draws, up to the decision whether
// the client is admitted. No memory key is in anything it sends; the Welcome, which has them, is
// the caller's. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "protocol/kv_handshake.h"
#include "rdmakv/transport/endpoint.h"

namespace rdmakv::server {

// Send one message and flush. False: the connection is not up or has no buffer.
bool send_welcome(Endpoint& endpoint, const wire::Welcome& welcome, int64_t clock_ms);
bool send_refusal(Endpoint& endpoint, wire::RefusalCode code, std::string_view text,
                  int64_t clock_ms);

class Handshake {
 public:
  // `secret` empty: anyone is admitted. It outlives the Handshake.
  explicit Handshake(const std::string& secret) : secret_(secret) {}

  enum class Progress : uint8_t { kMore, kAdmitted, kRefused, kBroken };
  // Takes a message (which a peer may be able to change meanwhile), answers it unless it admits.
  // kRefused: a Refusal was sent, and refusal() says why. kBroken: the connection is.
  Progress on_message(Endpoint& endpoint, std::span<const std::byte> message, int64_t clock_ms);

  // Once admitted:
  uint64_t client_id() const { return client_id_; }
  const wire::RegionGrant& landing() const { return landing_; }

  const std::string& refusal() const { return refusal_; }

 private:
  enum class State : uint8_t { kHello, kProof, kOver };
  Progress on_hello(Endpoint& endpoint, const wire::Hello& hello, int64_t clock_ms);
  Progress on_proof(Endpoint& endpoint, const wire::Proof& proof, int64_t clock_ms);
  Progress refuse(Endpoint& endpoint, wire::RefusalCode code, std::string text, int64_t clock_ms);

  const std::string& secret_;
  State state_ = State::kHello;
  uint64_t client_id_ = 0;
  uint8_t client_nonce_[wire::kNonceBytes] = {};
  uint8_t server_nonce_[wire::kNonceBytes] = {};
  wire::RegionGrant landing_;
  std::string refusal_;
};

}  // namespace rdmakv::server
