#include "tests/linearizability/explanation.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <map>
#include <optional>
#include <set>

namespace rdmakv::linearizability {

namespace {

struct Numbered {
  Entry entry;
  uint64_t id = 0;
  const Record& record() const { return *entry.record; }
};

[[gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...) {
  char text[400];
  va_list arguments;
  va_start(arguments, pattern);
  std::vsnprintf(text, sizeof(text), pattern, arguments);
  va_end(arguments);
  return text;
}

// Writers number their values in the low half.
std::string value_name(uint64_t value) {
  if (value == kEmptyValue) return "empty";
  if (value == kUnseenValue) return "nobody saw";
  return format("%llu:%llu", static_cast<unsigned long long>(value >> 32),
                static_cast<unsigned long long>(value & 0xffffffff));
}

std::string number(uint64_t value) {
  return std::to_string(value);
}

double us_between(uint64_t from, uint64_t to) {
  return static_cast<double>(static_cast<int64_t>(to - from)) / 1000;
}

std::string describe_state(const RegisterState& state) {
  if (!state.live) {
    return state.version == 0 ? "absent, and never there"
                              : "absent, after version " + number(state.version);
  }
  std::string text = state.exact ? "version " : "at least version ";
  text += number(state.version) + ", value " + value_name(state.value);
  if (state.deadline != 0) text += ", with a deadline";
  return text;
}

// The operations of one key, and the argument why one of them fits nowhere.
class Argument {
 public:
  Argument(const History& history, const Finding& finding, const KeyLimits& limits)
      : history_(history), finding_(finding), limits_(limits) {
    History::Cursor cursor(history);
    Entry entry;
    for (uint64_t id = 0; cursor.next(entry); ++id) {
      const Record& record = *entry.record;
      if (record.kind != Kind::kRestart && record.key != finding.key) continue;
      if (id == finding.operation) culprit_ = all_.size();
      if (!is_void(record) || id == finding.operation) all_.push_back({entry, id});
    }
  }

  std::string text() {
    std::string text = "key " + number(finding_.key);
    if (culprit_ == kNowhere || !replay_to_culprit()) {
      return text + ": the finding can't be found again in this history\n";
    }
    text += finding_.undecided ? ": undecided, too many possibilities\n" : ": not linearizable\n";
    text += format("client %u: ", culprit().entry.client) + describe(culprit().record()) + "\n";
    if (!finding_.undecided) text += reason() + "\n";
    text += states();
    window();
    if (!finding_.undecided) minimize();
    collect_related();
    base_ = std::min(culprit().record().invoke_ns,
                     shown_.empty() ? kNever : shown_.begin()->second->record().invoke_ns);
    text += "Operations (times in us):\n";
    for (const auto& [id, one] : shown_) text += line(*one);
    return text;
  }

 private:
  static constexpr size_t kNowhere = ~size_t{0};

  const Numbered& culprit() const { return all_[culprit_]; }

  // Handles what came before the operation, then what returned before. False: not fine.
  bool feed(KeyChecker& key, const Numbered& one) const {
    const Record& record = one.record();
    if (is_void(record)) return true;
    if (key.advance(record.invoke_ns, limits_) != KeyChecker::Verdict::kFine) return false;
    Step step;
    if (interpret(record, history_, step)) {
      return key.begin(step, one.id, limits_) == KeyChecker::Verdict::kFine;
    }
    key.begin_unseen(record);
    return true;
  }
  bool replay_to_culprit() {
    KeyChecker key;
    for (size_t i = 0; i < culprit_; ++i) {
      if (!feed(key, all_[i])) return false;
    }
    if (key.advance(culprit().record().invoke_ns, limits_) != KeyChecker::Verdict::kFine) {
      return false;
    }
    snapshot_ = std::move(key);
    return true;
  }
  // From the snapshot on without the reads in `without`: the index after the last operation that
  // was needed, or kNowhere when there is no contradiction.
  size_t contradiction(const std::set<uint64_t>& without) const {
    KeyChecker key = *snapshot_;
    for (const uint64_t id : without) key.forget(id);
    for (size_t i = culprit_; i < all_.size(); ++i) {
      if (without.contains(all_[i].id)) continue;
      if (!feed(key, all_[i])) return i + 1;
    }
    return key.advance(kNever, limits_) == KeyChecker::Verdict::kFine ? kNowhere : all_.size();
  }

  void window() {
    const size_t end = contradiction({});
    for (const KeyChecker::UnderWay& one : snapshot_->under_way()) {
      if (one.open) show(one.id);
    }
    for (size_t i = culprit_; i < all_.size() && i < end; ++i) {
      const bool concurrent = all_[i].record().invoke_ns <= culprit().record().return_ns ||
                              culprit().record().outcome == Outcome::kOpen;
      if (concurrent || end != all_.size()) show(all_[i].id);
    }
  }
  // A read that can be left out without the contradiction going away is not shown.
  void minimize() {
    std::set<uint64_t> without;
    for (auto one = shown_.begin(); one != shown_.end();) {
      const auto [id, operation] = *one;
      const bool read = operation->record().kind == Kind::kGet ||
                        operation->record().outcome == Outcome::kLost ||
                        operation->record().outcome == Outcome::kAbsent;
      if (id == finding_.operation || !read) {
        ++one;
        continue;
      }
      without.insert(id);
      if (contradiction(without) == kNowhere) {
        without.erase(id);
        ++one;
      } else {
        one = shown_.erase(one);
      }
    }
  }
  // Who wrote what the culprit saw, and who made its version and the one after it.
  void collect_related() {
    const Record& wrong = culprit().record();
    for (const Numbered& one : all_) {
      const Record& record = one.record();
      if (!is_write(record) || record.invoke_ns > wrong.return_ns) continue;
      const bool same_value = wrong.kind == Kind::kGet && wrong.value == record.value &&
                              wrong.outcome == Outcome::kOk && wrong.value != kEmptyValue;
      const uint64_t version = record.outcome == Outcome::kOk ? record.version_out : 0;
      const bool same_version = version != 0 && wrong.version_out != 0 &&
                                (version == wrong.version_out || version == wrong.version_out + 1);
      if (same_value || same_version) show(one.id);
    }
    if (overtaker_ != nullptr) show(overtaker_->id);
  }
  void show(uint64_t id) {
    const auto found = std::lower_bound(all_.begin(), all_.end(), id,
                                        [](const Numbered& one, uint64_t i) { return one.id < i; });
    if (found != all_.end() && found->id == id) shown_[id] = &*found;
  }

  std::string states() const {
    const std::vector<Configuration>& all = snapshot_->configurations();
    std::set<std::string> lines;
    for (const Configuration& one : all) lines.insert(describe_state(one.state));
    std::string text = "When it began, the operations before it left the key ";
    text += lines.size() == 1 ? "at: " : "at one of:\n  ";
    size_t printed = 0;
    for (const std::string& line : lines) {
      if (printed == 8) {
        text += format("... and %zu more", lines.size() - printed);
        break;
      }
      if (printed++ > 0) text += "\n  ";
      text += line;
    }
    return text + "\n";
  }
  std::string line(const Numbered& one) const {
    const Record& record = one.record();
    const char mark = one.id == finding_.operation ? '*' : ' ';
    std::string times = format("[%10.1f .. ", us_between(base_, record.invoke_ns));
    times +=
        is_unknown(record) ? "         ?]" : format("%10.1f]", us_between(base_, record.return_ns));
    return format("%c client %-4u ", mark, one.entry.client) + times + "  " + describe(record) +
           "\n";
  }

  std::string reason();
  std::string reason_of_read(const Record& wrong);
  const Numbered* writer_of(uint64_t value) const {
    for (const Numbered& one : all_) {
      if (is_write(one.record()) && one.record().value == value) return &one;
    }
    return nullptr;
  }
  // An acknowledged write of a higher version (or of this one, if `same`) before the operation.
  const Numbered* acknowledged_beyond(uint64_t version, uint64_t before_ns) const {
    for (const Numbered& one : all_) {
      const Record& record = one.record();
      if (!is_write(record) || record.outcome != Outcome::kOk) continue;
      if (record.version_out > version && record.return_ns < before_ns) return &one;
    }
    return nullptr;
  }

  const History& history_;
  const Finding finding_;
  const KeyLimits limits_;
  std::vector<Numbered> all_;  // of the key, in the order of invocation
  size_t culprit_ = kNowhere;
  std::optional<KeyChecker> snapshot_;  // when the culprit began
  std::map<uint64_t, const Numbered*> shown_;
  const Numbered* overtaker_ = nullptr;
  uint64_t base_ = 0;
};

std::string Argument::reason_of_read(const Record& wrong) {
  const Numbered* writer = wrong.value == kEmptyValue ? nullptr : writer_of(wrong.value);
  if (wrong.kind == Kind::kGet && wrong.value != kEmptyValue) {
    if (writer == nullptr) return "That value was never written under this key.";
    const Record& write = writer->record();
    if (write.outcome == Outcome::kNoEffect) return "That value's write had been refused.";
    if (write.invoke_ns > wrong.return_ns) return "That value was written only later.";
    if (write.outcome == Outcome::kLost) return "That value's CAS had lost.";
    if (write.outcome == Outcome::kOk && write.version_out != wrong.version_out) {
      return "That value was stored as version " + number(write.version_out) + ".";
    }
  }
  const bool restarted = !history_.restarts().empty();
  overtaker_ = acknowledged_beyond(wrong.version_out, wrong.invoke_ns);
  if (overtaker_ != nullptr && !restarted) {
    return "It is stale: version " + number(overtaker_->record().version_out) +
           format(" had been acknowledged %.1f us before it began.",
                  us_between(overtaker_->record().return_ns, wrong.invoke_ns));
  }
  overtaker_ = nullptr;
  return "No order of the operations explains that answer.";
}

std::string Argument::reason() {
  const Record& wrong = culprit().record();
  switch (wrong.outcome) {
    case Outcome::kCorrupt:
      return "No operation wrote these bytes.";
    case Outcome::kAbsent:
      return "No deletion, expiry or restart explains that the key was not there.";
    case Outcome::kLost:
      if (wrong.version_out == wrong.version_in) {
        return "It reports the very version that was expected.";
      }
      return reason_of_read(wrong);
    case Outcome::kOk:
      break;
    default:
      return "No order of the operations explains what came of it.";
  }
  if (wrong.kind == Kind::kGet) return reason_of_read(wrong);
  if (is_write(wrong) && wrong.version_out != 0) {
    for (const Numbered& one : all_) {
      const Record& other = one.record();
      if (one.id != culprit().id && is_write(other) && other.outcome == Outcome::kOk &&
          other.version_out == wrong.version_out) {
        overtaker_ = &one;
        return "Another operation made the same version: one of the two updates is lost.";
      }
    }
    overtaker_ = acknowledged_beyond(wrong.version_out, wrong.invoke_ns);
    if (overtaker_ != nullptr) return "A higher version had been acknowledged before.";
  }
  return "No order of the operations explains that answer.";
}

}  // namespace

std::string describe(const Record& record) {
  std::string text;
  switch (record.kind) {
    case Kind::kGet:
      text = "GET";
      break;
    case Kind::kPut:
      text = "PUT " + value_name(record.value) + format(" (%u B)", record.value_bytes);
      break;
    case Kind::kDelete:
      text = "DEL";
      break;
    case Kind::kCas:
      text = "CAS from " + number(record.version_in) + " to " + value_name(record.value) +
             format(" (%u B)", record.value_bytes);
      break;
    case Kind::kExpire:
      text = "EXPIRE of version " + number(record.version_in);
      break;
    case Kind::kRestart:
      return "RESTART of the server";
  }
  if (record.deadline_ns != 0) text += " with a deadline";
  switch (record.outcome) {
    case Outcome::kOpen:
      return text + " -> no answer";
    case Outcome::kUnknown:
      return text + " -> outcome unknown";
    case Outcome::kNoEffect:
      return text + " -> refused";
    case Outcome::kAbsent:
      return text + " -> no such key";
    case Outcome::kCorrupt:
      return text + format(" -> version %llu, corrupt bytes",
                           static_cast<unsigned long long>(record.version_out));
    case Outcome::kLost:
      return text + " -> lost, the version is " + number(record.version_out);
    case Outcome::kOk:
      break;
  }
  if (record.kind == Kind::kDelete) return text + " -> deleted";
  if (record.version_out == 0) return text + " -> expired at once";
  text += " -> version " + number(record.version_out);
  if (record.kind != Kind::kGet) return text;
  return text + ", value " + value_name(record.value) + format(" (%u B)", record.value_bytes);
}

std::string explain(const History& history, const Finding& finding, const KeyLimits& limits) {
  return Argument(history, finding, limits).text();
}

}  // namespace rdmakv::linearizability
