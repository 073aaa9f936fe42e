// What clients do, and their READs, WRITEs and ATOMICs in the server's memory.
#include "tests/model/protocol.h"

namespace rdmakv::model {
namespace {

constexpr u8 kPromptTicks = 1;  // half of the quarantine
constexpr u8 kMostHops = 3;
constexpr u8 kAnyGeneration = 254;

const char* kind_name(Kind kind) {
  switch (kind) {
    case Kind::kGet:
      return "GET";
    case Kind::kPut:
      return "PUT";
    case Kind::kDelete:
      return "DEL";
    case Kind::kCas:
      return "CAS";
  }
  return "";
}

char key_name(u8 key) {
  return static_cast<char>('A' + key);
}

}  // namespace

void Protocol::client_steps(const Node& from, int thread) {
  const Thread& t = from.world.threads[thread];
  if (t.gone == Gone::kNo && (setup_.crashes >> thread & 1) != 0) die(from, thread);
  if (t.gone == Gone::kDead) {
    Step step = begin(from, "t%d's connection is destroyed", thread);
    step.node.world.threads[thread].gone = Gone::kDrained;
    end(std::move(step));
  }
  const bool under_way = t.gone == Gone::kNo || t.gone == Gone::kDead ||
                         (t.gone == Gone::kReconciled && !holds(Rule::kDrained));
  if (!under_way) return;
  if (t.phase == Phase::kSwapping) return swap_steps(from, thread);
  if (t.gone != Gone::kNo) return;
  switch (t.phase) {
    case Phase::kIdle:
      return invoke(from, thread);
    case Phase::kSlots:
      return read_slots(from, thread);
    case Phase::kReading:
      return read_entry(from, thread);
    case Phase::kSending:
      return receive_value(from, thread);
    default:
      return;  // the server's turn
  }
}

void Protocol::die(const Node& from, int thread) {
  const Thread& t = from.world.threads[thread];
  if (t.invoked == 0 && t.grant == kNone) return;
  Step step = begin(from, "t%d dies", thread);
  Thread& now = step.node.world.threads[thread];
  now.gone = Gone::kDead;
  if (now.phase != Phase::kSwapping && now.phase != Phase::kAsking) now.phase = Phase::kIdle;
  end(std::move(step));
}

const Known& Protocol::known_for_swap(const World& w, int thread) const {
  const Thread& t = w.threads[thread];
  const u8 key = op_of(w, thread).key;
  const bool told_apart = setup_.shared_hash == 0 || holds(Rule::kTableKnowsKey);
  const u8 other = static_cast<u8>(1 - key);
  // One place in the table for the hash: it may be the other key that has it.
  return told_apart || t.known[other].extent == kNone ? t.known[key] : t.known[other];
}

// SwapWriter::begin, as Session::send_swap lets it.
bool Protocol::may_swap(const World& w, int thread, u8 expected) const {
  const Thread& t = w.threads[thread];
  const Known& known = known_for_swap(w, thread);
  if (known.extent == kNone || known.cas == 0 || known.version != expected || expected == 0) {
    return false;
  }
  if (holds(Rule::kSwapAge) && w.clock - known.since >= setup_.most_age) return false;
  return t.grant != kNone;
}

// An operation begins with the first step that it takes in the server's memory, or at the server:
// to have begun earlier would only allow more answers. (But where expiry matters, the clock is read
// before.)
void Protocol::invoke(const Node& from, int thread) {
  const World& w = from.world;
  if (w.threads[thread].op >= setup_.programs[thread].size()) return;
  const Op& op = op_of(w, thread);
  const u8 expected = op.kind == Kind::kCas ? w.threads[thread].seen[op.key] : 0;
  const Known& known = w.threads[thread].known[op.key];
  for (const u8 way : {kCached, kIndexed, kAsked, kPinned, kSwapped}) {
    if ((op.ways & way) == 0) continue;
    const bool aged = holds(Rule::kLocationAge) && w.clock - known.since >= setup_.most_age;
    if (way == kCached && (known.extent == kNone || aged)) continue;
    if (way == kSwapped && !may_swap(w, thread, expected)) continue;
    if ((way == kAsked || way == kPinned) && w.server.stage != Stage::kIdle) continue;
    Step step = begin(from, "t%d begins %s %c%s", thread, kind_name(op.kind), key_name(op.key),
                      way == kCached    ? " by its location; "
                      : way == kIndexed ? " by the index; "
                      : way == kSwapped ? " by ATOMIC; "
                      : way == kPinned  ? " by request, sent in place; "
                                        : " by request; ");
    Thread& t = step.node.world.threads[thread];
    t.invoked = 1;
    t.expected = expected;
    if (setup_.expires_at != 0) t.clock = w.clock;
    if (way == kIndexed || setup_.most_wait < kForEver) t.begun = w.clock;
    if (way == kCached) {
      start_reading(t, known.extent, known.generation, false);
    } else if (way == kIndexed) {
      t.phase = Phase::kSlots;
    } else if (way == kSwapped) {
      const Known& old = known_for_swap(w, thread);
      t.phase = Phase::kSwapping;
      t.target = old.extent;
      t.generation = old.generation;
      t.built = body(step.node.world, op.key, static_cast<u8>(expected + 1), op.value,
                     t.grant_generation);
    } else {
      t.phase = Phase::kAsking;
      t.by_slot = way == kPinned;
    }
    if (setup_.expires_at != 0) {
      end(std::move(step));
    } else {
      first_steps(step, thread);
    }
  }
}

void Protocol::first_steps(const Step& begun, int thread) {
  const std::string before = std::move(prefix_);
  prefix_ = begun.name;
  switch (begun.node.world.threads[thread].phase) {
    case Phase::kSlots:
      read_slots(begun.node, thread);
      break;
    case Phase::kReading:
      read_entry(begun.node, thread);
      break;
    case Phase::kSwapping:
      swap_steps(begun.node, thread);
      break;
    case Phase::kAsking:
      take_request(begun.node, thread);
      break;
    default:
      break;
  }
  prefix_ = before;
}

// ---- GET by READ (DirectReader) ----------------------------------------------------------------

void Protocol::start_reading(Thread& t, u8 extent, u8 generation, bool by_slot) const {
  t.phase = Phase::kReading;
  t.target = extent;
  t.generation = generation;
  t.by_slot = by_slot;
  if (!by_slot && setup_.most_wait == kForEver) t.begun = 0;
  t.fetched = 0;
  t.first = {};
  std::memset(t.body, 0, sizeof(t.body));
}

void Protocol::read_slots(const Node& from, int thread) {
  const u8 index = index_of(op_of(from.world, thread).key);
  for (int place = 0; place < setup_.places; ++place) {
    if ((from.world.threads[thread].slots_fetched >> place & 1) != 0) continue;
    Step step = begin(from, "t%d READs slot %d", thread, place);
    Thread& t = step.node.world.threads[thread];
    t.slots[place] = from.world.slots[index][place];
    t.slots_fetched |= static_cast<u8>(1 << place);
    if (t.slots_fetched == (1 << setup_.places) - 1) next_candidate(step, thread);
    end(std::move(step));
  }
}

void Protocol::next_candidate(Step& step, int thread) {
  Thread& t = step.node.world.threads[thread];
  while (t.candidate < setup_.places && t.slots[t.candidate].extent == kNone) ++t.candidate;
  if (t.candidate < setup_.places) {
    const Slot slot = t.slots[t.candidate++];
    return start_reading(t, slot.extent, slot.low, true);
  }
  answer(step, thread, {0, 0});
  learn(step.node.world, thread, kNone, 0, 0, false);
  finish(step, thread);
}

// The READ's pieces come in any order. It is judged when the last is there.
void Protocol::read_entry(const Node& from, int thread) {
  const Thread& before = from.world.threads[thread];
  for (int piece = 0; piece <= setup_.words; ++piece) {
    if ((before.fetched >> piece & 1) != 0) continue;
    Step step = begin(from, "t%d READs word %d of extent %d", thread, piece, before.target);
    Thread& t = step.node.world.threads[thread];
    const Extent& extent = from.world.extents[t.target];
    if (piece == 0) {
      t.first = extent.first;
    } else {
      t.body[piece - 1] = extent.body[piece - 1];
    }
    t.fetched |= static_cast<u8>(1 << piece);
    if (t.fetched == (1 << (setup_.words + 1)) - 1) judge(step, thread);
    end(std::move(step));
  }
}

// Whether the checksum would be right under the generation in the first word.
bool Protocol::sound(const World& w, const Thread& t) const {
  if (holds(Rule::kChecksum)) {
    for (int i = 1; i < setup_.words; ++i) {
      if (t.body[i] != t.body[0]) return false;
    }
  }
  return t.body[0].version != 0 && t.body[0].seed == seed(w, t.first.generation);
}

// judge_entry(), and what DirectReader makes of it.
void Protocol::judge(Step& step, int thread) {
  const World& w = step.node.world;
  const Thread& t = w.threads[thread];
  const Op& op = op_of(w, thread);
  if (t.by_slot != 0 && holds(Rule::kPromptSlots) && w.clock - t.begun > kPromptTicks) {
    return detour(step, thread, "too late for what a slot says");
  }
  if (t.first.live == 0) {
    if (t.first.next == kNone) return detour(step, thread, "no entry");
    if (t.hops == kMostHops) return detour(step, thread, "too long a way");
    return follow(step, thread);
  }
  const u8 modulus = t.by_slot != 0 ? setup_.slot_modulus : setup_.modulus;
  if (holds(Rule::kGenerationBound) && t.generation != kAnyGeneration &&
      t.first.generation % modulus != t.generation % modulus) {
    return detour(step, thread, "another generation");
  }
  if (!sound(w, t)) return detour(step, thread, "torn");
  if (t.body[0].key != op.key) {
    if (t.by_slot != 0) return next_candidate(step, thread);
    return detour(step, thread, "another key");
  }
  if (setup_.expires_at != 0 && t.body[0].value == 1) {
    const int clock = holds(Rule::kServersClock) ? t.clock : t.clock - 1;
    if (!holds(Rule::kServerSaysExpired) && clock + 1 >= setup_.expires_at) {
      answer(step, thread, {0, 0});  // by a clock that is fast
      return finish(step, thread);
    }
    if (clock >= setup_.expires_at) return detour(step, thread, "may have expired");
  }
  const Body found = t.body[0];
  answer(step, thread, {found.version, t.body[setup_.words - 1].value});
  learn(step.node.world, thread, t.target, t.first.generation, found.version, t.first.cas != 0);
  finish(step, thread);
}

void Protocol::follow(Step& step, int thread) {
  Thread& t = step.node.world.threads[thread];
  add(step, ": superseded by extent " + std::to_string(t.first.next));
  ++t.hops;
  const u8 generation = holds(Rule::kDeadNamesGeneration) ? t.first.generation : kAnyGeneration;
  start_reading(t, t.first.next, generation, false);
}

void Protocol::detour(Step& step, int thread, const char* why) {
  add(step, std::string(": ") + why + ", asks the server");
  Thread& t = step.node.world.threads[thread];
  t.phase = Phase::kAsking;
  t.target = t.generation = t.by_slot = t.hops = t.begun = t.fetched = 0;
  t.first = {};
  std::memset(t.body, 0, sizeof(t.body));
  std::memset(t.slots, 0, sizeof(t.slots));
  t.slots_fetched = t.candidate = 0;
}

// A value that the server sends from where it lies.
void Protocol::receive_value(const Node& from, int thread) {
  for (int piece = 0; piece < setup_.words; ++piece) {
    const Thread& before = from.world.threads[thread];
    if ((before.fetched >> piece & 1) != 0) continue;
    Step step = begin(from, "word %d of extent %d is sent to t%d", piece, before.target, thread);
    World& w = step.node.world;
    Thread& t = w.threads[thread];
    t.body[piece] = w.extents[t.target].body[piece];
    t.fetched |= static_cast<u8>(1 << piece);
    if (t.fetched == (1 << setup_.words) - 1) {
      w.extents[t.target].pins &= static_cast<u8>(~(1 << thread));
      const Body found = t.body[0];
      for (int i = 1; i < setup_.words; ++i) {
        if (t.body[i].value != found.value) step.node.wrong = "a torn value was sent";
      }
      answer(step, thread, {found.version, found.value});
      finish(step, thread);
    }
    end(std::move(step));
  }
}

// ---- CAS by WRITE and ATOMIC (SwapWriter) -------------------------------------------------------

void Protocol::swap_steps(const Node& from, int thread) {
  const Thread& t = from.world.threads[thread];
  const bool written = t.landed == words_of_write();
  if (!written) land_word(from, thread);
  if (t.adapter == 2) {  // the ATOMIC is done; the WRITE was late
    if (written) {
      Step step = begin(from, "t%d's late WRITE has ended", thread);
      swapped(step, thread);
      end(std::move(step));
    }
    return;
  }
  if (written || !holds(Rule::kWriteBeforeSwap)) atomic(from, thread);
}

void Protocol::land_word(const Node& from, int thread) {
  Step step =
      begin(from, "t%d's WRITE lands in extent %d", thread, from.world.threads[thread].grant);
  World& w = step.node.world;
  Thread& t = w.threads[thread];
  Extent& extent = w.extents[t.grant];
  const int rest = holds(Rule::kRestOnly) ? t.landed : t.landed - 1;  // -1: the first word
  if (rest < 0) extent.first = {1, 1, t.grant_generation, kNone};
  if (rest >= 0) extent.body[rest] = t.built;
  if (setup_.words == 1) extent.body[0] = t.built;  // at once
  t.landed = static_cast<u8>(setup_.words == 1 ? words_of_write() : t.landed + 1);
  end(std::move(step));
}

// In one step, or in two where the adapter is atomic only among its own.
void Protocol::atomic(const Node& from, int thread) {
  const Thread& before = from.world.threads[thread];
  if (setup_.two_step_atomics != 0 && before.adapter == 0) {
    if (from.world.adapter != kNone) return;
    Step step = begin(from, "t%d's ATOMIC reads extent %d", thread, before.target);
    World& w = step.node.world;
    w.adapter = static_cast<u8>(thread);
    w.threads[thread].adapter = 1;
    w.threads[thread].found = w.extents[before.target].first;
    return end(std::move(step));
  }
  Step step = begin(from, "t%d's ATOMIC on extent %d", thread, before.target);
  World& w = step.node.world;
  Thread& t = w.threads[thread];
  if (setup_.two_step_atomics != 0) {
    w.adapter = kNone;
  } else {
    t.found = w.extents[t.target].first;
  }
  const FirstWord& found = t.found;
  const bool wins = found.live != 0 && found.cas != 0 && found.next == kNone &&
                    same_generation(found.generation, t.generation);
  if (wins) {
    w.extents[t.target].first = {0, 1, t.grant_generation, t.grant};
  } else {
    w.extents[t.target].first = found;
  }
  t.found.live = wins;
  add(step, wins ? " wins" : " loses");
  t.adapter = 2;
  if (t.landed == words_of_write()) swapped(step, thread);
  end(std::move(step));
}

// SwapWriter::on_swapped(). A client that is gone hears nothing of it.
void Protocol::swapped(Step& step, int thread) {
  World& w = step.node.world;
  Thread& t = w.threads[thread];
  if (t.gone != Gone::kNo) {
    t.phase = Phase::kAsking;  // nothing more comes of it
    t.landed = t.adapter = 0;
    return;
  }
  if (t.found.live == 0) {
    t.landed = t.adapter = 0;
    t.found = {};
    t.built = {};
    return detour(step, thread, "lost");
  }
  const u8 version = t.built.version;
  answer(step, thread, {version, kDone});
  learn(w, thread, t.grant, t.grant_generation, version, true);
  t.grant = kNone;
  t.grant_generation = 0;
  finish(step, thread);
}

}  // namespace rdmakv::model
