#include "rdmakv/client/handshake.h"

#include <algorithm>
#include <cctype>

#include "protocol/kv_layout.h"
#include "protocol/kv_message.h"
#include "rdmakv/transport/authentication.h"

namespace rdmakv {
namespace {

template <typename Body>
Status send_body(Endpoint& endpoint, wire::MessageKind kind, const Body& body) {
  const MessageBuffer buffer = endpoint.acquire_message();
  if (!buffer) return {Code::kUnavailable, "no message buffer for the handshake"};
  wire::MessageBuilder builder({buffer.data, buffer.capacity}, kind);
  if (!builder.add_body(body)) {
    endpoint.abandon_message(buffer);
    return {Code::kProtocolError, "message buffers are too small for the handshake"};
  }
  if (!endpoint.send(buffer, builder.finish(0), 0, false)) {
    return {Code::kUnavailable, "the connection broke in the handshake"};
  }
  endpoint.flush();
  return Status::ok();
}

Status versions_differ(uint16_t theirs) {
  return {Code::kRefused, "versions differ: ours " + std::to_string(wire::kProtocolVersion) +
                              ", the server's " + std::to_string(theirs)};
}

// The server's own words, as far as they can be shown.
std::string printable(const char* text, size_t bytes) {
  std::string shown;
  for (size_t i = 0; i < bytes && text[i] != '\0'; ++i) {
    shown.push_back(std::isprint(static_cast<unsigned char>(text[i])) != 0 ? text[i] : '?');
  }
  return shown;
}

bool region_makes_sense(const wire::RegionGrant& region, uint64_t most) {
  return region.bytes <= most && region.base + region.bytes >= region.base;
}

}  // namespace

Status refusal_status(const wire::ConnectRefusal& refusal, bool have_secret) {
  const std::string words = printable(refusal.text, sizeof(refusal.text));
  std::string text;
  switch (refusal.code) {
    case wire::RefusalCode::kVersion:
      return versions_differ(refusal.version);
    case wire::RefusalCode::kSecret:
      return {Code::kRefused,
              have_secret ? "the server's secret differs" : "the server wants a secret"};
    case wire::RefusalCode::kNoSuchWorker:
      text = "the server has no such worker";
      break;
    case wire::RefusalCode::kTooManyConnections:
      text = "the server has too many connections";
      break;
    case wire::RefusalCode::kShuttingDown:
      text = "the server is shutting down";
      break;
    case wire::RefusalCode::kBadRequest:
      text = "the server did not understand us";
      break;
    default:
      text = "the server refused for a reason unknown to us";
      break;
  }
  if (!words.empty()) text += " (" + words + ")";
  return {Code::kRefused, text};
}

Status Handshake::start(Endpoint& endpoint) {
  hello_.client_id = options_.client_id;
  if (Status status = make_nonce(hello_.nonce); !status) return status;
  state_ = State::kHelloSent;
  return send_body(endpoint, wire::MessageKind::kHello, hello_);
}

Result<bool> Handshake::on_message(Endpoint& endpoint, std::span<const std::byte> message) {
  wire::MessageReader reader(message);
  const auto malformed = [&]() -> Result<bool> {
    return {Code::kProtocolError, std::string("the server's handshake makes no sense: ") +
                                      (reader.error() != nullptr ? reader.error() : "wrong step")};
  };
  if (!reader.valid()) return malformed();
  const wire::MessageKind kind = reader.header().kind;
  if (kind == wire::MessageKind::kRefusal) {
    wire::ConnectRefusal refusal;
    if (!reader.body(refusal)) return malformed();
    return refusal_status(refusal, !options_.secret.empty());
  }
  if (kind == wire::MessageKind::kChallenge && state_ == State::kHelloSent) {
    wire::Challenge challenge;
    if (!reader.body(challenge)) return malformed();
    if (Status status = prove(endpoint, challenge); !status) return status;
    state_ = State::kProofSent;
    return false;
  }
  if (kind == wire::MessageKind::kWelcome && state_ == State::kProofSent) {
    wire::Welcome welcome;
    if (!reader.body(welcome)) return malformed();
    if (Status status = accept(welcome); !status) return status;
    state_ = State::kDone;
    return true;
  }
  return malformed();
}

Status Handshake::prove(Endpoint& endpoint, const wire::Challenge& challenge) {
  if (challenge.version != wire::kProtocolVersion) return versions_differ(challenge.version);
  wire::Proof proof;
  if (options_.secret.empty()) {
    if (challenge.secret_wanted != 0) return {Code::kRefused, "the server wants a secret"};
  } else {
    uint8_t expected[wire::kProofBytes];
    if (Status status =
            make_proof(options_.secret, Role::kServer, hello_.nonce, challenge.nonce, expected);
        !status) {
      return status;
    }
    if (!proof_matches(expected, challenge.proof)) {
      return {Code::kRefused, challenge.secret_wanted != 0
                                  ? "the server's secret differs"
                                  : "the server has no secret, but we were given one to check"};
    }
    if (Status status =
            make_proof(options_.secret, Role::kClient, hello_.nonce, challenge.nonce, proof.proof);
        !status) {
      return status;
    }
  }
  if (options_.landing != nullptr) {
    // Before the message that tells the key: the seam's rule.
    if (Status status = endpoint.expose(*options_.landing); !status) return status;
    proof.landing.base = options_.landing->remote_base();
    proof.landing.bytes = options_.landing->size();
    proof.landing.key = options_.landing->remote_key();
  }
  return send_body(endpoint, wire::MessageKind::kProof, proof);
}

Status Handshake::accept(const wire::Welcome& welcome) {
  const auto senseless = [](const char* what) -> Status {
    return {Code::kProtocolError, std::string("the server's welcome makes no sense: ") + what};
  };
  if (welcome.epoch == 0) return senseless("epoch 0");
  if (welcome.workers == 0 || welcome.workers > wire::kMaxWorkers) {
    return senseless("number of workers");
  }
  if (welcome.worker != options_.worker || welcome.worker >= welcome.workers) {
    return senseless("another worker than the one asked for");
  }
  if (welcome.credits == 0) return senseless("no credits");
  constexpr uint64_t kMostRing = uint64_t{wire::kRingUnit} << 32;
  if (!region_makes_sense(welcome.ring, kMostRing)) return senseless("ring");
  if (!region_makes_sense(welcome.pool, wire::kMaxPoolBytes)) return senseless("pool");
  if (!region_makes_sense(welcome.cas, wire::kMaxPoolBytes)) return senseless("cas");
  if (!region_makes_sense(welcome.grants, wire::kMaxPoolBytes)) return senseless("grants");
  if (!region_makes_sense(welcome.index, wire::kMaxPoolBytes)) return senseless("index");
  if (welcome.index.bytes / sizeof(wire::Bucket) < welcome.bucket_count &&
      welcome.index.bytes != 0) {
    return senseless("more buckets than the index has room for");
  }
  welcome_ = welcome;
  welcome_.max_value_bytes = std::min(welcome.max_value_bytes, wire::kMaxValueBytes);
  return Status::ok();
}

}  // namespace rdmakv
