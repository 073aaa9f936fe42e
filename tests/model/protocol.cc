#include "tests/model/protocol.h"

#include <cstdarg>
#include <cstdio>

namespace rdmakv::model {

const char* rule_name(Rule rule) {
  static const char* const kNames[] = {"quarantine",
                                       "pin",
                                       "immutable",
                                       "hints-free-nothing",
                                       "dead",
                                       "dead-before-flip",
                                       "dead-before-reply",
                                       "flip-before-reply",
                                       "generation-rises",
                                       "generation-bound",
                                       "dead-names-generation",
                                       "checksum",
                                       "checksum-seeded",
                                       "prompt-slots",
                                       "slots-stay",
                                       "write-before-swap",
                                       "atomics-only",
                                       "live-by-atomic",
                                       "rest-only",
                                       "rebuilt",
                                       "drained",
                                       "walk-before-free",
                                       "off-the-list",
                                       "epoch",
                                       "servers-clock",
                                       "server-says-expired",
                                       "no-repeat",
                                       "location-age",
                                       "repeats-skipped",
                                       "swap-age",
                                       "table-knows-key",
                                       "version-floor"};
  static_assert(std::size(kNames) == static_cast<size_t>(Rule::kCount));
  return kNames[static_cast<size_t>(rule)];
}

Node Protocol::first() const {
  Node node;
  World& w = node.world;
  std::memset(&w, 0, sizeof(w));
  for (auto& places : w.slots) {
    for (Slot& slot : places) slot = {kNone, 0};
  }
  for (Extent& extent : w.extents) {
    extent.first.next = kNone;
    extent.holder = kNone;
  }
  for (Thread& t : w.threads) {
    for (Known& known : t.known) known.extent = kNone;
    t.grant = kNone;
    t.first.next = t.found.next = 0;
  }
  w.adapter = kNone;
  for (const Initial& initial : setup_.entries) {
    Extent& extent = w.extents[initial.extent];
    const bool cas = !setup_.in_pool(initial.extent);
    extent.first = {1, cas, 0, kNone};
    for (int i = 0; i < setup_.words; ++i) {
      extent.body[i] = body(w, initial.key, initial.version, initial.value, 0);
    }
    extent.state = State::kLinked;
    set_slot(w, initial.key, vacancy(w, initial.key), initial.extent);
    node.history[initial.key].reset(initial.version, initial.value);
    for (int thread = 0; thread < setup_.threads(); ++thread) {
      if ((initial.knowers >> thread & 1) == 0) continue;
      w.threads[thread].known[initial.key] = {initial.extent, 0, initial.version, cas, 0};
      w.threads[thread].seen[initial.key] = initial.version;
    }
  }
  for (const auto& [thread, extent] : setup_.granted) {
    w.extents[extent].state = State::kGranted;
    w.extents[extent].holder = thread;
    w.extents[extent].generation = 1;
    w.extents[extent].first = first_of_grant(1);
    w.threads[thread].grant = extent;
    w.threads[thread].grant_generation = 1;
  }
  return node;
}

void Protocol::successors(const Node& from, bool names, const Visit& visit) {
  visit_ = &visit;
  names_ = names;
  for (int thread = 0; thread < setup_.threads(); ++thread) client_steps(from, thread);
  server_steps(from);
  time_passes(from);
  restart(from);
}

const char* Protocol::wrong_at_the_end(const Node& node) const {
  const World& w = node.world;
  for (int e = 0; e < setup_.extents(); ++e) {
    const Extent& extent = w.extents[e];
    if (extent.state == State::kBuilding) return "an extent is leaked: it stays in building";
    if (extent.state == State::kGranted && w.threads[extent.holder].gone != Gone::kNo) {
      return "an extent is leaked: it stays granted to a client that is gone";
    }
    bool led_to = false;
    for (const auto& places : w.slots) {
      for (const Slot& slot : places) led_to |= slot.extent == e;
    }
    if (led_to != (extent.state == State::kLinked)) {
      return "the tables do not agree with the index";
    }
  }
  return nullptr;
}

Protocol::Step Protocol::begin(const Node& from, const char* format, ...) {
  Step step{from, {}};
  if (names_) {
    char text[200];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    step.name = prefix_ + text;
  }
  return step;
}

void Protocol::end(Step&& step) {
  if (step.node.wrong == nullptr && step.node.world.lost_key != 0) {
    step.node.wrong = "the server found a broken chain and gave up a key";
  }
  (*visit_)(std::move(step.node), std::move(step.name));
}

u8 Protocol::seed(const World& w, u8 generation) const {
  const u8 epoch = holds(Rule::kEpoch) ? w.epoch : 0;
  return holds(Rule::kChecksumSeeded) ? static_cast<u8>(generation % setup_.modulus + 64 * epoch)
                                      : 0;
}

Body Protocol::body(const World& w, u8 key, u8 version, u8 value, u8 generation) const {
  return {key, version, value, seed(w, generation)};
}

void Protocol::pending_on(const World& w, u8 key, History::Operations& operations) const {
  for (int thread = 0; thread < setup_.threads(); ++thread) {
    const Thread& t = w.threads[thread];
    if (t.invoked == 0 || op_of(w, thread).key != key) continue;
    const Op& op = op_of(w, thread);
    operations[thread] = {true, op.kind, op.value, t.expected};
  }
}

void Protocol::answer(Step& step, int thread, Result result) {
  const Op& op = op_of(step.node.world, thread);
  History::Operations pending{};
  pending_on(step.node.world, op.key, pending);
  add(step, ", answers version " + std::to_string(result.version) +
                (op.kind == Kind::kGet     ? " value " + std::to_string(result.value)
                 : result.value == kFailed ? " (refused)"
                                           : ""));
  if (!step.node.history[op.key].answered(pending, thread, result)) {
    step.node.wrong = "not linearizable";
  }
  if (op.kind != Kind::kDelete) step.node.world.threads[thread].seen[op.key] = result.version;
}

// The operation has been answered; the client forgets what it had for it.
void Protocol::finish(Step& step, int thread) {
  Thread& t = step.node.world.threads[thread];
  ++t.op;
  t.phase = Phase::kIdle;
  t.invoked = t.expected = t.clock = 0;
  t.target = t.generation = t.by_slot = t.hops = t.begun = t.fetched = 0;
  t.first = {};
  std::memset(t.body, 0, sizeof(t.body));
  std::memset(t.slots, 0, sizeof(t.slots));
  t.slots_fetched = t.candidate = t.landed = t.adapter = 0;
  t.found = {};
  t.built = {};
  forget_unused(step.node.world, thread);
}

// What no later operation uses does not tell states apart.
void Protocol::forget_unused(World& w, int thread) const {
  Thread& t = w.threads[thread];
  for (u8 key = 0; key < kKeys; ++key) {
    bool location = false;
    bool version = false;
    for (size_t i = t.op; i < setup_.programs[thread].size(); ++i) {
      const Op& op = setup_.programs[thread][i];
      location |=
          (op.key == key || setup_.shared_hash != 0) && (op.ways & (kCached | kSwapped)) != 0;
      version |= op.key == key && op.kind == Kind::kCas;
    }
    if (!location) t.known[key] = {kNone, 0, 0, 0, 0};
    if (!version) t.seen[key] = 0;
  }
}

void Protocol::learn(World& w, int thread, u8 extent, u8 generation, u8 version, bool cas) const {
  Known& known = w.threads[thread].known[op_of(w, thread).key];
  if (extent == kNone) {
    known = {kNone, 0, 0, 0, 0};
  } else {
    const u8 since = setup_.most_age < kForEver ? w.clock : u8{0};
    known = {extent, generation, version, cas, since};
  }
}

void Protocol::time_passes(const Node& from) {
  if (from.world.clock >= setup_.ticks) return;
  for (const Thread& t : from.world.threads) {
    const bool waits = t.phase == Phase::kReading || t.phase == Phase::kSwapping;
    if (waits && from.world.clock - t.begun >= setup_.most_wait) return;
  }
  Step step = begin(from, "half a millisecond passes");
  World& w = step.node.world;
  ++w.clock;
  if (setup_.expires_at != 0 && w.clock == setup_.expires_at) {
    add(step, ": value 1 expires");
    for (u8 key = 0; key < kKeys; ++key) {
      History::Operations pending{};
      pending_on(w, key, pending);
      step.node.history[key].vanishes(pending, 1);
    }
  }
  end(std::move(step));
}

// Another server on the same memory, nothing of which has been cleared: more than what happens,
// where new memory is full of zeroes. Requests under way have an unknown outcome.
void Protocol::restart(const Node& from) {
  if (from.world.epoch >= setup_.restarts) return;
  Step step = begin(from, "the server is started anew");
  World& w = step.node.world;
  for (u8 key = 0; key < kKeys; ++key) {
    History::Operations pending{};
    pending_on(w, key, pending);
    step.node.history[key].lost(pending);
    for (Slot& slot : w.slots[key]) slot = {kNone, 0};
  }
  ++w.epoch;
  w.floor = 0;
  w.server = {};
  for (Extent& extent : w.extents) {
    extent.state = State::kFree;
    extent.generation = extent.stamp = extent.pins = 0;
    extent.holder = kNone;
  }
  for (int thread = 0; thread < setup_.threads(); ++thread) {
    Thread& t = w.threads[thread];
    t.grant = kNone;
    t.grant_generation = 0;
    if (holds(Rule::kEpoch)) {
      for (Known& known : t.known) known = {kNone, 0, 0, 0, 0};
    }
    if (t.phase == Phase::kIdle) continue;
    if (op_of(w, thread).kind == Kind::kGet) {
      if (holds(Rule::kEpoch)) t.phase = Phase::kAsking;  // asked again
    } else {
      t.gone = Gone::kReconciled;  // and does nothing further
    }
  }
  end(std::move(step));
}

}  // namespace rdmakv::model
