#include "rdmakv/server/handshake.h"

#include <algorithm>
#include <cstring>

#include "protocol/kv_message.h"
#include "rdmakv/transport/authentication.h"

namespace rdmakv::server {
namespace {

template <typename Body>
bool send_body(Endpoint& endpoint, wire::MessageKind kind, const Body& body, int64_t clock_ms) {
  const MessageBuffer buffer = endpoint.acquire_message();
  if (!buffer) return false;
  wire::MessageBuilder builder({buffer.data, buffer.capacity}, kind);
  if (!builder.add_body(body)) {
    endpoint.abandon_message(buffer);
    return false;
  }
  if (!endpoint.send(buffer, builder.finish(static_cast<uint64_t>(clock_ms)), 0, false)) {
    return false;
  }
  endpoint.flush();
  return true;
}

}  // namespace

bool send_welcome(Endpoint& endpoint, const wire::Welcome& welcome, int64_t clock_ms) {
  return send_body(endpoint, wire::MessageKind::kWelcome, welcome, clock_ms);
}

bool send_refusal(Endpoint& endpoint, wire::RefusalCode code, std::string_view text,
                  int64_t clock_ms) {
  wire::ConnectRefusal refusal;
  refusal.code = code;
  std::memcpy(refusal.text, text.data(), std::min(text.size(), sizeof(refusal.text) - 1));
  return send_body(endpoint, wire::MessageKind::kRefusal, refusal, clock_ms);
}

Handshake::Progress Handshake::refuse(Endpoint& endpoint, wire::RefusalCode code, std::string text,
                                      int64_t clock_ms) {
  state_ = State::kOver;
  send_refusal(endpoint, code, text, clock_ms);
  refusal_ = std::move(text);
  return Progress::kRefused;
}

Handshake::Progress Handshake::on_message(Endpoint& endpoint, std::span<const std::byte> message,
                                          int64_t clock_ms) {
  wire::MessageReader reader(message);
  if (reader.valid() && reader.header().kind == wire::MessageKind::kHello &&
      state_ == State::kHello) {
    wire::Hello hello;
    if (reader.body(hello)) return on_hello(endpoint, hello, clock_ms);
  } else if (reader.valid() && reader.header().kind == wire::MessageKind::kProof &&
             state_ == State::kProof) {
    wire::Proof proof;
    if (reader.body(proof)) return on_proof(endpoint, proof, clock_ms);
  }
  const char* error = reader.error() != nullptr ? reader.error() : "a message out of turn";
  return refuse(endpoint, wire::RefusalCode::kBadRequest, std::string("handshake: ") + error,
                clock_ms);
}

Handshake::Progress Handshake::on_hello(Endpoint& endpoint, const wire::Hello& hello,
                                        int64_t clock_ms) {
  if (hello.version != wire::kProtocolVersion) {
    return refuse(endpoint, wire::RefusalCode::kVersion,
                  "protocol version " + std::to_string(hello.version) + ", this server speaks " +
                      std::to_string(wire::kProtocolVersion),
                  clock_ms);
  }
  if (hello.reserved != 0 || hello.flags != 0) {
    return refuse(endpoint, wire::RefusalCode::kBadRequest, "handshake: unknown flag in Hello",
                  clock_ms);
  }
  client_id_ = hello.client_id;
  std::memcpy(client_nonce_, hello.nonce, sizeof(client_nonce_));
  wire::Challenge challenge;
  if (!make_nonce(server_nonce_)) return Progress::kBroken;
  std::memcpy(challenge.nonce, server_nonce_, sizeof(server_nonce_));
  if (!secret_.empty()) {
    challenge.secret_wanted = 1;
    if (!make_proof(secret_, Role::kServer, client_nonce_, server_nonce_, challenge.proof)) {
      return Progress::kBroken;
    }
  }
  state_ = State::kProof;
  return send_body(endpoint, wire::MessageKind::kChallenge, challenge, clock_ms)
             ? Progress::kMore
             : Progress::kBroken;
}

Handshake::Progress Handshake::on_proof(Endpoint& endpoint, const wire::Proof& proof,
                                        int64_t clock_ms) {
  if (!secret_.empty()) {
    uint8_t expected[wire::kProofBytes];
    if (!make_proof(secret_, Role::kClient, client_nonce_, server_nonce_, expected)) {
      return Progress::kBroken;
    }
    if (!proof_matches(expected, proof.proof)) {
      return refuse(endpoint, wire::RefusalCode::kSecret,
                    "the secret is missing or wrong (see --secret-file)", clock_ms);
    }
  }
  const wire::RegionGrant& landing = proof.landing;
  if (landing.reserved != 0 || landing.base + landing.bytes < landing.base) {
    return refuse(endpoint, wire::RefusalCode::kBadRequest,
                  "handshake: the landing region makes no sense", clock_ms);
  }
  landing_ = landing;
  state_ = State::kOver;
  return Progress::kAdmitted;
}

}  // namespace rdmakv::server
