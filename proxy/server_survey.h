// What the servers tell of themselves for INFO: every worker of every server is asked for its
// counters, a few at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "proxy/key_walk.h"

namespace rdmakv::proxy {

class ServerSurvey final : public KeyWalk {
 public:
  // Sums of a server's workers.
  struct Share {
    bool complete = true;  // every worker has answered
    uint64_t keys = 0, keys_with_expiry = 0;
    uint64_t expired = 0;      // keys, since its start
    uint64_t changes = 0;      // of keys, since its start
    uint64_t used_bytes = 0;   // of its pool, by what is stored
    uint64_t total_bytes = 0;  // of its pool
  };
  using Then = void (*)(Request& request, const ServerSurvey& survey);

  // `then` finishes the request. Who has not answered by `deadline_ns` (steady clock) is left out.
  static void start(Request& request, uint64_t deadline_ns, Then then);

  // By the client's numbers of the servers.
  const std::vector<Share>& shares() const { return shares_; }
  // Of all servers; nothing: not all have answered.
  std::optional<uint64_t> keys() const;

  // For start().
  ServerSurvey(Request& request, uint64_t deadline_ns, Then then);

 private:
  void begin() override;
  void arrived(Lane& lane) override;
  void complete() override { then_(request_, *this); }

  const Then then_;
  std::vector<Share> shares_;
};

}  // namespace rdmakv::proxy
