// LocalAtomics by something that can break, a queue pair, without ever being wrong about what it
// did.
//
// When a swap ends in an error nobody knows whether it took place: it may have, and only the
// acknowledgement was lost. So the channel is destroyed, after which nothing of it can take place
// any more, and then the word is looked at: it is `desired` iff the swap stored, since nobody else
// stores that word. If it is another one the swap stored nothing, and is tried again by a new
// channel.
#pragma once

#include <functional>

#include "rdmakv/transport/local_atomics.h"

namespace rdmakv::verbs {

// What carries out swaps. One thread.
class SwapChannel {
 public:
  // Afterwards no swap of it takes place any more.
  virtual ~SwapChannel() = default;
  SwapChannel(const SwapChannel&) = delete;
  SwapChannel& operator=(const SwapChannel&) = delete;

  // As LocalAtomics has it, but anything other than kOk means: unknown, whether it took place, and
  // the channel is of no further use.
  virtual Code compare_and_swap(const MemoryRegion& region, uint64_t offset, uint64_t expected,
                                uint64_t desired, uint64_t& previous) = 0;

 protected:
  SwapChannel() = default;
};

class RecoveringAtomics final : public LocalAtomics {
 public:
  using Make = std::function<Result<std::unique_ptr<SwapChannel>>()>;
  // By so many channels a swap is tried before it is given up.
  static constexpr int kAttempts = 3;

  // `first` was made by `make`, which is called again whenever a channel broke.
  RecoveringAtomics(std::unique_ptr<SwapChannel> first, Make make, std::string description)
      : make_(std::move(make)), channel_(std::move(first)), description_(std::move(description)) {}

  // kInvalidArgument: no aligned word of the region. kSystemError: every channel broke. Else why no
  // channel could be made, as Make says.
  Code compare_and_swap(const MemoryRegion& region, uint64_t offset, uint64_t expected,
                        uint64_t desired, uint64_t& previous) override;
  std::string describe() const override { return description_; }

 private:
  Make make_;
  std::unique_ptr<SwapChannel> channel_;  // null: broke
  std::string description_;
};

}  // namespace rdmakv::verbs
