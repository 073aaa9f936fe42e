// How long a worker waits for a peer. Nanoseconds of the steady clock; more than 0.
#pragma once

#include <cstdint>

namespace rdmakv::server {

struct PeerTimeouts {
  uint64_t handshake_ns = 10'000'000'000;  // from accept to Welcome
  uint64_t refusal_ns = 2'000'000'000;     // for a Refusal to arrive
  uint64_t silence_ns = 5'000'000'000;     // then it is probed
};

}  // namespace rdmakv::server
