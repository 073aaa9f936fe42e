#include "rdmakv/client/direct_reader.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#include "protocol/rules.h"
#include "rdmakv/client/clock.h"

namespace rdmakv {
namespace {

// Half of the quarantine: what a slot says is used within it.
constexpr uint64_t kPromptNs = wire::kQuarantineNs / 2;
// What is READ first of an entry whose slot tells no size.
constexpr uint32_t kFirstLook = 4096;

// A successor is READ as long as the entry before it may have been in its extent, because its own
// length is not known yet.
uint64_t likely_length(uint64_t length) {
  const uint32_t size_class = wire::size_class_of(length);
  return size_class == wire::kLargeClass ? length : wire::size_class_bytes(size_class);
}

}  // namespace

const char* detour_name(Detour why) {
  switch (why) {
    case Detour::kNoEntry:
      return "no_entry";
    case Detour::kReused:
      return "reused";
    case Detour::kTorn:
      return "torn";
    case Detour::kOtherKey:
      return "other_key";
    case Detour::kExpiry:
      return "expiry";
    case Detour::kOverflow:
      return "overflow";
    case Detour::kTooLong:
      return "too_long";
    case Detour::kLate:
      return "late";
    case Detour::kOrder:
      return "order";
    case Detour::kTooLarge:
      return "too_large";
  }
  return "";
}

void DirectReader::Ring::reset(uint32_t capacity) {
  places.assign(std::max(capacity, 1u), 0);
  first = count = 0;
}

uint32_t DirectReader::Ring::pop() {
  const uint32_t record = places[first];
  first = static_cast<uint32_t>(wrapped(first + 1));
  --count;
  return record;
}

void DirectReader::reset(const RemoteLayout& layout, uint32_t window, uint32_t most_bytes) {
  layout_ = layout;
  most_bytes_ = most_bytes;
  reads_.clear();
  reads_.resize(window);
  free_.clear();
  for (uint32_t i = window; i > 0; --i) free_.push_back(i - 1);
  in_use_ = again_ = 0;
  waiting_.reset(window);
  posted_.reset(window);
  last_ = {};
  chained_ = completed_ = 0;
  unsignalled_ = 0;
}

// ---- beginning ---------------------------------------------------------------------------------

DirectReader::Begun DirectReader::begin(Operation& operation, uint64_t hash, bool look_up) {
  const uint32_t order = KeyOrder::of(hash);
  if (!order_.may_read(order) && holds(Rule::kKeyOrder)) return Begun::kNo;
  if (free_.empty()) return Begun::kWait;
  CachedLocation location;
  const bool known = locations_.find(hash, session_, location);
  if (!known && (!look_up || !layout_.has_index())) return Begun::kNo;
  if (known && operation.destination.data() == nullptr && location.length > kSmallBytes &&
      location.length > most_lent(operation)) {
    return Begun::kNo;
  }
  Read& read = reads_[free_.back()];
  if (!read.small) {
    read.small = arena_.allocate(kSmallBytes);
    if (!read.small) return Begun::kNo;
  }
  free_.pop_back();
  ++in_use_;
  read.in_use = true;
  read.operation = &operation;
  read.hash = hash;
  read.order = order;
  read.number = order_.read_begins(order);
  operation.internal[kByRequest] = read.number;
  read.hops = 0;
  read.located = read.partly = read.again = false;
  read.overflow = false;
  read.candidates = read.next_candidate = 0;
  read.arrived = 0;
  if (known) {
    read.step = Step::kEntry;
    read.path = ReadPath::kCached;
    read.pointer = {location.offset, location.generation, wire::kGenerationMask};
    read.length = location.length;
  } else {
    read.step = Step::kBuckets;
    read.path = ReadPath::kIndexed;
  }
  waiting_.push(index_of(read));
  return Begun::kTaken;
}

// ---- posting -----------------------------------------------------------------------------------

bool DirectReader::pump(Endpoint& endpoint, uint64_t now_ns) {
  bool waits = false;
  while (waiting_.count > 0 && !waits) {
    Read& read = reads_[waiting_.front()];
    if (read.operation == nullptr && !read.partly) {
      waiting_.pop();
      release(read);
      continue;
    }
    switch (post(endpoint, read, now_ns)) {
      case Posting::kDone:
        posted_.push(waiting_.pop());
        ++chained_;
        ++counters_.round_trips;
        break;
      case Posting::kDetour:
        waiting_.pop();
        detour(read, Detour::kTooLarge);
        break;
      case Posting::kWait:
        waits = true;
        break;
    }
  }
  return !end_chain(endpoint) || waits;
}

DirectReader::Posting DirectReader::post(Endpoint& endpoint, Read& read, uint64_t now_ns) {
  if (read.step == Step::kBuckets) return post_buckets(endpoint, read, now_ns);
  if (read.step == Step::kPieces) return post_piece(endpoint, read);
  const RemoteLayout::Place from = layout_.from(read.pointer.offset);
  if (from.bytes < wire::kEntryHeaderBytes) return Posting::kDetour;
  uint64_t bytes = std::min(std::max<uint64_t>(read.length, wire::kEntryHeaderBytes), from.bytes);
  const bool lends = read.operation != nullptr && read.operation->destination.data() == nullptr;
  const uint64_t most =
      lends ? most_lent(*read.operation) : std::min(most_bytes_, BufferArena::kLargest);
  if (bytes > most && lends) {
    // A size class is an upper bound; if the entry is longer it will say so.
    if (!read.located || read.hops > 0) return Posting::kDetour;
    bytes = most;
  }
  if (bytes > most) {
    read.step = Step::kPieces;
    read.arrived = 0;
    return post_piece(endpoint, read);
  }
  if (bytes <= kSmallBytes) {
    read.large.reset();
  } else if (read.large.capacity() < bytes) {
    read.large = arena_.allocate(static_cast<uint32_t>(bytes));
    if (!read.large) return Posting::kDetour;
  }
  const ValueBuffer& into = read.large ? read.large : read.small;
  if (!chain(endpoint, arena_.local(into, 0, static_cast<uint32_t>(bytes)), from.address)) {
    return Posting::kWait;
  }
  read.asked = bytes;
  ++counters_.entry_reads;
  return Posting::kDone;
}

uint64_t DirectReader::most_lent(const Operation& operation) const {
  const uint64_t value = std::max(operation.lend_most, wire::kLargeValue - 1);
  return std::min<uint64_t>(
      {wire::entry_bytes(operation.key.size(), value, true), most_bytes_, BufferArena::kLargest});
}

DirectReader::Posting DirectReader::post_buckets(Endpoint& endpoint, Read& read, uint64_t now_ns) {
  const wire::KeyPlace place = wire::key_place(read.hash, layout_.bucket_count());
  const bool two = place.bucket[0] != place.bucket[1];
  // The first of two may be READ twice, when there is no room for the second at once: it does no
  // harm.
  for (int i = 0; i < (two ? 2 : 1); ++i) {
    if (!chain(endpoint, arena_.local(read.small, i * 64, sizeof(wire::Bucket)),
               layout_.bucket(place.bucket[i]))) {
      read.partly = i > 0;
      return Posting::kWait;
    }
    ++counters_.bucket_reads;
  }
  read.partly = false;
  read.begun_ns = now_ns;
  return Posting::kDone;
}

DirectReader::Posting DirectReader::post_piece(Endpoint& endpoint, Read& read) {
  const uint64_t most = std::min(most_bytes_, BufferArena::kLargest);
  RemoteLayout::Place from = layout_.from(read.pointer.offset);
  if (read.length > from.bytes) return Posting::kDetour;
  const uint64_t bytes = std::min(read.length - read.arrived, most);
  ValueBuffer& into = read.arrived == 0 ? read.large : read.piece;
  if (into.capacity() < bytes) {
    into = arena_.allocate(static_cast<uint32_t>(bytes));
    if (!into) return Posting::kDetour;
  }
  from.address.address += read.arrived;
  if (!chain(endpoint, arena_.local(into, 0, static_cast<uint32_t>(bytes)), from.address)) {
    return Posting::kWait;
  }
  read.asked = bytes;
  ++counters_.entry_reads;
  return Posting::kDone;
}

// Posts the READ that was held back, and holds back this one.
bool DirectReader::chain(Endpoint& endpoint, LocalBuffer into, RemoteAddress from) {
  if (last_.held) {
    const bool signalled = unsignalled_ + 1 >= kSignalEvery;
    if (!endpoint.read(last_.into, last_.from, kContextBit | chained_, signalled)) return false;
    unsignalled_ = signalled ? 0 : unsignalled_ + 1;
  }
  last_ = {true, into, from};
  return true;
}

bool DirectReader::end_chain(Endpoint& endpoint) {
  if (!last_.held) return true;
  if (!endpoint.read(last_.into, last_.from, kContextBit | chained_, true)) return false;
  last_.held = false;
  unsignalled_ = 0;
  return true;
}

// ---- what came ---------------------------------------------------------------------------------

void DirectReader::on_read(uint64_t context, int64_t latest_ms) {
  const uint64_t up_to = context & ~kContextBit;
  if (up_to > chained_) return;
  while (completed_ < up_to && posted_.count > 0) {
    ++completed_;
    arrived(reads_[posted_.pop()], latest_ms);
  }
}

void DirectReader::arrived(Read& read, int64_t latest_ms) {
  if (read.operation == nullptr) return release(read);
  switch (read.step) {
    case Step::kBuckets:
      return buckets_arrived(read);
    case Step::kEntry:
      return entry_arrived(read, latest_ms);
    case Step::kPieces:
      return piece_arrived(read, latest_ms);
  }
}

void DirectReader::buckets_arrived(Read& read) {
  const wire::KeyPlace place = wire::key_place(read.hash, layout_.bucket_count());
  const bool two = place.bucket[0] != place.bucket[1];
  uint64_t words[2 * wire::kSlotsPerBucket];
  const size_t count = size_t{two ? 2u : 1u} * wire::kSlotsPerBucket;
  std::memcpy(words, read.small.data(), count * sizeof(uint64_t));
  read.overflow = (words[0] & 1) != 0;
  for (size_t i = 0; i < count; ++i) {
    const wire::Slot slot = wire::Slot::decode(words[i]);
    if (slot.offset == 0 || slot.fingerprint != place.fingerprint) continue;
    if (read.candidates == kMostCandidates) return detour(read, Detour::kTooLong);
    read.slots[read.candidates++] = words[i];
  }
  next_candidate(read);
}

// Both buckets were READ after the GET had begun. A key that was there all the time lay in one of
// them, since a slot is never moved; so one that is in neither was absent at some moment between.
void DirectReader::next_candidate(Read& read) {
  if (read.next_candidate == read.candidates) {
    return read.overflow ? detour(read, Detour::kOverflow) : not_found(read);
  }
  const wire::Slot slot = wire::Slot::decode(read.slots[read.next_candidate++]);
  read.step = Step::kEntry;
  read.located = true;
  read.pointer = {slot.offset, slot.generation_low, 0xfff};
  if (slot.size_class < wire::kSlabClasses) {
    read.length = wire::size_class_bytes(slot.size_class);
  } else {
    read.length = slot.size_class == wire::kCasSizeClass ? wire::kCasExtentBytes : kFirstLook;
  }
  again(read);
}

void DirectReader::entry_arrived(Read& read, int64_t latest_ms) {
  const ValueBuffer& into = read.large ? read.large : read.small;
  const Judgement found = judge_entry({into.data(), read.asked}, read.pointer, read.operation->key,
                                      layout_.seed(), latest_ms);
  // What a slot names only in part is what it meant only while its extent cannot have been reused.
  // The turn's time will not do: the READ may have been carried out after it.
  if (read.located && steady_ns() - read.begun_ns > kPromptNs && holds(Rule::kPromptSlot)) {
    return detour(read, Detour::kLate);
  }
  switch (found.verdict) {
    case Verdict::kAccepted:
      return accept(read, found);
    case Verdict::kLonger:
      if (++read.hops > kMostHops) return detour(read, Detour::kTooLong);
      read.length = found.length;
      return again(read);
    case Verdict::kForward:
      return forward(read, found.next);
    case Verdict::kOtherKey:
      if (read.located) return next_candidate(read);
      return detour(read, Detour::kOtherKey);
    case Verdict::kNoEntry:
      return detour(read, Detour::kNoEntry);
    case Verdict::kReused:
      return detour(read, Detour::kReused);
    case Verdict::kTorn:
      return detour(read, Detour::kTorn);
    case Verdict::kMayBeExpired:
      return detour(read, Detour::kExpiry);
  }
}

void DirectReader::piece_arrived(Read& read, int64_t latest_ms) {
  Operation& operation = *read.operation;
  const std::span<const std::byte> head{read.large.data(), std::min(read.length, read.asked)};
  if (read.arrived == 0) {
    // Is it what it was thought to be? The lengths are believed only in the end, with the rest.
    const Judgement first =
        judge_entry(head, read.pointer, operation.key, layout_.seed(), latest_ms);
    if (first.verdict == Verdict::kForward) return forward(read, first.next);
    if (first.verdict != Verdict::kLonger) return detour(read, Detour::kReused);
    read.length = first.length;
  }
  const wire::EntryView view = wire::view_entry(read.large.data());
  const uint64_t value_offset = wire::entry_value_offset(view.key.size(), view.expiry_field);
  const uint64_t value_length = view.value.size();
  if (value_offset > read.large.capacity() || value_offset + value_length != read.length ||
      value_length > operation.destination.size()) {
    return detour(read, Detour::kTooLarge);
  }
  const std::byte* from = read.arrived == 0 ? read.large.data() : read.piece.data();
  const uint64_t skip = read.arrived == 0 ? value_offset : 0;
  if (read.asked > skip) {
    std::memcpy(operation.destination.data() + (read.arrived + skip - value_offset), from + skip,
                read.asked - skip);
  }
  read.arrived += read.asked;
  if (read.arrived < read.length) return again(read);
  const Judgement found = judge_entry_in_pieces(
      {read.large.data(), read.large.capacity()}, operation.destination.first(value_length),
      read.pointer, operation.key, layout_.seed(), latest_ms);
  if (found.verdict == Verdict::kMayBeExpired) return detour(read, Detour::kExpiry);
  if (found.verdict != Verdict::kAccepted) return detour(read, Detour::kTorn);
  accept(read, found);
}

void DirectReader::forward(Read& read, const Pointer& next) {
  if (++read.hops > kMostHops) return detour(read, Detour::kTooLong);
  if (read.path == ReadPath::kCached) read.path = ReadPath::kForwarded;
  read.located = false;
  read.pointer = next;
  read.length = likely_length(read.length);
  read.step = Step::kEntry;
  read.arrived = 0;
  again(read);
}

void DirectReader::again(Read& read) {
  if (!std::exchange(read.again, true)) ++again_;
  waiting_.push(index_of(read));
}

// ---- the end -----------------------------------------------------------------------------------

// Whether its answer could be older than that of a GET of its key submitted before it, or could
// come to be: one that needs several READs may be overtaken.
bool DirectReader::fell_behind(const Read& read, uint64_t version) {
  const bool overtakes = again_ > 0 && order_.reads_together(read.order) &&
                         std::any_of(reads_.begin(), reads_.end(), [&](const Read& other) {
                           return other.in_use && other.operation != nullptr &&
                                  other.number < read.number && other.hash == read.hash;
                         });
  return overtakes || order_.read_fell_behind(read.order, read.number, version);
}

void DirectReader::accept(Read& read, const Judgement& found) {
  if (fell_behind(read, found.entry.version)) return detour(read, Detour::kOrder);
  switch (read.path) {
    case ReadPath::kForwarded:
      ++counters_.forwarded;
      break;
    case ReadPath::kIndexed:
      ++counters_.indexed;
      break;
    default:
      ++counters_.cached;
  }
  if (read.path != ReadPath::kCached || read.length != found.length) {
    locations_.learn(read.hash, session_,
                     {read.pointer.offset, found.generation, static_cast<uint32_t>(found.length)});
  }
  Operation& operation = *read.operation;
  if (found.cas_class) events_.cas_entry_seen(operation, read.hash, found, read.pointer.offset);
  operation.code = Code::kOk;
  operation.version = found.entry.version;
  operation.expiry = found.entry.expiry_ms;
  operation.user_flags = found.entry.user_flags;
  operation.value_length = found.entry.value.size();
  give_value(read, found.entry);
  end(read);
}

void DirectReader::give_value(Read& read, const wire::EntryView& entry) {
  Operation& operation = *read.operation;
  if (operation.destination.data() != nullptr) {
    if (entry.value.size() > operation.destination.size()) {
      operation.code = Code::kTooLarge;
      return;
    }
    const bool in_place = entry.value.data() == operation.destination.data();
    if (!in_place && !entry.value.empty()) {
      std::memcpy(operation.destination.data(), entry.value.data(), entry.value.size());
    }
    operation.value = operation.destination.first(entry.value.size());
    return;
  }
  operation.value = entry.value;
  if (!read.large || entry.value.size() < wire::kLargeValue) return;
  operation.buffer = std::move(read.large);
  operation.buffer.set_length(static_cast<uint32_t>(entry.value.size()));
}

void DirectReader::not_found(Read& read) {
  if (fell_behind(read, 0)) return detour(read, Detour::kOrder);
  ++counters_.not_found;
  read.operation->code = Code::kNotFound;
  end(read);
}

void DirectReader::end(Read& read) {
  Operation& operation = *read.operation;
  operation.path = read.path;
  read.operation = nullptr;
  events_.direct_done(operation);
  release(read);
}

void DirectReader::detour(Read& read, Detour why) {
  ++counters_.detours[static_cast<size_t>(why)];
  Operation& operation = *read.operation;
  read.operation = nullptr;
  if (read.path != ReadPath::kIndexed) locations_.forget(read.hash, session_);
  order_.read_detours(read.order, read.number);
  release(read);
  events_.direct_detour(operation);
}

void DirectReader::release(Read& read) {
  order_.read_ends(read.order);
  read.large.reset();
  read.piece.reset();
  read.in_use = false;
  --in_use_;
  if (read.again) --again_;
  free_.push_back(index_of(read));
}

}  // namespace rdmakv
