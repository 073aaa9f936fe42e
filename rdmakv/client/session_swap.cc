// Session: CAS by ATOMIC (swap_writer.h), and what it needs of the server: grants.
#include <cstring>

#include "rdmakv/client/session.h"

namespace rdmakv {
namespace {

// How long we do without when the server had no grants to give.
constexpr uint64_t kGrantPauseNs = 100'000'000;

// A CAS by version that an ATOMIC can do, as far as the operation itself goes.
bool could_swap(const Operation& operation) {
  return operation.kind == OperationKind::kPut && operation.condition == Condition::kIfVersion &&
         operation.expected_version != 0 && operation.expiry_ms == 0 && !operation.want_previous &&
         !operation.keep_expiry;
}

}  // namespace

// True: it has left the queue. False: by request.
bool Session::send_swap(Operation& operation) {
  if (!could_swap(operation)) return false;
  const bool wanted = context_.options.cas_path == CasPath::kAuto && swaps_.enabled() &&
                      operation.internal[kByRequest] == 0;
  const uint64_t hash = wanted ? hash_of(operation.key) : 0;
  const CasTable::Entry* known = wanted ? cas_table_.find(hash, operation.key, now_ns_) : nullptr;
  const uint64_t bytes = wire::entry_bytes(operation.key.size(), input_of(operation).size(), false);
  if (known != nullptr && known->version == operation.expected_version &&
      order_.may_swap(KeyOrder::of(hash))) {
    if (now_ns_ < known->by_request_until_ns) {
      ++context_.counts.cas.contended;
    } else if (swaps_.ready(bytes) &&
               swaps_.begin(operation, hash, KeyOrder::of(hash), known->pointer)) {
      order_.atomic_begins(KeyOrder::of(hash));
      queue_.pop_front();
      return true;
    }
  }
  return false;
}

void Session::swapped(uint64_t context, uint64_t now) {
  const SwapWriter::Outcome told = swaps_.on_swapped(context);
  if (!told.known) return;
  order_.atomic_ends(told.order);
  context_.mark_dirty(*this);
  ++context_.counts.round_trips;
  if (told.won) {
    ++context_.counts.cas.swaps_won;
    if (told.operation != nullptr) {
      cas_table_.learn(told.hash, told.operation->key, told.now, told.version, now);
      cas_table_.won(told.hash);
    } else {
      cas_table_.forget(told.hash);
    }
    context_.locations->learn(told.hash, index_,
                              {told.now.offset, told.now.generation, told.length});
  } else {
    ++context_.counts.cas.swaps_lost;
    cas_table_.lost(told.hash, now);
  }
  if (told.operation == nullptr) return;
  Operation& operation = *told.operation;
  if (!told.won) {
    // It has certainly not taken place; the server says what is there now.
    operation.internal[kByRequest] = 1;
    detours_.insert(operation, kByRequest);
    return;
  }
  operation.code = Code::kOk;
  operation.version = told.version;
  operation.path = ReadPath::kSwapped;
  operation.input_buffer.reset();
  context_.finish_now(operation);
}

// Entries of the cas class are only remembered while they do not expire: whether one has expired is
// for the server to say.
void Session::learn_cas(uint64_t hash, std::string_view key, const Pointer& pointer,
                        uint64_t version, int64_t expiry_ms, bool cas_class) {
  if (!swaps_.enabled()) return;
  if (cas_class && expiry_ms == 0 && pointer.offset != 0) {
    cas_wanted_ = true;
    cas_table_.learn(hash, key, pointer, version, now_ns_);
  } else {
    cas_table_.forget(hash);
  }
}

// Asks for grants, and tells of the entries that we have linked, when there is reason to.
void Session::send_grant_request() {
  if (!cas_wanted_ || asking_grants_) return;
  const bool more = swaps_.wants_grants() && now_ns_ >= grants_again_ns_;
  if (!more && swaps_.hints().size() < SwapWriter::kMostHints) return;
  Outgoing out;
  out.header.opcode = wire::Opcode::kGrants;
  out.header.wanted = swaps_.wanted();
  out.value = std::as_bytes(swaps_.hints());
  out.step = RequestStep::kGrants;
  if (!send_request(out)) return;
  swaps_.hints_sent();
  asking_grants_ = true;
}

void Session::take_grants(const wire::ReplyView& reply, uint64_t now) {
  asking_grants_ = false;
  const size_t count = reply.value.size() / sizeof(wire::Grant);
  for (size_t i = 0; i < count; ++i) {
    wire::Grant grant;
    std::memcpy(&grant, reply.value.data() + i * sizeof(grant), sizeof(grant));
    swaps_.add_grant(grant);
  }
  if (count == 0) grants_again_ns_ = now + kGrantPauseNs;
}

void Session::cas_entry_seen(Operation& operation, uint64_t hash, const Judgement& found,
                             uint64_t offset) {
  learn_cas(hash, operation.key, {offset, found.generation, wire::kGenerationMask},
            found.entry.version, found.entry.expiry_ms, true);
}

}  // namespace rdmakv
