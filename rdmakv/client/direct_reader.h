// GET without the server's CPU, on one connection: READs of entries (and, for a key whose location
// is not known, of its two buckets), judged by entry_judge.h.
//
//   begin -> [buckets] -> entry -> accepted ------------------------> direct_done
//                 |         | ^---- superseded: READ the successor
//                 |         | ^---- longer than thought: READ it whole
//                 |         '------ anything else ------------------> direct_detour: by request
//                 '---------------- no such key --------------------> direct_done, kNotFound
//
// READs that are posted one after the other are one chain, of which the last alone is signalled: n
// GETs of one flush are n READs, one doorbell, one completion.
//
//   reads of one flush:   R1 R2 R3 ... Rn          posted_: their records, in the order of posting
//                                       `-- signalled, its context counts the READs so far
//
// A buffer that a READ may still write to stays reserved until its completion came or the Endpoint
// is destroyed, also when the operation timed out long before.
//
// An entry larger than one READ or one buffer takes is READ in pieces, copied to the operation's
// destination piece by piece, and judged as a whole at the end.
#pragma once

#include <cstdint>
#include <vector>

#include "rdmakv/client/client.h"
#include "rdmakv/client/entry_judge.h"
#include "rdmakv/client/key_order.h"
#include "rdmakv/client/location_cache.h"
#include "rdmakv/client/operation_queue.h"
#include "rdmakv/client/remote_layout.h"
#include "rdmakv/transport/buffer_arena.h"
#include "rdmakv/transport/endpoint.h"

namespace rdmakv {

class DirectReader {
 public:
  // Contexts of its READs have this bit.
  static constexpr uint64_t kContextBit = uint64_t{1} << 63;

  class Events {
   public:
    // operation.code and results are set; what is lent is valid only now. From on_read() only.
    virtual void direct_done(Operation& operation) = 0;
    // To be asked by request, ahead of what has not been sent. From on_read() and pump().
    virtual void direct_detour(Operation& operation) = 0;
    // An entry of the cas class was found.
    virtual void cas_entry_seen(Operation& operation, uint64_t hash, const Judgement& found,
                                uint64_t offset) = 0;

   protected:
    ~Events() = default;
  };

  DirectReader(BufferArena& arena, LocationCache& locations, KeyOrder& order, uint32_t session,
               Events& events)
      : arena_(arena), locations_(locations), order_(order), session_(session), events_(events) {}

  // A new connection: `window` operations at a time, READs of at most `most_bytes`. Every earlier
  // buffer comes back, so the Endpoint before must be gone.
  void reset(const RemoteLayout& layout, uint32_t window, uint32_t most_bytes);

  enum class Begun : uint8_t {
    kTaken,  // it ends through Events
    kNo,     // by request: the location is not known, and not to be looked up
    kWait,   // not now: the window is full
  };
  // `look_up`: READ the buckets when the location is not known.
  Begun begin(Operation& operation, uint64_t hash, bool look_up);
  // Posts what may be posted; at the end of a turn, before the Endpoint's flush. True: something
  // waits for buffers or for room at the Endpoint.
  bool pump(Endpoint& endpoint, uint64_t now_ns);
  // A READ with this context is done, and with it all before it. `latest_ms`: the latest that the
  // server's clock may show now.
  void on_read(uint64_t context, int64_t latest_ms);

  bool busy() const { return in_use_ > 0; }
  // Something is to be posted.
  bool waits() const { return waiting_.count > 0; }

  // Hands over every operation that `wanted` holds for; its READs go on into the void.
  template <typename Wanted, typename Take>
  void extract(Wanted&& wanted, Take&& take);
  template <typename Look>
  void for_each(Look&& look) const;

  const DirectCounters& counters() const { return counters_; }

 private:
  enum class Step : uint8_t { kBuckets, kEntry, kPieces };
  static constexpr uint32_t kMostCandidates = 4;
  static constexpr uint32_t kMostHops = 4;
  static constexpr uint32_t kSmallBytes = BufferArena::kSmallest;
  static constexpr uint32_t kSignalEvery = 32;  // READs
  static constexpr uint32_t kNone = ~uint32_t{0};

