// GET by loads of this CPU, on one connection whose READs are loads anyway (shm): what
// direct_reader.h does by READs and completions, without either, and without an Operation. Answers
// values of up to kLargestValue from memory that is as it should be; everything else is left to the
// ordinary way.
//
// The steps of a GET each end where the next one needs a cache line that the processor has yet to
// fetch, so a batch of GETs goes through them together:
//
//   begin()   the cached location is fetched
//   find()    is it there? then the entry is fetched, else the key's two buckets
//   locate()  in the buckets: which entry? it is fetched
//   read()    copied, then judged by entry_judge.h as what was READ would be
//
// Or read in place: a large value that is only to be passed on is neither copied nor looked at for
// its checksum. Then it must not be overwritten while it is read, and that it is an entry of this
// key must be proved otherwise:
//
//   mark(offset)             from here on the server does not use the extent again, if it is one
//   a slot of the key leads  so it is one, linked, and what it holds was written by the server: no
//   there                    value of a user's that looks like an entry. Linked extents are not
//                            changed, but for the first word
//   the first word is live   the GET linearizes here
//   generation, key, expiry  as ever
//   the peer is there        so it was when the word was read
//   ... is read ...          unmark()
//
// The rules are those of one-sided readers: the first word is read before the rest; what a slot
// names is used within half the quarantine; nothing counts unless the peer is still there
// afterwards. What the peer's memory says is bounded before it is used.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "rdmakv/client/at_once.h"
#include "rdmakv/client/entry_judge.h"
#include "rdmakv/client/key_order.h"
#include "rdmakv/client/location_cache.h"
#include "rdmakv/client/remote_layout.h"
#include "rdmakv/transport/peer_memory.h"

namespace rdmakv {

class LoadReader {
 public:
  static constexpr uint32_t kMostCandidates = 4;
  // A longer value is cheaper to use where it lies than to copy and to judge.
  static constexpr uint32_t kLargestValue = 64 * 1024;
  // A longer one is pinned instead (pinned_memory.h), since not all of it may be taken at once.
  static constexpr uint32_t kLargestInPlace = 256 * 1024;

  // One GET of a batch; without initial values, since a batch of them is made for every turn.
  struct Get {
    std::string_view key;
    uint64_t hash;
    Pointer pointer;
    std::span<const std::byte> memory;  // what a cached location names; not `located`
    ReadPath path;
    bool located;    // the pointer comes from a slot
    bool overflow;   // of its home bucket
    bool uncertain;  // more candidates than are kept
    uint32_t candidates, next_candidate;
    uint64_t slots[kMostCandidates];
  };

  LoadReader(LocationCache& locations, const KeyOrder& order, uint32_t session)
      : locations_(locations), order_(order), session_(session) {}

  // A new connection. Loads nothing unless all its memory is within our reach.
  void reset(const RemoteLayout& layout, Endpoint& endpoint);
  // The connection is gone.
  void reset() {
    peer_ = nullptr;
    marked_ = false;
  }
  bool usable() const { return peer_ != nullptr; }

  void begin(Get& get, std::string_view key, uint64_t hash);
  void find(Get& get);
  void locate(Get& get);
  // False: it is not to be had like this. `begun_ns`: a time before find(). `latest_ms`: the latest
  // that the server's clock may have shown then. What the answer lends is valid until the next
  // call; a large value lies in the room that `taker` gave.
  bool read(Get& get, uint64_t begun_ns, int64_t latest_ms, AtOnce& taker, ValueAtOnce& answer);

  // Values that were given in place are given up.
  void unmark() {
    if (marked_) peer_->unmark_all();
    marked_ = false;
  }

  // Memory of the pool, `length` bytes at `offset`, which must lie within it. Not after reset().
  const std::byte* pool(uint64_t offset) const { return regions_[0].data() + offset; }
  // Whether the peer is still there, and so what was read of its memory counts.
  bool holds() { return usable() && peer_->peer_memory_holds(); }

  const DirectCounters& counters() const { return counters_; }

 private:
  static constexpr uint32_t kMostHops = 4;
  static constexpr uint64_t kMostBytes = 5ull * 1024;  // of an entry with a small value
  static_assert(kMostBytes > wire::kLargeValue + wire::kEntryHeaderBytes + wire::kEntryExpiryBytes);

  std::span<const std::byte> memory_at(uint64_t offset) const;
  std::span<const std::byte> copy(std::span<const std::byte> memory, AtOnce& taker);
  bool next_candidate(Get& get);
  bool read_plainly(const Get& get, ValueAtOnce& answer);
  bool read_in_place(const Get& get, int64_t latest_ms, AtOnce& taker, ValueAtOnce& answer);
  bool leads_to(const Get& get) const;
  void count(const Get& get, uint32_t generation, uint64_t length);
  bool accept(const Get& get, const Judgement& found, ValueAtOnce& answer);
  bool not_found(const Get& get, ValueAtOnce& answer);

  LocationCache& locations_;
  const KeyOrder& order_;
  const uint32_t session_;
  PeerMemoryView* peer_ = nullptr;  // null: not usable
  RemoteLayout layout_;
  const wire::Bucket* buckets_ = nullptr;
  std::array<std::span<const std::byte>, 3> regions_;  // pool, cas, grants
  bool marked_ = false;
  DirectCounters counters_;
  alignas(64) std::array<std::byte, kMostBytes> copy_;
};

}  // namespace rdmakv
