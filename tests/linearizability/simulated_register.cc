#include "tests/linearizability/simulated_register.h"

#include <algorithm>
#include <random>

namespace rdmakv::linearizability {

namespace {

struct Register {
  bool live = false;
  uint64_t version = 0, highest = 0, value = 0, deadline = 0;
  bool told = false;  // somebody was told this version with this value
};

// When an operation takes effect.
struct Moment {
  uint64_t at;
  uint32_t order;  // random, among those of the same time
  uint32_t client, index;
  bool operator<(const Moment& other) const {
    return at != other.at ? at < other.at : order < other.order;
  }
};

class Simulator {
 public:
  explicit Simulator(const Simulation& options)
      : options_(options),
        random_(options.seed),
        histories_(options.clients + 1),
        registers_(options.keys) {}

  std::vector<std::vector<Record>> run() {
    for (uint32_t client = 0; client < options_.clients; ++client) ask(client);
    for (uint32_t i = 0; i < options_.restarts; ++i) ask_restart();
    auto& restarts = histories_[options_.clients];
    std::sort(restarts.begin(), restarts.end(),
              [](const Record& a, const Record& b) { return a.invoke_ns < b.invoke_ns; });
    for (uint32_t i = 0; i < restarts.size(); ++i) {
      const Record& one = restarts[i];
      moments_.push_back({between(one.invoke_ns, one.return_ns), below(1000), options_.clients, i});
    }
    std::sort(moments_.begin(), moments_.end());
    for (const Moment& moment : moments_) execute(moment);
    return std::move(histories_);
  }

 private:
  uint32_t below(uint64_t bound) { return static_cast<uint32_t>(random_() % bound); }
  bool chance(uint32_t percent) { return below(100) < percent; }
  uint64_t between(uint64_t first, uint64_t last) { return first + random_() % (last - first + 1); }

  void ask(uint32_t client) {
    uint64_t now = 1;
    for (uint32_t i = 0; i < options_.operations; ++i) {
      now += below(options_.longest_pause + 1);
      Record record;
      const uint32_t what = below(100);
      record.kind = Kind::kGet;
      if (what < options_.puts) {
        record.kind = Kind::kPut;
      } else if (what < options_.puts + options_.cas) {
        record.kind = Kind::kCas;
      } else if (what < options_.puts + options_.cas + options_.deletes) {
        record.kind = Kind::kDelete;
      } else if (what < options_.puts + options_.cas + options_.deletes + options_.expires) {
        record.kind = Kind::kExpire;
        if (chance(70)) record.deadline_ns = now + below(60);
      }
      record.key = chance(options_.hot_percent) ? 0 : below(options_.keys);
      record.invoke_ns = now;
      record.return_ns = now + below(options_.longest_operation + 1);
      if (is_write(record)) {
        record.value = chance(options_.empty) ? kEmptyValue : ++values_;
        if (chance(options_.expiring)) record.deadline_ns = now + below(60);
      }
      uint64_t latest = record.return_ns;
      record.outcome = Outcome::kOk;  // for now
      if (chance(options_.unknown)) {
        record.outcome = chance(50) ? Outcome::kUnknown : Outcome::kOpen;
        latest += 100;
      }
      histories_[client].push_back(record);
      if (record.outcome == Outcome::kOk || chance(60)) {
        moments_.push_back({between(now, latest), below(1000), client, i});
      }
      now = record.return_ns + 1;
      span_ = std::max(span_, now);
    }
  }
  void ask_restart() {
    Record record;
    record.kind = Kind::kRestart;
    record.outcome = Outcome::kOk;
    record.invoke_ns = between(1, span_);
    record.return_ns = record.invoke_ns + below(20);
    histories_[options_.clients].push_back(record);
  }

  void execute(const Moment& moment) {
    Record& record = histories_[moment.client][moment.index];
    if (record.kind == Kind::kRestart) {
      registers_.assign(options_.keys, {});
      return;
    }
    const bool told = record.outcome == Outcome::kOk;
    Register& key = registers_[record.key];
    if (key.live && key.deadline != 0 && moment.at >= key.deadline &&
        (chance(50) || moment.at > key.deadline + options_.late_ns)) {
      key.live = false;
    }
    Record result = record;
    act(key, result, moment.at);
    if (told || record.kind == Kind::kCas || record.kind == Kind::kExpire) {
      record.version_in = result.version_in;
    }
    if (!told) return;
    if (result.outcome == Outcome::kOk && key.live) key.told = true;
    record.outcome = result.outcome;
    record.version_out = result.version_out;
    if (record.kind == Kind::kGet) record.value = result.value;
  }
  void act(Register& key, Record& record, uint64_t at) {
    const uint64_t current = key.live ? key.version : 0;
    record.outcome = Outcome::kOk;
    record.version_out = current;
    if (record.kind == Kind::kGet) {
      record.value = key.live ? key.value : 0;
      if (!key.live) record.outcome = Outcome::kAbsent;
    } else if (record.kind == Kind::kDelete) {
      if (!key.live) record.outcome = Outcome::kAbsent;
      record.version_out = 0;
      key.live = false;
    } else if (record.kind == Kind::kCas) {
      record.version_in = chance(60) ? current : below(key.highest + 2);
      if (record.version_in == current) return store(key, record, at);
      record.outcome = Outcome::kLost;
    } else if (record.kind == Kind::kExpire) {
      redate(key, record, at);
    } else {
      store(key, record, at);
    }
  }
  void redate(Register& key, Record& record, uint64_t at) {
    record.version_in = key.live && key.told && chance(80) ? key.version : key.highest + 5;
    if (!key.live) {
      record.outcome = Outcome::kAbsent;
    } else if (record.version_in != key.version) {
      record.outcome = Outcome::kLost;
    } else if (record.deadline_ns == key.deadline) {
      record.version_out = key.version;
    } else if (record.deadline_ns != 0 && record.deadline_ns <= at) {
      key.live = false;
      record.version_out = 0;
    } else {
      key.highest = record.version_out = ++key.version;
      key.deadline = record.deadline_ns;
      key.told = false;
    }
  }
  void store(Register& key, Record& record, uint64_t at) {
    if (record.deadline_ns != 0 && record.deadline_ns <= at && chance(70)) {
      key.live = false;
      record.version_out = 0;
      return;
    }
    const uint64_t version =
        key.live ? key.version + 1 : key.highest + 1 + below(options_.largest_gap + 1);
    key = {true, version, version, record.value, record.deadline_ns, false};
    record.version_out = version;
  }

  const Simulation options_;
  std::mt19937_64 random_;
  std::vector<std::vector<Record>> histories_;
  std::vector<Register> registers_;
  std::vector<Moment> moments_;
  uint64_t values_ = 0;
  uint64_t span_ = 1;
};

}  // namespace

std::vector<std::vector<Record>> simulate(const Simulation& options) {
  return Simulator(options).run();
}

}  // namespace rdmakv::linearizability
