#include "tests/model/scenarios.h"

namespace rdmakv::model {
namespace {

constexpr u8 kA = 0;
constexpr u8 kB = 1;
constexpr u8 kDirect = kCached | kAsked;
constexpr u8 kAnyRead = kCached | kIndexed | kAsked;
constexpr u8 kAnySwap = kSwapped | kAsked;

Op get(u8 key, u8 ways = kDirect) {
  return {Kind::kGet, key, 0, ways};
}
Op put(u8 key, u8 value) {
  return {Kind::kPut, key, value, kAsked};
}
Op del(u8 key) {
  return {Kind::kDelete, key, 0, kAsked};
}
Op cas(u8 key, u8 value, u8 ways = kAnySwap) {
  return {Kind::kCas, key, value, ways};
}

// Threads as bits.
constexpr u8 k0 = 1, k1 = 2, k2 = 4, k3 = 8;

// ---- entries of the pool
// -------------------------------------------------------------------------

Setup overwrites() {
  Setup s;
  s.pool = 3;
  s.words = 2;
  s.ticks = 3;
  s.entries = {{kA, 0, 9, 1, k1}};
  s.programs = {{put(kA, 2), put(kA, 3), put(kA, 4)}, {get(kA)}, {get(kA), get(kA)}};
  return s;
}

Setup two_keys() {
  Setup s;
  s.pool = 3;
  s.ticks = 5;
  s.entries = {{kA, 0, 9, 1, k1}, {kB, 1, 8, 1, k2}};
  s.programs = {{put(kA, 2), del(kA), put(kB, 3), put(kA, 4)},
                {get(kA), get(kA)},
                {get(kA, kAnyRead), get(kB, kAnyRead)}};
  return s;
}

Setup index() {
  Setup s;
  s.pool = 3;
  s.places = 2;
  s.ticks = 2;
  s.entries = {{kA, 0, 9, 1, k1}};
  s.programs = {{put(kA, 2), del(kA), put(kA, 3)},
                {get(kA, kIndexed)},
                {get(kA, kIndexed), get(kA, kDirect)}};
  return s;
}

Setup late_slot() {
  Setup s;
  s.pool = 3;
  s.places = 2;
  s.shared_slots = 1;
  s.ticks = 5;
  s.slot_modulus = 2;
  s.entries = {{kA, 0, 9, 1}};
  s.programs = {{put(kA, 2), put(kB, 3), put(kB, 4)}, {get(kA, kIndexed)}, {get(kA, kIndexed)}};
  return s;
}

Setup sent_in_place() {
  Setup s;
  s.pool = 2;
  s.words = 2;
  s.ticks = 4;
  s.entries = {{kA, 0, 9, 1, k2}};
  s.programs = {{put(kA, 2), put(kA, 3)}, {get(kA, kPinned)}, {get(kA)}};
  return s;
}

// Generations are read off the clock: they come again a period after an entry was built, however
// lately its location was learned.
Setup wrap() {
  Setup s;
  s.pool = 2;
  s.ticks = 9;
  s.modulus = 4;
  s.most_age = 2;
  s.most_wait = 1;
  s.entries = {{kA, 0, 9, 1, k1}};
  s.programs = {{put(kA, 2), put(kA, 3)}, {get(kA), get(kA)}, {get(kA)}};
  return s;
}

Setup expiry() {
  Setup s;
  s.pool = 3;
  s.ticks = 4;
  s.expires_at = 2;
  s.entries = {{kA, 0, 1, 1, k0 | k1}};
  s.programs = {{get(kA), get(kA)}, {get(kA), get(kA)}, {put(kA, 4)}};
  return s;
}

Setup restart() {
  Setup s;
  s.pool = 3;
  s.restarts = 1;
  s.entries = {{kA, 0, 9, 5, k1}};
  s.programs = {{put(kA, 4), put(kA, 3)}, {get(kA), get(kA)}};
  return s;
}

Setup lost_reply() {
  Setup s;
  s.pool = 4;
  s.lost_replies = 1;
  s.entries = {{kA, 0, 9, 1, k1}};
  s.programs = {{put(kA, 2)}, {put(kA, 3), get(kA)}, {get(kA), get(kA)}};
  return s;
}

// ---- entries of the cas class
// ---------------------------------------------------------------------

// Extents: pool, cas and grants, in this order.
Setup with_cas(u8 pool, u8 cas, u8 grants) {
  Setup s;
  s.pool = pool;
  s.cas = cas;
  s.grants = grants;
  return s;
}

Setup swaps() {
  Setup s = with_cas(1, 2, 2);
  s.entries = {{kA, 1, 9, 1, k0 | k1 | k3}};
  s.granted = {{0, 3}, {1, 4}};
  s.programs = {{cas(kA, 2)}, {cas(kA, 3)}, {put(kA, 4)}, {get(kA), get(kA)}};
  return s;
}

Setup torn_swaps() {
  Setup s = with_cas(1, 2, 2);
  s.words = 2;
  s.entries = {{kA, 1, 9, 1, k0 | k1 | k2}};
  s.granted = {{0, 3}, {1, 4}};
  s.programs = {{cas(kA, 2)}, {cas(kA, 3)}, {get(kA), get(kA)}};
  return s;
}

Setup adapter() {
  Setup s = swaps();
  s.two_step_atomics = 1;
  return s;
}

// The extent that an ATOMIC is on its way to is used again for an entry of the server's.
Setup late_swap() {
  Setup s = with_cas(1, 2, 1);
  s.two_step_atomics = 1;
  s.ticks = 3;
  s.entries = {{kA, 1, 9, 1, k0 | k2}};
  s.granted = {{0, 3}};
  s.programs = {{cas(kA, 2, kSwapped)}, {put(kA, 3), put(kA, 4)}, {get(kA), get(kA)}};
  return s;
}

// It is granted to another client.
Setup late_swap_to_grant() {
  Setup s = with_cas(1, 2, 2);
  s.two_step_atomics = 1;
  s.ticks = 3;
  s.entries = {{kA, 3, 9, 1, k0}, {kB, 1, 8, 1, k1}};
  s.granted = {{0, 4}};
  s.programs = {{cas(kA, 2, kSwapped)}, {cas(kB, 5, kSwapped)}, {put(kA, 4), get(kB)}};
  return s;
}

Setup swaps_again() {
  Setup s = with_cas(0, 2, 2);
  s.ticks = 2;
  s.entries = {{kA, 0, 9, 1, k0 | k1 | k2}};
  s.granted = {{0, 2}, {1, 3}};
  s.programs = {{cas(kA, 2, kSwapped), cas(kA, 3)}, {cas(kA, 4)}, {get(kA), get(kA)}};
  return s;
}

Setup swap_and_delete() {
  Setup s = with_cas(2, 1, 1);
  s.ticks = 2;
  s.entries = {{kA, 2, 9, 1, k0 | k2}};
  s.granted = {{0, 3}};
  s.programs = {
      {cas(kA, 2), cas(kA, 3)}, {del(kA), put(kA, 4)}, {get(kA, kAnyRead), get(kA, kAnyRead)}};
  return s;
}

Setup enter() {
  Setup s = with_cas(2, 2, 1);
  s.entries = {{kA, 0, 9, 1, k0 | k2}};
  s.granted = {{0, 4}};
  s.programs = {{cas(kA, 2, kAsked), cas(kA, 3)}, {put(kA, 4)}, {get(kA), cas(kA, 5)}};
  return s;
}

Setup crash() {
  Setup s = with_cas(2, 2, 1);
  s.crashes = k0;
  s.entries = {{kA, 2, 9, 1, k0 | k2}, {kB, 0, 8, 1, k3}};
  s.granted = {{0, 4}};
  s.programs = {{cas(kA, 2, kSwapped)}, {put(kA, 4), put(kB, 5)}, {get(kA), get(kA)}, {get(kB)}};
  return s;
}

// What a client that dies held is granted to another.
Setup inherited() {
  Setup s = with_cas(1, 2, 1);
  s.ticks = 2;
  s.crashes = k0;
  s.entries = {{kA, 1, 9, 1, k0 | k1}, {kB, 2, 8, 1, k1}};
  s.granted = {{0, 3}};
  s.programs = {{cas(kA, 2, kSwapped)}, {cas(kB, 3)}, {get(kA), get(kB)}};
  return s;
}

Setup passed_by() {
  Setup s = with_cas(1, 2, 1);
  s.ticks = 4;
  s.crashes = k0;
  s.entries = {{kA, 1, 9, 1, k0 | k1}};
  s.granted = {{0, 3}};
  s.programs = {{cas(kA, 2, kSwapped)}, {get(kA), cas(kA, 3), get(kA)}, {put(kA, 4)}};
  return s;
}

Setup hints() {
  Setup s = with_cas(1, 1, 1);
  s.ticks = 2;
  s.entries = {{kA, 1, 9, 1, k0}, {kB, 0, 8, 1, k1}};
  s.granted = {{0, 2}};
  s.programs = {{cas(kA, 2, kSwapped)}, {cas(kB, 3, kAsked)}, {get(kA), get(kA)}};
  return s;
}

Setup in_place() {
  Setup s = with_cas(1, 2, 1);
  s.words = 2;
  s.entries = {{kA, 1, 9, 1, k0 | k2}};
  s.granted = {{0, 3}};
  s.programs = {{cas(kA, 2)}, {put(kA, 4)}, {get(kA)}};
  return s;
}

Setup relocation() {
  Setup s = with_cas(3, 2, 1);
  s.ticks = 2;
  s.relocations = 2;
  s.entries = {{kA, 3, 9, 1, k0 | k2}};
  s.granted = {{0, 5}};
  s.programs = {{cas(kA, 2), cas(kA, 3)}, {put(kA, 4)}, {get(kA, kAnyRead), get(kA, kAnyRead)}};
  return s;
}

Setup wrapped_swap() {
  Setup s = with_cas(1, 3, 1);
  s.ticks = 5;
  s.modulus = 2;
  s.most_age = 1;
  s.most_wait = 1;
  s.entries = {{kA, 1, 9, 1, k0}, {kB, 0, 8, 1, k1}};
  s.granted = {{0, 4}};
  s.programs = {{cas(kA, 2, kSwapped)},
                {put(kA, 3), cas(kB, 4, kAsked), put(kB, 5), put(kB, 6)},
                {get(kB, kAsked)}};
  return s;
}

Setup one_hash() {
  Setup s = with_cas(1, 3, 1);
  s.shared_hash = 1;
  s.shared_slots = 1;
  s.places = 2;
  s.entries = {{kA, 1, 9, 1, k0}, {kB, 2, 8, 1, k0}};
  s.granted = {{0, 4}};
  s.programs = {{cas(kB, 3)}, {get(kA), get(kB)}};
  return s;
}

Setup create() {
  Setup s = with_cas(3, 1, 1);
  s.places = 2;
  s.ticks = 2;
  s.programs = {{cas(kA, 2, kAsked), cas(kA, 3)},
                {cas(kA, 4, kAsked)},
                {del(kA), put(kA, 5)},
                {get(kA, kIndexed | kCached), get(kA, kIndexed | kCached)}};
  return s;
}

// ---- larger ones
// ----------------------------------------------------------------------------------

Setup crowd() {
  Setup s = with_cas(2, 2, 2);
  s.ticks = 2;
  s.crashes = k1;
  s.entries = {{kA, 2, 9, 1, k0 | k1 | k3}};
  s.granted = {{0, 4}, {1, 5}};
  s.programs = {{cas(kA, 2, kSwapped), cas(kA, 3)},
                {cas(kA, 4, kSwapped)},
                {put(kA, 5), del(kA), put(kA, 6)},
                {get(kA), get(kA)}};
  return s;
}

Setup two_keys_crash() {
  Setup s = with_cas(1, 3, 2);
  s.ticks = 2;
  s.crashes = k0 | k1;
  s.entries = {{kA, 1, 9, 1, k0 | k1 | k3}, {kB, 2, 8, 1, k0 | k3}};
  s.granted = {{0, 4}, {1, 5}};
  s.programs = {{cas(kA, 2, kSwapped), cas(kB, 3, kSwapped)},
                {cas(kA, 4, kSwapped)},
                {del(kA), put(kB, 6)},
                {get(kA, kAnyRead), get(kB)}};
  return s;
}

Setup long_chains() {
  Setup s = with_cas(2, 2, 2);
  s.ticks = 2;
  s.relocations = 1;
  s.entries = {{kA, 2, 9, 1, k0 | k1 | k3}, {kB, 0, 8, 1}};
  s.granted = {{0, 4}, {1, 5}};
  s.programs = {{cas(kA, 2, kSwapped), cas(kA, 3, kSwapped)},
                {cas(kA, 4), cas(kA, 5)},
                {put(kA, 6), put(kB, 7)},
                {get(kA), get(kA)}};
  return s;
}

Setup index_long() {
  Setup s = index();
  s.ticks = 4;
  s.programs = {{put(kA, 2), del(kA), put(kA, 3)},
                {get(kA, kIndexed | kCached)},
                {get(kA, kAnyRead), get(kA, kAnyRead)}};
  return s;
}

Setup overwrites_long() {
  Setup s = overwrites();
  s.ticks = 5;
  s.programs = {{put(kA, 2), put(kA, 3), put(kA, 4)}, {get(kA)}, {get(kA, kAnyRead), get(kA)}};
  return s;
}

}  // namespace

const std::vector<Scenario>& scenarios() {
  static const std::vector<Scenario> kScenarios = {
      {"overwrites", "one key is overwritten; its extents are used again", overwrites()},
      {"two-keys", "extents move between keys; deletion and creation", two_keys()},
      {"index", "lookups by READ of two slots, with deletion and creation", index()},
      {"late-slot", "generations in slots repeat while a reader waits", late_slot()},
      {"sent-in-place", "a value is sent from where it lies", sent_in_place()},
      {"wrap", "generations repeat", wrap()},
      {"expiry", "a key expires", expiry()},
      {"restart", "another server on the same memory", restart()},
      {"lost-reply", "a reply is lost", lost_reply()},
      {"swaps", "two CAS by ATOMIC against a PUT", swaps()},
      {"torn-swaps", "the same with entries of two words", torn_swaps()},
      {"adapter", "ATOMICs that are atomic among themselves only", adapter()},
      {"late-swap", "an ATOMIC comes when its extent is another entry's", late_swap()},
      {"late-swap-to-grant", "... when it is granted to another client", late_swap_to_grant()},
      {"swaps-again", "CAS by ATOMIC on what another put there", swaps_again()},
      {"swap-and-delete", "CAS by ATOMIC against DEL", swap_and_delete()},
      {"enter", "a key enters the cas class", enter()},
      {"crash", "a client dies at any step of its CAS", crash()},
      {"inherited", "its extent is granted to another client", inherited()},
      {"passed-by", "the server passed its extent before it was known to be dead", passed_by()},
      {"hints", "what a client tells of its CAS", hints()},
      {"in-place", "a CAS by ATOMIC against a PUT, word by word", in_place()},
      {"relocation", "entries move from cas and grants to the pool", relocation()},
      {"wrapped-swap", "generations repeat before an ATOMIC", wrapped_swap()},
      {"one-hash", "two keys of one hash", one_hash()},
      {"create", "creation by CAS, deletion, lookups by READ", create()},
      {"crowd", "two CAS clients, one of which may die, PUT and DEL", crowd()},
      {"two-keys-crash", "two keys, two CAS clients that may die, DEL and PUT", two_keys_crash()},
      {"long-chains", "four CAS by ATOMIC, PUTs, a relocation", long_chains()},
      {"index-long", "lookups by READ, with more time", index_long()},
      {"overwrites-long", "one key is overwritten, with more time", overwrites_long()},
  };
  return kScenarios;
}

const std::vector<Case>& cases() {
  static const std::vector<Case> kCases = {
      {"overwrites", {}},
      {"two-keys", {}},
      {"index", {}},
      {"late-slot", {}},
      {"sent-in-place", {}},
      {"wrap", {}},
      {"expiry", {}},
      {"restart", {}},
      {"lost-reply", {}},
      {"swaps", {}},
      {"torn-swaps", {}},
      {"adapter", {}},
      {"late-swap", {}},
      {"late-swap-to-grant", {}},
      {"swaps-again", {}},
      {"swap-and-delete", {}},
      {"enter", {}},
      {"crash", {}},
      {"inherited", {}},
      {"passed-by", {}},
      {"hints", {}},
      {"in-place", {}},
      {"relocation", {}},
      {"wrapped-swap", {}},
      {"one-hash", {}},
      {"create", {}, false},
      {"crowd", {}, false},
      {"two-keys-crash", {}, false},
      {"long-chains", {}, false},
      {"index-long", {}, false},
      {"overwrites-long", {}, false},
      {"overwrites", Rule::kQuarantine},
      {"sent-in-place", Rule::kPin},
      {"in-place", Rule::kImmutable},
      {"hints", Rule::kHintsFreeNothing},
      {"overwrites", Rule::kDead},
      {"index", Rule::kDeadBeforeFlip},
      {"overwrites", Rule::kDeadBeforeReply},
      {"index", Rule::kFlipBeforeReply},
      {"overwrites", Rule::kGenerationRises},
      {"overwrites", Rule::kGenerationBound},
      {"two-keys", Rule::kDeadNamesGeneration},
      {"overwrites", Rule::kChecksum},
      {"overwrites", Rule::kChecksumSeeded},
      {"late-slot", Rule::kPromptSlots},
      {"index", Rule::kSlotsStay},
      {"swaps", Rule::kWriteBeforeSwap},
      {"adapter", Rule::kAtomicsOnly},
      {"late-swap", Rule::kLiveByAtomic},
      {"late-swap-to-grant", Rule::kLiveByAtomic},
      {"late-swap-to-grant", Rule::kRestOnly},
      {"swaps", Rule::kRebuilt},
      {"inherited", Rule::kDrained},
      {"crash", Rule::kWalkBeforeFree},
      {"passed-by", Rule::kOffTheList},
      {"restart", Rule::kEpoch},
      {"expiry", Rule::kServersClock},
      {"expiry", Rule::kServerSaysExpired},
      {"lost-reply", Rule::kNoRepeat},
      {"wrap", Rule::kLocationAge},
      {"wrap", Rule::kRepeatsSkipped},
      {"wrapped-swap", Rule::kSwapAge},
      {"one-hash", Rule::kTableKnowsKey},
      {"swap-and-delete", Rule::kVersionFloor},
  };
  return kCases;
}

}  // namespace rdmakv::model
