#include "tools/bench_thread.h"

#include <poll.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string_view>

#include "rdmakv/client/client_counters.h"
#include "rdmakv/client/clock.h"

namespace rdmakv {
namespace {

constexpr uint64_t kPatienceNs = 1'000'000;

}  // namespace

void BenchResult::merge(const BenchResult& other) {
  for (size_t i = 0; i < kActions; ++i) {
    latency[i].merge(other.latency[i]);
    service[i].merge(other.service[i]);
  }
  not_found += other.not_found;
  failures += other.failures;
  if (first_failure == Code::kOk) {
    first_failure = other.first_failure;
    failed_server = other.failed_server;
  }
  started_ns = started_ns == 0 ? other.started_ns : std::min(started_ns, other.started_ns);
  ended_ns = std::max(ended_ns, other.ended_ns);
  cpu_ns += other.cpu_ns;
  counts += other.counts;
}

BenchThread::BenchThread(Client& client, const BenchThreadOptions& options)
    : client_(client),
      at_once_(options.at_once ? at_once_reader(client) : nullptr),
      runner_(options.in_runs ? put_runner(client) : nullptr),
      options_(options),
      workload_(options.workload) {
  value_.resize(options.sizes->largest());
  for (size_t i = 0; i < value_.size(); ++i) value_[i] = static_cast<std::byte>(i * 131 + i / 256);
  gets_.reserve(options.depth);
  puts_.reserve(options.depth);
  for (uint32_t i = 0; i < options.depth; ++i) {
    Lane& lane = lanes_.emplace_back();
    lane.thread = this;
    lane.operation.context = &lane;
    lane.operation.done = &BenchThread::done;
    lane.destination.resize(std::max<size_t>(value_.size(), 1));
    free_.push_back(&lane);
  }
}

void BenchThread::load(uint64_t first, uint64_t last) {
  loading_ = true;
  next_item_ = first;
  left_ = last - first;
  while ((left_ > 0 && result_.failures == 0) || free_.size() < lanes_.size()) {
    bool begun = false;
    for (; left_ > 0 && !free_.empty() && result_.failures == 0; begun = true) begin(0);
    if (!puts_.empty()) send_puts();
    turn(begun);
  }
  loading_ = false;
}

void BenchThread::prepare() {
  prepared_.resize(options_.prepared);
  for (Prepared& prepared : prepared_) {
    const Workload::Step step = workload_.next();
    prepared.action = step.action;
    write_key(prepared.key, options_.workload.items, options_.workload.thread, step.item);
  }
}

void BenchThread::run() {
  prepare();
  const ClientCounters before = client_.counters();
  const uint64_t cpu_before = clock_ns(CLOCK_THREAD_CPUTIME_ID);
  result_.started_ns = due_ns_ = steady_ns();
  left_ = options_.operations;
  while (left_ > 0 || free_.size() < lanes_.size()) {
    bool begun = false;
    for (uint64_t now = steady_ns(); may_begin(now); begun = true) begin(now);
    if (!gets_.empty()) finish_gets();
    if (!puts_.empty()) send_puts();
    turn(begun);
  }
  result_.ended_ns = steady_ns();
  result_.cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_before;
  result_.counts = client_.counters() - before;
}

bool BenchThread::may_begin(uint64_t now) const {
  return left_ > 0 && !free_.empty() && (options_.rate == 0 || due_ns_ <= now);
}

uint64_t BenchThread::next_due() {
  const double mean = 1e9 / options_.rate;
  const double pause = options_.poisson ? -mean * std::log(1 - workload_.random().unit()) : mean;
  due_ns_ += static_cast<uint64_t>(pause);
  return due_ns_;
}

void BenchThread::begin(uint64_t now) {
  Lane& lane = *free_.back();
  free_.pop_back();
  --left_;
  lane.due_ns = options_.rate == 0 ? now : due_ns_;
  if (options_.rate != 0) next_due();
  draw(lane);
  lane.operation.key = {lane.key, kKeyBytes};
  lane.submitted_ns = now;
  if (lane.action == Action::kRead && at_once_ != nullptr) return gets_.push_back(&lane);
  if (!gets_.empty()) finish_gets();
  lane.reading = lane.action == Action::kReadModifyWrite;
  lane.action == Action::kRead || lane.reading ? submit_read(lane) : submit_put(lane);
}

void BenchThread::draw(Lane& lane) {
  if (!loading_ && !prepared_.empty()) {
    const Prepared& prepared = prepared_[next_prepared_];
    if (++next_prepared_ == prepared_.size()) next_prepared_ = 0;
    lane.action = prepared.action;
    std::memcpy(lane.key, prepared.key, kKeyBytes);
    return;
  }
  const Workload::Step step =
      loading_ ? Workload::Step{Action::kInsert, next_item_++} : workload_.next();
  lane.action = step.action;
  write_key(lane.key, options_.workload.items, options_.workload.thread, step.item);
}

void BenchThread::submit_read(Lane& lane) {
  lane.operation.kind = OperationKind::kGet;
  lane.operation.input = {};
  lane.operation.destination = lane.destination;
  client_.submit(lane.operation);
}

void BenchThread::submit_put(Lane& lane) {
  lane.operation.kind = OperationKind::kPut;
  lane.operation.destination = {};
  lane.operation.input = std::span(value_).first(options_.sizes->next(workload_.random()));
  if (runner_ != nullptr) return puts_.push_back(&lane);
  client_.submit(lane.operation);
}

void BenchThread::done(Operation& operation) {
  auto& lane = *static_cast<Lane*>(operation.context);
  BenchThread& thread = *lane.thread;
  thread.answered(operation.code, operation.server);
  if (lane.reading && (operation.code == Code::kOk || operation.code == Code::kNotFound)) {
    lane.reading = false;
    return thread.submit_put(lane);
  }
  thread.finish(lane, steady_ns());
}

void BenchThread::run_done(PutRun& ended) {
  auto& run = static_cast<Run&>(ended);
  BenchThread& thread = *run.thread;
  const uint64_t now = steady_ns();
  for (uint32_t i = 0; i < run.taken; ++i) {
    if (run.failed > 0) thread.answered(run.codes[i], run.servers[i]);
    thread.finish(*run.lanes[i], now);
  }
  thread.free_runs_.push_back(&run);
}

void BenchThread::answered(Code code, uint16_t server) {
  if (code == Code::kOk) return;
  if (code == Code::kNotFound) {
    ++result_.not_found;
  } else if (result_.failures++ == 0) {
    result_.first_failure = code;
    result_.failed_server = server;
  }
}

void BenchThread::finish(Lane& lane, uint64_t now) {
  if (!loading_) {
    result_.latency[static_cast<size_t>(lane.action)].record(now - lane.due_ns);
    if (options_.rate != 0) {
      result_.service[static_cast<size_t>(lane.action)].record(now - lane.submitted_ns);
    }
  }
  free_.push_back(&lane);
}

// The GETs that have gathered, at once as far as possible.
void BenchThread::finish_gets() {
  struct Answers final : AtOnce {
    BenchThread* thread;
    std::span<Lane* const> lanes;
    void take(size_t index, const ValueAtOnce& answer) override {
      if (!answer.found) ++thread->result_.not_found;
      std::copy(answer.value.begin(), answer.value.end(), lanes[index]->destination.begin());
    }
  } answers;
  answers.thread = this;
  for (size_t first = 0; first < gets_.size();) {
    std::array<std::string_view, AtOnceReader::kMost> keys;
    answers.lanes = std::span(gets_).subspan(first);
    const size_t count = std::min(answers.lanes.size(), keys.size());
    for (size_t i = 0; i < count; ++i) keys[i] = gets_[first + i]->operation.key;
    const size_t answered = at_once_->get_at_once(std::span(keys).first(count), answers);
    const uint64_t now = steady_ns();  // when the batch was done, which is when its GETs were
    for (size_t i = 0; i < answered; ++i) finish(*gets_[first + i], now);
    first += answered;
    if (answered < count) {
      Lane& lane = *gets_[first++];
      lane.reading = false;
      submit_read(lane);
    }
  }
  gets_.clear();
}

// The PUTs that have gathered, in runs as far as possible.
void BenchThread::send_puts() {
  for (size_t first = 0; first < puts_.size();) {
    if (free_runs_.empty()) {
      Run& made = runs_.emplace_back();
      made.thread = this;
      made.done = &BenchThread::run_done;
      free_runs_.push_back(&made);
    }
    Run& run = *free_runs_.back();
    run.lanes.assign(puts_.begin() + first,
                     puts_.begin() + std::min(puts_.size(), first + PutRun::kMost));
    std::array<wire::PutView, PutRun::kMost> views;
    for (size_t i = 0; i < run.lanes.size(); ++i) {
      const Operation& put = run.lanes[i]->operation;
      views[i] = {put.key, put.input, 0};
    }
    const size_t taken = runner_->put_run(std::span(views).first(run.lanes.size()), run);
    if (taken > 0) free_runs_.pop_back();
    first += taken;
    if (taken < run.lanes.size()) client_.submit(puts_[first++]->operation);
  }
  puts_.clear();
}

// Sends, takes what has come, and sleeps when there has been nothing for a while.
void BenchThread::turn(bool something_begun) {
  client_.flush();
  const bool progress = client_.poll() > 0 || something_begun;
  const uint64_t now = steady_ns();
  if (progress || last_progress_ns_ == 0) last_progress_ns_ = now;
  if (progress || now - last_progress_ns_ < options_.spin_ns) return;
  uint64_t wait_ns = kPatienceNs;
  if (options_.rate != 0 && left_ > 0 && !free_.empty() && !loading_) {
    if (due_ns_ <= now + options_.spin_ns) return;  // sleeping would make it late
    wait_ns = std::min(wait_ns, due_ns_ - now - options_.spin_ns / 2);
  }
  if (!client_.arm()) return;
  pollfd wanted{client_.fd(), POLLIN, 0};
  const timespec timeout{0, static_cast<long>(wait_ns)};
  ::ppoll(&wanted, 1, &timeout, nullptr);
}

}  // namespace rdmakv
