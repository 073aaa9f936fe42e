// How much of what is to be stored may be on its way to servers before more is read from clients
// that sent such last.
//
//   values of 64 KB and more   about as many as half of the processor's cache holds, to each
//                              server: what it, or the adapter, is to take from here is then still
//                              in the cache, and the buffers that come next are too
//   runs of SETs               as many requests as may be under way to a server: what is read
//                              beyond that would have to have a request each
//
// A server that does not answer soon is not waited for: it gets what it would have got without.
//
// One worker's thread.
#pragma once

#include <cstdint>
#include <vector>

namespace rdmakv::proxy {

class PutWindow {
 public:
  // A large value for a server is under way, and has ended.
  void begins(uint16_t server, uint64_t bytes);
  void ends(uint16_t server, uint64_t bytes, uint64_t now_us);
  bool takes_large(uint16_t server, uint64_t now_us) const;

  // A run could not be taken as a whole, for want of credits; and there are enough of them again.
  void runs_full(uint64_t now_us);
  void runs_have_room() { runs_full_ = false; }
  bool runs_are_full() const { return runs_full_; }
  bool takes_runs(uint64_t now_us) const;

 private:
  struct Large {
    uint64_t bytes = 0;     // under way
    uint64_t ended_us = 0;  // when the last one ended
  };
  std::vector<Large> large_;  // by server
  bool runs_full_ = false;
  uint64_t runs_full_since_us_ = 0;
};

}  // namespace rdmakv::proxy
