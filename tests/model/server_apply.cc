// Partition::apply(), step by step, and the reply behind it.
#include <algorithm>

#include "tests/model/protocol.h"

namespace rdmakv::model {
namespace {

// L: the new entry is live (Step::kLive). D: the old one is dead (Step::kDead). F: the slot is set
// (Step::kFlipped). R: the reply. The steps in one string of capitals with no observer between them
// are one step of the model: the reply leaves with the flip.
const char* order_of(const Setup& setup) {
  if (!setup.holds(Rule::kDead)) return "LFR";
  if (!setup.holds(Rule::kDeadBeforeFlip)) return "LFDR";
  if (!setup.holds(Rule::kDeadBeforeReply)) return "LRDF";
  if (!setup.holds(Rule::kFlipBeforeReply)) return "LDRF";
  return "LDFR";
}

}  // namespace

void Protocol::apply(const Node& from) {
  const Server& before = from.world.server;
  const char* const order = order_of(setup_);
  if (before.fresh != kNone && before.fresh == before.old) {  // changed in place: all is done
    Step step = begin(from, "the server replies");
    return reply(step);
  }
  const char which = order[before.step];
  if (which == 'R') {
    Step step = begin(from, "the server replies");
    ++step.node.world.server.step;
    return reply(step);
  }
  Step step = begin(from, which == 'L'   ? "the new entry is made live"
                          : which == 'D' ? "the old entry is made dead"
                                         : "the slot is set");
  Server& s = step.node.world.server;
  ++s.step;
  if (which == 'L' && !make_live(step)) return;
  if (which == 'D' && !make_dead(step)) return;
  if (which == 'F') {
    flip(step);
    if (order[s.step] == 'R') {
      ++s.step;
      return reply(step);
    }
    if (order[s.step] == '\0') s = {};
  }
  end(std::move(step));
}

// False: not now, the adapter is busy.
bool Protocol::make_live(Step& step) {
  World& w = step.node.world;
  const Server& s = w.server;
  if (s.fresh == kNone) return true;
  const bool pool = setup_.in_pool(s.fresh);
  if (!pool && holds(Rule::kLiveByAtomic) && adapter_busy(w)) return false;
  w.extents[s.fresh].first = {1, !pool, s.generation, kNone};
  return true;
}

// False: not now, the adapter is busy.
bool Protocol::make_dead(Step& step) {
  World& w = step.node.world;
  Server& s = w.server;
  if (s.old == kNone) return true;
  FirstWord& word = w.extents[s.old].first;
  const FirstWord dead = s.fresh == kNone ? FirstWord{0, s.old_cas, 0, kNone}
                                          : FirstWord{0, s.old_cas, s.generation, s.fresh};
  if (s.old_cas == 0 || !holds(Rule::kAtomicsOnly)) {
    if (s.old_cas == 0) will_repeat(w, word.generation);
    word = dead;
    return true;
  }
  if (adapter_busy(w)) return false;
  if (word.live != 0) {
    word = dead;
  } else {
    lose_to_client(step);
  }
  return true;
}

// A client was first: nothing has changed, look again.
void Protocol::lose_to_client(Step& step) {
  World& w = step.node.world;
  Server& s = w.server;
  add(step, ": no, a client was first");
  if (!holds(Rule::kRebuilt)) {  // try again with what there is
    const u8 tail = walk(w, s.key);
    s.old = tail;
    s.step = 1;
    return;
  }
  if (s.fresh != kNone && setup_.in_pool(s.fresh)) w.extents[s.fresh].first = {0, 0, 0, kNone};
  if (s.thread == kNone) {
    retire(w, s.fresh);
    s = {};
  } else {
    s.stage = Stage::kLook;
    s.built = s.step = 0;
  }
}

// Partition::flip() and flip_cas().
void Protocol::flip(Step& step) {
  World& w = step.node.world;
  const Server& s = w.server;
  if (s.fresh == kNone) {
    if (holds(Rule::kVersionFloor)) w.floor = std::max(w.floor, s.old_version);
    set_slot(w, s.key, s.place, kNone);
    return retire(w, s.old);
  }
  w.extents[s.fresh].state = State::kLinked;
  if (s.old_cas != 0 && !setup_.in_pool(s.fresh)) {
    walk_from(w, s.key, s.place, s.fresh, s.old);
  } else {
    Slot& slot = w.slots[index_of(s.key)][s.place];
    slot = {s.fresh, static_cast<u8>(s.generation % setup_.slot_modulus)};
    if (s.old != kNone) retire(w, s.old);
  }
}

// Perhaps it is lost on the way. Ends the step.
void Protocol::reply(Step& step) {
  World& w = step.node.world;
  Server& s = w.server;
  const u8 thread = s.thread;
  const bool more = s.step < std::strlen(order_of(setup_)) && s.fresh != s.old;
  const Server told = s;
  if (!more) s = {};
  if (thread == kNone) return end(std::move(step));
  if (w.threads[thread].gone != Gone::kNo) {
    w.threads[thread].phase = Phase::kIdle;
    return end(std::move(step));
  }
  if (told.kind == Kind::kPut && w.lost_replies < setup_.lost_replies) {
    Step lost = step;
    Thread& t = lost.node.world.threads[thread];
    ++lost.node.world.lost_replies;
    add(lost, ", which is lost");
    if (holds(Rule::kNoRepeat)) t.gone = Gone::kReconciled;  // its outcome is unknown
    end(std::move(lost));
  }
  if (told.kind == Kind::kDelete) {
    answer(step, thread, {0, kDone});
    learn(w, thread, kNone, 0, 0, false);
  } else {
    answer(step, thread, {told.version, kDone});
    learn(w, thread, told.fresh, told.generation, told.version, !setup_.in_pool(told.fresh));
  }
  finish(step, thread);
  end(std::move(step));
}

}  // namespace rdmakv::model
