// A partition: the keys of one worker, in its index, its slab and its CasPool. Executes the
// requests of protocol/kv_message.h, one at a time, and says what came of each; knows nothing of
// connections.
//
// Every change of what is stored that the server makes passes apply(), which is where a log or a
// replica can stand: it is given the change complete, before any part of it is visible. Entries of
// the cas class are changed by clients too, by ATOMIC, without the server: so apply() can lose to a
// client, whereupon the request is judged anew; and looking a key up follows what clients linked
// (partition_cas.cc).
//
// The usual cases of a GET and a PUT are one function each, with all their calls inlined
// (gnu::flatten): the calls were a seventh of their instructions. What they rarely come to is
// gnu::noinline.
//
// One thread. No allocation and no blocking per request, with one exception: when there is no room
// but freed extents in quarantine would make some, it waits for them (1 ms, at most once a batch)
// before it says kNoSpace.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "protocol/fetch_line.h"
#include "protocol/kv_hash.h"
#include "protocol/kv_layout.h"
#include "protocol/kv_message.h"
#include "protocol/kv_puts.h"
#include "rdmakv/server/cas_pool.h"
#include "rdmakv/server/clock.h"
#include "rdmakv/server/entry_memory.h"
#include "rdmakv/server/expiry.h"
#include "rdmakv/server/grants.h"
#include "rdmakv/server/index.h"
#include "rdmakv/server/pins.h"
#include "rdmakv/server/removal_counts.h"
#include "rdmakv/server/slab.h"
#include "rdmakv/server/string_functions.h"
#include "rdmakv/server/uploads.h"
#include "rdmakv/transport/local_atomics.h"
#include "rdmakv/transport/peer_memory.h"

namespace rdmakv::server {

struct PartitionOptions {
  uint32_t worker = 0;  // which of `workers` this one is
  uint32_t workers = 1;
  std::span<std::byte> index;  // zero-filled, cache-line aligned; outlives the Partition
  std::span<std::byte> pool;   // page aligned; outlives the Partition
  // For one-sided CAS, all or none; they outlive the Partition. The regions are zero-filled.
  MemoryRegion* cas = nullptr;
  MemoryRegion* grants = nullptr;
  LocalAtomics* atomics = nullptr;
  uint64_t seed = 0;             // Welcome.seed
  uint32_t most_pins = 1024;     // extents pinned at a time, all connections together
  ReadMarks* reading = nullptr;  // what clients read in place; null: nothing. Outlives all
  size_t most_marks = 0;         // of it
  Clock* clock = &Clock::system();
};

// What a connection holds in a partition. Destroyed before the partition and after the connection's
// Endpoint; gives everything back.
struct Session {
  explicit Session(Partition& partition);
  Uploads uploads;
  Pins pins;
  Grants grants;
  // Values of up to this many bytes are copied into replies; larger ones are pinned by execute().
  // At least kSmallestInlineLimit.
  uint32_t inline_limit = wire::kLargeValue - 1;
  // Whose memory values lie in that are not part of a request (kValueInLanding): they count if it
  // holds after they were copied. Null: there are none.
  PeerMemoryView* lender = nullptr;
};
// So that values of the cas class, and kMostGrants grants, always go inside a reply.
inline constexpr uint32_t kSmallestInlineLimit = wire::kCasExtentBytes;
static_assert(kSmallestInlineLimit >= wire::kMostGrants * sizeof(wire::Grant));

// What came of a request.
struct Outcome {
  wire::ReplyHeader reply;  // complete but for what tells of the value below
  bool has_value = false;
  std::span<const std::byte>
      value;  // in the pool (`extent`), or a private copy (extent 0). Not pinned: valid until the
              // next execute(), begin_batch(), sweep() or tend()
  uint64_t extent = 0;      // of the value: units
  uint32_t generation = 0;  // of the entry that the value belongs to
  bool pinned = false;      // the extent is pinned once, for whoever takes the Outcome
  uint32_t operations = 1;  // done; kPuts and kGets are several
};

struct PartitionCounters {
  uint64_t requests[static_cast<size_t>(wire::kLastOpcode) + 1] = {};
  uint64_t hits = 0, misses = 0;  // kGet, kInspect and kEvaluate
  uint64_t changes = 0;           // through apply()
  uint64_t expired = 0;
  uint64_t no_space = 0;
  uint64_t waits = 0;  // for a quarantine
  // One-sided CAS:
  uint64_t cas_rpc_won = 0, cas_rpc_lost = 0;  // requests under Condition::kIfVersion
  uint64_t cas_linked_seen = 0;                // entries that clients linked, as walks found them
  uint64_t atomics_local = 0;                  // the server's own changes of first words
  uint64_t atomics_local_lost = 0;             // of them, those before which a client was
  uint64_t grants_given = 0;
  uint64_t relocated = 0;      // entries moved to the pool to make room
  uint64_t broken_chains = 0;  // keys lost because a client spoiled their entry
};

class Partition {
 public:
  // A client can win against the server again and again: after so many losses a request is answered
  // kTooMany.
  static constexpr uint32_t kMostLosses = 64;
  // Entries that a request relocates before it is executed, at most, when tending is wanted.
  static constexpr uint32_t kRelocationsPerRequest = 2;

