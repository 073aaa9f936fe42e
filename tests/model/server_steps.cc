// What the server does outside apply(): takes requests, looks keys up, builds entries, and the rest
// of what Partition and CasPool do by themselves.
#include <algorithm>

#include "tests/model/protocol.h"

namespace rdmakv::model {
namespace {

constexpr u8 kQuarantineTicks = 2;

}  // namespace

void Protocol::server_steps(const Node& from) {
  switch (from.world.server.stage) {
    case Stage::kIdle:
      for (int thread = 0; thread < setup_.threads(); ++thread) take_request(from, thread);
      return maintenance(from);
    case Stage::kLook: {
      Step step =
          begin(from, "the server looks key %c up", static_cast<char>('A' + from.world.server.key));
      return look(step);
    }
    case Stage::kBuild: {
      Step step = begin(from, "the server builds");
      return build(step);
    }
    case Stage::kApply:
      return apply(from);
  }
}

// ---- extents (Slab, CasPool) -------------------------------------------------------------------

// Partition::begin_batch().
void Protocol::begin_batch(World& w) const {
  w.server.tick = w.clock;
  end_quarantines(w, w.clock);
}

// What was freed since the last reading of the clock is stamped by this one; what was stamped 1 ms
// ago or earlier is free.
void Protocol::end_quarantines(World& w, u8 tick) const {
  for (int e = 0; e < setup_.extents(); ++e) {
    Extent& extent = w.extents[e];
    if (extent.state == State::kFreed && (extent.pins == 0 || !holds(Rule::kPin))) {
      extent.state = holds(Rule::kQuarantine) ? State::kQuarantined : State::kFree;
      extent.stamp = tick;
    } else if (extent.state == State::kQuarantined && tick - extent.stamp >= kQuarantineTicks) {
      extent.state = State::kFree;
    }
    if (extent.state == State::kFree) extent.stamp = 0;
  }
}

// GenerationClock: the millisecond, and what was skipped.
u8 Protocol::clock_generation(const World& w) const {
  if (!holds(Rule::kGenerationRises)) return 0;
  return static_cast<u8>((w.server.tick / 2 + w.skipped) % setup_.modulus);
}

void Protocol::read_generation(World& w) const {
  while ((w.to_skip >> clock_generation(w) & 1) != 0) {
    w.to_skip &= static_cast<u8>(~(1 << clock_generation(w)));
    ++w.skipped;
  }
}

// An entry of this generation is dead. When the generation comes again while locations of the entry
// may be in use, nothing must be built under it.
void Protocol::will_repeat(World& w, u8 generation) const {
  if (setup_.most_age == kForEver || !holds(Rule::kRepeatsSkipped)) return;
  const int distance = (generation + setup_.modulus - clock_generation(w)) % setup_.modulus;
  const int horizon = (setup_.most_age + setup_.most_wait + 1) / 2;
  if (distance > 0 && distance <= horizon) w.to_skip |= static_cast<u8>(1 << generation);
}

void Protocol::leave_holder(World& w, u8 extent) const {
  if (holds(Rule::kOffTheList)) w.extents[extent].holder = kNone;
}

void Protocol::retire(World& w, u8 extent) const {
  w.extents[extent].state = State::kFreed;
  leave_holder(w, extent);
}

// For the entry that the server builds; kNone: there is none.
u8 Protocol::take_extent(World& w) const {
  const Server& s = w.server;
  const bool relocation = s.thread == kNone;
  const bool cas_class = !relocation && s.old != kNone && (s.old_cas != 0 || s.kind == Kind::kCas);
  const auto take = [&](int first, int count) -> u8 {
    for (int e = first; e < first + count; ++e) {
      Extent& extent = w.extents[e];
      if (extent.state != State::kFree) continue;
      extent.state = State::kBuilding;
      const bool pool = setup_.in_pool(static_cast<u8>(e));
      if (pool) extent.first = {0, 0, 0, kNone};  // prepare_entry()
      if (!pool && holds(Rule::kGenerationRises)) {
        extent.generation = static_cast<u8>((extent.generation + 1) % setup_.modulus);
      }
      return static_cast<u8>(e);
    }
    return kNone;
  };
  if (cas_class) {
    if (const u8 extent = take(setup_.pool, setup_.cas); extent != kNone) return extent;
  }
  return take(0, setup_.pool);
}

// ---- the index and the walk
// ----------------------------------------------------------------------

u8 Protocol::place_of(const World& w, u8 key) const {
  for (u8 place = 0; place < setup_.places; ++place) {
    const u8 extent = w.slots[index_of(key)][place].extent;
    if (extent != kNone && w.extents[extent].body[0].key == key) return place;
  }
  return kNone;
}

u8 Protocol::vacancy(const World& w, u8 key) const {
  for (u8 place = 0; place < setup_.places; ++place) {
    if (w.slots[index_of(key)][place].extent == kNone) return place;
  }
  return kNone;
}

void Protocol::set_slot(World& w, u8 key, u8 place, u8 extent) const {
  Slot& slot = w.slots[index_of(key)][place];
  slot =
      extent == kNone
          ? Slot{kNone, 0}
          : Slot{extent, static_cast<u8>(w.extents[extent].first.generation % setup_.slot_modulus)};
}

// Partition::look_at(): the key's live entry; kNone: there is none.
u8 Protocol::walk(World& w, u8 key) const {
  const u8 place = place_of(w, key);
  if (place == kNone) return kNone;
  const u8 extent = w.slots[index_of(key)][place].extent;
  return setup_.in_pool(extent) ? extent : walk_from(w, key, place, extent, kNone);
}

// Partition::walk() and arrive(). One step: what is dead stays as it is, so the walk is as if it
// took place when its last word is read; and the slot may be set then, since whoever still reads
// its old value is led on.
u8 Protocol::walk_from(World& w, u8 key, u8 place, u8 extent, u8 passed) const {
  u8 retired[kMostExtents];
  int count = 0;
  if (passed != kNone) retired[count++] = passed;
  while (w.extents[extent].first.live == 0) {
    const FirstWord word = w.extents[extent].first;
    const Body before = w.extents[extent].body[0];
    retired[count++] = extent;
    const bool granted = word.next != kNone && setup_.in_grants(word.next) &&
                         w.extents[word.next].state == State::kGranted &&
                         same_generation(w.extents[word.next].generation, word.generation);
    bool sound = granted && count < kMostExtents;
    for (int i = 0; sound && i < setup_.words; ++i) {
      const Body expected = body(w, before.key, static_cast<u8>(before.version + 1),
                                 w.extents[word.next].body[0].value, word.generation);
      sound = w.extents[word.next].body[i] == expected;
    }
    if (!sound) {
      w.lost_key = 1;
      return kNone;
    }
    extent = word.next;
  }
  if (w.extents[extent].state == State::kGranted) {
    w.extents[extent].state = State::kLinked;
    leave_holder(w, extent);
  }
  if (count > 0) set_slot(w, key, place, extent);
  for (int i = 0; i < count; ++i) retire(w, retired[i]);
  return extent;
}

// ---- requests
// -------------------------------------------------------------------------------------

void Protocol::take_request(const Node& from, int thread) {
  const Thread& t = from.world.threads[thread];
  if (t.phase != Phase::kAsking || t.gone > Gone::kDead) return;
  if (t.gone == Gone::kDead && op_of(from.world, thread).kind == Kind::kGet) return;
  if (t.gone == Gone::kDead && (op_of(from.world, thread).ways & kSwapped) != 0) return;
  Step step = begin(from, "the server takes t%d's request", thread);
  Server& s = step.node.world.server;
  begin_batch(step.node.world);
  s.stage = Stage::kLook;
  s.thread = static_cast<u8>(thread);
  s.kind = op_of(from.world, thread).kind;
  s.key = op_of(from.world, thread).key;
  s.value = op_of(from.world, thread).value;
  s.old = s.fresh = kNone;
  if (setup_.expires_at != 0) return end(std::move(step));
  look(step);
}

// Partition::look_up() and what is judged by it. An expired entry is removed. Ends the step.
void Protocol::look(Step& step) {
  World& w = step.node.world;
  Server& s = w.server;
  u8 tail = walk(w, s.key);
  if (tail != kNone && setup_.expires_at != 0 && w.extents[tail].body[0].value == 1 &&
      s.tick >= setup_.expires_at) {
    add(step, ": expired, removed");
    w.extents[tail].first = {0, 0, 0, kNone};
    w.floor = std::max(w.floor, w.extents[tail].body[0].version);
    set_slot(w, s.key, place_of(w, s.key), kNone);
    retire(w, tail);
    tail = kNone;
  }
  s.step = s.built = 0;
  s.old = tail;
  s.old_cas = tail != kNone && !setup_.in_pool(tail);
  s.old_version = tail == kNone ? 0 : w.extents[tail].body[0].version;
  s.place = tail == kNone ? vacancy(w, s.key) : place_of(w, s.key);
  if (!judge_request(step, tail)) {
    if (s.fresh != kNone) retire(w, s.fresh);  // discard()
    s = {};
    return end(std::move(step));
  }
  s.version = static_cast<u8>((tail == kNone ? w.floor : s.old_version) + 1);
  s.stage = s.kind == Kind::kDelete ? Stage::kApply : Stage::kBuild;
  if (s.stage == Stage::kApply) {
    s.step = 1;  // nothing to make live
    return end(std::move(step));
  }
  build(step);
}

// False: it is answered; nothing changes.
bool Protocol::judge_request(Step& step, u8 tail) {
  World& w = step.node.world;
  const int thread = w.server.thread;
  const u8 version = w.server.old_version;
  Thread& t = w.threads[thread];
  switch (w.server.kind) {
    case Kind::kGet:
      answer_get(step, tail);
      return false;
    case Kind::kCas:
      if (version == t.expected) return true;
      break;
    case Kind::kDelete:
      if (tail != kNone) return true;
      break;
    case Kind::kPut:
      return true;
  }
  if (t.gone == Gone::kNo) {
    answer(step, thread, {w.server.kind == Kind::kDelete ? u8{0} : version, kFailed});
    const FirstWord first = tail == kNone ? FirstWord{} : w.extents[tail].first;
    learn(w, thread, tail, first.generation, version, w.server.old_cas != 0);
    finish(step, thread);
  } else {
    t.phase = Phase::kIdle;
  }
  return false;
}

void Protocol::answer_get(Step& step, u8 tail) {
  World& w = step.node.world;
  const int thread = w.server.thread;
  Thread& t = w.threads[thread];
  if (tail == kNone) {
    answer(step, thread, {0, 0});
    learn(w, thread, kNone, 0, 0, false);
    return finish(step, thread);
  }
  Extent& extent = w.extents[tail];
  if (t.by_slot != 0 && setup_.in_pool(tail)) {  // kPinned
    extent.pins |= static_cast<u8>(1 << thread);
    t.phase = Phase::kSending;
    t.target = tail;
    return;
  }
  answer(step, thread, {extent.body[0].version, extent.body[0].value});
  learn(w, thread, tail, extent.first.generation, extent.body[0].version, w.server.old_cas != 0);
  finish(step, thread);
}

// Partition::store(): an extent, then the entry in it, word by word; one of a single word is made
// live at once (nobody has a pointer to it). Ends the step.
void Protocol::build(Step& step) {
  World& w = step.node.world;
  Server& s = w.server;
  if (s.fresh == kNone) {
    if (!holds(Rule::kImmutable) && s.old != kNone) {
      s.fresh = s.old;
    } else {
      s.fresh = take_extent(w);
    }
    if (s.fresh == kNone) {  // Partition::allocate() looks at the clock again
      end_quarantines(w, w.clock);
      s.tick = w.clock;
      s.fresh = take_extent(w);
      if (s.fresh == kNone) return end(std::move(step));  // until time has passed
    }
  }
  Extent& fresh = w.extents[s.fresh];
  if (setup_.in_pool(s.fresh)) {
    read_generation(w);
    s.generation = clock_generation(w);
  } else {
    s.generation = fresh.generation;
  }
  if (s.fresh == s.old) s.generation = fresh.first.generation;
  add(step, ", builds word " + std::to_string(s.built) + " in extent " + std::to_string(s.fresh) +
                " under generation " + std::to_string(s.generation));
  fresh.body[s.built++] = body(w, s.key, s.version, s.value, s.generation);
  if (s.built == setup_.words) {
    s.stage = Stage::kApply;
    s.step = 0;
    if (setup_.words == 1 && s.fresh != s.old && make_live(step)) s.step = 1;
  }
  end(std::move(step));
}

// ---- by itself
// -----------------------------------------------------------------------------------

void Protocol::maintenance(const Node& from) {
  for (int thread = 0; thread < setup_.threads(); ++thread) {
    grant(from, thread);
    reconcile(from, thread);
  }
  for (u8 key = 0; key < kKeys; ++key) {
    walk_by_itself(from, key);
    relocate(from, key);
    if (!holds(Rule::kSlotsStay)) move_slot(from, key);
  }
}

void Protocol::grant(const Node& from, int thread) {
  const Thread& t = from.world.threads[thread];
  if (t.gone != Gone::kNo || t.grant != kNone) return;
  bool wants = false;
  for (size_t i = t.op; i < setup_.programs[thread].size(); ++i) {
    wants |= (setup_.programs[thread][i].ways & kSwapped) != 0;
  }
  if (!wants || (holds(Rule::kLiveByAtomic) && adapter_busy(from.world))) return;
  Step step = begin(from, "the server grants t%d", thread);
  World& w = step.node.world;
  begin_batch(w);
  w.server = {};
  for (int e = setup_.pool + setup_.cas; e < setup_.extents(); ++e) {
    Extent& extent = w.extents[e];
    if (extent.state != State::kFree) continue;
    extent.state = State::kGranted;
    extent.holder = static_cast<u8>(thread);
    if (holds(Rule::kGenerationRises)) {
      extent.generation = static_cast<u8>((extent.generation + 1) % setup_.modulus);
    }
    extent.first = first_of_grant(extent.generation);
    w.threads[thread].grant = static_cast<u8>(e);
    w.threads[thread].grant_generation = extent.generation;
    add(step, " extent " + std::to_string(e));
    return end(std::move(step));
  }
}

// Somebody looks the key up, or a client's hint has come (Partition::see()).
void Protocol::walk_by_itself(const Node& from, u8 key) {
  const u8 place = place_of(from.world, key);
  if (place == kNone) return;
  const u8 extent = from.world.slots[index_of(key)][place].extent;
  if (setup_.in_pool(extent) || from.world.extents[extent].first.live != 0) return;
  Step step = begin(from, "the server walks from key %c's slot", static_cast<char>('A' + key));
  World& w = step.node.world;
  if (holds(Rule::kHintsFreeNothing)) {
    begin_batch(w);
    w.server = {};
    walk(w, key);
  } else if (w.extents[extent].state == State::kLinked) {
    add(step, ", or rather frees what it heard was passed");
    retire(w, extent);
  } else {
    return;
  }
  end(std::move(step));
}

// Partition::relocate_oldest(): to the pool, in the same version.
void Protocol::relocate(const Node& from, u8 key) {
  if (from.world.relocations >= setup_.relocations) return;
  const u8 place = place_of(from.world, key);
  if (place == kNone || setup_.in_pool(from.world.slots[index_of(key)][place].extent)) return;
  Step step = begin(from, "the server relocates key %c", static_cast<char>('A' + key));
  World& w = step.node.world;
  begin_batch(w);
  ++w.relocations;
  const u8 tail = walk(w, key);
  if (tail == kNone) return end(std::move(step));
  Server& s = w.server;
  const u8 tick = s.tick;
  s = {};
  s.tick = tick;
  s.stage = Stage::kBuild;
  s.thread = kNone;
  s.kind = Kind::kPut;
  s.key = key;
  s.old = tail;
  s.old_cas = 1;
  s.old_version = s.version = w.extents[tail].body[0].version;
  s.value = w.extents[tail].body[0].value;
  s.place = place;
  s.fresh = take_extent(w);
  if (s.fresh != kNone) build(step);
}

// Partition::reconcile(): when the Connection, and its Endpoint before, are gone.
void Protocol::reconcile(const Node& from, int thread) {
  const Gone gone = from.world.threads[thread].gone;
  if (gone != Gone::kDrained && (gone != Gone::kDead || holds(Rule::kDrained))) return;
  Step step = begin(from, "the server reconciles what t%d held", thread);
  World& w = step.node.world;
  begin_batch(w);
  w.server = {};
  for (int e = 0; e < setup_.extents(); ++e) {
    Extent& extent = w.extents[e];
    if (extent.holder != thread) continue;
    const u8 key = extent.body[0].key;
    if (holds(Rule::kWalkBeforeFree) && extent.state == State::kGranted && key < kKeys) {
      walk(w, key);
    }
    const bool granted = extent.state == State::kGranted;
    if (extent.holder == thread && (granted || !holds(Rule::kOffTheList))) {
      extent.holder = kNone;
      retire(w, static_cast<u8>(e));
    }
  }
  w.threads[thread].gone = Gone::kReconciled;
  end(std::move(step));
}

void Protocol::move_slot(const Node& from, u8 key) {
  const u8 place = place_of(from.world, key);
  const u8 to = vacancy(from.world, key);
  if (place == kNone || to == kNone) return;
  Step step = begin(from, "the server moves key %c's slot", static_cast<char>('A' + key));
  Slot(&slots)[kMostPlaces] = step.node.world.slots[index_of(key)];
  slots[to] = slots[place];
  slots[place] = {kNone, 0};
  end(std::move(step));
}

}  // namespace rdmakv::model
