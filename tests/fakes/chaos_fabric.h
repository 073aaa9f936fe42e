// A Fabric around another one, for a client: what it connects behaves as badly as the contract of
// endpoint.h allows. Nothing of it is in the fabric itself, which costs nothing when there is no
// chaos. One thread, that of the client, like the queues and Endpoints it makes.
//
//   post   --> [ work, due later ]  --execute--> inner Endpoint
//   poll() <-- [ arrived, due later ] <--------- inner queue
//
// - Work waits for a random time before it is executed; so does what has arrived before it is
//   delivered. Both stay in order, as on a reliable connection.
// - A READ is fetched in pieces of one MTU in random order, some of them again, with other work of
//   the connection, and pauses, between them. A fenced request waits for the READs before it.
// - A WRITE is placed piece by piece, in order.
// - A connection is cut at a random point: what was not executed never is, what was executed is not
//   told.
// - The process is killed at a point counted beforehand (ChaosOptions::kill_at).
//
// listen() and what it accepts are the inner fabric's: the server sees the effects of a peer's
// chaos, and has none of its own.
#pragma once

#include <memory>

#include "rdmakv/transport/fabric.h"
#include "tests/fakes/chaos.h"

namespace rdmakv::fakes {

class ChaosFabric final : public Fabric {
 public:
  // `inner` outlives the ChaosFabric.
  ChaosFabric(Fabric& inner, const ChaosOptions& options) : inner_(inner), chaos_(options) {}

  Result<std::unique_ptr<MemoryRegion>> allocate(const RegionOptions& options) override {
    return inner_.allocate(options);
  }
  Result<std::unique_ptr<CompletionQueue>> create_completion_queue(uint32_t depth) override;
  Result<std::unique_ptr<Endpoint>> connect(const FabricAddress& server,
                                            const wire::ConnectRequest& request,
                                            const EndpointOptions& options,
                                            CompletionQueue& queue) override;
  Result<std::unique_ptr<Listener>> listen(const FabricAddress& address,
                                           ConnectionHandler& handler) override {
    return inner_.listen(address, handler);
  }
  FabricLimits limits() const override { return inner_.limits(); }
  std::string_view name() const override { return inner_.name(); }
  std::string describe() const override { return inner_.describe() + ", with chaos"; }

  // Points reached so far.
  uint64_t points() const { return chaos_.points; }

 private:
  Fabric& inner_;
  Chaos chaos_;
};

}  // namespace rdmakv::fakes
