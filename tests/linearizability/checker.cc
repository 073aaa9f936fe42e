#include "tests/linearizability/checker.h"

#include <algorithm>
#include <thread>

namespace rdmakv::linearizability {

uint64_t Report::violations() const {
  return static_cast<uint64_t>(std::count_if(findings.begin(), findings.end(),
                                             [](const Finding& one) { return !one.undecided; }));
}

void Report::add(const Report& other) {
  operations += other.operations;
  keys += other.keys;
  unknown += other.unknown;
  unknown_seen += other.unknown_seen;
  void_ones += other.void_ones;
  unchecked += other.unchecked;
  corrupt += other.corrupt;
  redated += other.redated;
  for (int i = 0; i < kPaths; ++i) by_path[i] += other.by_path[i];
  findings.insert(findings.end(), other.findings.begin(), other.findings.end());
}

bool interpret(const Record& record, const History& history, Step& out) {
  if (is_unknown(record)) {
    const Sighting* seen = is_write(record) ? history.sighting(record) : nullptr;
    if (seen == nullptr) return false;
    Record known = record;
    known.outcome = Outcome::kOk;
    known.version_out = seen->version;
    // A GET may have returned what was not asked for yet: then the GET is what is wrong.
    known.return_ns = std::max(seen->by_ns, record.invoke_ns);
    out = step_of(known);
  } else {
    out = step_of(record);
  }
  for (const Restart& restart : history.restarts()) {
    if (restart.from_ns <= out.return_ns && restart.to_ns >= out.invoke_ns) {
      out.meets_restart = true;
      break;
    }
  }
  return true;
}

// False: the key is done with.
bool Checker::judge(uint64_t name, Key& key, KeyChecker::Verdict verdict) {
  if (verdict == KeyChecker::Verdict::kFine) return true;
  report_.findings.push_back(
      {name, key.checker.culprit(), verdict == KeyChecker::Verdict::kUndecided});
  key.done = true;
  return false;
}

Checker::Key& Checker::key_of(const Record& record) {
  const auto [found, fresh] = keys_.try_emplace(record.key);
  Key& key = found->second;
  if (fresh && !restarts_under_way_.empty()) {
    std::erase_if(restarts_under_way_, [&](const RestartUnderWay& one) {
      return one.step.return_ns < record.invoke_ns;
    });
    for (const RestartUnderWay& one : restarts_under_way_) {
      key.checker.begin(one.step, one.id, limits_);
    }
  }
  return key;
}

void Checker::restart(const Record& record, uint64_t id) {
  Record known = record;
  if (known.outcome == Outcome::kOpen) known.return_ns = kNever;
  known.outcome = Outcome::kOk;
  Step step = step_of(known);
  step.meets_restart = true;
  for (auto& [name, key] : keys_) {
    if (key.done || !judge(name, key, key.checker.advance(record.invoke_ns, limits_))) continue;
    judge(name, key, key.checker.begin(step, id, limits_));
  }
  restarts_under_way_.push_back({step, id});
}

void Checker::operation(const Record& record, uint64_t id) {
  ++report_.operations;
  ++report_.by_path[std::min<size_t>(static_cast<size_t>(record.path), kPaths - 1)];
  if (record.outcome == Outcome::kCorrupt) ++report_.corrupt;
  if (record.kind == Kind::kExpire && record.outcome == Outcome::kOk &&
      record.version_out != record.version_in) {
    ++report_.redated;
  }
  if (is_void(record)) {
    ++report_.void_ones;
    return;
  }
  Key& key = key_of(record);
  if (key.done) {
    ++report_.unchecked;
    return;
  }
  if (!judge(record.key, key, key.checker.advance(record.invoke_ns, limits_))) return;
  if (is_unknown(record)) ++report_.unknown;
  Step step;
  if (!interpret(record, history_, step)) {
    key.checker.begin_unseen(record);
    return;
  }
  if (is_unknown(record)) ++report_.unknown_seen;
  judge(record.key, key, key.checker.begin(step, id, limits_));
}

Report Checker::run() {
  History::Cursor cursor(history_);
  Entry entry;
  for (uint64_t id = 0; cursor.next(entry); ++id) {
    const Record& record = *entry.record;
    if (record.kind == Kind::kRestart) {
      restart(record, id);
    } else if (shards_ == 1 || record.key % shards_ == shard_) {
      operation(record, id);
    }
  }
  for (auto& [name, key] : keys_) {
    if (!key.done) judge(name, key, key.checker.advance(kNever, limits_));
  }
  report_.keys = keys_.size();
  std::sort(report_.findings.begin(), report_.findings.end(),
            [](const Finding& a, const Finding& b) { return a.operation < b.operation; });
  return report_;
}

Report check(const History& history, const KeyLimits& limits, uint32_t threads) {
  if (threads <= 1) return Checker(history, limits).run();
  std::vector<Report> reports(threads);
  std::vector<std::thread> running;
  for (uint32_t i = 0; i < threads; ++i) {
    running.emplace_back([&, i] { reports[i] = Checker(history, limits, i, threads).run(); });
  }
  for (std::thread& one : running) one.join();
  Report all;
  for (const Report& one : reports) all.add(one);
  return all;
}

}  // namespace rdmakv::linearizability
