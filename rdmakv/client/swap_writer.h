// CAS without the server's CPU, on one connection. One doorbell, two work requests:
//
//   WRITE               the new entry, complete, into a granted extent, but for the first word:
//   that
//                       is live already, by the server
//   ATOMIC_CMP_AND_SWP  the old entry's first word, from   live, its generation
//                                                   to     dead, superseded by the new entry
//
// The ATOMIC is the linearization point. When it fails the new entry is linked nowhere, and its
// extent may be used again, under the same generation; when its outcome is not known, never again:
// the server sorts that out once the connection is gone. Nothing is posted twice.
//
// A won CAS leaves the server's index one link behind. The server follows by itself whenever it
// looks the key up; hints() tells it of entries that we have linked, unhurried and in batches.
//
// On the client's thread. Buffers that verbs may still reach stay reserved until the completion
// came or the Endpoint is destroyed.
#pragma once

#include <cstdint>
#include <vector>

#include "rdmakv/client/entry_judge.h"
#include "rdmakv/client/operation_queue.h"
#include "rdmakv/client/remote_layout.h"
#include "rdmakv/transport/buffer_arena.h"
#include "rdmakv/transport/endpoint.h"

namespace rdmakv {

class SwapWriter {
 public:
  static constexpr uint32_t kWindow = 16;
  // Fewer grants than this: more are wanted.
  static constexpr uint32_t kFewGrants = 8;
  static constexpr uint32_t kMostHints = 16;

  explicit SwapWriter(BufferArena& arena) : arena_(arena) {}

  // A new connection: everything earlier is forgotten, the Endpoint before is gone.
  void reset(const RemoteLayout& layout);

  bool enabled() const { return layout_.has_grants(); }
  // Whether begin() could take a CAS with an entry of this size.
  bool ready(uint64_t entry_bytes) const {
    return entry_bytes <= wire::kCasExtentBytes && !grants_.empty() && !free_.empty();
  }

  // Builds the entry and takes a grant. `old`: the entry of version operation.expected_version.
  // False: no buffer.
  bool begin(Operation& operation, uint64_t hash, uint32_t order, const Pointer& old);
  // Posts. True: something waits for room at the Endpoint.
  bool pump(Endpoint& endpoint);

  struct Outcome {
    bool known = false;  // false: no such swap
    bool won = false;
    Operation* operation = nullptr;  // null: nobody waits any more
    uint64_t hash = 0;
    uint32_t order = 0;
    Pointer now;  // won: where the entry lies
    uint64_t version = 0;
    uint32_t length = 0;
  };
  // The ATOMIC with this context is done.
  Outcome on_swapped(uint64_t context);

  // ---- grants ----
  bool wants_grants() const { return grants_.size() < kFewGrants; }
  uint64_t wanted() const { return wire::kMostGrants - grants_.size(); }
  void add_grant(const wire::Grant& grant);
  std::span<const uint64_t> hints() const { return hints_; }
  void hints_sent() { hints_.clear(); }

  // Hands over every operation that `wanted` holds for; its swap goes on. `posted` tells whether it
  // may have taken place.
  template <typename Wanted, typename Take>
  void extract(Wanted&& wanted, Take&& take);
  template <typename Look>
  void for_each(Look&& look) const;

  bool busy() const { return in_use_ > 0; }

 private:
  enum class Stage : uint8_t { kFree, kBuilt, kWritten, kPosted };
  struct Swap {
    Stage stage = Stage::kFree;
    Operation* operation = nullptr;
    uint64_t hash = 0;
    uint32_t order = 0;
    uint32_t length = 0;
    Pointer old;
    wire::Grant grant;
    uint64_t version = 0;  // of the new entry
    ValueBuffer buffer;    // the entry; behind kCasExtentBytes, what the ATOMIC found
  };

  uint64_t expected(const Swap& swap) const {
    return wire::FirstWord::make_live(swap.old.generation, true).encode();
  }
  // What nobody but the ATOMIC of this swap stores anywhere: the grant is ours alone.
  uint64_t desired(const Swap& swap) const {
    return wire::FirstWord::make_dead(true, swap.grant.generation, swap.grant.offset).encode();
  }
  bool write(Endpoint& endpoint, const Swap& swap, uint64_t context);
  bool post(Endpoint& endpoint, Swap& swap);

  BufferArena& arena_;
  RemoteLayout layout_;
  std::vector<Swap> swaps_;
  std::vector<uint32_t> free_;
  uint32_t in_use_ = 0;
  uint32_t unposted_ = 0;
  std::vector<wire::Grant> grants_;
  std::vector<uint64_t> hints_;
};

template <typename Wanted, typename Take>
void SwapWriter::extract(Wanted&& wanted, Take&& take) {
  for (Swap& swap : swaps_) {
    if (swap.stage == Stage::kFree || swap.operation == nullptr || !wanted(*swap.operation))
      continue;
    Operation& operation = *swap.operation;
    swap.operation = nullptr;
    take(operation, swap.stage == Stage::kPosted);
  }
}

template <typename Look>
void SwapWriter::for_each(Look&& look) const {
  for (const Swap& swap : swaps_) {
    if (swap.stage != Stage::kFree && swap.operation != nullptr) look(*swap.operation);
  }
}

}  // namespace rdmakv
