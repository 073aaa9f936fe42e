// The client's side of the handshake (protocol/kv_handshake.h draws it), as a state machine over an
// Endpoint that is up: it never blocks and sends at most one message for each that came.
//
// Nothing that the server says is believed: the Welcome's sizes, addresses and counts are checked
// before they are handed on, and a secret is proven by both sides before the server learns the key
// of our landing region.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "protocol/kv_handshake.h"
#include "rdmakv/transport/endpoint.h"
#include "rdmakv/transport/status.h"

namespace rdmakv {

struct HandshakeOptions {
  std::string secret;  // empty: none
  uint64_t client_id = 0;
  uint16_t worker = 0;                    // the worker that was asked for
  const MemoryRegion* landing = nullptr;  // where the server may WRITE replies to
};

class Handshake {
 public:
  explicit Handshake(const HandshakeOptions& options) : options_(options) {}

  // The Endpoint has come up: says Hello.
  Status start(Endpoint& endpoint);
  // A message has come. True: the handshake is over and welcome() holds. An error says, in words
  // for the user, why this server cannot be talked to; the connection is then to be closed.
  Result<bool> on_message(Endpoint& endpoint, std::span<const std::byte> message);

  const wire::Welcome& welcome() const { return welcome_; }

 private:
  enum class State : uint8_t { kStart, kHelloSent, kProofSent, kDone };

  Status prove(Endpoint& endpoint, const wire::Challenge& challenge);
  Status accept(const wire::Welcome& welcome);

  const HandshakeOptions& options_;
  State state_ = State::kStart;
  wire::Hello hello_;
  wire::Welcome welcome_;
};

// What a refusal means, in words for the user. `have_secret`: whether we showed one.
Status refusal_status(const wire::ConnectRefusal& refusal, bool have_secret);

}  // namespace rdmakv
