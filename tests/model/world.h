// The protocol of remote memory (docs/one-sided.md) as an explicit-state model: what there is at
// one moment. docs/model.md says which step of the code is which step here.
//
// Everything is in bytes, so that a World has no padding and is hashed as it lies in memory.
#pragma once

#include <bitset>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

namespace rdmakv::model {

using u8 = uint8_t;

constexpr int kMostExtents = 8;
constexpr int kMostThreads = 4;
constexpr int kKeys = 2;
constexpr int kMostWords = 2;   // of an entry's body: pieces that a READ may tear
constexpr int kMostPlaces = 2;  // slots where a key may lie
constexpr u8 kNone = 255;
constexpr u8 kForEver = 100;  // ticks

// ---- what is run -------------------------------------------------------------------------------

// What keeps the protocol right. Each can be taken out.
enum class Rule : u8 {
  kQuarantine,           // a freed extent waits 1 ms before it is used again
  kPin,                  // what is being sent is not reused
  kImmutable,            // a linked entry's body is never written
  kHintsFreeNothing,     // what a client says retires nothing: only a walk does, after the flip
  kDead,                 // a superseded entry is marked dead at all
  kDeadBeforeFlip,       // ... before the slot leaves it
  kDeadBeforeReply,      // ... before the reply
  kFlipBeforeReply,      // and the slot is set before the reply
  kGenerationRises,      // each reuse of an extent has a new generation
  kGenerationBound,      // a reader accepts under its pointer's generation only
  kDeadNamesGeneration,  // a dead word carries its successor's generation
  kChecksum,             // an entry is accepted as a whole
  kChecksumSeeded,       // and the checksum covers the generation
  kPromptSlots,          // what a slot tells of a generation is used within half the quarantine
  kSlotsStay,            // a live slot is never moved
  kWriteBeforeSwap,      // the new entry is in place before the ATOMIC
  kAtomicsOnly,          // the server changes a cas entry's word through the adapter too
  kLiveByAtomic,       // and makes it live through the adapter, that of a new entry and of a grant
  kRestOnly,           // a client WRITEs all but the first word, which is live before
  kRebuilt,            // a change that lost against a client is judged and built anew
  kDrained,            // a gone client is judged when nothing of it can arrive any more
  kWalkBeforeFree,     // what it linked stays
  kOffTheList,         // what a walk passed is no grant any more
  kEpoch,              // nothing is believed across a restart
  kServersClock,       // a reader says "not expired" by a bound of the server's clock
  kServerSaysExpired,  // and never says "expired"
  kNoRepeat,           // a change with unknown outcome is not sent again
  kLocationAge,        // a location is dropped before generations repeat
  kRepeatsSkipped,     // the clock skips generations to which such locations may still lead
  kSwapAge,            // and so is where a CAS goes
  kTableKnowsKey,      // the client's table of cas entries tells two keys of one hash apart
  kVersionFloor,       // a key created anew starts above every version it had
  kCount,
};
const char* rule_name(Rule rule);

enum class Kind : u8 { kGet, kPut, kDelete, kCas };
// How an operation may go; where there are several the client takes any.
enum Way : u8 { kCached = 1, kIndexed = 2, kAsked = 4, kPinned = 8, kSwapped = 16 };

struct Op {
  Kind kind;
  u8 key;
  u8 value;  // of kPut, kCas
  u8 ways;
};

struct Initial {
  u8 key;
  u8 extent;
  u8 value;
  u8 version;
  u8 knowers = 0;  // threads that have its location, a bit each
};

struct Setup {
  u8 pool = 0, cas = 0, grants = 0;  // extents
  u8 words = 1;
  u8 places = 1;
  u8 shared_slots = 0;  // both keys have the same candidate slots and fingerprint
  u8 shared_hash = 0;   // both keys have the same hash
  u8 ticks = 0;         // half milliseconds that pass, at most
  u8 modulus = 200;     // of generations
  u8 slot_modulus = 200;
  u8 most_age = kForEver;   // ticks: an older pointer is not used
  u8 most_wait = kForEver;  // ticks that a READ or ATOMIC takes, at most
  u8 relocations = 0;
  // Of the adapter: atomic among themselves, not against the CPU. One that loses stores what it
  // read.
  u8 two_step_atomics = 0;
  u8 crashes = 0;  // threads that may die, a bit each
  u8 restarts = 0;
  u8 lost_replies = 0;  // of PUTs
  u8 expires_at = 0;    // ticks: when value 1 expires; 0: it does not
  std::vector<Initial> entries;
  std::vector<std::pair<u8, u8>> granted;  // thread, extent
  std::vector<std::vector<Op>> programs;
  std::bitset<static_cast<size_t>(Rule::kCount)> broken;

