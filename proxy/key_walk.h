// Asking all workers of all servers, for the commands that name no key: SCAN, KEYS, RANDOMKEY, and
// INFO. A walk is the state of one command (Request::state). It has lanes, each with one
// operation under way, and at most 64 KB of what that brought.
//
// The workers stand in an order that does not depend on how the servers were listed: by the
// server's name, then by number. So a SCAN may go on at another proxy of the same servers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string_view>
#include <vector>

#include "proxy/request.h"
#include "rdmakv/client/operation.h"

namespace rdmakv::proxy {

class KeyWalk : public Request::State {
 public:
  struct Place {
    uint16_t rank = 0;    // of the server, by name
    uint16_t worker = 0;  // of its workers
    uint16_t server = 0;  // as the client numbers it
  };

  KeyWalk(Request& request, size_t lanes) : request_(request), lanes_(lanes) {}
  KeyWalk(const KeyWalk&) = delete;
  KeyWalk& operator=(const KeyWalk&) = delete;

  // Learns which workers there are, then begin(). The request's state must be this already.
  void start();

 protected:
  struct Lane {
    Operation operation;
    std::unique_ptr<std::byte[]> memory;  // for what it brings
    KeyWalk* walk = nullptr;
    size_t place = 0;
    bool busy = false;
  };

  // Puts the lanes to work.
  virtual void begin() = 0;
  // A lane's operation is done, and the lane is idle.
  virtual void arrived(Lane& lane) = 0;
  // No lane is busy: writes the reply and finishes the request, which ends this object.
  virtual void complete() = 0;

  void ask(Lane& lane, size_t place, OperationKind kind, uint64_t cursor = 0, uint32_t wanted = 0);
  // Where it does not matter in which order the places are asked: those first that a transaction
  // asks in its step.
  void step_first();
  // Asks the next place with each lane that is idle.
  void ask_on(OperationKind kind, uint32_t wanted);
  // After begin() and each arrived().
  void complete_if_idle();

  Request& request_;
  std::vector<Place> places_;  // where a server's workers are not known: its first one
  std::deque<Lane> lanes_;
  size_t next_place_ = 0;
  size_t busy_ = 0;
  uint64_t deadline_ns_ = 0;  // of each operation, as Operation has it
  Code failure_ = Code::kOk;  // the first one

 private:
  static void places_known(Request& request);
  static void lane_done(Operation& operation);
  bool find_places();
};

}  // namespace rdmakv::proxy
