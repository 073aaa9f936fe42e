// An Endpoint whose READs are loads (FabricLimits::reads_are_loads) can show its peer's memory
// itself, to a reader for whom even posting a READ is too much. Found by peer_memory_of(); the
// Endpoint's thread alone uses it, and not after the Endpoint was destroyed.
//
// Marks: which places of its peer's memory a side is reading where they lie, for longer than it
// takes to copy them (hazard pointers: Michael, "Hazard Pointers: Safe Memory Reclamation for
// Lock-Free Objects", IEEE TPDS 2004). The reader marks a place, then makes sure that what it means
// is still there, then reads, then takes the mark back; its peer looks at the marks before it uses
// again what nothing leads to any more. Of both, one sees the other. What a place is, is for those
// who use this to agree on.
//
//   reader:  mark(place)      fence   is it still led to?   read ...   unmark_all()
//   peer:    lead elsewhere   fence   peer_marks()          use the places that are not marked
//
// A mark holds for as long as it takes, also when its reader is stopped: so their number is the
// bound for what can be kept from use. It ends with its process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

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

  static constexpr uint32_t kMostMarks = 64;
  // False: there are kMostMarks already, or none can be had here. The mark is visible to the peer
  // before anything is read after this call.
  virtual bool mark(uint64_t /*place*/) { return false; }
  virtual void unmark_all() {}
  // Adds the peer's marks, kMostMarks at most; hostile: any number may be there, at any time. Also
  // on a connection that has ended, until Endpoint::peer_may_write() is false.
  virtual void peer_marks(std::vector<uint64_t>& /*into*/) {}

 protected:
  ~PeerMemoryView() = default;
};

// Null: this Endpoint's READs go another way.
inline PeerMemoryView* peer_memory_of(Endpoint& endpoint) {
  return dynamic_cast<PeerMemoryView*>(&endpoint);
}

}  // namespace rdmakv