  bool holds(Rule rule) const { return !broken[static_cast<size_t>(rule)]; }
  int extents() const { return pool + cas + grants; }
  int threads() const { return static_cast<int>(programs.size()); }
  bool in_pool(u8 extent) const { return extent < pool; }
  bool in_grants(u8 extent) const { return extent >= pool + cas; }
};

// ---- what there is -----------------------------------------------------------------------------

struct FirstWord {
  u8 live, cas, generation, next;  // live: own generation; dead: the successor's
  bool operator==(const FirstWord&) const = default;
};
struct Body {
  u8 key, version, value, seed;
  bool operator==(const Body&) const = default;
};
enum class State : u8 { kFree, kBuilding, kLinked, kGranted, kFreed, kQuarantined };
struct Extent {
  FirstWord first;
  Body body[kMostWords];
  // The server's own:
  State state;
  u8 generation;  // cas and grants: counted
  u8 stamp;       // kQuarantined
  u8 holder;      // the thread it is granted to
  u8 pins;        // threads it is being sent to, a bit each
};
struct Slot {
  u8 extent, low;
};
// What a client knows of a key's entry: location cache and table of cas entries in one.
struct Known {
  u8 extent, generation, version, cas, since;
};

enum class Phase : u8 {
  kIdle,
  kAsking,    // the request is on its way, or the server's
  kSlots,     // READs of slots
  kReading,   // READ of an entry
  kSending,   // the server sends the value from where it lies
  kSwapping,  // WRITE and ATOMIC
};
enum class Gone : u8 { kNo, kDead, kDrained, kReconciled };

struct Thread {
  u8 op;
  Phase phase;
  Gone gone;
  u8 invoked;
  u8 expected;  // kCas: the version
  Known known[kKeys];
  u8 seen[kKeys];  // the version that the client saw last
  u8 grant, grant_generation;
  u8 clock;  // of the server, as known when the READ was posted
  // The READ:
  u8 target, generation, by_slot, hops, begun, fetched;
  FirstWord first;
  Body body[kMostWords];
  Slot slots[kMostPlaces];
  u8 slots_fetched, candidate;
  // WRITE and ATOMIC:
  u8 landed, adapter;  // words of the WRITE; 1: the ATOMIC has read
  FirstWord found;
  Body built;
};

enum class Stage : u8 { kIdle, kLook, kBuild, kApply };
struct Server {
  Stage stage;
  u8 thread;  // kNone: the server's own relocation
  Kind kind;
  u8 key;
  u8 tick;  // the reading of the clock
  u8 step;  // of apply()
  u8 replied;
  u8 old, old_cas, old_version, old_place;
  u8 fresh, generation, version, value, place, built;
};

struct World {
  Extent extents[kMostExtents];
  Slot slots[kKeys][kMostPlaces];
  Thread threads[kMostThreads];
  Server server;
  u8 floor;             // the highest version removed
  u8 skipped, to_skip;  // of generations by the clock; which, a bit each
  u8 clock;
  u8 adapter;  // the thread whose ATOMIC the adapter is at; kNone
  u8 epoch;
  u8 relocations, lost_replies;
  u8 lost_key;  // a chain that breaks the rules was met: the server gave up the key
};
static_assert(alignof(World) == 1);

}  // namespace rdmakv::model
