#include "proxy/info.h"

#include <event2/event.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "proxy/proxy.h"
#include "proxy/worker.h"
#include "rdmakv/client/client_counters.h"

namespace rdmakv::proxy {
namespace {

using Text = std::back_insert_iterator<std::string>;

uint64_t sum(const Proxy& proxy, Counter WorkerStats::*counter) {
  uint64_t total = 0;
  for (const auto& worker : proxy.workers()) total += (worker->stats().*counter).get();
  return total;
}

uint64_t per_second(const Proxy& proxy, InstantaneousRates::Metric metric) {
  uint64_t total = 0;
  for (const auto& worker : proxy.workers()) total += worker->rates().per_second(metric);
  return total;
}

int64_t wall_clock_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string human(uint64_t bytes) {
  constexpr std::string_view kUnits = "KMGTP";
  if (bytes < 1024) return fmt::format("{}B", bytes);
  double amount = static_cast<double>(bytes);
  size_t unit = 0;
  for (amount /= 1024; amount >= 1024 && unit + 1 < kUnits.size(); ++unit) amount /= 1024;
  return fmt::format("{:.2f}{}", amount, kUnits[unit]);
}

double percent(uint64_t part, uint64_t whole) {
  return whole == 0 ? 100.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

uint64_t system_memory() {
  return static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) *
         static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

// As Redis: of gcc, and 0.0.0 when another compiler was used.
std::string compiler_version() {
#if defined(__GNUC__) && !defined(__clang__)
  return fmt::format("{}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#else
  return "0.0.0";
#endif
}

std::string executable() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).string();
}

void server(Worker& worker, const InfoFacts&, Text out) {
  const Proxy& proxy = worker.proxy();
  utsname system{};
  uname(&system);
  const uint64_t uptime = proxy.uptime_seconds();
  fmt::format_to(out,
                 "redis_version:{}\r\nredis_git_sha1:00000000\r\nredis_git_dirty:0\r\n"
                 "redis_build_id:0\r\nredis_mode:standalone\r\nos:{} {} {}\r\narch_bits:{}\r\n"
                 "monotonic_clock:POSIX clock_gettime\r\nmultiplexing_api:{}\r\ngcc_version:{}\r\n"
                 "process_id:{}\r\nprocess_supervised:no\r\nrun_id:{}\r\ntcp_port:{}\r\n"
                 "server_time_usec:{}\r\nuptime_in_seconds:{}\r\nuptime_in_days:{}\r\n"
                 "executable:{}\r\nconfig_file:{}\r\nio_threads_active:{}\r\nserver_name:kv_"
                 "proxy\r\nproxy_version:{}\r\n"
                 "proxy_threads:{}\r\n",
                 kRedisVersion, system.sysname, system.release, system.machine, sizeof(void*) * 8,
                 event_base_get_method(worker.base()), compiler_version(), getpid(), proxy.run_id(),
                 proxy.port(), wall_clock_us(), uptime, uptime / 86400, executable(),
                 proxy.options().config_file, proxy.workers().size() > 1 ? 1 : 0, kProxyVersion,
                 proxy.workers().size());
}

void clients(Worker& worker, const InfoFacts&, Text out) {
  const Proxy& proxy = worker.proxy();
  fmt::format_to(out,
                 "connected_clients:{}\r\ncluster_connections:0\r\nmaxclients:{}\r\n"
                 "blocked_clients:0\r\ntracking_clients:0\r\nclients_in_timeout_table:0\r\n",
                 proxy.clients(), proxy.settings().max_clients.load());
}

void memory(Worker& worker, const InfoFacts&, Text out) {
  const ProcessMemory now = process_memory();
  const uint64_t startup = worker.proxy().startup_memory();
  const uint64_t beyond = now.resident - std::min(startup, now.resident);
  fmt::format_to(out,
                 "used_memory:{0}\r\nused_memory_human:{1}\r\nused_memory_rss:{0}\r\n"
                 "used_memory_rss_human:{1}\r\nused_memory_peak:{2}\r\n"
                 "used_memory_peak_human:{3}\r\nused_memory_peak_perc:{4:.2f}%\r\n"
                 "used_memory_overhead:{5}\r\nused_memory_startup:{5}\r\n"
                 "used_memory_dataset:{6}\r\nused_memory_dataset_perc:{10:.2f}%\r\n"
                 "total_system_memory:{7}\r\n"
                 "total_system_memory_human:{8}\r\nmaxmemory:0\r\nmaxmemory_human:0B\r\n"
                 "maxmemory_policy:noeviction\r\nmem_fragmentation_ratio:1.00\r\n"
                 "mem_clients_normal:{9}\r\nmem_allocator:libc\r\n",
                 now.resident, human(now.resident), now.peak, human(now.peak),
                 percent(now.resident, now.peak), startup, beyond, system_memory(),
                 human(system_memory()), worker.proxy().clients() * sizeof(Connection),
                 percent(beyond, now.resident));
}

// Nothing is ever saved here, so every change since the servers' start is one. The time of the last
// save is that of the start, as in a Redis that has not saved yet.
void persistence(Worker& worker, const InfoFacts& facts, Text out) {
  fmt::format_to(
      out,
      "loading:0\r\nasync_loading:0\r\nrdb_changes_since_last_save:{}\r\n"
      "rdb_bgsave_in_progress:0\r\nrdb_last_save_time:{}\r\nrdb_last_bgsave_status:ok\r\n"
      "rdb_last_bgsave_time_sec:-1\r\nrdb_current_bgsave_time_sec:-1\r\nrdb_saves:0\r\n"
      "aof_enabled:0\r\naof_rewrite_in_progress:0\r\naof_rewrite_scheduled:0\r\n"
      "aof_last_rewrite_time_sec:-1\r\naof_current_rewrite_time_sec:-1\r\n"
      "aof_last_bgrewrite_status:ok\r\naof_rewrites:0\r\n"
      "aof_last_write_status:ok\r\n",
      facts.sum(&ServerSurvey::Share::changes), worker.proxy().started_at());
}

void stats(Worker& worker, const InfoFacts& facts, Text out) {
  const Proxy& proxy = worker.proxy();
  const auto line = [&](std::string_view name, Counter WorkerStats::*counter) {
    fmt::format_to(out, "{}:{}\r\n", name, sum(proxy, counter));
  };
  line("total_connections_received", &WorkerStats::connections);
  line("total_commands_processed", &WorkerStats::processed);
  fmt::format_to(out, "instantaneous_ops_per_sec:{}\r\n",
                 per_second(proxy, InstantaneousRates::kCommands));
  line("total_net_input_bytes", &WorkerStats::input_bytes);
  line("total_net_output_bytes", &WorkerStats::output_bytes);
  const auto kilobytes = [&](std::string_view name, InstantaneousRates::Metric metric) {
    fmt::format_to(out, "instantaneous_{}_kbps:{:.2f}\r\n", name,
                   static_cast<double>(per_second(proxy, metric)) / 1024);
  };
  kilobytes("input", InstantaneousRates::kInputBytes);
  kilobytes("output", InstantaneousRates::kOutputBytes);
  line("rejected_connections", &WorkerStats::rejected);
  fmt::format_to(out, "expired_keys:{}\r\nevicted_keys:0\r\n",
                 facts.sum(&ServerSurvey::Share::expired));
  line("keyspace_hits", &WorkerStats::hits);
  line("keyspace_misses", &WorkerStats::misses);
  fmt::format_to(out, "pubsub_channels:0\r\npubsub_patterns:0\r\npubsubshard_channels:0\r\n");
  line("unexpected_error_replies", &WorkerStats::unknown);
  line("total_error_replies", &WorkerStats::errors);
  line("acl_access_denied_auth", &WorkerStats::auth_denied);
  line("acl_access_denied_cmd", &WorkerStats::command_denied);
  line("acl_access_denied_key", &WorkerStats::key_denied);
  line("total_reads_processed", &WorkerStats::reads);
  line("total_writes_processed", &WorkerStats::writes);
  line("proxy_batches_issued", &WorkerStats::flushes);
  line("proxy_output_limit_closes", &WorkerStats::output_limit_closes);
  line("proxy_query_limit_closes", &WorkerStats::query_limit_closes);
  line("proxy_broken_replies", &WorkerStats::broken_replies);
  line("proxy_repeated_reads", &WorkerStats::repeated_reads);
  line("proxy_pin_waits", &WorkerStats::pin_waits);
  line("proxy_slow_reader_closes", &WorkerStats::slow_reader_closes);
}

void replication(Worker& worker, const InfoFacts&, Text out) {
  fmt::format_to(out,
                 "role:master\r\nconnected_slaves:0\r\nmaster_failover_state:no-failover\r\n"
                 "master_replid:{}\r\nmaster_replid2:{:040}\r\nmaster_repl_offset:0\r\n"
                 "second_repl_offset:-1\r\nrepl_backlog_active:0\r\nrepl_backlog_size:1048576\r\n"
                 "repl_backlog_first_byte_offset:0\r\nrepl_backlog_histlen:0\r\n",
                 worker.proxy().run_id(), 0);
}

void cpu(Worker&, const InfoFacts&, Text out) {
  rusage usage{}, children{};
  getrusage(RUSAGE_SELF, &usage);
  getrusage(RUSAGE_CHILDREN, &children);
  const auto line = [&](std::string_view name, const timeval& time) {
    fmt::format_to(out, "{}:{}.{:06}\r\n", name, time.tv_sec, time.tv_usec);
  };
  line("used_cpu_sys", usage.ru_stime);
  line("used_cpu_user", usage.ru_utime);
  line("used_cpu_sys_children", children.ru_stime);
  line("used_cpu_user_children", children.ru_utime);
}

void command_stats(Worker& worker, const InfoFacts&, Text out) {
  for (const Command& command : worker.commands().rows()) {
    uint64_t calls = 0, microseconds = 0, rejected = 0, failed = 0;
    for (const auto& other : worker.proxy().workers()) {
      const CommandStats& one = other->stats().commands[command.index];
      calls += one.calls.get();
      microseconds += one.microseconds.get();
      rejected += one.rejected.get();
      failed += one.failed.get();
    }
    if (calls == 0 && rejected == 0) continue;
    fmt::format_to(out,
                   "cmdstat_{}:calls={},usec={},usec_per_call={:.2f},rejected_calls={},"
                   "failed_calls={}\r\n",
                   command.name, calls, microseconds,
                   calls == 0 ? 0 : static_cast<double>(microseconds) / static_cast<double>(calls),
                   rejected, failed);
  }
}

void error_stats(Worker& worker, const InfoFacts&, Text out) {
  std::map<std::string, uint64_t> sums;
  for (const auto& other : worker.proxy().workers()) other->stats().error_codes.add_to(sums);
  for (const auto& [code, count] : sums) {
    fmt::format_to(out, "errorstat_{}:count={}\r\n", escaped(code), count);
  }
}

void latency_stats(Worker& worker, const InfoFacts&, Text out) {
  LatencyHistogram::Counts counts;
  for (const Command& command : worker.commands().rows()) {
    counts.fill(0);
    bool called = false;
    for (const auto& other : worker.proxy().workers()) {
      const LatencyHistogram* histogram = other->stats().commands[command.index].latency;
      if (histogram == nullptr) continue;
      histogram->add_to(counts);
      called = true;
    }
    called = called && std::any_of(counts.begin(), counts.end(), [](uint64_t n) { return n > 0; });
    if (!called) continue;
    const auto at = [&counts](double percent) {
      return static_cast<double>(LatencyHistogram::percentile(counts, percent));
    };
    fmt::format_to(out, "latency_percentiles_usec_{}:p50={:.3f},p99={:.3f},p99.9={:.3f}\r\n",
                   command.name, at(50), at(99), at(99.9));
  }
}

// What all workers' client libraries have done for the servers.
void backend_counters(const ClientCounters& counters, Text out) {
  for (const NamedCounter& counter : named_counters(counters)) {
    fmt::format_to(out, "backend_{}:{}\r\n", counter.name, counter.value);
  }
  const CostPerOperation cost = per_operation(counters);
  fmt::format_to(out,
                 "backend_per_operation:work_requests={:.3f},doorbells={:.3f},completions={:.3f},"
                 "round_trips={:.3f}\r\n",
                 cost.work_requests, cost.doorbells, cost.completions, cost.round_trips);
}

// The servers, as this worker's client library sees them, and what they tell of themselves, if they
// do.
void backends(Worker& worker, const InfoFacts& facts, Text out) {
  size_t i = 0;
  for (const ServerState& server : worker.client().servers()) {
    fmt::format_to(out, "backend{}:name={},status={},workers={},epoch={:x},", i, server.name,
                   server.reachable ? "up" : "down", server.workers, server.epoch);
    if (i < facts.servers.size() && facts.servers[i].complete) {
      const ServerSurvey::Share& share = facts.servers[i];
      fmt::format_to(out, "keys={},used_memory={},total_memory={},", share.keys, share.used_bytes,
                     share.total_bytes);
    }
    fmt::format_to(out, "error={}\r\n", escaped(server.last_error, 256));
    ++i;
  }
  backend_counters(facts.backend, out);
}

void keyspace(Worker&, const InfoFacts& facts, Text out) {
  if (facts.keys.value_or(0) == 0) return;
  fmt::format_to(out, "db0:keys={},expires={},avg_ttl=0\r\n", *facts.keys,
                 facts.sum(&ServerSurvey::Share::keys_with_expiry));
}

void cluster(Worker&, const InfoFacts&, Text out) {
  fmt::format_to(out, "cluster_enabled:0\r\n");
}

// Nanoseconds of all workers, summed; nothing unless --stage-times was given. What is left of the
// time the process has been up, times its threads, went to the event loop and to waiting.
void stages(Worker& worker, const InfoFacts&, Text out) {
  for (size_t i = 0; i < kStages; ++i) {
    uint64_t calls = 0, nanoseconds = 0;
    for (const auto& one : worker.proxy().workers()) {
      const StageTimes* times = one->stage_times();
      if (times == nullptr) return;
      calls += times->calls[i].get();
      nanoseconds += times->nanoseconds[i].get();
    }
    fmt::format_to(out, "stage_{}:calls={},nanoseconds={}\r\n", kStageNames[i], calls, nanoseconds);
  }
}

struct Section {
  std::string_view name;
  std::string_view title;
  bool by_default;
  void (*write)(Worker& worker, const InfoFacts& facts, Text out);
  bool of_servers = false;  // what they tell is in it
};
constexpr Section kSections[] = {
    {"server", "Server", true, &server},
    {"clients", "Clients", true, &clients},
    {"memory", "Memory", true, &memory},
    {"persistence", "Persistence", true, &persistence, true},
    {"stats", "Stats", true, &stats, true},
    {"replication", "Replication", true, &replication},
    {"cpu", "CPU", true, &cpu},
    {"commandstats", "Commandstats", false, &command_stats},
    {"errorstats", "Errorstats", true, &error_stats},
    {"latencystats", "Latencystats", false, &latency_stats},
    {"cluster", "Cluster", true, &cluster},
    {"backends", "Backends", true, &backends, true},
    {"stages", "Stages", false, &stages},
    {"keyspace", "Keyspace", true, &keyspace, true},
};

}  // namespace

ProcessMemory process_memory() {
  ProcessMemory memory;
  std::ifstream file("/proc/self/statm");
  uint64_t pages = 0, resident = 0;
  file >> pages >> resident;
  memory.resident = resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  memory.peak = std::max(memory.resident, static_cast<uint64_t>(usage.ru_maxrss) * 1024);
  return memory;
}

InfoSections::InfoSections(const std::vector<std::string_view>& names) : default_(names.empty()) {
  for (const std::string_view name : names) {
    std::string lower(name);
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    if (lower == "default") default_ = true;
    if (lower == "all" || lower == "everything") all_ = true;
    names_.push_back(std::move(lower));
  }
}

bool InfoSections::has(std::string_view section) const {
  if (all_ || std::find(names_.begin(), names_.end(), section) != names_.end()) return true;
  return default_ && std::any_of(std::begin(kSections), std::end(kSections), [&](const Section& s) {
           return s.name == section && s.by_default;
         });
}

bool needs_servers(const InfoSections& sections) {
  return std::any_of(std::begin(kSections), std::end(kSections), [&](const Section& section) {
    return section.of_servers && sections.has(section.name);
  });
}

std::string make_info(Worker& worker, const InfoSections& sections, const InfoFacts& facts) {
  std::string text;
  for (const Section& section : kSections) {
    if (!sections.has(section.name)) continue;
    if (!text.empty()) text += "\r\n";
    fmt::format_to(std::back_inserter(text), "# {}\r\n", section.title);
    section.write(worker, facts, std::back_inserter(text));
  }
  return text;
}

}  // namespace rdmakv::proxy