  explicit Partition(const PartitionOptions& options);
  Partition(const Partition&) = delete;
  Partition& operator=(const Partition&) = delete;

  // Once for all that follows: the time is `now_ns` (steady clock, read since the last
  // end_batch()), and the wall clock is read. Before the first request of a batch, at least.
  void begin_batch(uint64_t now_ns);
  // What no reply has to wait for: ends quarantines. When the replies are on their way, not after
  // every batch necessarily. `now_ns`: read when all that was freed had been.
  void end_batch(uint64_t now_ns);
  int64_t now_ms() const { return now_ms_; }

  // `key` and `value` may lie in memory that a peer can change: they are copied before they are
  // used.
  [[gnu::noinline]] Outcome execute(const wire::RequestHeader& request, std::string_view key,
                                    std::span<const std::byte> value, Session& session);

  // Removes expired keys: looks at `steps` buckets, if there is reason to.
  void sweep(uint32_t steps);
  // From when on (wall clock, ms) sweep() has something to do; ExpirySweep::kNever.
  int64_t sweep_due_ms() const {
    return expiry_.keys() == 0 ? ExpirySweep::kNever : expiry_.due_ms();
  }

  // Moves entries that have been linked for long out of the regions cas and grants, at most
  // `steps`, so that there is always room for new ones. execute() does some of it, too.
  void tend(uint32_t steps);
  bool wants_tending() const { return cas_ != nullptr && !stuck_ && short_of_room(); }
  // The connection that held these is gone: what its client linked stays, the rest is free.
  void reconcile(CasPool::Holder& holder);

  Slab& slab() { return slab_; }
  const Slab& slab() const { return slab_; }
  // Null without one-sided CAS.
  const CasPool* cas_pool() const { return cas_.get(); }
  // The entry at an offset of any kind (trusted).
  std::byte* at(uint64_t offset) const { return entries_.at(offset); }
  const Index& index() const { return index_; }
  uint64_t hash_of(std::string_view key) const { return wire::hash_key(key, options_.seed); }
  // Has what may be the entry of a key with this hash fetched into the processor's cache, if its
  // buckets (Index::prefetch()) are there already. Where it likely is.
  Index::Place prefetch_entry(uint64_t hash) const {
    Index::Place likely = Index::nowhere();
    index_.visit_candidates(hash, [&](Index::Place place, uint64_t offset) {
      if (!likely) likely = place;
      if (entries_.in_cas(offset)) return;
      constexpr size_t kCacheLine = 64;
      fetch_line(slab_.at(offset));  // its first word will change
      fetch_line(slab_.at(offset) + kCacheLine);
    });
    return likely;
  }
  const PartitionCounters& counters() const { return counters_; }
  uint64_t max_value_bytes() const;
  uint64_t private_bytes() const;
  // "name value\n" lines.
  void append_stats(std::string& text) const;
  // Called for more lines of kStats.
  using StatsSource = void (*)(void* context, std::string& text);
  void set_more_stats(StatsSource source, void* context) {
    more_stats_ = source;
    more_stats_context_ = context;
  }

  // Where apply() stands, for tests that look at memory (or stop) between its stores.
  // A transaction: after hiding a key, and all; when all is done but hidden; after showing a key,
  // and all.
  enum class Step : uint8_t { kBuilt, kLive, kDead, kFlipped, kHidden, kExecuted, kShown };
  using StepHook = void (*)(void* context, Step step);
  void set_step_hook(StepHook hook, void* context) {
    step_hook_ = hook;
    step_context_ = context;
  }

