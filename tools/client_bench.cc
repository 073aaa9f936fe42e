#include "tools/client_bench.h"

#include <algorithm>
#include <cstdio>
#include <deque>
#include <memory>
#include <ostream>
#include <string>

#include "rdmakv/client/client_counters.h"
#include "rdmakv/client/clock.h"
#include "rdmakv/transport/authentication.h"
#include "tools/count_text.h"

namespace rdmakv {
namespace {

constexpr uint32_t kKeysPerLane = 8;  // so that all workers get their share

enum class Kind : uint8_t { kPut, kGet, kCas, kDelete };

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::kPut:
      return "put";
    case Kind::kGet:
      return "get";
    case Kind::kCas:
      return "cas";
    case Kind::kDelete:
      break;
  }
  return "del";
}

struct Run;

// One operation after the other, on keys of its own, so that it knows their versions.
struct Lane {
  Operation operation;
  Run* run = nullptr;
  std::string keys[kKeysPerLane];
  uint64_t versions[kKeysPerLane] = {};
  uint32_t turn = 0;
  uint64_t started_ns = 0;
  std::vector<std::byte> destination;
};

struct Run {
  Client& client;
  Kind kind = Kind::kPut;
  uint32_t left = 0;  // still to be submitted
  uint32_t under_way = 0;
  std::vector<std::byte> value;
  std::deque<Lane> lanes;
  BenchRow row;

  void submit(Lane& lane) {
    Operation& operation = lane.operation;
    const uint32_t key = lane.turn % kKeysPerLane;
    operation.key = lane.keys[key];
    operation.condition = Condition::kAlways;
    operation.input = {};
    operation.destination = {};
    switch (kind) {
      case Kind::kPut:
      case Kind::kCas:
        operation.kind = OperationKind::kPut;
        operation.input = value;
        if (kind == Kind::kCas) {
          operation.condition = Condition::kIfVersion;
          operation.expected_version = lane.versions[key];
        }
        break;
      case Kind::kGet:
        operation.kind = OperationKind::kGet;
        operation.destination = lane.destination;
        break;
      case Kind::kDelete:
        operation.kind = OperationKind::kDelete;
        break;
    }
    --left;
    ++under_way;
    lane.started_ns = steady_ns();
    client.submit(operation);
  }

  static void done(Operation& operation) {
    auto& lane = *static_cast<Lane*>(operation.context);
    Run& run = *lane.run;
    --run.under_way;
    const bool gone = operation.code == Code::kNotFound && run.kind != Kind::kCas;
    if (operation.code != Code::kOk && !gone) {
      if (run.row.code == Code::kOk) run.row.code = operation.code;
      return;
    }
    run.row.latency.record(steady_ns() - lane.started_ns);
    lane.versions[lane.turn % kKeysPerLane] = operation.version;
    ++lane.turn;
    if (run.left > 0 && run.row.code == Code::kOk) run.submit(lane);
  }

  // `operations` of `what`, at most one per lane at a time.
  BenchRow& go(Kind what, uint32_t operations) {
    kind = what;
    left = operations;
    row = {};
    const ClientCounters before = client.counters();
    for (Lane& lane : lanes) lane.turn = 0;
    const uint64_t started = steady_ns();
    for (Lane& lane : lanes) {
      if (left > 0) submit(lane);
    }
    for (Lane& lane : lanes) client.wait(lane.operation);
    row.elapsed_ns = steady_ns() - started;
    row.counts = client.counters() - before;
    return row;
  }
};

void print(std::ostream& out, uint64_t size, Kind kind, const BenchRow& row) {
  const double seconds = static_cast<double>(std::max<uint64_t>(row.elapsed_ns, 1)) / 1e9;
  const double rate = static_cast<double>(row.latency.count()) / seconds;
  const auto us = [&](double percent) {
    return static_cast<double>(row.latency.percentile(percent)) / 1e3;
  };
  char line[160];
  std::snprintf(line, sizeof(line), "%10llu  %-4s %12.0f %10.1f %10.1f %10.1f %10.1f  ",
                static_cast<unsigned long long>(size), name_of(kind), rate,
                rate * static_cast<double>(size) / 1e6, us(50), us(99), us(99.9));
  out << line << per_operation_row(row.counts) << "  " << how_it_went(row.counts) << std::endl;
}

Code bench_size(Client& client, const BenchOptions& options, uint64_t size, std::ostream& out) {
  Run run{client, Kind::kPut, 0, 0, std::vector<std::byte>(size), {}, {}};
  for (size_t i = 0; i < size; ++i) run.value[i] = static_cast<std::byte>(i * 131 + i / 256);
  const std::string prefix = "kv_client bench " + std::to_string(random_u64()) + " ";
  uint32_t number = 0;
  for (uint32_t i = 0; i < options.depth; ++i) {
    Lane& lane = run.lanes.emplace_back();
    lane.run = &run;
    lane.operation.context = &lane;
    lane.operation.done = &Run::done;
    lane.destination.resize(std::max<uint64_t>(size, 1));
    for (std::string& key : lane.keys) key = prefix + std::to_string(number++);
  }
  // Untimed: every key is there, and the connections are up.
  const uint32_t all = options.depth * kKeysPerLane;
  Code code = run.go(Kind::kPut, all).code;
  if (code == Code::kOk) {
    // Each lane has put each of its keys unless another lane was faster; what is missing is put
    // now.
    for (Lane& lane : run.lanes) {
      for (uint32_t i = 0; i < kKeysPerLane && code == Code::kOk; ++i) {
        if (lane.versions[i] != 0) continue;
        lane.turn = i;
        run.left = 1;
        run.submit(lane);
        client.wait(lane.operation);
        code = run.row.code;
      }
    }
  }
  for (const Kind kind : {Kind::kPut, Kind::kGet, Kind::kCas}) {
    if (code != Code::kOk) break;
    const BenchRow& row = run.go(kind, options.operations);
    code = row.code;
    if (code == Code::kOk) print(out, size, kind, row);
  }
  for (Lane& lane : run.lanes) {
    for (uint32_t i = 0; i < kKeysPerLane; ++i) {
      run.row = {};
      run.kind = Kind::kDelete;
      run.left = 1;
      lane.turn = i;
      run.submit(lane);
      client.wait(lane.operation);
      if (run.row.code != Code::kOk) return code == Code::kOk ? run.row.code : code;
    }
  }
  return code;
}

}  // namespace

Code run_bench(Client& client, const BenchOptions& options, std::ostream& out) {
  char head[160];
  std::snprintf(head, sizeof(head), "%10s  %-4s %12s %10s %10s %10s %10s  ", "bytes", "op", "op/s",
                "MB/s", "p50 us", "p99 us", "p99.9 us");
  out << head << per_operation_head() << "  how\n";
  for (const uint64_t size : options.sizes) {
    if (const Code code = bench_size(client, options, size, out); code != Code::kOk) return code;
  }
  return Code::kOk;
}

}  // namespace rdmakv
