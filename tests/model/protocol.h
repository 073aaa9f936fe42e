// The steps of the protocol: from a Node, every Node that one step of a client, of the network, of
// the server or of time leads to.
#pragma once

#include <functional>
#include <string>

#include "tests/model/history.h"
#include "tests/model/world.h"

namespace rdmakv::model {

struct Node {
  World world;
  History history[kKeys];
  // Null, or what has gone wrong.
  const char* wrong = nullptr;
};

class Protocol {
 public:
  // `name` says what the step was; empty unless names are wanted.
  using Visit = std::function<void(Node&&, std::string&& name)>;

  explicit Protocol(Setup setup) : setup_(std::move(setup)) {}

  Node first() const;
  void successors(const Node& from, bool names, const Visit& visit);
  // What must hold in a Node without successors; null, or what is wrong.
  const char* wrong_at_the_end(const Node& node) const;

  const Setup& setup() const { return setup_; }

 private:
  // One step being made: the Node that it leads to.
  struct Step {
    Node node;
    std::string name;
  };
  Step begin(const Node& from, const char* format, ...) __attribute__((format(printf, 3, 4)));
  static void add(Step& step, const std::string& text) {
    if (!step.name.empty()) step.name += text;
  }
  void end(Step&& step);

  // ---- common (protocol.cc)
  bool holds(Rule rule) const { return setup_.holds(rule); }
  bool same_generation(u8 a, u8 b) const { return a % setup_.modulus == b % setup_.modulus; }
  u8 seed(const World& w, u8 generation) const;
  Body body(const World& w, u8 key, u8 version, u8 value, u8 generation) const;
  u8 index_of(u8 key) const { return setup_.shared_slots != 0 ? 0 : key; }
  const Op& op_of(const World& w, int thread) const {
    return setup_.programs[thread][w.threads[thread].op];
  }
  void answer(Step& step, int thread, Result result);
  void finish(Step& step, int thread);
  void learn(World& w, int thread, u8 extent, u8 generation, u8 version, bool cas) const;
  void forget_unused(World& w, int thread) const;
  void pending_on(const World& w, u8 key, History::Operations& operations) const;
  void time_passes(const Node& from);
  void restart(const Node& from);

  // ---- clients (client_steps.cc)
  void client_steps(const Node& from, int thread);
  void invoke(const Node& from, int thread);
  void first_steps(const Step& begun, int thread);
  bool may_swap(const World& w, int thread, u8 expected) const;
  const Known& known_for_swap(const World& w, int thread) const;
  void read_slots(const Node& from, int thread);
  void next_candidate(Step& step, int thread);
  void read_entry(const Node& from, int thread);
  void judge(Step& step, int thread);
  void start_reading(Thread& t, u8 extent, u8 generation, bool by_slot) const;
  void follow(Step& step, int thread);
  void detour(Step& step, int thread, const char* why);
  bool sound(const World& w, const Thread& t) const;
  void receive_value(const Node& from, int thread);
  void swap_steps(const Node& from, int thread);
  void land_word(const Node& from, int thread);
  void atomic(const Node& from, int thread);
  void swapped(Step& step, int thread);
  void die(const Node& from, int thread);
  u8 words_of_write() const {
    return static_cast<u8>(setup_.words + (holds(Rule::kRestOnly) ? 0 : 1));
  }
  FirstWord first_of_grant(u8 generation) const {
    return holds(Rule::kRestOnly) ? FirstWord{1, 1, generation, kNone} : FirstWord{0, 0, 0, kNone};
  }
  // Whether the server's own ATOMIC has to wait for a client's.
  bool adapter_busy(const World& w) const {
    return setup_.two_step_atomics != 0 && w.adapter != kNone;
  }

  // ---- the server (server_steps.cc, server_apply.cc)
  void server_steps(const Node& from);
  void begin_batch(World& w) const;
  void end_quarantines(World& w, u8 tick) const;
  void take_request(const Node& from, int thread);
  void look(Step& step);
  bool judge_request(Step& step, u8 tail);
  void answer_get(Step& step, u8 tail);
  void build(Step& step);
  u8 clock_generation(const World& w) const;
  void read_generation(World& w) const;
  void will_repeat(World& w, u8 generation) const;
  u8 take_extent(World& w) const;
  void apply(const Node& from);
  bool make_live(Step& step);
  bool make_dead(Step& step);
  void lose_to_client(Step& step);
  void flip(Step& step);
  void reply(Step& step);
  void maintenance(const Node& from);
  void grant(const Node& from, int thread);
  void walk_by_itself(const Node& from, u8 key);
  void free_by_hint(const Node& from, int thread);
  void relocate(const Node& from, u8 key);
  void reconcile(const Node& from, int thread);
  void move_slot(const Node& from, u8 key);
  u8 place_of(const World& w, u8 key) const;
  u8 vacancy(const World& w, u8 key) const;
  u8 walk(World& w, u8 key) const;
  u8 walk_from(World& w, u8 key, u8 place, u8 extent, u8 passed) const;
  void retire(World& w, u8 extent) const;
  void leave_holder(World& w, u8 extent) const;
  void set_slot(World& w, u8 key, u8 place, u8 extent) const;

  Setup setup_;
  const Visit* visit_ = nullptr;
  bool names_ = false;
  std::string prefix_;  // of names
};

}  // namespace rdmakv::model