  // Walks everything; false when the books do not agree. `held` extents (uploads under way) are
  // allocated without being linked. For tests.
  bool consistent(uint64_t held);

 private:
  struct Found {
    Index::Place place = Index::nowhere();
    uint64_t offset = 0;
    std::byte* extent = nullptr;
    uint32_t generation = 0;
    bool cas_class = false;
    wire::EntryView view;  // cas class: into a private copy
    explicit operator bool() const { return extent != nullptr; }
    uint64_t version() const { return extent == nullptr ? 0 : view.version; }
    int64_t expiry_ms() const { return extent == nullptr ? 0 : view.expiry_ms; }
    uint16_t user_flags() const { return extent == nullptr ? uint16_t{0} : view.user_flags; }
  };
  // A key and the entry that it is to have.
  struct Change {
    std::string_view key;
    uint64_t hash = 0;
    Found old;           // none: the key is new
    Index::Place place;  // its slot, or the vacancy for it
    Extent fresh;        // built, not live yet; the Change's own. None: the key is removed
    uint32_t generation = 0;
    uint64_t version = 0;
    uint64_t set_version = 0;  // 0: one more than before
    int64_t expiry_ms = 0;
    uint16_t user_flags = 0;
    PeerMemoryView* lender = nullptr;  // as Session::lender, if that is where the value lies
  };
  // A value that lies in its place already.
  struct Uploaded {
    Extent extent;
    uint32_t bytes = 0;
    uint64_t hash = 0;
  };
  enum class Applied : uint8_t {
    kDone,
    kLost,    // a client was first: nothing has changed, look again
    kFailed,  // atomics do not work at present: nothing has changed
  };
  // What a walk reads: one entry, and the one before it.
  using WalkCopies = EntryCopy[2];
  using Request = wire::RequestHeader;
  using ReplyStatus = wire::ReplyStatus;
  using Value = std::span<const std::byte>;

  Applied apply(const Change& change);
  void flip(const Change& change);
  [[gnu::noinline]] void flip_cas(const Change& change);
  void step(Step step) {
    if (step_hook_ != nullptr) step_hook_(step_context_, step);
  }
  Found look_at(Index::Place place);
  // `likely`: as Index::find() has it.
  Found look_up(std::string_view key, uint64_t hash, Index::Place likely = Index::nowhere());
  [[gnu::noinline]] Applied remove(const Found& found, std::string_view key, uint64_t hash);
  // Repeats attempt() while clients are first; kTooMany when they are too often.
  template <typename Attempt>
  void until_applied(Outcome& out, Attempt&& attempt);

  // One-sided CAS (partition_cas.cc). `passed` is a list of CasPool::pass().
  [[gnu::noinline]] Found walk(Index::Place place, uint64_t offset, uint64_t passed,
                               WalkCopies& copies);
  bool reached(uint64_t offset, uint64_t hash, const EntryCopy* before, EntryCopy& copy) const;
  bool may_follow(wire::FirstWord word) const;
  void arrive(const Found& tail, uint64_t hash, uint64_t passed);
  void lose(Index::Place place, uint64_t version, uint64_t passed);
  void retire(uint64_t passed);
  void bury(uint64_t offset);
  [[gnu::noinline]] Applied swap_first_word(uint64_t offset, uint64_t expected, uint64_t desired);
  [[gnu::noinline]] Applied make_live(uint64_t offset);
  void see(uint64_t offset);
  bool short_of_room() const;
  bool relocate_oldest(CasPool::Part part);
  Applied relocate(Change& change);
  void grants(const Request& request, Value hints, Session& session, Outcome& out);

