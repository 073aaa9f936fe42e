// ATOMICs on this process's own registered memory through the adapter, so that they are atomic
// against those of peers: by a queue pair that is connected to itself.
//
//   post ATOMIC_CMP_AND_SWP --> adapter --(never leaves it)--> the same queue pair, as responder
//   poll its own completion queue <------- what was there before, in `result_`
//
// One swap at a time, waited for by polling, with yields: on an emulated device the work is done by
// a thread that wants a processor. Nothing is allocated per swap.
#pragma once

#include <memory>

#include "rdmakv/transport/verbs/device.h"
#include "rdmakv/transport/verbs/memory_region.h"
#include "rdmakv/transport/verbs/queue_pair.h"
#include "rdmakv/transport/verbs/recovering_atomics.h"

namespace rdmakv::verbs {

class LoopbackChannel final : public SwapChannel {
 public:
  // Connected and ready. Errors: what the device says; kUnavailable while its port is down.
  static Result<std::unique_ptr<SwapChannel>> create(std::shared_ptr<const Device> device);
  ~LoopbackChannel() override;

  Code compare_and_swap(const MemoryRegion& region, uint64_t offset, uint64_t expected,
                        uint64_t desired, uint64_t& previous) override;

 private:
  explicit LoopbackChannel(std::shared_ptr<const Device> device) : device_(std::move(device)) {}
  Status open();
  Status connect_to_itself();
  bool wait();

  std::shared_ptr<const Device> device_;
  CompletionQueueHandle queue_;
  std::unique_ptr<VerbsMemoryRegion> result_;
  QueuePair pair_;
};

}  // namespace rdmakv::verbs
