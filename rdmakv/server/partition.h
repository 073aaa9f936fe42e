// A partition: the keys of one worker, in its index and its slab. Executes the requests of
// protocol/kv_message.h, one at a time, and says what came of each; knows nothing of connections.
//
// Every change of what is stored passes apply(), which is where a log or a replica can stand: it is
// given the change complete, before any part of it is visible.
//
// One thread. No allocation and no blocking per request, with one exception: when there is no room
// but freed extents in quarantine would make some, it waits for them (1 ms, at most once a batch)
// before it says kNoSpace.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "protocol/kv_layout.h"
#include "protocol/kv_message.h"
#include "rdmakv/server/clock.h"
#include "rdmakv/server/expiry.h"
#include "rdmakv/server/index.h"
#include "rdmakv/server/pins.h"
#include "rdmakv/server/slab.h"
#include "rdmakv/server/uploads.h"

namespace rdmakv::server {

struct PartitionOptions {
  uint32_t worker = 0;  // which of `workers` this one is
  uint32_t workers = 1;
  std::span<std::byte> index;  // zero-filled, cache-line aligned; outlives the Partition
  std::span<std::byte> pool;   // page aligned; outlives the Partition
  uint32_t most_pins = 1024;   // extents pinned at a time, all connections together
  Clock* clock = &Clock::system();
};

// What a connection holds in a partition. Destroyed before the partition; gives everything back.
struct Session {
  explicit Session(Slab& slab) : uploads(slab), pins(slab) {}
  Uploads uploads;
  Pins pins;
  // Values of up to this many bytes are copied into replies; larger ones are pinned by execute().
  uint32_t inline_limit = wire::kLargeValue - 1;
};

// What came of a request.
struct Outcome {
  wire::ReplyHeader reply;  // complete but for flags, value_length and ticket of the value below
  bool has_value = false;
  std::span<const std::byte>
      value;                // in the pool (`extent`), or stats text (extent 0). Not pinned: valid
                            // until the next execute(), begin_batch() or sweep()
  uint64_t extent = 0;      // of the value: units
  uint32_t generation = 0;  // of the entry that the value belongs to
  bool pinned = false;      // the extent is pinned once, for whoever takes the Outcome
};

struct PartitionCounters {
  uint64_t requests[static_cast<size_t>(wire::Opcode::kStats) + 1] = {};
  uint64_t hits = 0, misses = 0;  // kGet and kInspect
  uint64_t changes = 0;           // through apply()
  uint64_t expired = 0;
  uint64_t no_space = 0;
  uint64_t waits = 0;  // for a quarantine
};

class Partition {
 public:
  explicit Partition(const PartitionOptions& options);
  Partition(const Partition&) = delete;
  Partition& operator=(const Partition&) = delete;

  // Reads the clocks, once for all that follows. Before the first request of a batch, at least.
  void begin_batch();
  int64_t now_ms() const { return now_ms_; }

  // `key` and `value` may lie in memory that a peer can change: they are copied before they are
  // used.
  Outcome execute(const wire::RequestHeader& request, std::string_view key,
                  std::span<const std::byte> value, Session& session);

  // Removes expired keys: looks at `steps` buckets, if there is reason to.
  void sweep(uint32_t steps);
  // From when on (wall clock, ms) sweep() has something to do; ExpirySweep::kNever.
  int64_t sweep_due_ms() const {
    return expiry_.keys() == 0 ? ExpirySweep::kNever : expiry_.due_ms();
  }

  Slab& slab() { return slab_; }
  const Slab& slab() const { return slab_; }
  const Index& index() const { return index_; }
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
  enum class Step : uint8_t { kBuilt, kLive, kDead, kFlipped };
  using StepHook = void (*)(void* context, Step step);
  void set_step_hook(StepHook hook, void* context) {
    step_hook_ = hook;
    step_context_ = context;
  }

  // Walks everything; false when the books do not agree. `held` extents (uploads under way) are
  // allocated without being linked. For tests.
  bool consistent(uint64_t held) const;

 private:
  struct Found {
    Index::Place place = Index::nowhere();
    uint64_t offset = 0;
    std::byte* extent = nullptr;
    uint32_t generation = 0;
    wire::EntryView view;
    explicit operator bool() const { return extent != nullptr; }
    uint64_t version() const { return extent == nullptr ? 0 : view.version; }
    int64_t expiry_ms() const { return extent == nullptr ? 0 : view.expiry_ms; }
  };
  // A key and the entry that it is to have.
  struct Change {
    std::string_view key;
    uint64_t hash = 0;
    Found old;           // none: the key is new
    Index::Place place;  // its slot, or the vacancy for it
    Extent fresh;        // built, not live yet. None: the key is removed
    uint32_t generation = 0;
    uint64_t version = 0;
    int64_t expiry_ms = 0;
  };
  using Request = wire::RequestHeader;
  using Value = std::span<const std::byte>;

  void apply(const Change& change);
  void step(Step step) {
    if (step_hook_ != nullptr) step_hook_(step_context_, step);
  }
  Found look_at(Index::Place place) const;
  Found look_up(std::string_view key, uint64_t hash);
  void remove(const Found& found, std::string_view key, uint64_t hash);

  void get(const Request& request, std::string_view key, Session& session, Outcome& out);
  // kPut and, with `upload`, kUploadCommit.
  void put(const Request& request, std::string_view key, Value value, Uploads::Upload* upload,
           Session& session, Outcome& out);
  void store(const Request& request, Change& change, Value value, Uploads::Upload* upload,
             Session& session, Outcome& out);
  void erase(const Request& request, std::string_view key, Session& session, Outcome& out);
  void expire(const Request& request, std::string_view key, Outcome& out);
  void clear(Outcome& out);
  void begin_upload(const Request& request, std::string_view key, Session& session, Outcome& out);
  void append_upload(const Request& request, Value chunk, Session& session, Outcome& out);
  void commit_upload(const Request& request, std::string_view key, Session& session, Outcome& out);
  void abort_upload(const Request& request, Session& session, Outcome& out);
  void release(const Request& request, Session& session, Outcome& out);
  void stats(Outcome& out);

  static void describe(const Found& found, Outcome& out);
  // `needs_ticket`: a change follows, after which it would be too late to find that there is no
  // ticket for a value that fits no landing buffer.
  bool attach_value(const Found& found, const Session& session, bool needs_ticket, Outcome& out);
  void drop_value(Outcome& out);
  Extent allocate(uint64_t bytes, Outcome& out);
  bool owns(std::string_view key) const;

  PartitionOptions options_;
  Slab slab_;
  Index index_;
  ExpirySweep expiry_;
  int64_t now_ms_ = 0;
  bool waited_ = false;         // in this batch
  uint64_t version_floor_ = 0;  // the highest version that a removed key had
  PartitionCounters counters_;
  std::unique_ptr<char[]> key_;  // private copy of the request's key
  std::string stats_text_;
  StatsSource more_stats_ = nullptr;
  void* more_stats_context_ = nullptr;
  StepHook step_hook_ = nullptr;
  void* step_context_ = nullptr;
};

// Bytes of `memory` (a partition's share) that its index takes; the pool has the rest. One twelfth:
// at 16-byte keys and 64-byte values (extents of 112 bytes) the pool is full when the index is at
// 0.78 of its slots.
uint64_t index_bytes(uint64_t memory);

}  // namespace rdmakv::server