  void get(const Request& request, std::string_view key, Session& session, Outcome& out);
  void put(const Request& request, std::string_view key, Value value, Session& session,
           Outcome& out);
  // kPut and, with `uploaded`, kUploadCommit.
  void put_any(const Request& request, std::string_view key, Value value, const Uploaded* uploaded,
               Session& session, Outcome& out);
  Applied try_put(const Request& request, Change& change, Value value, const Uploaded* uploaded,
                  Session& session, Outcome& out);
  // partition_gets.cc
  void gets(const Request& request, Value value, Session& session, Outcome& out);
  struct KeyToGet {
    std::string_view key;
    uint64_t hash;
    Index::Place likely;
  };
  uint64_t get_into(std::span<std::byte> to, const KeyToGet& get, bool value_only,
                    Session& session);
  // partition_puts.cc
  void puts(Value value, Session& session, Outcome& out);
  wire::PutResult put_plain(const wire::PutView& put, uint64_t hash, Index::Place likely,
                            Session& session);
  bool replace_plain(std::string_view key, Value value, uint64_t hash, Index::Place likely);
  Applied store(Change& change, Value value, const Uploaded* uploaded, bool cas_class,
                Outcome& out);
  Applied remove_as_expired(const Change& change, Outcome& out);
  bool begin_entry(Change& change, wire::EntryFields& fields, Outcome& out);
  void prepare(Change& change, wire::EntryFields& fields) const;
  Applied finish(Change& change, const wire::EntryFields& fields, Outcome& out);
  Applied try_erase(const Request& request, std::string_view key, Session& session, Outcome& out);
  Applied try_expire(const Request& request, Change& change, Session& session, Outcome& out);
  void erase(const Request& request, std::string_view key, Session& session, Outcome& out);
  void expire(const Request& request, std::string_view key, Session& session, Outcome& out);
  void clear(const Request& request, Outcome& out);

  // What is there, and one key under another's name (partition_scan.cc).
  void scan(const Request& request, Session& session, Outcome& out);
  uint64_t scanned_bytes(const Request& scan);
  void random_key(Session& session, Outcome& out);
  bool attach_key(const Found& found, const Session& session, Outcome& out);
  void copy(const Request& request, std::string_view key, Value to, Outcome& out);
  void rename(const Found& source, std::string_view key, Change& change, Outcome& out);
  // partition_combine.cc
  void combine(std::string_view key, Value sources, Outcome& out);
  bool may_combine(std::string_view key, Value sources, Outcome& out);
  void store_combined(Change& change, Value sources, uint64_t length, Outcome& out);
  void begin_upload(const Request& request, std::string_view key, Session& session, Outcome& out);
  void append_upload(const Request& request, Value chunk, Session& session, Outcome& out);
  void commit_upload(const Request& request, std::string_view key, Session& session, Outcome& out);
  void abort_upload(const Request& request, Session& session, Outcome& out);
  void release(const Request& request, Session& session, Outcome& out);
  void run(const Request& request, std::string_view key, Value value, Session& session,
           Outcome& out);

  // Transactions (partition_transaction.cc).
  struct ReplySpace {
    Extent extent;  // of the pool, and pinned; none: the private buffer
    std::byte* data = nullptr;
    uint64_t capacity = 0;
    uint64_t used = 0;
    uint64_t headers = 0;  // bytes kept for the headers of replies to come
    uint16_t count = 0;
  };
  void transact(const Request& request, std::string_view key, Value value, Session& session,
                Outcome& out);
  void transact_uploaded(const Request& request, uint32_t key_length, Session& session,
                         Outcome& out);
  void run_transaction(Value message, uint32_t key_length, Session& session, Outcome& out);
  ReplyStatus check_transaction(Value message, bool nested, uint32_t& commands) const;
  bool settle(Value message, Outcome& out);
  // The steps of a transaction, for one key.
  bool settle_key(std::string_view key, Outcome& out);
  void hide_key(std::string_view key);
  void show_key(std::string_view key);
  Applied try_settle(Change& change, Outcome& out);
  bool preconditions_met(Value message, Outcome& out);
  void hide(Value message);
  void show(Value message);
  void run_command(const wire::RequestView& command, uint32_t key_length, ReplySpace& space,
                   Session& session);
  void run_nested(Value message, Session& session, Outcome& out);
  uint64_t reply_value_bound(const wire::RequestView& command, std::string_view key);
  bool grow(ReplySpace& space, uint64_t bytes, uint32_t key_length, Outcome& out);
  void give_back(const ReplySpace& space);
  std::string_view own_key(std::string_view key) {
    if (!key.empty()) std::memcpy(key_.get(), key.data(), key.size());
    return {key_.get(), key.size()};
  }

  void stats(Outcome& out);
  void append_cas_stats(std::string& text) const;

