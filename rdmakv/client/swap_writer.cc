#include "rdmakv/client/swap_writer.h"

#include <cassert>
#include <cstring>

#include "protocol/rules.h"

namespace rdmakv {

void SwapWriter::reset(const RemoteLayout& layout) {
  layout_ = layout;
  swaps_.clear();
  swaps_.resize(layout.has_grants() ? kWindow : 0);
  free_.clear();
  for (auto i = static_cast<uint32_t>(swaps_.size()); i > 0; --i) free_.push_back(i - 1);
  in_use_ = unposted_ = 0;
  grants_.clear();
  grants_.reserve(wire::kMostGrants);
  hints_.clear();
  hints_.reserve(wire::kMostGrants);
}

void SwapWriter::add_grant(const wire::Grant& grant) {
  if (grants_.size() == wire::kMostGrants || !layout_.is_grant(grant.offset)) return;
  grants_.push_back(grant);
}

bool SwapWriter::begin(Operation& operation, uint64_t hash, uint32_t order, const Pointer& old) {
  const std::span<const std::byte> value = input_of(operation);
  assert(ready(wire::entry_bytes(operation.key.size(), value.size(), false)));
  Swap& swap = swaps_[free_.back()];
  if (!swap.buffer) {
    swap.buffer = arena_.allocate(wire::kCasExtentBytes + sizeof(uint64_t));
    if (!swap.buffer) return false;
  }
  free_.pop_back();
  swap.stage = Stage::kBuilt;
  swap.operation = &operation;
  swap.hash = hash;
  swap.order = order;
  swap.old = old;
  swap.grant = grants_.back();
  grants_.pop_back();
  swap.version = operation.expected_version + 1;
  swap.length = static_cast<uint32_t>(wire::entry_bytes(operation.key.size(), value.size(), false));
  wire::EntryFields fields;
  fields.seed = wire::entry_seed(layout_.seed(), swap.grant.generation);
  fields.version = swap.version;
  wire::write_entry(swap.buffer.data(), fields, operation.key, value);
  ++in_use_;
  ++unposted_;
  return true;
}

bool SwapWriter::pump(Endpoint& endpoint) {
  if (unposted_ == 0) return false;
  for (Swap& swap : swaps_) {
    if (swap.stage != Stage::kBuilt && swap.stage != Stage::kWritten) continue;
    if (!post(endpoint, swap)) return true;
    --unposted_;
  }
  return false;
}

// Everything but the first word, which is live already: WRITEs are not atomic against the ATOMICs
// of others, which may still be on their way to the entry that was there before.
bool SwapWriter::write(Endpoint& endpoint, const Swap& swap, uint64_t context) {
  constexpr uint32_t kFirstWord = sizeof(uint64_t);
  const LocalBuffer rest = arena_.local(swap.buffer, kFirstWord, swap.length - kFirstWord);
  RemoteAddress to = layout_.from(swap.grant.offset).address;
  to.address += kFirstWord;
  return endpoint.write({&rest, 1}, to, context, false);
}

bool SwapWriter::post(Endpoint& endpoint, Swap& swap) {
  const auto context = static_cast<uint64_t>(&swap - swaps_.data());
  if (swap.stage == Stage::kBuilt && holds(Rule::kWriteBeforeSwap)) {
    if (!write(endpoint, swap, context)) return false;
    swap.stage = Stage::kWritten;
  }
  if (!endpoint.compare_and_swap(arena_.local(swap.buffer, wire::kCasExtentBytes, sizeof(uint64_t)),
                                 layout_.from(swap.old.offset).address, expected(swap),
                                 desired(swap), context, true)) {
    return false;
  }
  if (swap.stage == Stage::kBuilt) {  // the rule is broken: the other way round
    write(endpoint, swap, context);
  }
  swap.stage = Stage::kPosted;
  return true;
}

SwapWriter::Outcome SwapWriter::on_swapped(uint64_t context) {
  if (context >= swaps_.size() || swaps_[context].stage != Stage::kPosted) return {};
  Swap& swap = swaps_[context];
  uint64_t found = 0;
  std::memcpy(&found, swap.buffer.data() + wire::kCasExtentBytes, sizeof(found));
  Outcome told;
  told.known = true;
  // Nobody else stores what this ATOMIC is to store, as the grant is ours alone: one that finds
  // that has taken place before, whatever made an adapter carry it out again. That is a win; taken
  // for a loss, the grant, which is linked, would be written over.
  told.won = found == expected(swap) || found == desired(swap);
  told.operation = swap.operation;
  told.hash = swap.hash;
  told.order = swap.order;
  if (told.won) {
    told.now = {swap.grant.offset, swap.grant.generation, wire::kGenerationMask};
    told.version = swap.version;
    told.length = swap.length;
    if (hints_.size() < wire::kMostGrants) hints_.push_back(swap.grant.offset);
  } else {
    grants_.push_back(swap.grant);
  }
  swap.stage = Stage::kFree;
  swap.operation = nullptr;
  --in_use_;
  free_.push_back(static_cast<uint32_t>(context));
  return told;
}

}  // namespace rdmakv
