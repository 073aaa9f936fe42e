#include "tests/linearizability/versioned_register.h"

namespace rdmakv::linearizability {

bool RegisterState::covers(const RegisterState& other) const {
  if (live != other.live) return false;
  if (!live) return version <= other.version;
  if (value != other.value || deadline != other.deadline ||
      deadline_known != other.deadline_known) {
    return false;
  }
  return exact ? other.exact && version == other.version : version <= other.version;
}

namespace {

Step write_step(const Record& record, Step step) {
  const bool cas = record.kind == Kind::kCas;
  if (record.version_out == 0) {
    // An entry whose deadline has passed is not stored; what was there is gone.
    if (record.deadline_ns == 0 || record.deadline_ns > record.return_ns) return step;
    step.action = cas ? Action::kDiscardAt : Action::kDiscard;
  } else {
    if (cas && record.version_in != 0 && record.version_out != record.version_in + 1) return step;
    step.action = cas ? Action::kWriteAt : Action::kWrite;
  }
  return step;
}

Step expire_step(const Record& record, Step step) {
  if (record.version_in == 0) return step;
  if (record.version_out == 0) {
    if (record.deadline_ns != 0 && record.deadline_ns <= record.return_ns) {
      step.action = Action::kDiscardAt;
    }
  } else if (record.version_out == record.version_in) {
    step.action = Action::kReadVersion;
  } else if (record.version_out == record.version_in + 1) {
    step.action = Action::kRedateAt;
  }
  return step;
}

}  // namespace

Step step_of(const Record& record) {
  Step step;
  step.invoke_ns = record.invoke_ns;
  step.return_ns = record.return_ns;
  step.value = record.value;
  step.version = record.version_out;
  step.expected = record.version_in;
  step.deadline = record.deadline_ns;
  switch (record.outcome) {
    case Outcome::kOk:
      if (is_write(record)) return write_step(record, step);
      if (record.kind == Kind::kExpire) return expire_step(record, step);
      if (record.kind == Kind::kDelete) step.action = Action::kRemove;
      if (record.kind == Kind::kRestart) step.action = Action::kRestart;
      if (record.kind == Kind::kGet && record.version_out != 0) step.action = Action::kReadValue;
      break;
    case Outcome::kAbsent:
      if (record.kind == Kind::kGet || record.kind == Kind::kDelete ||
          record.kind == Kind::kExpire) {
        step.action = Action::kReadAbsent;
      }
      break;
    case Outcome::kLost:
      if (record.kind != Kind::kCas && record.kind != Kind::kExpire) break;
      if (record.version_out == record.version_in) break;
      step.action = record.version_out == 0 ? Action::kReadAbsent : Action::kReadVersion;
      break;
    default:
      break;
  }
  return step;
}

namespace {

bool is_at(const RegisterState& state, uint64_t version) {
  return state.live &&
         (state.exact ? state.version == version : version != 0 && state.version <= version);
}

void make_live(RegisterState& state, uint64_t version, const Step& step) {
  state = {true, true, true, version, step.value, step.deadline};
}

}  // namespace

void vanish(RegisterState& state) {
  state = {false, true, true, state.version, 0, 0};
}

bool take(RegisterState& state, const Step& step, uint64_t late_ns) {
  const bool gone_by_now = state.live && state.deadline != 0 && state.deadline_known &&
                           late_ns != kNever && step.invoke_ns > state.deadline + late_ns;
  if (gone_by_now && step.action != Action::kRestart && step.action != Action::kDiscard) {
    return false;
  }
  switch (step.action) {
    case Action::kReadValue:
      if (!is_at(state, step.version) || state.value != step.value) return false;
      state.version = step.version;
      state.exact = true;
      return true;
    case Action::kReadVersion:
      if (!is_at(state, step.version)) return false;
      state.version = step.version;
      state.exact = true;
      return true;
    case Action::kReadAbsent:
      return !state.live;
    case Action::kWrite:
      if (state.live ? !is_at(state, step.version - 1) : step.version <= state.version) {
        return false;
      }
      make_live(state, step.version, step);
      return true;
    case Action::kWriteAt:
      if (step.expected == 0 ? state.live || step.version <= state.version
                             : !is_at(state, step.expected)) {
        return false;
      }
      make_live(state, step.version, step);
      return true;
    case Action::kRedateAt:
      if (!is_at(state, step.expected)) return false;
      state = {true, true, true, step.version, state.value, step.deadline};
      return true;
    case Action::kRemove:
      if (!state.live) return false;
      vanish(state);
      return true;
    case Action::kDiscard:
      vanish(state);
      return true;
    case Action::kDiscardAt:
      if (step.expected == 0 ? state.live : !is_at(state, step.expected)) return false;
      if (step.expected != 0) state.version = step.expected;
      vanish(state);
      return true;
    case Action::kRestart:
      state = {};
      return true;
    case Action::kImpossible:
      return false;
  }
  return false;
}

bool has_passed(const Step& step, const RegisterState& state) {
  if (step.action == Action::kImpossible) return true;
  if (step.meets_restart) return false;
  const auto beyond = [&state](uint64_t version) {
    return state.version > version || (!state.live && state.version >= version);
  };
  switch (step.action) {
    case Action::kReadValue:
      return beyond(step.version) || (state.live && state.exact && state.version == step.version &&
                                      state.value != step.value);
    case Action::kReadVersion:
      return beyond(step.version);
    case Action::kWrite:
      return state.version >= step.version;
    case Action::kWriteAt:
    case Action::kRedateAt:
      return state.version >= step.version || (step.expected != 0 && beyond(step.expected));
    case Action::kDiscardAt:
      return step.expected != 0 && beyond(step.expected);
    default:
      return false;
  }
}

uint64_t version_needed(const Step& step) {
  switch (step.action) {
    case Action::kReadValue:
    case Action::kReadVersion:
      return step.version;
    case Action::kWrite:
      return step.version - 1;
    case Action::kWriteAt:
    case Action::kRedateAt:
    case Action::kDiscardAt:
      return step.expected;
    default:
      return 0;
  }
}

}  // namespace rdmakv::linearizability