  // Functions of values (partition_modify.cc).
  void modify(const Request& request, std::string_view key, Value value, Session& session,
              Outcome& out);
  Applied try_modify(const Request& request, const Modification& todo, Change& change,
                     Session& session, Outcome& out);
  bool may_modify(const Request& request, const Modification& todo, std::optional<Value> value,
                  Outcome& out);
  void refuse(wire::ReplyStatus status, wire::Refusal why, Outcome& out);
  Applied store_built(Change& change, const Modification& todo, Session& session, Outcome& out);
  std::span<std::byte> result_room(uint64_t bytes, size_t key_length, const Session& session,
                                   Outcome& out);
  void evaluate_function(const Request& request, std::string_view key, Value value,
                         Session& session, Outcome& out);
  void get_fields_of(const Found& found, size_t key_length, Value operations,
                     const Session& session, Outcome& out);

  static void describe(const Found& found, Outcome& out);
  static bool makes_sense(const Request& request, size_t key_bytes, size_t value_bytes);
  static ReplyStatus check(const Request& request, uint64_t version);
  // `needs_ticket`: a change follows, after which it would be too late to find that there is no
  // ticket for a value that fits no landing buffer.
  bool attach_value(const Found& found, const Session& session, bool needs_ticket, Outcome& out);
  void drop_value(Outcome& out);
  Extent allocate(uint64_t bytes, Outcome& out);
  bool reserve(Change& change, uint64_t bytes, bool cas_class, Outcome& out);
  void discard(Extent& fresh);
  static wire::Slot slot_of(const Change& change);
  static bool is_cas(const Extent& extent) { return extent.size_class == wire::kCasSizeClass; }
  bool owns(std::string_view key) const;

  PartitionOptions options_;
  Slab slab_;
  std::unique_ptr<CasPool> cas_;
  EntryMemory entries_;
  Index index_;
  ExpirySweep expiry_;
  int64_t now_ms_ = 0;
  bool waited_ = false;         // in this batch
  uint64_t version_floor_ = 0;  // the highest version that a removed key had
  RemovalCounts removals_;
  PartitionCounters counters_;
  std::unique_ptr<char[]> key_;  // private copy of the request's key
  ModificationPlan plan_;        // of modify()
  WalkCopies found_;             // of look_at()
  WalkCopies applied_;           // of apply()
  EntryCopy seen_;               // of see()
  bool transacting_ = false;
  std::span<std::byte> reply_room_;           // for the value of a transaction's command
  std::unique_ptr<std::byte[]> transaction_;  // private copy of a transaction's message
  std::unique_ptr<std::byte[]> small_reply_;  // of a transaction
  std::unique_ptr<std::byte[]> results_;      // of functions and kGets, for their Outcomes
  bool stuck_ = false;  // the pool is full: tend() cannot help before something changes
  wire::Grant granted_[wire::kMostGrants];  // of grants(), for its Outcome
  std::unique_ptr<char[]> other_key_;       // private copy of the key that copy() stores
  std::unique_ptr<std::byte[]> scanned_;    // of scan(), for its Outcome
  uint64_t random_ = 0;                     // state of random_key()
  std::unique_ptr<std::byte[]> puts_;       // private copy of what a kPuts or a kGets brings
  std::array<wire::PutView, wire::kMostPuts> put_views_;  // into puts_
  std::array<uint64_t, wire::kMostPuts> put_results_;     // of puts(), for its Outcome
  Change plain_change_;  // of replace_plain(), which sets what differs from put to put, and tells
  std::string stats_text_;
  StatsSource more_stats_ = nullptr;
  void* more_stats_context_ = nullptr;
  StepHook step_hook_ = nullptr;
  void* step_context_ = nullptr;
};

template <typename Attempt>
void Partition::until_applied(Outcome& out, Attempt&& attempt) {
  for (uint32_t losses = 0; losses < kMostLosses; ++losses) {
    drop_value(out);
    out.reply.status = wire::ReplyStatus::kOk;
    const Applied applied = attempt();
    if (applied == Applied::kDone) return;
    if (applied == Applied::kFailed) break;
  }
  drop_value(out);
  out.reply.status = wire::ReplyStatus::kTooMany;
}

// Bytes of `memory` (a partition's share) that its index takes; the pool has the rest. One twelfth:
// at 16-byte keys and 64-byte values (extents of 112 bytes) the pool is full when the index is at
// 0.78 of its slots.
uint64_t index_bytes(uint64_t memory);

}  // namespace rdmakv::server
