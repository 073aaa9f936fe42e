// An Endpoint whose READs are loads (FabricLimits::reads_are_loads) can show its peer's memory
// itself, to a reader for whom even posting a READ is too much. Found by peer_memory_of(); the
// Endpoint's thread alone uses it, and not after the Endpoint was destroyed.
#pragma once

#include <cstddef>
#include <cstdint>

#include "rdmakv/transport/endpoint.h"

namespace rdmakv {

class PeerMemoryView {
 public:
  // Null while the connection is not up, and when the peer has exposed no such memory for READs.
  // The peer changes it at any time; what was copied from it counts only if peer_memory_holds()
  // says so afterwards.
  virtual const std::byte* peer_memory(RemoteAddress at, uint64_t length) = 0;
  // False: the peer has gone, perhaps before the copy, and kDisconnected follows.
  virtual bool peer_memory_holds() = 0;

 protected:
  ~PeerMemoryView() = default;
};

// Null: this Endpoint's READs go another way.
inline PeerMemoryView* peer_memory_of(Endpoint& endpoint) {
  return dynamic_cast<PeerMemoryView*>(&endpoint);
}

}  // namespace rdmakv