  struct Read {
    bool in_use = false;
    bool located = false;  // the pointer comes from a slot
    bool partly = false;   // the READ of one of its two buckets may be under way
    bool again = false;    // not its first READ
    Step step = Step::kEntry;
    ReadPath path = ReadPath::kCached;
    uint32_t hops = 0;
    Operation* operation = nullptr;  // null: nobody waits any more
    uint64_t hash = 0;
    uint32_t order = 0;
    uint64_t number = 0;  // of KeyOrder
    Pointer pointer;
    uint64_t length = 0;   // bytes of the entry, as far as known
    uint64_t asked = 0;    // bytes of the READ under way
    uint64_t arrived = 0;  // kPieces: bytes of the entry that have come
    uint64_t begun_ns = 0;
    bool overflow = false;  // of its home bucket
    uint32_t candidates = 0, next_candidate = 0;
    uint64_t slots[kMostCandidates];
    ValueBuffer small;  // kept
    ValueBuffer large;  // the entry, or its first piece
    ValueBuffer piece;
  };
  enum class Posting : uint8_t { kDone, kWait, kDetour };

  Posting post(Endpoint& endpoint, Read& read, uint64_t now_ns);
  Posting post_buckets(Endpoint& endpoint, Read& read, uint64_t now_ns);
  Posting post_piece(Endpoint& endpoint, Read& read);
  bool chain(Endpoint& endpoint, LocalBuffer into, RemoteAddress from);
  bool end_chain(Endpoint& endpoint);

  void arrived(Read& read, int64_t latest_ms);
  void buckets_arrived(Read& read);
  void entry_arrived(Read& read, int64_t latest_ms);
  void piece_arrived(Read& read, int64_t latest_ms);
  void next_candidate(Read& read);
  void forward(Read& read, const Pointer& next);
  bool fell_behind(const Read& read, uint64_t version);
  void accept(Read& read, const Judgement& found);
  void give_value(Read& read, const wire::EntryView& entry);
  void not_found(Read& read);
  void detour(Read& read, Detour why);
  void again(Read& read);
  void end(Read& read);
  void release(Read& read);
  Read& record(uint32_t index) { return reads_[index]; }
  uint32_t index_of(const Read& read) const { return static_cast<uint32_t>(&read - reads_.data()); }

  BufferArena& arena_;
  LocationCache& locations_;
  KeyOrder& order_;
  const uint32_t session_;
  Events& events_;
  RemoteLayout layout_;
  // Of an entry whose value the operation lends.
  uint64_t most_lent(const Operation& operation) const;

  uint32_t most_bytes_ = 0;
  uint32_t in_use_ = 0;
  uint32_t again_ = 0;  // of those in use, the ones at a later READ than their first
  std::vector<Read> reads_;
  std::vector<uint32_t> free_;

  // Rings of record numbers, each record in at most one of them.
  struct Ring {
    std::vector<uint32_t> places;
    uint32_t first = 0, count = 0;
    void reset(uint32_t capacity);
    void push(uint32_t record) { places[wrapped(first + count++)] = record; }
    uint32_t pop();
    uint32_t front() const { return places[first]; }
    size_t wrapped(size_t place) const {
      return place < places.size() ? place : place - places.size();
    }
  };
  Ring waiting_;  // for their next READ to be posted
  Ring posted_;   // READs under way

  struct Chained {  // the last READ of the chain: held back until it is known whether it is the
                    // last
    bool held = false;
    LocalBuffer into;
    RemoteAddress from;
  } last_;
  uint64_t chained_ = 0;    // records whose READ is posted or held, ever
  uint64_t completed_ = 0;  // of these, done
  uint32_t unsignalled_ = 0;
  DirectCounters counters_;
};

template <typename Wanted, typename Take>
void DirectReader::extract(Wanted&& wanted, Take&& take) {
  for (Read& read : reads_) {
    if (!read.in_use || read.operation == nullptr || !wanted(*read.operation)) continue;
    Operation& operation = *read.operation;
    read.operation = nullptr;
    take(operation);
  }
}

template <typename Look>
void DirectReader::for_each(Look&& look) const {
  for (const Read& read : reads_) {
    if (read.in_use && read.operation != nullptr) look(*read.operation);
  }
}

}  // namespace rdmakv
