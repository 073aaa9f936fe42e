// LATENCY and SLOWLOG: which commands were slow.
#include <algorithm>
#include <chrono>
#include <optional>

#include "protocol/resp_parser.h"
#include "proxy/commands.h"
#include "proxy/connection.h"
#include "proxy/gather.h"
#include "proxy/help.h"
#include "proxy/proxy.h"
#include "proxy/worker.h"

namespace rdmakv::proxy::commands {
namespace {

int64_t wall_clock_s() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

LatencyMonitor& monitor_of(const Request& request) {
  return request.worker().proxy().latency_monitor();
}

uint64_t sum_latency(const Proxy& proxy, const Command& command, LatencyHistogram::Counts& counts) {
  counts.fill(0);
  for (const auto& worker : proxy.workers()) {
    const LatencyHistogram* histogram =
        worker->stats().commands[command.index].latency.load(std::memory_order_acquire);
    if (histogram != nullptr) histogram->add_to(counts);
  }
  uint64_t calls = 0;
  for (const uint64_t count : counts) calls += count;
  return calls;
}

// The counts up to powers of two that differ from the ones before.
void write_histogram(resp::ReplyWriter& reply, std::string_view name,
                     const LatencyHistogram::Counts& counts, uint64_t calls) {
  std::vector<std::pair<uint64_t, uint64_t>> steps;
  uint64_t seen = 0;
  size_t bucket = 0;
  for (uint64_t bound = 1; bucket < counts.size(); bound *= 2) {
    const uint64_t before = seen;
    for (; bucket < counts.size() && LatencyHistogram::upper_bound(bucket) <= bound; ++bucket) {
      seen += counts[bucket];
    }
    if (seen > before) steps.emplace_back(bound, seen);
  }
  reply.bulk(name);
  reply.map(2);
  reply.bulk("calls");
  reply.integer(static_cast<int64_t>(calls));
  reply.bulk("histogram_usec");
  reply.map(steps.size());
  for (const auto& [bound, count] : steps) {
    reply.integer(static_cast<int64_t>(bound));
    reply.integer(static_cast<int64_t>(count));
  }
}

}  // namespace

// ---- LATENCY -----------------------------------------------------------------------------------

void latency_latest(Request& request, Arguments) {
  const std::vector<LatencyEvent> events = monitor_of(request).events();
  resp::ReplyWriter reply = request.reply();
  reply.array(events.size());
  for (const LatencyEvent& event : events) {
    reply.array(4);
    reply.bulk(event.name);
    reply.integer(event.samples.back().time_s);
    reply.integer(event.samples.back().milliseconds);
    reply.integer(event.highest);
  }
  request.finish();
}

void latency_history(Request& request, Arguments arguments) {
  const LatencyEvent event = monitor_of(request).event(arguments[2]);
  resp::ReplyWriter reply = request.reply();
  reply.array(event.samples.size());
  for (const LatencySample& sample : event.samples) {
    reply.array(2);
    reply.integer(sample.time_s);
    reply.integer(sample.milliseconds);
  }
  request.finish();
}

void latency_graph(Request& request, Arguments arguments) {
  const LatencyEvent event = monitor_of(request).event(arguments[2]);
  if (event.samples.empty()) {
    request.text = "ERR No samples available for event '";
    request.text.append(until_nul(arguments[2])).append("'");
    return request.finish_error(request.text);
  }
  request.reply().verbatim("txt", draw_latency(event, wall_clock_s()));
  request.finish();
}

void latency_doctor(Request& request, Arguments) {
  const uint64_t threshold_ms = request.worker().settings().latency_threshold_ms;
  request.reply().verbatim(
      "txt", diagnose_latency(monitor_of(request).events(), threshold_ms, wall_clock_s()));
  request.finish();
}

void latency_reset(Request& request, Arguments arguments) {
  const std::vector<std::string_view> names(arguments.begin() + 2, arguments.end());
  request.finish_integer(static_cast<int64_t>(monitor_of(request).reset(names)));
}

// A container stands for its subcommands.
void latency_histogram(Request& request, Arguments arguments) {
  const CommandTable& table = request.worker().commands();
  const Proxy& proxy = request.worker().proxy();
  std::vector<const Command*> wanted;
  for (const Command& row : table.rows()) {
    const bool named =
        std::any_of(arguments.begin() + 2, arguments.end(), [&](std::string_view name) {
          return equals_ignoring_case(name, row.name) ||
                 (row.parent != nullptr && equals_ignoring_case(name, row.parent->name));
        });
    if (arguments.size() == 2 || named) wanted.push_back(&row);
  }
  LatencyHistogram::Counts counts;
  std::erase_if(wanted, [&](const Command* row) { return sum_latency(proxy, *row, counts) == 0; });
  resp::ReplyWriter reply = request.reply();
  reply.map(wanted.size());
  for (const Command* row : wanted) {
    const uint64_t calls = sum_latency(proxy, *row, counts);
    write_histogram(reply, row->name, counts, calls);
  }
  request.finish();
}

void latency_help(Request& request, Arguments) {
  finish_help(
      request, "LATENCY",
      {"DOCTOR", "    Return a human readable latency analysis report.", "GRAPH <event>",
       "    Return an ASCII latency graph for the <event> class.", "HISTORY <event>",
       "    Return time-latency samples for the <event> class.", "LATEST",
       "    Return the latest latency samples for all events.", "RESET [<event> ...]",
       "    Reset latency data of one or more <event> classes.",
       "    (default: reset all data for all event classes)", "HISTOGRAM [COMMAND ...]",
       ("    Return a cumulative distribution of latencies in the format of a histogram for "
        "the specified command names."),
       "    If no commands are specified then all histograms are replied."});
}

// ---- SLOWLOG -----------------------------------------------------------------------------------

void slowlog_get(Request& request, Arguments arguments) {
  int64_t count = 10;
  if (arguments.size() > 3) return finish_wrong_usage(request, "SLOWLOG", arguments[1]);
  if (arguments.size() == 3) {
    const std::optional<int64_t> number = resp::parse_integer(arguments[2]);
    if (!number || *number < -1) {
      return request.finish_error("ERR count should be greater than or equal to -1");
    }
    count = *number;
  }
  const std::vector<SlowLogEntry> entries =
      request.worker().proxy().slow_log().latest(count < 0 ? SIZE_MAX : static_cast<size_t>(count));
  resp::ReplyWriter reply = request.reply();
  reply.array(entries.size());
  for (const SlowLogEntry& entry : entries) {
    reply.array(6);
    reply.integer(static_cast<int64_t>(entry.id));
    reply.integer(entry.time_s);
    reply.integer(static_cast<int64_t>(entry.duration_us));
    reply.array(entry.arguments.size());
    for (const std::string& argument : entry.arguments) reply.bulk(argument);
    reply.bulk(entry.address);
    reply.bulk(entry.client_name);
  }
  request.finish();
}

void slowlog_len(Request& request, Arguments) {
  request.finish_integer(static_cast<int64_t>(request.worker().proxy().slow_log().size()));
}

void slowlog_reset(Request& request, Arguments) {
  request.worker().proxy().slow_log().clear();
  request.finish_ok();
}

void slowlog_help(Request& request, Arguments) {
  finish_help(request, "SLOWLOG",
              {"GET [<count>]",
               "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
               "    Entries are made of:",
               "    id, timestamp, time in microseconds, arguments array, client IP and port,",
               "    client name", "LEN", "    Return the length of the slowlog.", "RESET",
               "    Reset the slowlog."});
}

}  // namespace rdmakv::proxy::commands
